"""Selectors against a plain model: what is written is what is read, and who is meant is who the
words say.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from smg.config.selectors import Operator, Requirement, RoleSelectors, Selector, parse

# few names, so that requirements and labels meet
KEYS = st.sampled_from(["a", "b", "in", "notin", "x.example/a"])
VALUES = st.sampled_from(["", "1", "2", "in", "a_b.C-d"])
LABELS = st.dictionaries(KEYS, VALUES)
SPACE = st.sampled_from(["", " ", "\t "])


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    operator = draw(st.sampled_from(Operator))
    values: frozenset[str] = frozenset()
    if operator in (Operator.EQUALS, Operator.DIFFERS):
        values = frozenset([draw(VALUES)])
    elif operator in (Operator.IN, Operator.NOT_IN):
        values = frozenset(draw(st.sets(VALUES, min_size=1)))
    return Requirement(draw(KEYS), operator, values)


def unlike(found: list[Requirement]) -> bool:
    """No two pairs with one key: the later would replace the earlier."""
    pairs = [one.key for one in found if one.operator is Operator.EQUALS]
    return len(set(pairs)) == len(pairs) and len(set(found)) == len(found)


LISTS = st.lists(requirements(), max_size=5).filter(unlike)


def meant(one: Requirement, labels: Mapping[str, str]) -> bool:
    """The words of the Kubernetes documentation."""
    there = one.key in labels
    same = there and labels[one.key] in one.values
    return {
        Operator.EQUALS: same,
        Operator.IN: same,
        Operator.DIFFERS: not same,
        Operator.NOT_IN: not same,
        Operator.EXISTS: there,
        Operator.MISSING: not there,
    }[one.operator]


@given(found=LISTS, cut=st.integers(0, 5), comma=st.data())
def test_what_is_written_is_read_again(
    found: list[Requirement], cut: int, comma: st.DataObject
) -> None:
    selector = Selector(tuple(found))
    assert parse([str(selector)] if found else []) == selector
    first, second = found[:cut], found[cut:]
    spaced = []
    for part in (first, second):
        glue = comma.draw(SPACE) + "," + comma.draw(SPACE)
        if part:
            spaced.append(glue.join(map(str, part)))
    assert parse(spaced) == selector


@given(found=LISTS, labels=LABELS)
def test_who_is_meant(found: list[Requirement], labels: dict[str, str]) -> None:
    expected = bool(found) and all(meant(one, labels) for one in found)
    assert Selector(tuple(found)).matches(labels) is expected


@given(encode=LISTS, prefill=LISTS, decode=LISTS, labels=LABELS)
def test_a_role_and_the_filter_of_the_server_agree(
    encode: list[Requirement],
    prefill: list[Requirement],
    decode: list[Requirement],
    labels: dict[str, str],
) -> None:
    roles = RoleSelectors(*(Selector(tuple(found)) for found in (encode, prefill, decode)))
    role = roles.role_of(labels)
    matching = [
        name for name in ("encode", "prefill", "decode") if getattr(roles, name).matches(labels)
    ]
    assert role == (matching[0] if matching else None)
    common = roles.common()
    if role is not None and common:
        assert common.matches(labels)  # the server does not leave out whom we want


@given(text=st.text("ab=!,() in12", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        selector = parse([text])
    except ValueError:
        return
    assert selector
    assert parse([str(selector)]) == selector
