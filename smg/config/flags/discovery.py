"""Flags: load monitoring, multimodal transport and Kubernetes discovery (cli 4.4, 4.5)."""

from __future__ import annotations

from functools import partial

from smg.config import selectors
from smg.config.flags.row import Flag
from smg.config.items import model_id_source, tensor_transport
from smg.config.kinds import Choice, Int, Item, Kind, Many, Port, Seconds, Switch

monitor = partial(Flag, group="Load Monitoring and Multimodal")
kube = partial(Flag, group="Service Discovery (Kubernetes)", feature="service discovery")

FLAGS = (
    monitor(
        name="load-monitor-interval",
        kind=Seconds(1),
        default=10,
        help="Seconds between two questions for the load of an engine.",
    ),
    monitor(
        name="disable-load-monitoring",
        kind=Switch(),
        default=False,
        tag="beyond",
        help="Accepted and without effect: engines are asked for loads only when needed.",
    ),
    monitor(
        name="engine-metrics",
        kind=Switch(),
        default=False,
        tag="beyond",
        help="Publish the loads of the engines as smg_engine_* gauges.",
    ),
    monitor(
        name="multimodal-tensor-transport",
        kind=Item("MODE", tensor_transport),
        feature="multimodal input",
        help="How tensors reach the engine: inline, shm, auto or rdma.",
    ),
    monitor(
        name="multimodal-shm-min-bytes",
        kind=Int(0),
        feature="multimodal input",
        help="Smallest tensor that goes through shared memory.",
    ),
    kube(
        name="service-discovery",
        kind=Switch(),
        default=False,
        help="Watch pods and register them as workers; turns IGW mode on.",
    ),
    kube(
        name="selector",
        kind=Many(Item("LABELS", selectors.checked), maps=True),
        default=(),
        mode="regular",
        help="Labels of worker pods.",
    ),
    kube(
        name="service-discovery-port",
        kind=Port(),
        default=80,
        help="Port of pods without a port annotation.",
    ),
    kube(name="service-discovery-namespace", kind=Kind("NAME"), help="Namespace; else all."),
    kube(
        name="service-discovery-protocol",
        kind=Choice("http", "grpc"),
        help="Protocol of the pods; else it is probed.",
    ),
    kube(
        name="prefill-selector",
        kind=Many(Item("LABELS", selectors.checked), maps=True),
        default=(),
        mode="PD",
        help="Labels of prefill pods.",
    ),
    kube(
        name="decode-selector",
        kind=Many(Item("LABELS", selectors.checked), maps=True),
        default=(),
        mode="PD",
        help="Labels of decode pods.",
    ),
    kube(
        name="encode-selector",
        kind=Many(Item("LABELS", selectors.checked), maps=True),
        default=(),
        mode="EPD",
        tag="beyond",
        help="Labels of encode pods.",
    ),
    kube(
        name="router-selector",
        kind=Many(Item("LABELS", selectors.checked), maps=True),
        default=(),
        mode="mesh",
        help="Labels of the other gateways.",
    ),
    kube(
        name="model-id-from",
        kind=Item("SOURCE", model_id_source),
        help="Model id from the pod: namespace, label:KEY or annotation:KEY.",
    ),
)
