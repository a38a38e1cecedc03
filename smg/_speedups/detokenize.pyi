from collections.abc import Callable, Iterable, Sequence

class TokenTable:
    def __init__(self, pieces: Sequence[bytes | None], special: Iterable[int] = ...) -> None: ...
    @property
    def size(self) -> int: ...

class Stops:
    def __init__(
        self,
        hidden_ids: Iterable[int] = ...,
        visible_ids: Iterable[int] = ...,
        hidden_texts: Iterable[str] = ...,
        visible_texts: Iterable[str] = ...,
    ) -> None: ...
    @property
    def texts(self) -> tuple[str, ...]: ...

class StopDecoder:
    def __init__(
        self,
        table: TokenTable | None,
        stops: Stops,
        skip_special: bool = ...,
        step: Callable[[int], str] | None = ...,
        finish: Callable[[], str] | None = ...,
    ) -> None: ...
    @property
    def stopped(self) -> bool: ...
    @property
    def matched(self) -> str | None: ...
    @property
    def taken(self) -> int: ...
    @property
    def held(self) -> int: ...
    def feed(self, ids: Iterable[int]) -> str: ...
    def flush(self) -> str: ...
