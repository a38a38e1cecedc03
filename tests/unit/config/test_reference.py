"""The reference page is what the table says; so is the help."""

from __future__ import annotations

from smg.config.flags import TABLE
from smg.config.help import flags_help
from smg.config.reference import PAGE, render


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run python -m smg.config.reference"


def test_every_flag_is_on_the_page_and_only_what_works_in_the_help() -> None:
    page, text = render(), flags_help("smg launch [flags]")
    for flag in TABLE:
        assert f"`--{flag.name}" in page
        assert (f"  --{flag.name}" in text) == flag.available


def test_help_of_serve_has_the_prefix() -> None:
    text = flags_help("smg serve", "router-", exclude=("host", "port", "worker-urls"))
    assert "--router-policy" in text
    assert "--router-port " not in text
    assert "--router-worker-urls" not in text
