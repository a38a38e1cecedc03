from __future__ import annotations

import pytest

from smg.config.grammar import UsageError
from smg.serve.args import parse_serve_args, read

SIM = ["--backend", "sim"]


def test_defaults():
    backend, args, rest = read(SIM, {})
    assert backend == args.backend == "sim"
    assert (args.host, args.port, args.data_parallel_size) == ("127.0.0.1", 8080, 1)
    assert (args.worker_host, args.worker_base_port) == ("127.0.0.1", 31000)
    assert args.worker_startup_timeout == 300
    assert args.connection_mode == "http"
    assert args.router == {}
    assert rest == []


def test_own_router_and_engine_flags_are_told_apart():
    _, args, rest = read(
        [*SIM, "--dp-size=2", "--router-policy", "random", "--token-latency-ms", "5",
         "--port", "9000", "--policy", "x", "--router-log-level", "debug"],
        {},
    )  # fmt: skip
    assert args.data_parallel_size == 2
    assert args.port == 9000
    assert args.router == {"policy": "random", "log_level": "debug"}
    assert rest == ["--token-latency-ms", "5", "--policy", "x"]


def test_after_the_double_dash_all_goes_to_the_engine():
    _, args, rest = read([*SIM, "--tokens", "3", "--", "--port", "1", "--router-policy"], {})
    assert args.port == 8080
    assert rest == ["--tokens", "3", "--port", "1", "--router-policy"]


def test_no_abbreviations():
    _, args, rest = read([*SIM, "--data-par", "3"], {})
    assert args.data_parallel_size == 1
    assert rest == ["--data-par", "3"]


def test_worker_urls_are_read_and_ignored():
    _, args, rest = read([*SIM, "--worker-urls", "http://a:1", "http://b:2"], {})
    assert args.router == {}
    assert rest == []


def test_backend_from_the_environment():
    assert read([], {"SMG_DEFAULT_BACKEND": "sim"})[0] == "sim"
    assert read(SIM, {"SMG_DEFAULT_BACKEND": "vllm"})[0] == "sim"
    with pytest.raises(UsageError, match="SMG_DEFAULT_BACKEND"):
        read([], {"SMG_DEFAULT_BACKEND": "nonsense"})


def test_the_default_backend_is_named_when_it_is_not_available():
    with pytest.raises(UsageError, match="sglang is not available yet"):
        read([], {})


@pytest.mark.parametrize(
    "flags",
    [["--dp-size", "0"], ["--dp-size", "x"], ["--port", "70000"], ["--connection-mode", "grpc"],
     ["--connection-mode", "zmq"], ["--backend", "nonsense"], ["--worker-startup-timeout", "0"],
     ["--host"]],
)  # fmt: skip
def test_usage_errors(flags):
    with pytest.raises(UsageError):
        read([*SIM, *flags], {})


def test_exit_codes(capsys):
    for argv, code in ((["--help"], 0), (["--backend", "vllm", "-h"], 0), (["--backend", "x"], 2)):
        with pytest.raises(SystemExit) as ended:
            parse_serve_args(argv, {})
        assert ended.value.code == code
    assert "--router-policy" in capsys.readouterr().out


def test_help_behind_the_double_dash_is_the_engines():
    assert parse_serve_args([*SIM, "--", "--help"], {})[2] == ["--help"]
