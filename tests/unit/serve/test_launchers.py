from __future__ import annotations

import sys

from smg.serve import BACKEND_LAUNCHERS, ServeArgs
from smg.serve.launchers import flag_value, without_flags
from smg.serve.processes import shown

SIM = BACKEND_LAUNCHERS["sim"]


def test_sim_command_line():
    command = SIM.build_command(
        ServeArgs(), ["--tokens", "3", "--port", "1", "--host=x"], "[::1]", 31000
    )
    assert command == [
        sys.executable, "-m", "smg.sim", "--host", "::1", "--port", "31000", "--tokens", "3",
    ]  # fmt: skip


def test_urls():
    assert SIM.worker_url(ServeArgs(), "0.0.0.0", 31000) == "http://127.0.0.1:31000"
    assert SIM.worker_url(ServeArgs(), "::1", 31000) == "http://[::1]:31000"


def test_environment_is_copied():
    given = {"A": "1"}
    assert SIM.gpu_env(ServeArgs(), 0, given) == {"A": "1", "PYTHONUNBUFFERED": "1"}
    assert given == {"A": "1"}


def test_a_removed_flag_takes_its_value_along_but_no_flag():
    tokens = ["--port", "1", "a", "--port", "--x", "--port=2", "--ports", "3"]
    assert without_flags(tokens, ["--port"]) == ["a", "--x", "--ports", "3"]


def test_flag_value():
    assert flag_value(["--model", "m"], "--model") == "m"
    assert flag_value(["--model=m=1"], "--model") == "m=1"
    assert flag_value(["--model"], "--model") is None
    assert SIM.served_model(ServeArgs(), []) == "sim"


def test_secrets_are_blanked_in_logged_commands():
    assert shown(["x", "--api-key", "k1", "y"]) == "x --api-key *** y"
    assert shown(["x", "--api-key=k1"]) == "x --api-key=***"


def test_health_of_nobody():
    assert SIM.health_check(ServeArgs(), "127.0.0.1", 1, 0.5) is False
