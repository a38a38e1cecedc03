"""Which credential opens what: the matrix of external-security-wasm 8, and nothing else.

| control-plane keys | `--api-key` | tenant keys | data plane | control plane |
|---|---|---|---|---|
| no | no | no | open | open |
| no | yes | any | shared or tenant key | shared key |
| no | no | yes | tenant key | nobody |
| yes | no | no | open | admin role |
| yes | yes | any | shared or tenant key | admin role |
| yes | no | yes | tenant key | admin role |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.auth.control import ControlKeys, Decision, Principal
from smg.auth.keys import DataKeys, Headers, SharedKey, unauthorized
from smg.config.items import tenant_key

if TYPE_CHECKING:
    from smg.config.settings import RouterConfig


class Access:
    """The keys of one gateway. `from_config` makes none when there are no keys at all: then
    everything is open and nothing has to be asked.
    """

    def __init__(
        self,
        *,
        shared: str | None = None,
        tenants: Sequence[tuple[str, str]] = (),
        operators: Sequence[tuple[str, str, str, str]] = (),
    ) -> None:
        """`tenants`: (tenant, key); `operators`: (id, name, key, role)."""
        self._shared = SharedKey(shared) if shared is not None else None
        #: None: the data plane is open
        self.data_keys = DataKeys(shared, tenants) if shared is not None or tenants else None
        #: None: the control plane falls back to the shared key
        self.control_keys = ControlKeys(operators) if operators else None

    @classmethod
    def from_config(cls, config: RouterConfig) -> Access | None:
        """The keys of a configuration; None without any. ValueError for a malformed one."""
        if (config.api_key, *config.tenant_api_key, *config.control_plane_api_keys) == (None,):
            return None
        return cls(
            shared=config.api_key,
            tenants=[tenant_key(entry) for entry in config.tenant_api_key],
            operators=config.control_plane_api_keys,
        )

    # -- planes -----------------------------------------------------------------------------------

    def data(self, headers: Headers) -> bool:
        """Whether the data plane is open to this client."""
        return self.data_keys is None or self.data_keys.identity(headers) is not None

    def control(self, headers: Headers) -> Decision:
        """Whether the control plane is open to this client."""
        if self.control_keys is not None:
            return self.control_keys.decide(headers)
        if self._shared is not None and self._shared.admits(headers):
            return Decision()
        return Decision(error=unauthorized())

    def either(self, headers: Headers) -> bool:
        """Whether what both planes may read is open to this client (http-api 25 #17): like the
        data plane, and also with a control-plane key of any role.
        """
        return self.data(headers) or self.principal(headers) is not None

    def trusted(self, headers: Headers) -> bool:
        """Whether a client of a public route has shown any valid credential, and so may see the
        whole answer. Stricter than `either`: an open data plane alone does not do.
        """
        return self.identity(headers) is not None or self.principal(headers) is not None

    # -- who is calling ---------------------------------------------------------------------------

    def identity(self, headers: Headers) -> str | None:
        """Whom the client's data-plane key stands for, `auth:...`; None without a valid one."""
        return None if self.data_keys is None else self.data_keys.identity(headers)

    def is_shared(self, identity: str) -> bool:
        """Whether that is whom the shared key stands for: anybody who has it."""
        return self.data_keys is not None and identity == self.data_keys.shared

    def principal(self, headers: Headers) -> Principal | None:
        """Whom the client's control-plane key stands for; None without a valid one."""
        return None if self.control_keys is None else self.control_keys.principal(headers)

    # -- what leaves the gateway ------------------------------------------------------------------

    def owns(self, headers: Headers) -> bool:
        """Whether `headers` hold a key of this gateway, of either plane."""
        if self.identity(headers) is not None:
            return True
        return self.control_keys is not None and self.control_keys.presented(headers)

    def without_own_keys(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """The headers that may be forwarded: those with a key of this gateway are taken out."""
        return [header for header in headers if not self.owns((header,))]
