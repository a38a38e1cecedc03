"""Flags: several gateways together, WebRTC, processes (cli 4.12, 4.13)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.row import Flag
from smg.config.kinds import Int, Kind, Many, Port, Switch

mesh = partial(Flag, group="Mesh", feature="mesh")
webrtc = partial(Flag, group="WebRTC", feature="WebRTC", tag="beyond")

FLAGS = (
    mesh(name="enable-mesh", kind=Switch(), default=False, help="Share state with other gateways."),
    mesh(name="mesh-server-name", kind=Kind("NAME"), help="Name of this gateway; else random."),
    mesh(name="mesh-host", kind=Kind("IP"), default="0.0.0.0", help="Address to listen on."),
    mesh(name="mesh-advertise-host", kind=Kind("IP"), help="Address others reach us at."),
    mesh(name="mesh-port", kind=Port(), default=39527, help="Port of the mesh."),
    mesh(name="mesh-peer-urls", kind=Many(Kind("HOST:PORT")), default=(), help="Gateways to join."),
    webrtc(name="webrtc-bind-addr", kind=Kind("IP"), default="0.0.0.0", help="Address for media."),
    webrtc(name="webrtc-stun-server", kind=Kind("HOST:PORT"), help="STUN server, or none."),
    Flag(
        group="Processes",
        name="runtime-worker-threads",
        kind=Int(1),
        tag="beyond",
        feature="several processes",
        help="Gateway processes.",
    ),
    Flag(
        group="Cross-Region",
        name="cross-region-enabled",
        kind=Switch(),
        default=False,
        feature="cross-region routing",
        help="Reserved name.",
    ),
)
