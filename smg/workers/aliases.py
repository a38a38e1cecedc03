"""Further names of models: which model an alias stands for (http-api 6.3).

An alias is claimed by a model, as long as a worker serves that model: through the model's card, or
because an operator gave it with `--model-alias`. Of several models that claim one alias the first
to do so has it; the next one inherits it when the first goes away. Aliases do not lead to aliases.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from smg.workers.model import UNKNOWN_MODEL
from smg.workers.spec import ModelCard


class AliasIndex:
    """The claims of the models that are served. `given` are an operator's pairs of alias and model
    id, valid for every worker that serves the model.
    """

    def __init__(self, given: Iterable[tuple[str, str]] = ()) -> None:
        self._given: dict[str, list[str]] = {}
        for alias, model in given:
            self._given.setdefault(model, []).append(alias)
        #: alias -> model id -> how many workers stand for the claim; models in the order they came
        self._claims: dict[str, dict[str, int]] = {}

    def __len__(self) -> int:
        return len(self._claims)

    def model(self, alias: str) -> str | None:
        """The id of the model that has the alias; None if nobody has."""
        claims = self._claims.get(alias)
        return None if claims is None else next(iter(claims))

    def change(self, before: Sequence[ModelCard], after: Sequence[ModelCard]) -> None:
        """A worker's cards were replaced; none before: it came, none after: it left."""
        # New claims first: what is in both keeps its place.
        for alias, model in self._of(after):
            claims = self._claims.setdefault(alias, {})
            claims[model] = claims.get(model, 0) + 1
        for alias, model in self._of(before):
            claims = self._claims[alias]
            claims[model] -= 1
            if not claims[model]:
                del claims[model]
            if not claims:
                del self._claims[alias]

    def _of(self, cards: Sequence[ModelCard]) -> Iterator[tuple[str, str]]:
        """Each claim of one worker once."""
        pairs = (
            (alias, card.id)
            for card in cards
            for alias in (*card.aliases, *self._given.get(card.id, ()))
        )
        return (pair for pair in dict.fromkeys(pairs) if pair[0] not in ("", UNKNOWN_MODEL))
