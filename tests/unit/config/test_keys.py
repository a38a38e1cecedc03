"""Settings that are keys: read from flags, variables, files and Python; a mistake ends start-up and
is told without the key (external-security-wasm 8.1, 9.1; cli 14 #31 to #34).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smg.config.grammar import UsageError
from smg.config.items import control_plane_keys
from smg.config.parse import Loaded, parse
from smg.config.settings import RouterConfig
from smg.core.errors import ConfigError
from smg.router_args import RouterArgs
from tests.doubles.gateway import run_smg

OPS = ("ops", "Ops Team", "hush-hush-1", "admin")
VIEW = ("view", "V", "hush:hush,2", "user")
OPS_TEXT, VIEW_TEXT = "ops:Ops Team:Admin:hush-hush-1", "view:V:USER:hush:hush,2"


def load(*argv: str, **environ: str) -> Loaded:
    return parse(argv, environ)


def problems(*argv: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(argv, environ)
    assert "hush" not in "".join(caught.value.problems)
    return caught.value.problems


# -- the control plane --------------------------------------------------------------------------


def test_control_plane_keys_from_flags() -> None:
    both = load("--control-plane-api-keys", OPS_TEXT, VIEW_TEXT).config
    assert both.control_plane_api_keys == (OPS, VIEW)
    again = ("--control-plane-api-keys", OPS_TEXT, f"--control-plane-api-keys={VIEW_TEXT}")
    assert load(*again).config == both
    assert load().config.control_plane_api_keys == ()


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        (OPS_TEXT, (OPS,)),
        (f"{OPS_TEXT}\n{VIEW_TEXT}", (OPS, VIEW)),
        (f"\n {OPS_TEXT} \r\n\n{VIEW_TEXT}\n", (OPS, VIEW)),
        (f"{OPS_TEXT},view:V:user:hush-hush-2", (OPS, ("view", "V", "hush-hush-2", "user"))),
        (f"{OPS_TEXT} , view:V:user:hush-hush-2", (OPS, ("view", "V", "hush-hush-2", "user"))),
        # a comma that belongs to the key
        (VIEW_TEXT, (VIEW,)),
        (VIEW_TEXT + "\n" + OPS_TEXT, (VIEW, OPS)),
        ("view:V:user:a-long-key,b:c", (("view", "V", "a-long-key,b:c", "user"),)),
    ],
)
def test_several_keys_in_the_variable(text: str, entries: tuple[Any, ...]) -> None:
    assert load(CONTROL_PLANE_API_KEYS=text).config.control_plane_api_keys == entries


def test_the_flag_wins_over_the_variable() -> None:
    config = load("--control-plane-api-keys", OPS_TEXT, CONTROL_PLANE_API_KEYS="junk").config
    assert config.control_plane_api_keys == (OPS,)
    assert load(CONTROL_PLANE_API_KEYS="").config.control_plane_api_keys == ()


@pytest.mark.parametrize(
    "entry",
    [
        "hush",
        "hush:hush:hush",
        "a:n:root:hush-hush-1",
        "a:n::hush-hush-1",
        ":n:admin:hush-hush-1",
        "a::admin:hush-hush-1",
        "a:hush:admin:",
        "a:n:admin:hush hush",
        "a:n:admin:hush-hush-ü",
    ],
)
def test_a_malformed_entry_ends_start_up(entry: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load("--control-plane-api-keys", entry)
    assert str(caught.value).startswith("--control-plane-api-keys: must ")
    assert "hush" not in str(caught.value)
    (line,) = problems(CONTROL_PLANE_API_KEYS=f"{OPS_TEXT}\n{entry}")
    assert line.startswith("--control-plane-api-keys (from CONTROL_PLANE_API_KEYS): must ")
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"control-plane-api-keys": [entry]}))
    (line,) = problems("--config", str(file))
    assert "control-plane-api-keys: must " in line


@pytest.mark.parametrize("text", [" ", "\n\n", "\t\r\n"])
def test_a_variable_that_nobody_filled_in(text: str) -> None:
    (line,) = problems(CONTROL_PLANE_API_KEYS=text)
    assert line.endswith("holds no key")


def test_a_list_that_nobody_filled_in(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"control-plane-api-keys": [], "tenant-api-key": []}')
    assert len(problems("--config", str(file))) == 2


def test_ids_and_keys_are_unique() -> None:
    entries = ("a:n:admin:hush-hush-1", "b:n:admin:hush-hush-2", "a:m:user:hush-hush-2")
    assert problems("--control-plane-api-keys", *entries) == [
        "--control-plane-api-keys: control-plane key 3 has the same key as control-plane key 2",
        "--control-plane-api-keys: entries 1 and 3 have the same id",
    ]


def test_a_key_opens_one_plane_only() -> None:
    control = ("--control-plane-api-keys", "a:n:admin:hush-hush-1")
    assert problems("--api-key", "hush-hush-1", *control) == [
        "--control-plane-api-keys: control-plane key 1 has the same key as --api-key"
    ]
    assert problems("--tenant-api-key", "t:hush-hush-1", *control) == [
        "--control-plane-api-keys: control-plane key 1 has the same key as tenant key 1"
    ]


# -- tenants --------------------------------------------------------------------------------------


def test_tenant_keys() -> None:
    config = load("--tenant-api-key", " acme : hush:hush-1 ", "b c:hush-hush-2").config
    assert config.tenant_api_key == ("acme:hush:hush-1", "b c:hush-hush-2")


@pytest.mark.parametrize("entry", ["hush", "hush:", ":hush", "a:hush hush", "a:hüsh-hush", ""])
def test_a_malformed_tenant_key(entry: str) -> None:
    (line,) = problems("--tenant-api-key", "t:hush-hush-1", entry)
    assert line.startswith("--tenant-api-key: <redacted>: ")


@pytest.mark.parametrize("entry", [" a:hush-hush", "a :hush-hush", "a: hush-hush", "a:hush-hush\n"])
def test_a_padded_tenant_key_in_a_file(entry: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"tenant-api-key": [entry]}))
    (line,) = problems("--config", str(file))
    assert line.endswith("<redacted>: tenant and key must not begin or end with a blank")


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (("a:hush-hush", "b:hush-hush"), "tenant key 2 has the same key as tenant key 1"),
        (("a:hush-hush", "a:hush-hush"), "tenant key 2 has the same key as tenant key 1"),
        (("a:shared-hush",), "tenant key 1 has the same key as --api-key"),
    ],
)
def test_tenant_keys_are_unique(argv: tuple[str, ...], problem: str) -> None:
    line = f"--tenant-api-key: {problem}"
    assert problems("--tenant-api-key", *argv, "--api-key", "shared-hush") == [line]


# -- all ------------------------------------------------------------------------------------------


def test_short_keys_warn() -> None:
    loaded = load(
        *("--tenant-api-key", "a:hush-hush", "b:hush", "c:12345678"),
        *("--control-plane-api-keys", "a:n:admin:1:345678", "b:n:user:1:34567"),
        SMG_API_KEY="hush123",
    )
    assert loaded.warnings == (
        "--api-key (from SMG_API_KEY): is shorter than 8 characters and can be guessed",
        "--tenant-api-key: tenant key 2 is shorter than 8 characters and can be guessed",
        "--control-plane-api-keys: control-plane key 2 is shorter than 8 characters and can be"
        " guessed",
    )


def test_keys_stay_out_of_the_representation() -> None:
    config = load(
        *("--control-plane-api-keys", OPS_TEXT, "--tenant-api-key", "a:hush-hush-3"),
        *("--api-key", "hush-hush-4"),
    ).config
    assert "hush" not in repr(config)
    assert config.secrets == ["hush-hush-4", "hush-hush-3", "hush-hush-1"]
    assert RouterConfig().secrets == []


def test_from_python() -> None:
    given = RouterArgs(
        control_plane_api_keys=[OPS, VIEW], tenant_api_key=["a:hush-hush-3"], api_key="hush-hush-4"
    )
    config = given.resolve({}).config
    assert config.control_plane_api_keys == (OPS, VIEW)
    assert config.tenant_api_key == ("a:hush-hush-3",)
    assert "hush" not in repr(given)


@pytest.mark.parametrize(
    "entry",
    [
        ("a", "n", "hush", "root"),
        ("a:b", "n", "hush", "admin"),
        ("a", "", "hush", "admin"),
        ("a", "n", "admin"),
        7,
    ],
)
def test_malformed_from_python(entry: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        RouterArgs(control_plane_api_keys=[entry]).resolve({})
    assert "hush" not in str(caught.value)


def test_audit_flags() -> None:
    assert not load().config.disable_audit_logging
    assert load("--disable-audit-logging").config.disable_audit_logging
    assert load("--control-plane-audit-enabled").warnings == ()


def test_exit_codes() -> None:
    for flags, code in (
        (("--control-plane-api-keys", "id:n:root:hush"), 2),
        (("--tenant-api-key", "hush"), 1),
        (("--tenant-api-key", "a:hush-hush", "b:hush-hush"), 1),
    ):
        done = run_smg("check", *flags)
        assert done.returncode == code, done
        assert "hush" not in done.stdout + done.stderr


def test_where_commas_separate() -> None:
    assert control_plane_keys("a:b:c:d,e:f:g:h") == ["a:b:c:d", "e:f:g:h"]
    assert control_plane_keys("a:b:c:d,e:f:g") == ["a:b:c:d,e:f:g"]
    assert control_plane_keys("a:b:c:d,") == ["a:b:c:d,"]
