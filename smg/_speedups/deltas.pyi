from typing import Any, final

@final
class Content:
    __match_args__ = ("text",)
    text: str
    def __init__(self, text: str) -> None: ...

@final
class Reasoning:
    __match_args__ = ("text",)
    text: str
    def __init__(self, text: str) -> None: ...

@final
class CallStart:
    __match_args__ = ("index", "id", "name")
    index: int
    id: str
    name: str
    def __init__(self, index: int, id: str, name: str) -> None: ...
    def openai(self) -> dict[str, Any]: ...

@final
class CallArguments:
    __match_args__ = ("index", "text")
    index: int
    text: str
    def __init__(self, index: int, text: str) -> None: ...
    def openai(self) -> dict[str, Any]: ...
