"""Classes of the priority scheduler, and its file (routing-reliability 20)."""

from __future__ import annotations

import pytest

from smg.reliability.classes import (
    BULK,
    CLASS_NAMES,
    DEFAULT,
    DEFAULT_CLASSES,
    INTERACTIVE,
    SYSTEM,
    ClassSettings,
    SchedulerSettings,
    capacity_of,
    parse_class,
    reservations,
    scheduler_settings,
)


def test_the_table_of_the_specification():
    table = dict(zip(CLASS_NAMES, DEFAULT_CLASSES, strict=True))
    assert table == {
        "system": ClassSettings(32, 0, 64, 30, 5, True),
        "interactive": ClassSettings(128, 0.25, 256, 30, 5, True),
        "default": ClassSettings(0, 0.10, 512, 60, 30, False),
        "bulk": ClassSettings(0, 0, 1024, 300, 120, False),
    }


@pytest.mark.parametrize(
    ("value", "rank"),
    [
        (b"system", SYSTEM),
        (b" Interactive\t", INTERACTIVE),
        (b"DEFAULT", DEFAULT),
        (b"bulk", BULK),
        (b"", -1),
        (b"urgent", -1),
        (b"0", -1),
        (b"bulk,system", -1),
        (b"\xff", -1),
    ],
)
def test_header(value, rank):
    assert parse_class(value) == rank


@pytest.mark.parametrize(
    ("asked", "most", "given"),
    [
        (SYSTEM, DEFAULT, DEFAULT),
        (INTERACTIVE, DEFAULT, DEFAULT),
        (BULK, DEFAULT, BULK),
        (SYSTEM, SYSTEM, SYSTEM),
        (BULK, SYSTEM, BULK),
        (DEFAULT, BULK, BULK),
    ],
)
def test_clamp(asked, most, given):
    assert SchedulerSettings(default_max_class=most).clamp(asked, "anonymous") == given
    own = SchedulerSettings(default_max_class=BULK, max_class={"auth:a": most})
    assert own.clamp(asked, "auth:a") == given


@pytest.mark.parametrize(
    ("capacity", "kept"),
    [
        (1024, (32, 256, 103, 0)),  # ceil(102.4)
        (512, (32, 128, 52, 0)),
        (180, (32, 128, 18, 0)),
        (170, (15, 61, 8, 0)),  # 177 are asked for: half of what there is, in proportion
        (1, (0, 0, 0, 0)),
    ],
)
def test_reservations(capacity, kept):
    assert reservations(DEFAULT_CLASSES, capacity) == kept


def test_a_share_is_not_rounded_up_for_the_error_of_floats():
    tenth = ClassSettings(0, 0.1, 0, 1.0, 1.0, False)
    assert reservations([tenth], 70) == (7,)  # 0.1 * 70 is a little above 7
    assert reservations([tenth], 71) == (8,)


@pytest.mark.parametrize(
    ("override", "workers", "limit", "capacity"),
    [
        (10, [64, 64], 5, 10),
        (0, [256, None], 5, 320),
        (0, [None, None, None], -1, 192),
        (0, [], 5, 5),
        (0, [], -1, 1024),
        (0, [0], 0, 1024),
    ],
)
def test_capacity(override, workers, limit, capacity):
    assert capacity_of(override, workers, limit) == capacity


def test_no_file():
    assert scheduler_settings(None) == scheduler_settings({}) == SchedulerSettings()
    assert scheduler_settings(None, "bulk").default_max_class == BULK


def test_a_file_changes_what_it_names():
    settings = scheduler_settings(
        {
            "classes": {"interactive": {"reserved": 8, "share": 0.5}, "bulk": {"queue_size": 0}},
            "tenant_policies": {"auth:a": {"max_class": "system"}},
            "capacity": 500,
        }
    )
    assert settings.capacity == 500
    assert settings.classes[INTERACTIVE] == ClassSettings(8, 0.5, 256, 30, 5, True)
    assert settings.classes[BULK] == ClassSettings(0, 0, 0, 300, 120, False)
    assert settings.classes[SYSTEM] == DEFAULT_CLASSES[SYSTEM]
    assert settings.clamp(SYSTEM, "auth:a") == SYSTEM
    assert settings.clamp(SYSTEM, "auth:b") == DEFAULT


@pytest.mark.parametrize(
    ("data", "mistake"),
    [
        ([], "object"),
        ({"clases": {}}, "clases"),
        ({"classes": {"urgent": {}}}, "urgent"),
        ({"classes": {"bulk": {"queue": 1}}}, "queue.*bulk"),
        ({"classes": {"bulk": {"queue_size": "many"}}}, "int.*bulk"),
        ({"classes": {"bulk": {"queue_size": -1}}}, "bulk.*negative"),
        ({"classes": {"bulk": {"reserved": -1}}}, "bulk.*negative"),
        ({"classes": {"bulk": {"share": 1.5}}}, "bulk.*share"),
        ({"classes": {"bulk": {"queue_timeout_secs": 0}}}, "bulk.*above 0"),
        ({"classes": {"bulk": {"starvation_secs": 0}}}, "bulk.*above 0"),
        ({"tenant_policies": {"auth:a": {"max_class": "top"}}}, "auth:a.*top"),
        ({"tenant_policies": {"auth:a": {}}}, "max_class"),
        ({"tenant_policies": {"acme": {"max_class": "bulk"}}}, "acme.*tenant key"),
        ({"capacity": 0}, "capacity.*at least 1"),
        ({"capacity": 100}, "170 permits are reserved, but there are 100"),
    ],
)
def test_mistakes_are_named(data, mistake):
    with pytest.raises(ValueError, match=mistake):
        scheduler_settings(data)
