"""From a name to a policy's class, and what a worker's label may name."""

from __future__ import annotations

import logging
import pathlib
import sys
from collections.abc import Callable

import pytest

from smg.config.settings import RouterConfig
from smg.core.errors import ConfigError
from smg.policies.base import Policy, PolicyContext
from smg.policies.loading import load, offered
from smg.policies.override import RoutingKeyOverride
from smg.policies.registry import POLICIES, PolicyRegistry, create
from smg.policies.round_robin import RoundRobin
from smg.workers import ModelCard, Worker, WorkerRegistry
from tests.doubles.recording_policy import RECORDER, Recorder

CONTEXT = PolicyContext()
MODULE = """
from smg.policies import Policy

class Mine(Policy):
    name = "mine"
    def __init__(self, context):
        self.context = context
    @classmethod
    def create(cls, context):
        return cls(context)
    def select(self, workers, view):
        return workers[-1] if workers else None

class Nameless(Policy):
    def select(self, workers, view):
        return None

class Undecided(Policy):
    name = "undecided"

class Demanding(Mine):
    @classmethod
    def create(cls, context):
        raise KeyError("nothing\\nat all")

class Refusing(Mine):
    @classmethod
    def create(cls, context):
        raise ConfigError(["--policy refusing: not here"])

from smg.core.errors import ConfigError

thing = 3
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """`install(name=target, ...)`: a package that offers these; its modules are importable."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in {
        "other_package": MODULE,
        "does_not_compile": "def (",
        "does_not_run": "raise RuntimeError('boom')",
        "exits": "import nowhere_at_all",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)

    def install(**points: str) -> None:
        folder = tmp_path / "other_package-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1\n")
        rows = "".join(f"{name} = {target}\n" for name, target in points.items())
        (folder / "entry_points.txt").write_text(f"[smg.policies]\n{rows}")

    return install


def kind_of(policy: Policy) -> str:
    return f"{type(policy).__module__}:{type(policy).__name__}"


# -- names ----------------------------------------------------------------------------------------


def test_ours() -> None:
    assert load("round_robin", POLICIES) is RoundRobin
    assert offered("round_robin") is None


def test_a_class_by_its_path() -> None:
    assert load(RECORDER, POLICIES) is Recorder
    policy = create(RECORDER, CONTEXT)
    assert isinstance(policy, Recorder)
    assert policy.context is CONTEXT  # the operator's parameters, metrics, clock and so on


def test_an_entry_point(install: Install) -> None:
    install(mine="other_package:Mine", random="other_package:Mine")
    assert kind_of(create("mine", CONTEXT)) == "other_package:Mine"
    assert create("mine", CONTEXT) is not create("mine", CONTEXT)
    assert create("random", CONTEXT).name == "random"  # ours cannot be replaced
    with pytest.raises(ConfigError, match="unknown policy 'Mine'"):
        create("Mine", CONTEXT)  # the very name


def test_sticky_sessions_above_a_policy_of_others() -> None:
    context = PolicyContext(config=RouterConfig(routing_key_override=True))
    policy = create(RECORDER, context)
    assert isinstance(policy, RoutingKeyOverride)
    assert (policy.name, policy.tracks_first_byte) == ("recorder", True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("made_up", "unknown policy 'made_up', choose from bucket, cache_aware"),
        ("other_package", "unknown policy 'other_package'"),
        ("broken_point", "unknown policy 'broken_point'"),
        ("lost_point", "cannot load 'nowhere:Mine': ModuleNotFoundError: No module named"),
        ("nowhere:Mine", "cannot load 'nowhere:Mine': ModuleNotFoundError: No module named"),
        (":Mine", "cannot load ':Mine': ValueError: Empty module name"),
        ("exits:Mine", "cannot load 'exits:Mine': ModuleNotFoundError: No module named"),
        ("does_not_compile:Mine", "cannot load 'does_not_compile:Mine': SyntaxError:"),
        ("does_not_run:Mine", "cannot load 'does_not_run:Mine': RuntimeError: boom"),
        ("other_package:Yours", "cannot load 'other_package:Yours': AttributeError:"),
        ("other_package:thing", "'other_package:thing' is no subclass of smg.policies.Policy"),
        ("os:system", "'os:system' is no subclass of smg.policies.Policy"),
        ("builtins:dict", "'builtins:dict' is no subclass of smg.policies.Policy"),
        ("other_package:Nameless", "'other_package:Nameless' has no `name`"),
        ("other_package:Undecided", "cannot make a 'other_package:Undecided': TypeError:"),
        ("other_package:Demanding", "cannot make a 'other_package:Demanding': KeyError:"),
        ("other_package:Refusing", "--policy refusing: not here"),
    ],
)
def test_what_cannot_be_had(name: str, said: str, install: Install) -> None:
    install(broken_point="other_package", lost_point="nowhere:Mine")
    with pytest.raises(ConfigError) as caught:
        create(name, CONTEXT)
    (problem,) = caught.value.problems
    assert problem.startswith("--policy")
    assert said in problem
    assert "\n" not in problem


# -- labels ---------------------------------------------------------------------------------------


def policy_for(label: str, caplog: pytest.LogCaptureFixture) -> tuple[Policy, list[str]]:
    """What a model gets whose worker has this label, and the warnings."""
    workers = WorkerRegistry()
    policies = PolicyRegistry(workers, CONTEXT, default="passthrough")
    worker = Worker("http://w:1", models=[ModelCard("m")], labels={"policy": label})
    with caplog.at_level(logging.WARNING, "smg"):
        workers.add(worker)
    policy = policies.for_model("m")
    assert policies.for_model("other").name == "passthrough"
    policies.close()
    return policy, [record.getMessage() for record in caplog.records]


def test_a_label_may_name_an_entry_point(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(mine="other_package:Mine")
    policy, warnings = policy_for("mine", caplog)
    assert (kind_of(policy), warnings) == ("other_package:Mine", [])


@pytest.mark.parametrize(
    "label",
    [
        "os:system",
        "other_package:Mine",
        "does_not_run:Mine",
        RECORDER,
        "smg.policies.random:Random",
    ],
)
def test_a_label_never_imports(
    label: str, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    """Labels may come from the worker."""
    install(mine="other_package:Mine")
    policy, warnings = policy_for(label, caplog)
    assert policy.name == "passthrough"
    (warning,) = warnings
    assert "http://w:1" in warning
    assert repr(label) in warning
    assert "passthrough" in warning
    assert not {"other_package", "does_not_run"} & sys.modules.keys()


@pytest.mark.parametrize(
    "target", ["does_not_run:Mine", "other_package:thing", "other_package:Demanding"]
)
def test_a_label_of_an_entry_point_that_is_broken(
    target: str, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(mine=target)
    policy, warnings = policy_for("mine", caplog)
    assert policy.name == "passthrough"
    assert len(warnings) == 1


def test_the_instance_that_only_answers_a_question_is_closed() -> None:
    made: list[Recorder] = []

    def make(name: str, context: PolicyContext) -> Recorder:
        made.append(Recorder(context))
        return made[-1]

    policies = PolicyRegistry(WorkerRegistry(), CONTEXT, default="recorder", make=make)
    assert [policy.closed for policy in made] == [True]
    policies.for_model("unknown")
    assert [policy.closed for policy in made] == [True, False]
    policies.close()
    assert [policy.closed for policy in made] == [True, True]
