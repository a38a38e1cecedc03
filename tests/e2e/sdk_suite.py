"""What an application with the official OpenAI SDK may expect, whatever engine stands behind the
gateway.

`test_openai_sdk.py` runs it over simulated workers, `test_real_engine.py` over a real one. Texts
are not compared: a real engine answers what it likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest

# Any: the SDK types each role of its own
MESSAGES: Any = [{"role": "user", "content": "Say hello to the shepherd."}]


@dataclass(frozen=True)
class Target:
    """A gateway, and what the engine behind it can do."""

    base_url: str
    model: str
    embeddings: bool = True
    api_key: str = "unused"

    def client(self, **options: object) -> openai.OpenAI:
        """A blocking client that does not retry: every answer is seen as it came."""
        settings = {"max_retries": 0, "timeout": 30.0, "api_key": self.api_key, **options}
        return openai.OpenAI(base_url=f"{self.base_url}/v1", **settings)  # type: ignore[arg-type]

    def async_client(self, **options: object) -> openai.AsyncOpenAI:
        """The same for asyncio."""
        settings = {"max_retries": 0, "timeout": 30.0, "api_key": self.api_key, **options}
        return openai.AsyncOpenAI(base_url=f"{self.base_url}/v1", **settings)  # type: ignore[arg-type]


class SdkSuite:
    """Subclasses provide a `target` fixture."""

    @pytest.fixture
    def client(self, target: Target) -> Iterator[openai.OpenAI]:
        with target.client() as client:
            yield client

    # Chat

    def test_chat(self, client: openai.OpenAI, target: Target):
        answer = client.chat.completions.create(
            model=target.model, messages=MESSAGES, max_tokens=4, temperature=0
        )
        assert answer.object == "chat.completion"
        assert answer.model == target.model
        assert answer.choices[0].message.role == "assistant"
        assert answer.choices[0].message.content is not None
        assert answer.choices[0].finish_reason in ("stop", "length")
        assert answer.usage is not None
        assert 0 < answer.usage.completion_tokens <= 4

    def test_chat_with_several_choices(self, client: openai.OpenAI, target: Target):
        answer = client.chat.completions.create(
            model=target.model, messages=MESSAGES, max_tokens=2, n=2
        )
        assert [choice.index for choice in answer.choices] == [0, 1]

    def test_chat_stream(self, client: openai.OpenAI, target: Target):
        with client.chat.completions.create(
            model=target.model, messages=MESSAGES, max_tokens=4, stream=True
        ) as stream:
            chunks = list(stream)
        assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
        assert len({chunk.id for chunk in chunks}) == 1
        reasons = [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason]
        assert reasons in (["stop"], ["length"])

    def test_chat_stream_with_usage(self, client: openai.OpenAI, target: Target):
        with client.chat.completions.create(
            model=target.model,
            messages=MESSAGES,
            max_tokens=4,
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            usages = [chunk.usage for chunk in stream if chunk.usage is not None]
        assert usages
        assert 0 < usages[-1].completion_tokens <= 4

    def test_stream_left_in_the_middle(self, client: openai.OpenAI, target: Target):
        with client.chat.completions.create(
            model=target.model, messages=MESSAGES, max_tokens=200, stream=True
        ) as stream:
            next(iter(stream))
        after = client.chat.completions.create(model=target.model, messages=MESSAGES, max_tokens=1)
        assert after.choices

    def test_request_id_is_in_the_answer(self, client: openai.OpenAI, target: Target):
        plain = client.chat.completions.create(model=target.model, messages=MESSAGES, max_tokens=1)
        assert plain._request_id
        mine = client.chat.completions.with_raw_response.create(
            model=target.model,
            messages=MESSAGES,
            max_tokens=1,
            extra_headers={"x-request-id": "mine-1"},
        )
        assert mine.headers["x-request-id"] == "mine-1"

    def test_large_prompt(self, client: openai.OpenAI, target: Target):
        messages: Any = [{"role": "user", "content": "sheep " * 150}]
        answer = client.chat.completions.create(model=target.model, messages=messages, max_tokens=1)
        assert answer.choices

    async def test_many_at_once(self, target: Target):
        async with target.async_client() as client:

            async def one(number: int) -> int:
                messages: Any = [{"role": "user", "content": f"number {number}"}]
                if number % 2:
                    answer = await client.chat.completions.create(
                        model=target.model, messages=messages, max_tokens=3
                    )
                    return len(answer.choices)
                stream = await client.chat.completions.create(
                    model=target.model, messages=messages, max_tokens=3, stream=True
                )
                async with stream:
                    return len({c.index async for chunk in stream for c in chunk.choices})

            assert await asyncio.gather(*(one(number) for number in range(16))) == [1] * 16

    # Completions, embeddings, models

    def test_completion(self, client: openai.OpenAI, target: Target):
        answer = client.completions.create(model=target.model, prompt="Once upon", max_tokens=3)
        assert answer.object == "text_completion"
        assert isinstance(answer.choices[0].text, str)

    def test_completion_stream(self, client: openai.OpenAI, target: Target):
        with client.completions.create(
            model=target.model, prompt="Once upon", max_tokens=3, stream=True
        ) as stream:
            chunks = list(stream)
        assert chunks[-1].choices == [] or chunks[-1].choices[0].finish_reason

    @pytest.mark.parametrize("encoding_format", ["float", "base64"])
    def test_embeddings(self, client: openai.OpenAI, target: Target, encoding_format: str):
        if not target.embeddings:
            pytest.skip("the engine serves no embeddings")
        answer = client.embeddings.create(
            model=target.model,
            input=["one", "two"],
            encoding_format=encoding_format,  # type: ignore[arg-type]
        )
        assert [row.index for row in answer.data] == [0, 1]
        assert len(answer.data[0].embedding) > 0

    def test_models(self, client: openai.OpenAI, target: Target):
        assert target.model in [model.id for model in client.models.list()]
        assert client.models.retrieve(target.model).id == target.model

    # Errors

    def test_unknown_model(self, client: openai.OpenAI):
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model="no-such-model", messages=MESSAGES)
        assert caught.value.code == "model_not_found"
        assert caught.value.request_id

    def test_unknown_model_card(self, client: openai.OpenAI):
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("no-such-model")

    def test_unknown_path(self, client: openai.OpenAI):
        with pytest.raises(openai.NotFoundError) as caught:
            client.files.list()
        assert caught.value.code == "unknown_url"

    def test_broken_rule(self, client: openai.OpenAI, target: Target):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model=target.model, messages=MESSAGES, temperature=99.0)
        assert caught.value.type == "invalid_request_error"

    def test_wrong_type(self, client: openai.OpenAI, target: Target):
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model=target.model, messages="hello")  # type: ignore[arg-type]
