"""One row of the flag table.

A row says everything about a flag once: the parser, `--router-` variant, help, configuration file,
`RouterArgs` and the reference page are made from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smg.config.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A router flag.

    `name` and `aliases` are written without dashes. `feature` names what is still to be built; the
    flag is known but refused until then. `policies`: the only policies that read it. `idle_with`: a
    switch that takes its effect away. `mode`: where it has an effect, for people. `tag`: "seed"
    (documented by the reference) or "beyond".
    """

    name: str
    kind: Kind
    help: str
    group: str
    default: Any = None
    aliases: tuple[str, ...] = ()
    env: str = ""
    mode: str = ""
    policies: tuple[str, ...] = ()
    idle_with: str = ""
    feature: str = ""
    tag: str = "seed"
    secret: bool = False

    @property
    def available(self) -> bool:
        """Whether this release implements the flag."""
        return not self.feature

    @property
    def field(self) -> str:
        """Name of the field in `RouterConfig`."""
        return self.name.replace("-", "_")

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases, without dashes."""
        return (self.name, *self.aliases)
