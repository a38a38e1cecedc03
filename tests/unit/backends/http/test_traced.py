from __future__ import annotations

import pytest

from smg.backends.http.metered import MeteredRelay
from smg.backends.http.pd.dual import DualRelay
from smg.backends.http.pd.sequential import SequentialRelay
from smg.backends.http.relay import Relay
from smg.backends.http.rerank import RerankRelay
from smg.backends.http.traced import TracedRelay, traced_class


@pytest.mark.parametrize("kind", [Relay, RerankRelay, MeteredRelay, DualRelay, SequentialRelay])
def test_every_kind_of_relay_can_be_traced(kind: type[Relay]):
    made = traced_class(kind, {})
    assert issubclass(made, kind)
    # Before the kind's own steps, so that it sees what they see.
    assert made.__mro__.index(TracedRelay) <= made.__mro__.index(kind)
    assert made.upstream_head is TracedRelay.upstream_head
