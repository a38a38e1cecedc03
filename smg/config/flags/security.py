"""Flags: keys, tokens and TLS (cli 4.11)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.row import Flag
from smg.config.items import control_plane_keys, role_mapping
from smg.config.kinds import ControlPlaneKey, Item, Kind, Many, Switch, TenantKey

tls = partial(Flag, group="TLS", feature="TLS")
worker_tls = partial(Flag, group="TLS", feature="TLS to workers")
auth = partial(Flag, group="Authentication")
jwt = partial(auth, feature="JWT for the control plane")

FLAGS = (
    tls(name="tls-cert-path", kind=Kind("FILE"), help="Certificate of the gateway, PEM."),
    tls(name="tls-key-path", kind=Kind("FILE"), help="Key of that certificate, PEM."),
    worker_tls(name="client-cert-path", kind=Kind("FILE"), help="Our certificate for workers."),
    worker_tls(name="client-key-path", kind=Kind("FILE"), help="Key of that certificate."),
    worker_tls(
        name="ca-cert-paths",
        aliases=("ca-cert-path",),
        kind=Many(Kind("FILE")),
        default=(),
        help="Authorities trusted for worker certificates.",
    ),
    auth(
        name="api-key",
        kind=Kind("KEY"),
        env="SMG_API_KEY",
        secret=True,
        help="Key clients must present; also sent to start-up workers. Prefer the environment "
        "variable: command lines are visible to other users.",
    ),
    auth(
        name="tenant-api-key",
        kind=Many(TenantKey(), least=1),
        default=(),
        tag="beyond",
        secret=True,
        help="Key of a tenant: opens the data plane, never the admin routes. A tenant may have "
        "several.",
    ),
    auth(
        name="control-plane-api-keys",
        kind=Many(ControlPlaneKey(), least=1, split=control_plane_keys),
        default=(),
        env="CONTROL_PLANE_API_KEYS",
        secret=True,
        help="Keys of the admin routes, which --api-key then no longer opens; role admin or user. "
        "The variable holds one key a line, or several separated by commas.",
    ),
    jwt(name="jwt-issuer", kind=Kind("URL"), env="JWT_ISSUER", help="Issuer of admin tokens."),
    jwt(
        name="jwt-audience", kind=Kind("NAME"), env="JWT_AUDIENCE", help="Audience of admin tokens."
    ),
    jwt(
        name="jwt-jwks-uri",
        kind=Kind("URL"),
        env="JWT_JWKS_URI",
        help="Keys of the issuer; else discovered.",
    ),
    jwt(
        name="jwt-role-claim",
        kind=Kind("CLAIM"),
        default="roles",
        help="Claim that carries the roles.",
    ),
    jwt(
        name="jwt-role-mapping",
        kind=Many(Item("IDP_ROLE=ROLE", role_mapping), least=1, maps=True),
        default=(),
        help="Roles of the issuer and ours.",
    ),
    auth(
        name="disable-audit-logging",
        kind=Switch(),
        default=False,
        help="Write no audit log of admin calls; it is written when control-plane keys exist.",
    ),
    auth(
        name="control-plane-audit-enabled",
        kind=Switch(),
        default=False,
        help="Accepted for compatibility; the audit log is on anyway.",
    ),
)
