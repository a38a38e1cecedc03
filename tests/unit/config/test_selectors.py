"""Label selectors: what is read, what is refused, and which role a pod has."""

from __future__ import annotations

import pytest

from smg.config.flags import options
from smg.config.grammar import UsageError, read_tokens
from smg.config.selectors import NOTHING, RoleSelectors, Selector, checked, parse

POD = {"app": "sglang", "tier": "inference", "example.com/zone": "b", "empty": ""}


@pytest.mark.parametrize(
    ("items", "text"),
    [
        (["app=sglang"], "app=sglang"),
        (["app==sglang"], "app=sglang"),
        (["app=sglang", "role=prefill"], "app=sglang,role=prefill"),
        (["app=sglang role=prefill"], "app=sglang,role=prefill"),
        (["app=sglang,role=prefill"], "app=sglang,role=prefill"),
        ([" app = sglang ,\trole != prefill "], "app=sglang,role!=prefill"),
        (["app in (sglang, vllm),tier=inference"], "app in (sglang,vllm),tier=inference"),
        (["app in(vllm)"], "app in (vllm)"),
        (["app notin (a,b) tier"], "app notin (a,b),tier"),
        (["!canary"], "!canary"),
        (["a !b"], "a,!b"),
        (["in in (in)"], "in in (in)"),
        (["a=,b="], "a=,b="),
        (["a in ()"], "a in ()"),
        (["example.com/app=x"], "example.com/app=x"),
        (["app=a", "tier=x", "app=b"], "app=b,tier=x"),  # the last one counts
        (["app=a,app=b"], "app=b"),
        (["app=a", "app!=c", "app!=d"], "app=a,app!=c,app!=d"),  # these all do
        (["a", "a"], "a"),
        ([], ""),
    ],
)
def test_what_is_read(items: list[str], text: str) -> None:
    assert str(parse(items)) == text


@pytest.mark.parametrize(
    "item",
    [
        *("", " ", ",", "a,", ",a", "a,,b", "=x", "==x", "!=x", "!"),
        *("!!a", "a=b=c", "a= b=c", "!a=b", "a=(b)", "a=!b", "a)", "(a)"),
        *("a in", "a in b", "app in sglang", "a in (b", "a in (b c)", "a in (b,", "a notin"),
        *("a>1", "a<1", "-a=b", "a=-b", "a=b-", "a=ü", "a" * 64, "a=" + "b" * 64),
        *("/a=b", "x/y/a", "Ex.com/a", ".com/a", "a" * 254 + "/b"),
    ],
)
def test_what_is_refused(item: str) -> None:
    with pytest.raises(ValueError, match="must"):
        checked(item)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("app=sglang", True),
        ("app=vllm", False),
        ("app", True),
        ("nobody", False),
        ("!nobody", True),
        ("!app", False),
        ("app!=vllm", True),
        ("nobody!=x", True),  # as in Kubernetes
        ("app!=sglang", False),
        ("app in (sglang,vllm)", True),
        ("nobody in (x)", False),
        ("app notin (sglang)", False),
        ("nobody notin (x)", True),
        ("empty=", True),
        ("empty", True),
        ("nobody=", False),
        ("app=", False),
        ("example.com/zone in (a,b),tier=inference", True),
        ("app=sglang,tier=training", False),
    ],
)
def test_which_pods_are_meant(text: str, matches: bool) -> None:
    assert parse([text]).matches(POD) is matches


def test_an_empty_selector_means_nobody() -> None:
    assert not NOTHING
    assert not NOTHING.matches(POD)
    assert not Selector().matches({})
    assert RoleSelectors().role_of(POD) is None


def test_the_first_role_that_matches() -> None:
    everybody = parse(["app=sglang"])
    roles = RoleSelectors(
        encode=parse(["app=sglang,role=encode"]), prefill=everybody, decode=everybody
    )
    assert roles.role_of({"app": "sglang", "role": "encode"}) == "encode"
    assert roles.role_of({"app": "sglang"}) == "prefill"
    assert RoleSelectors(decode=everybody).role_of({"app": "sglang"}) == "decode"
    assert roles.role_of({"app": "vllm"}) is None


def test_what_all_roles_require() -> None:
    """LIST with `labelSelector=app=a` (operations, row 41)."""
    prefill, decode = parse(["app=a role=prefill"]), parse(["app=a role=decode"])
    assert str(RoleSelectors(prefill=prefill, decode=decode).common()) == "app=a"
    assert RoleSelectors(prefill=prefill).common() == prefill
    assert RoleSelectors(prefill=prefill, decode=parse(["x"])).common() == NOTHING
    assert RoleSelectors().common() == NOTHING


@pytest.mark.parametrize(
    "flag", ["--selector", "--prefill-selector", "--decode-selector", "--router-selector"]
)
def test_a_selector_that_cannot_be_read_is_a_usage_error(flag: str) -> None:
    field = flag.strip("-").replace("-", "_")
    given = read_tokens([flag, "app in (a, b),x", "y=z"], options()).values
    assert given[field] == ("app in (a, b),x", "y=z")
    with pytest.raises(UsageError, match=f"{flag}: must"):
        read_tokens([flag, "y=z", "app in (a"], options())
