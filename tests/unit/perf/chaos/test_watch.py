from __future__ import annotations

import math
import os
import socket

from perf.chaos.watch import Look, family, sockets

TEXT = b"""# HELP smg_worker_requests_active Requests.
smg_worker_requests_active{worker="a"} 2
smg_worker_requests_active{worker="b"} 1
smg_worker_requests_active_more 40
smg_http_connections_active 0
"""


def test_a_family_is_the_sum_of_its_series() -> None:
    assert family(TEXT, "smg_worker_requests_active") == 3
    assert family(TEXT, "smg_http_connections_active") == 0
    assert math.isnan(family(TEXT, "smg_admission_inflight"))


def test_what_is_busy() -> None:
    look = Look(TEXT, rss_mb=1.0, sockets=1, clients=0.0, upstream=0.0, tasks=1.0)
    assert look.busy() == {"smg_worker_requests_active": 3}


def test_sockets_of_a_process() -> None:
    before = sockets(os.getpid())
    with socket.socket(), socket.socket(), open(os.devnull):
        assert sockets(os.getpid()) == before + 2
