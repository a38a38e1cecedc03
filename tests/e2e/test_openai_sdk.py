"""The official OpenAI SDK against a gateway process over two simulated workers."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.doubles.gateway import GatewayProcess, free_port
from tests.e2e.sdk_suite import MESSAGES, SdkSuite, Target

KEY = "sk-of-the-gateway"


def fault(spec: str) -> dict[str, str]:
    """The header that makes a simulated worker misbehave for one request."""
    return {"x-request-id-sim-fault": spec}


@pytest.fixture
def target(sim_stack: GatewayProcess) -> Target:
    return Target(sim_stack.url, "sim")


@pytest.fixture
def client(target: Target) -> Iterator[openai.OpenAI]:
    with target.client() as client:
        yield client


class TestSimulatedWorkers(SdkSuite):
    """The common suite."""


# Errors that a worker causes


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("status=400", openai.BadRequestError),
        ("status=403", openai.PermissionDeniedError),
        ("status=404", openai.NotFoundError),
        ("status=409", openai.ConflictError),
        ("status=422", openai.UnprocessableEntityError),
        ("status=429,retry-after=3", openai.RateLimitError),
        ("status=500", openai.InternalServerError),
        ("close", openai.InternalServerError),
        ("garbage", openai.InternalServerError),
    ],
)
def test_error_classes(client: openai.OpenAI, spec: str, error: type[openai.APIStatusError]):
    with pytest.raises(error) as caught:
        client.chat.completions.create(
            model="sim", messages=MESSAGES, max_tokens=1, extra_headers=fault(spec)
        )
    if "retry-after" in spec:
        assert caught.value.response.headers["retry-after"] == "3"


def test_the_sdk_retries_a_refusal(target: Target):
    """`times=1` is counted per worker: with two workers at most two refusals, the third attempt
    passes.
    """
    with target.client(max_retries=3) as client:
        headers = fault("status=429,times=1") | {"x-request-id": "retried-by-the-sdk"}
        answer = client.chat.completions.create(
            model="sim", messages=MESSAGES, max_tokens=1, extra_headers=headers
        )
    assert answer.choices


def test_timeout(target: Target):
    with target.client(timeout=0.3) as client:
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(
                model="sim", messages=MESSAGES, extra_headers=fault("stall")
            )


@pytest.mark.parametrize("spec", ["cut=2", "cut-mid-frame=2", "reset=2", "error-frame=2"])
def test_a_cut_stream_is_an_error(client: openai.OpenAI, spec: str):
    """Never a clean end. At a frame boundary an error frame, elsewhere broken framing."""
    received = 0
    with pytest.raises(Exception) as caught:  # noqa: PT011 - looked at below
        with client.chat.completions.create(
            model="sim", messages=MESSAGES, max_tokens=8, stream=True, extra_headers=fault(spec)
        ) as stream:
            for _ in stream:
                received += 1
    # The SDK lets its HTTP library's errors through while a stream is read, hence the look at the
    # module.
    assert isinstance(caught.value, openai.APIError) or "http" in type(caught.value).__module__
    assert received > 0


def test_nobody_listens():
    with Target(f"http://127.0.0.1:{free_port()}", "sim").client() as client:
        with pytest.raises(openai.APIConnectionError):
            client.models.list()


# Keys


@pytest.fixture(scope="module")
def guarded() -> Iterator[GatewayProcess]:
    with GatewayProcess("serve", "--backend", "sim", "--router-api-key", KEY) as process:
        yield process


def test_right_key(guarded: GatewayProcess):
    with Target(guarded.url, "sim", api_key=KEY).client() as client:
        assert client.chat.completions.create(model="sim", messages=MESSAGES, max_tokens=1).choices


@pytest.mark.parametrize("key", ["wrong", KEY.upper(), KEY + "x"])
def test_wrong_key(guarded: GatewayProcess, key: str):
    with Target(guarded.url, "sim", api_key=key).client() as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.chat.completions.create(model="sim", messages=MESSAGES)
    assert caught.value.code == "invalid_api_key"


# Spread


def routed(client: openai.OpenAI, prompt: str) -> str | None:
    answer = client.chat.completions.with_raw_response.create(
        model="sim", messages=[{"role": "user", "content": prompt}], max_tokens=1
    )
    return answer.headers.get("x-smg-routed-worker-id")


def test_both_workers_get_traffic(sim_stack: GatewayProcess, client: openai.OpenAI):
    """The default policy spreads what is new and keeps together what is not."""
    assert len({routed(client, f"{number} is a new prompt") for number in range(4)}) == 2
    assert len({routed(client, "the same prompt again and again") for _ in range(4)}) == 1
