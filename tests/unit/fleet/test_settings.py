"""The fleet's settings are those of the flags."""

from __future__ import annotations

from smg.config.settings import RouterConfig
from smg.fleet.settings import FleetSettings


def test_defaults_are_the_flags_defaults() -> None:
    assert FleetSettings.from_config(RouterConfig()) == FleetSettings()


def test_flags_are_read() -> None:
    config = RouterConfig(api_key="k", disable_health_check=True, health_check_endpoint="/ping")
    settings = FleetSettings.from_config(config)
    assert (settings.api_key, settings.check_health) == ("k", False)
    assert settings.health_endpoint == "/ping"
