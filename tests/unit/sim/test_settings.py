from __future__ import annotations

import pytest

from smg.sim.settings import make, parse


def test_defaults_and_preset():
    assert parse([]).token_latency_ms == 25
    instant = parse(["--preset", "instant"])
    assert (instant.token_latency_ms, instant.cache_blocks, instant.max_running) == (0, 0, 0)


def test_a_flag_wins_over_the_preset():
    assert parse(["--preset", "instant", "--token-latency-ms", "5"]).token_latency_ms == 5


def test_models_and_faults_repeat():
    settings = parse(["--model", "a", "--model", "b", "--fault", "cut"])
    assert settings.models == ("a", "b")
    assert settings.faults == ("cut",)


@pytest.mark.parametrize(
    "flags",
    [["--port", "70000"], ["--tokens", "0"], ["--token-latency-ms", "-1"], ["--tick-ms", "0.1"],
     ["--prefill-tokens-per-second", "inf"], ["--unknown"], ["--tok", "3"], ["extra"]],
)  # fmt: skip
def test_wrong_flags_end_with_2(flags):
    with pytest.raises(SystemExit) as ended:
        parse(flags)
    assert ended.value.code == 2


def test_unknown_keywords_are_refused():
    with pytest.raises(TypeError, match="nonsense"):
        make(nonsense=1)
