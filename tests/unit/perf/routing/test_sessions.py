"""Conversations are fixed by shape and seed, and extend themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perf.routing.sessions import Conversation, sessions
from perf.routing.shapes import SHAPES, Shape
from smg.sim import prompts


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_the_seed_fixes_everything(shape: Shape) -> None:
    some = sessions(shape, 1)
    assert some == sessions(shape, 1)
    assert some != sessions(shape, 2)
    assert len(some) == shape.sessions
    assert len({session.key for session in some}) == shape.sessions
    low, high = shape.question_characters
    for session in some:
        assert len(session.questions) == len(session.thinks) == shape.turns
        assert all(low <= len(question) <= high for question in session.questions)
        assert len(session.system) == (shape.group_characters if shape.groups else 0)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_groups_have_equal_shares_and_texts_of_their_own(shape: Shape) -> None:
    systems = [session.system for session in sessions(shape, 3)]
    counts = [systems.count(system) for system in set(systems)]
    assert len(counts) == max(1, shape.groups)
    assert max(counts) - min(counts) <= 1


def test_a_turn_extends_the_prompt_before_it() -> None:
    conversation = Conversation(sessions(SHAPES["baseline"], 1)[0])
    first = prompts.chat_prompt(conversation.ask())
    assert conversation.answered("Said.")
    second = prompts.chat_prompt(conversation.ask())
    assert second.startswith(first + "\nSaid.\n")


def test_the_last_answer_ends_the_conversation() -> None:
    shape = replace(SHAPES["baseline"], turns=2)
    conversation = Conversation(sessions(shape, 1)[0])
    conversation.ask()
    assert conversation.answered("One.")
    conversation.ask()
    assert not conversation.answered("Two.")


def test_arrivals_of_an_open_loop_have_their_rate_and_burst() -> None:
    shape = replace(SHAPES["open-loop"], sessions=3_000, turns=1)
    starts = [session.starts for session in sessions(shape, 1)]
    assert starts == sorted(starts)
    assert len(starts) / starts[-1] == pytest.approx(shape.arrivals_per_second, rel=0.1)
    assert starts[0] == starts[1] == starts[2] < starts[3]


def test_places_of_a_closed_loop_begin_one_after_the_other() -> None:
    shape = SHAPES["baseline"]
    starts = [session.starts for session in sessions(shape, 1)]
    assert starts[0] == 0.0
    assert starts[shape.at_once - 1] < shape.ramp_seconds
    assert len(set(starts[: shape.at_once])) == shape.at_once
    assert set(starts[shape.at_once :]) == {0.0}
