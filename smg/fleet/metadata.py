"""What a worker says about itself: which engine it is and which model it serves.

Every step may fail without harm: a worker that tells nothing serves as `generic` under the wildcard
model. Order of questions and of names: routing-reliability 13.2, http-api 6.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smg.fleet.clock import Clock, sleep
from smg.fleet.probe import Answer, Fetcher, Target, ask_json
from smg.workers import ModelCard

STEP_SECS = 10.0
TRIES = 3
TRY_PAUSE_SECS = 1.0

SERVER_INFO = ("/server_info", "/get_server_info")
MODEL_INFO = ("/model_info", "/get_model_info")

# NVIDIA's builds of SGLang say nvidia.
_ENGINES = {"sglang": "sglang", "nvidia": "sglang", "vllm": "vllm"}
_NAME_LABELS = ("served_model_name", "model_id", "model_path")


@dataclass(frozen=True, slots=True)
class Facts:
    """The outcome. `cards` are of the model and of the adapters that are loaded on it; empty if no
    model is known, `problem` then says why.
    """

    reachable: bool
    runtime: str
    labels: dict[str, str]
    cards: tuple[ModelCard, ...]
    problem: str = ""

    @property
    def card(self) -> ModelCard | None:
        """The model itself."""
        return self.cards[0] if self.cards else None


class Questions:
    """One worker's answers, asked within a limit per step."""

    def __init__(self, fetcher: Fetcher, target: Target, clock: Clock) -> None:
        self._fetcher = fetcher
        self._target = target
        self._clock = clock
        self._end = 0.0

    def begin_step(self) -> None:
        """The next questions together get `STEP_SECS`."""
        self._end = self._clock.time() + STEP_SECS

    async def ask(self, *paths: str) -> Answer:
        """The first path that exists."""
        left = self._end - self._clock.time()
        return await ask_json(self._fetcher, self._target, *paths, timeout=left)

    async def ask_again(self, *paths: str) -> Answer:
        """Like `ask`, with further tries while the worker fails: it may have just come up."""
        answer = await self.ask(*paths)
        for _ in range(TRIES - 1):
            if 0 < answer.status < 500:
                break
            await sleep(self._clock, TRY_PAUSE_SECS)
            answer = await self.ask(*paths)
        return answer


async def discover(fetcher: Fetcher, target: Target, clock: Clock) -> Facts:
    """Ask a worker who it is; at most about 20 seconds."""
    questions = Questions(fetcher, target, clock)
    questions.begin_step()
    listing = await questions.ask_again("/v1/models")
    if not listing.status:
        return Facts(False, "generic", {}, (), listing.problem)
    entries = _entries(listing.data)
    labels: dict[str, str] = {}
    runtime = await _engine(questions, entries, labels)
    info: dict[str, Any] = {}
    if runtime == "sglang":
        questions.begin_step()
        server_info = _mapping((await questions.ask(*SERVER_INFO)).data)
        info = {**server_info, **_mapping((await questions.ask(*MODEL_INFO)).data)}
    _name(labels, info, entries)
    model = next((labels[label] for label in _NAME_LABELS if label in labels), None)
    if model is None:
        return Facts(True, runtime, labels, (), listing.problem or "/v1/models lists no model")
    base = _card(model, labels, info, entries)
    return Facts(True, runtime, labels, (base, *_adapters(base, entries)))


async def _engine(
    questions: Questions, entries: list[dict[str, Any]], labels: dict[str, str]
) -> str:
    owner = _text(_first(entries), "owned_by")
    runtime = _ENGINES.get(owner.lower()) if owner else None
    if runtime != "sglang":
        version = _text(_mapping((await questions.ask("/version")).data), "version")
        if version:
            labels["version"] = version
            runtime = runtime or "vllm"
    if runtime is None and _mapping((await questions.ask(*SERVER_INFO)).data):
        runtime = "sglang"
    return runtime or "generic"


def _name(labels: dict[str, str], info: Mapping[str, Any], entries: list[dict[str, Any]]) -> None:
    first = _first(entries)
    served = _text(info, "served_model_name") or _text(first, "id")
    path = _text(info, "model_path") or _text(first, "root")
    version = _text(info, "version")
    if served:
        labels["served_model_name"] = served
    if path:
        labels["model_path"] = path
    if version:
        labels["version"] = version


def _card(
    model: str, labels: dict[str, str], info: Mapping[str, Any], entries: list[dict[str, Any]]
) -> ModelCard:
    entry = next((item for item in entries if item.get("id") == model), {})
    length = _size(entry, "max_model_len") or _size(info, "context_length")
    # vLLM lists every name it was given for the one model, each with the same root.
    root = _text(entry, "root")
    same = (item["id"] for item in _models(entries) if root and item.get("root") == root)
    aliases = tuple(name for name in dict.fromkeys(same) if name != model)
    return ModelCard(model, aliases, root=labels.get("model_path"), context_length=length)


def _adapters(base: ModelCard, entries: list[dict[str, Any]]) -> list[ModelCard]:
    """LoRA adapters, which engines list beside the model, with its name as `parent`."""
    own = {base.id, *base.aliases}
    cards: dict[str, ModelCard] = {}
    for entry in entries:
        name, parent = entry["id"], _text(entry, "parent")
        if name not in own and parent and (parent in own or parent == base.root):
            length = _size(entry, "max_model_len") or base.context_length
            cards[name] = ModelCard(
                name, root=_text(entry, "root"), parent=base.id, context_length=length
            )
    return list(cards.values())


def _models(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries that are no adapters."""
    return [entry for entry in entries if not _text(entry, "parent")]


def _first(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return next(iter(_models(entries) or entries), {})


def _entries(data: Any) -> list[dict[str, Any]]:
    listed = _mapping(data).get("data")
    if not isinstance(listed, list):
        return []
    return [item for item in listed if isinstance(item, dict) and _text(item, "id")]


def _mapping(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def _text(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    return value if isinstance(value, str) and value else None


def _size(data: Mapping[str, Any], key: str) -> int | None:
    value = data.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
