"""Flags: request handling, client and worker time limits, rate limiting (cli 4.7, 4.14)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.row import Flag
from smg.config.items import header_name
from smg.config.kinds import Choice, Int, Item, Kind, Many, Seconds, Switch

request = partial(Flag, group="Request Handling")
timeout = partial(Flag, group="Time Limits")
limit = partial(Flag, group="Rate Limiting")
scheduler = partial(Flag, group="Rate Limiting", tag="beyond")
tenant = partial(Flag, group="Rate Limiting", tag="beyond")

FLAGS = (
    timeout(
        name="request-timeout-secs",
        kind=Seconds(1),
        default=1800,
        help="Whole time a request may take, streams included.",
    ),
    timeout(
        name="shutdown-grace-period-secs",
        kind=Seconds(),
        default=180,
        help="Time for running requests to end after SIGTERM; 0 cuts them at once.",
    ),
    timeout(
        name="stream-body-stall-timeout-secs",
        kind=Seconds(),
        default=300,
        tag="beyond",
        help="Silence allowed while a request body arrives; 0 is off.",
    ),
    timeout(
        name="header-read-timeout-secs",
        kind=Seconds(),
        default=30,
        help="Time for a request head to be complete; 0 is off.",
    ),
    timeout(
        name="idle-connection-timeout-secs",
        kind=Seconds(),
        default=90,
        help="An idle client connection is closed after this; 0 is off.",
    ),
    timeout(
        name="upstream-connect-timeout-secs",
        kind=Seconds(1),
        default=10,
        tag="beyond",
        help="Time to connect to a worker.",
    ),
    timeout(
        name="upstream-first-byte-timeout-secs",
        kind=Seconds(),
        default=0,
        tag="beyond",
        help="Time a worker may take to begin its answer; 0: only --request-timeout-secs applies.",
    ),
    timeout(
        name="upstream-idle-timeout-secs",
        kind=Seconds(),
        default=0,
        tag="beyond",
        help="Silence allowed inside a worker's answer; 0: only --request-timeout-secs applies.",
    ),
    request(
        name="max-payload-size",
        kind=Int(1, label="BYTES"),
        default=536870912,
        help="Largest request body; a larger one is answered with 413.",
    ),
    request(
        name="stream-request-bodies-over",
        kind=Int(0, label="BYTES"),
        default=0,
        tag="beyond",
        feature="streamed request bodies",
        help="Larger bodies are passed on while they arrive; 0 is off.",
    ),
    request(
        name="cors-allowed-origins",
        kind=Many(Kind("ORIGIN")),
        default=(),
        help="Origins that browsers may call from. None: no CORS headers. A single * allows any.",
    ),
    request(
        name="request-id-headers",
        kind=Many(Kind("HEADER")),
        default=("x-request-id", "x-correlation-id", "x-trace-id", "request-id"),
        help="Headers that may carry the request id, in order.",
    ),
    request(
        name="forward-request-headers",
        kind=Many(Kind("HEADER")),
        default=(),
        tag="beyond",
        help="Further request headers that are passed on to HTTP workers.",
    ),
    request(
        name="sse-keepalive-secs",
        kind=Seconds(),
        default=15,
        tag="beyond",
        help="A stream that is silent for this long gets a comment; 0 is off.",
    ),
    request(
        name="sse-keepalive-early",
        kind=Switch(),
        default=False,
        tag="beyond",
        feature="early keep-alive",
        help="Send such comments before the worker has answered at all.",
    ),
    request(
        name="responses-mode",
        kind=Choice("proxy", "gateway"),
        default="proxy",
        feature="Responses API",
        help="Who keeps the state of /v1/responses for HTTP workers.",
    ),
    tenant(
        name="trust-tenant-header",
        kind=Switch(),
        default=False,
        help="Take the tenant of a request from a header that its sender may set.",
    ),
    tenant(
        name="tenant-header-name",
        kind=Item("HEADER", header_name),
        default="x-smg-tenant-id",
        help="That header.",
    ),
    limit(
        name="max-concurrent-requests",
        kind=Int(),
        default=-1,
        help="Requests served at once; 0 or less is no limit.",
    ),
    limit(
        name="queue-size",
        idle_with="priority-scheduler-enabled",
        kind=Int(0),
        default=100,
        help="Requests that may wait when the limit is reached; 0 is no queue.",
    ),
    limit(
        name="queue-timeout-secs",
        idle_with="priority-scheduler-enabled",
        kind=Seconds(),
        default=60,
        help="Longest wait in the queue.",
    ),
    limit(
        name="rate-limit-tokens-per-second",
        idle_with="priority-scheduler-enabled",
        kind=Int(0),
        help="Refill of the limit; unset or 0 makes it a plain cap.",
    ),
    scheduler(
        name="priority-scheduler-enabled",
        kind=Switch(),
        default=False,
        help="Admit requests by priority class.",
    ),
    scheduler(
        name="priority-scheduler-default-max-class",
        kind=Choice("system", "interactive", "default", "bulk"),
        default="default",
        help="Highest class a tenant without a rule may ask for.",
    ),
    scheduler(name="priority-scheduler-config", kind=Kind("FILE"), help="Classes, as YAML."),
    scheduler(
        name="priority-scheduler-tenant-metric-top-n",
        kind=Int(0),
        default=32,
        help="Tenants with metrics of their own.",
    ),
    tenant(
        name="tenant-rate-limit-enabled",
        kind=Switch(),
        default=False,
        help="Limit the rate of each tenant.",
    ),
    tenant(name="tenant-rate-limit-config", kind=Kind("FILE"), help="Limits, as YAML."),
)
