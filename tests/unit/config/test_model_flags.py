"""`--model-alias` and `--enable-igw`."""

from __future__ import annotations

import pathlib

import pytest

from smg.config.parse import Loaded, parse
from smg.core.errors import ConfigError


def load(*argv: str) -> Loaded:
    return parse(argv, {})


def problems(*argv: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load(*argv)
    return error.value.problems


def test_aliases_add_up() -> None:
    argv = ("--model-alias", "x=a", "y=org/b=c", "--model-alias", "z=a", "--model-alias", "x=a")
    assert dict(load(*argv).config.model_alias) == {"x": "a", "y": "org/b=c", "z": "a"}
    assert load().config.model_alias == ()


def test_aliases_in_a_file(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "smg.yaml"
    for text in ("model-alias: {x: a, y: b}", "model-alias: [x=a, y=b]"):
        file.write_text(text)
        assert dict(load("--config", str(file)).config.model_alias) == {"x": "a", "y": "b"}


def test_an_alias_has_one_model() -> None:
    (line,) = problems("--model-alias", "x=a", "--model-alias", "x=b", "y=c")
    assert line == "--model-alias: x is given for two models, a and b"


@pytest.mark.parametrize("pair", ["unknown=m", "x=unknown"])
def test_the_wildcard_is_no_model(pair: str) -> None:
    (line,) = problems("--model-alias", pair)
    assert line == f"--model-alias: {pair}: unknown stands for any model"


def test_igw() -> None:
    assert load("--enable-igw").config.mode_name == "IGW (Inference Gateway)"
    config = load("--enable-igw", "--worker-urls", "http://a:1", "--runtime", "vllm").config
    assert config.worker_urls == ("http://a:1",)
    assert config.mode_name == "IGW (Inference Gateway)"
    assert load("--enable-igw", "--policy", "power_of_two").config.enable_igw
