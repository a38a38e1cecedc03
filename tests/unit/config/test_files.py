"""`--config FILE`: formats, mistakes, precedence, and that a file says what flags say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smg.config.files import read_file
from smg.config.flags import TABLE
from smg.config.flags.row import Flag
from smg.config.grammar import UsageError
from smg.config.kinds import Choice, Float, Int, Many
from smg.config.parse import parse
from smg.config.settings import RouterConfig
from smg.core.errors import ConfigError

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "configuration.md"


def written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def problems(path: str, *argv: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(["--config", path, *argv], {})
    return caught.value.problems


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "port: 1\nworker_urls: [http://a:1]\nlog-json: true\nruntime: vllm\n"),
        (
            "a.yml",
            '{"port": 1, "worker-urls": ["http://a:1"], "log_json": true, "backend": "vllm"}',
        ),
        (
            "a.json",
            '{"port": 1, "worker-urls": ["http://a:1"], "log_json": true, "backend": "vllm"}',
        ),
        ("a.TOML", 'port = 1\nworker-urls = ["http://a:1"]\nlog-json = true\nbackend = "vllm"\n'),
    ],
)
def test_formats(tmp_path: Path, name: str, text: str) -> None:
    path = written(tmp_path, name, text)
    loaded = parse(["--config", path], {})
    assert loaded.config == RouterConfig(
        config=path, port=1, worker_urls=("http://a:1",), log_json=True, backend="vllm"
    )


def test_other_extensions_are_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        parse(["--config", written(tmp_path, "a.ini", "")], {})


@pytest.mark.parametrize(("name", "text"), [("a.yaml", ""), ("a.json", "{}"), ("a.toml", "")])
def test_an_empty_file_says_nothing(tmp_path: Path, name: str, text: str) -> None:
    path = written(tmp_path, name, text)
    assert parse(["--config", path], {}).config == RouterConfig(config=path)


def test_precedence(tmp_path: Path) -> None:
    path = written(
        tmp_path, "a.yaml", "port: 1\nhost: 127.0.0.1\napi-key: f\nworker-urls: [http://f]"
    )
    config = parse(["--config", path, "--port", "2", "--worker-urls"], {"SMG_API_KEY": "e"}).config
    assert (config.port, config.host, config.api_key, config.worker_urls) == (
        2,
        "127.0.0.1",
        "e",
        (),
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("prot: 1", "prot: unknown key"),
        ("config: x.yaml", "config: unknown key"),
        ("port: abc", "port: must be an integer"),
        ("port: true", "port: must be an integer"),
        ("port: '1'", "port: must be an integer"),
        ("log-json: 'yes'", "log-json: must be true or false"),
        ("host: 5", "host: must be a text"),
        ("host:", "host: has no value"),
        ("worker-urls: http://a:1", "worker-urls: must be a list"),
        ("worker-urls: [1]", "worker-urls: must be a text"),
        ("policy: nope", "policy: must be one of"),
        ("backend: vllm\nruntime: vllm", "runtime: given twice (as backend)"),
        ("log_dir: a\nlog-dir: a", "log-dir: given twice"),
        ("port: 1\nport: 2", "key port is given twice"),
        ("[1, 2]", "must be a mapping"),
        ("1: 2", "key 1 must be a text"),
        ("a: [", "is not valid YAML in line"),
        ("workers: http://a:1", "workers: must be a list of {url: ...}"),
        ("workers: [http://a:1]", "workers: entry 1: must be {url: ...}"),
        (
            "workers: [{url: http://a:1, priority: 5}]",
            "workers: entry 1: priority: not available yet (worker API)",
        ),
    ],
)
def test_mistakes(tmp_path: Path, line: str, reason: str) -> None:
    path = written(tmp_path, "a.yaml", line)
    assert problems(path)[0].startswith(f"--config: {path}: {reason}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"port": 1, "port": 2}'),
        ("a.json", "{"),
        ("a.json", "[]"),
        ("a.toml", "port = 1\nport = 2"),
        ("a.yaml", "api-key: hush\n  x: ["),
        ("a.yaml", "!!python/object:os.system {}"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, text: str) -> None:
    (line,) = problems(written(tmp_path, name, text))
    assert line.startswith("--config: ")
    assert "hush" not in line


def test_missing_and_binary_files(tmp_path: Path) -> None:
    assert "No such file" in problems(str(tmp_path / "none.yaml"))[0]
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in problems(str(tmp_path / "b.yaml"))[0]


def test_all_problems_come_together(tmp_path: Path) -> None:
    path = written(tmp_path, "a.yaml", "prot: 1\nport: 0\nenable-mesh: true\npolicy: bucket\n")
    assert [line.split(":")[0] for line in problems(path, "--request-timeout-secs", "0")] == [
        "--config",
        f"--enable-mesh (in {path})",
        f"--policy (in {path})",
        f"--port (in {path})",
        "--request-timeout-secs",
    ]


def test_workers_come_after_worker_urls(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json", '{"workers": [{"url": "http://w:1"}]}')
    config = parse(["--config", path, "--worker-urls", "http://a:1"], {}).config
    assert config.worker_urls == ("http://a:1", "http://w:1")


def test_a_readable_file_with_a_secret_warns(tmp_path: Path) -> None:
    path = written(tmp_path, "a.yaml", "api-key: hush-hush")
    assert read_file(path).warnings == []
    Path(path).chmod(0o644)
    (warning,) = parse(["--config", path], {}).warnings
    assert "readable by every user" in warning
    assert "hush" not in warning


def test_the_guide_is_right(tmp_path: Path) -> None:
    blocks = re.findall(r"```(yaml|toml)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert {language for language, _ in blocks} == {"yaml", "toml"}
    for language, text in blocks:
        config = parse(["--config", written(tmp_path, f"g.{language}", text)], {}).config
        assert config.worker_urls == ("http://10.0.0.11:8000", "http://10.0.0.12:8000")


# A file with the same names says the same as flags.

TEXTS = {
    "host": st.sampled_from(["127.0.0.1", "::1"]),
    "prometheus-host": st.sampled_from(["127.0.0.1", "[::1]"]),
    "cache-boundaries": st.sampled_from(["128", "256,1024"]),
    "health-check-endpoint": st.sampled_from(["/", "/ready"]),
    "tenant-header-name": st.sampled_from(["x-team", "X-Tenant"]),
}
ITEMS = {
    "worker-urls": st.sampled_from(["http://a:1", "http://b:2", "https://c"]),
    "cors-allowed-origins": st.sampled_from(["https://a", "http://b:1"]),
    "model-alias": st.sampled_from(["a=b", "c=b"]),
    "tenant-api-key": st.sampled_from(["a:tenant-key-1", "a:tenant:key", "b c:key,of,tenant"]),
    "control-plane-api-keys": st.sampled_from(["a:N N:ADMIN:control:key", "b:n:user:key-of-b"]),
}


def a_value(flag: Flag) -> st.SearchStrategy[Any]:
    kind = flag.kind
    if kind.is_switch:
        return st.booleans()
    if isinstance(kind, Int):
        return st.integers(max(1, kind.low or 0), min(kind.high, 20000))
    if isinstance(kind, Float):
        return st.sampled_from([n for n in (0.25, 1.0, 1.5, 900.0) if not kind.problem(n)])
    if isinstance(kind, Choice):
        # One of the policies needs two workers.
        return st.sampled_from([name for name in kind.names if name != "power_of_two"])
    if isinstance(kind, Many):
        if isinstance(kind.item, Float):
            floats = st.floats(0.001, 1e6, allow_nan=False)
            return st.lists(floats, min_size=1, max_size=3, unique=True).map(sorted)
        items = ITEMS.get(flag.name, st.sampled_from(["x-a", "x-b"]))
        return st.lists(items, min_size=kind.least, max_size=3, unique=flag.secret)
    return TEXTS.get(flag.name, st.from_regex(r"[a-z][a-z0-9/]{0,8}", fullmatch=True))


# Of another mode; any of them beside worker-urls is a usage error.
PD = ("pd-disaggregation", "prefill", "decode", "prefill-policy", "decode-policy")
AVAILABLE = [flag for flag in TABLE if flag.available and flag.name not in ("config", *PD)]
# Without one of the two ports, as they must differ.
settings_of = st.fixed_dictionaries(
    {}, optional={flag.name: a_value(flag) for flag in AVAILABLE if flag.name != "prometheus-port"}
)


def tokens(values: dict[str, Any]) -> list[str]:
    argv: list[str] = []
    for name, value in values.items():
        if isinstance(value, bool):
            argv.append(f"--{name}={'true' if value else 'false'}")
        elif isinstance(value, list):
            argv += [f"--{name}", *map(str, value)]
        else:
            argv += [f"--{name}", str(value)]
    return argv


@settings(max_examples=60, deadline=None)
@given(values=settings_of)
def test_flags_and_file_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "same.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    assert outcome(tokens(values)) == outcome(["--config", str(path)])


def test_pairs_in_flags_and_file_say_the_same(tmp_path: Path) -> None:
    argv = ["--pd-disaggregation", "--prefill", "http://p:1", "8998", "--prefill", "http://q:1"]
    argv += ["--decode", "http://d:1", "http://e:1", "--prefill-policy", "bucket"]
    values = {
        "pd-disaggregation": True,
        "prefill": [{"url": "http://p:1", "bootstrap_port": 8998}, "http://q:1"],
        "decode": ["http://d:1", "http://e:1"],
        "prefill-policy": "bucket",
    }
    path = written(tmp_path, "pairs.json", json.dumps(values))
    assert outcome(argv) == outcome(["--config", path])


def outcome(argv: list[str]) -> dict[str, Any] | str:
    """The settings, or that they contradict each other."""
    try:
        return {**_fields(parse(argv, {}).config), "config": None}
    except ConfigError as error:
        return f"{len(error.problems)} problems"


def _fields(config: RouterConfig) -> dict[str, Any]:
    return {flag.field: getattr(config, flag.field) for flag in TABLE if flag.available}
