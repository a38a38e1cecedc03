"""The route table and its page say the same; every route says who may call it."""

from __future__ import annotations

import pathlib

from smg.endpoints.reference import render

ROOT = pathlib.Path(__file__).parents[3]


def test_the_page_is_current() -> None:
    assert (ROOT / "docs/reference/routes.md").read_text() == render()


def test_only_probes_and_listings_are_public() -> None:
    public = {line.split("`")[1] for line in render().splitlines() if "| public |" in line}
    assert public == {
        "/health",
        "/liveness",
        "/readiness",
        "/health_generate",
        "/v1/models",
        "/v1/models/{model_id}",
        "/get_model_info",
        "/model_info",
        "/get_server_info",
        "/server_info",
        "/console",  # the page alone; its data is for the control plane
    }
