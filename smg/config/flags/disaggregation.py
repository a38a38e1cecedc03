"""Flags: prefill/decode and encode/prefill/decode disaggregation (cli 4.3)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.policy import AVAILABLE_POLICIES, LATER_POLICIES
from smg.config.flags.row import Flag
from smg.config.kinds import Choice, Int, Kind, Many, Seconds, Switch, UrlWithPort

pd = partial(Flag, group="PD / EPD Disaggregation", mode="PD and EPD only")
epd = partial(
    Flag,
    group="PD / EPD Disaggregation",
    feature="EPD disaggregation",
    mode="EPD only",
    tag="beyond",
)

POLICIES = (*AVAILABLE_POLICIES, *LATER_POLICIES)

FLAGS = (
    pd(
        name="pd-disaggregation",
        kind=Switch(),
        default=False,
        mode="",
        help="Prefill and decode run on different workers.",
    ),
    pd(
        name="prefill",
        kind=Many(UrlWithPort(), least=1),
        default=(),
        help="Prefill worker and its bootstrap port (a number or none).",
    ),
    pd(name="decode", kind=Many(Kind("URL"), least=1), default=(), help="Decode worker."),
    pd(name="prefill-policy", kind=Choice(*POLICIES), help="Policy for prefill; else --policy."),
    pd(name="decode-policy", kind=Choice(*POLICIES), help="Policy for decode; else --policy."),
    epd(
        name="epd-disaggregation",
        kind=Switch(),
        default=False,
        mode="gRPC workers only",
        help="Encode, prefill and decode run on different workers.",
    ),
    epd(
        name="encode",
        kind=Many(UrlWithPort(), least=1),
        default=(),
        help="Encode worker and its bootstrap port (a number or none).",
    ),
    epd(
        name="encode-policy",
        kind=Choice("random", "round_robin", "consistent_hashing"),
        default="consistent_hashing",
        help="Policy for encode.",
    ),
    pd(
        name="prefill-max-inflight-requests-per-worker",
        kind=Int(),
        default=-1,
        help="Requests that may be at a prefill worker at once; 0 or less is off.",
    ),
    pd(
        name="prefill-queue-size",
        kind=Int(0),
        help="Requests that may wait for a prefill slot; 100 when the limit is on.",
    ),
    pd(
        name="prefill-queue-timeout-secs",
        kind=Seconds(),
        help="Longest wait for a prefill slot; 60 when the limit is on.",
    ),
)
