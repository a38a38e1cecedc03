"""What goes wrong with tokenizers, by who has to know."""

from __future__ import annotations

from smg.core.errors import GatewayError, RequestError


class LoadFailed(Exception):
    """A tokenizer cannot be loaded; the text is for the operator and names the file.

    `retryable`: trying again may help. Missing and broken files stay missing and broken.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class TemplateFailed(RequestError):
    """The chat template refuses these messages (400); the template's own words reach the client."""

    code = "process_messages_failed"


class EncodeFailed(GatewayError):
    """Text that the tokenizer cannot encode (500)."""

    code = "tokenization_error"


class DecodeFailed(GatewayError):
    """Ids that the tokenizer cannot decode (500)."""

    code = "detokenization_error"


class TokenizerBusy(GatewayError):
    """As much text is being encoded as the gateway takes at once (503)."""

    status = 503
    code = "tokenizer_busy"

    def __init__(self) -> None:
        super().__init__("Too much text is being encoded, try again", retry_after=1)


class MissingLibrary(LoadFailed):
    """The extra `tokenizers` is not installed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not installed: pip install 'smg[tokenizers]'")
