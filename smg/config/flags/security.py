"""Flags: keys, tokens and TLS (cli 4.11)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.row import Flag
from smg.config.items import control_plane_key, role_mapping
from smg.config.kinds import Item, Kind, Many, Switch

tls = partial(Flag, group="TLS", feature="TLS")
worker_tls = partial(Flag, group="TLS", feature="TLS to workers")
auth = partial(Flag, group="Authentication", feature="control-plane authentication")

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
        feature="",
        help="Key clients must present; also sent to start-up workers. Prefer the environment "
        "variable: command lines are visible to other users.",
    ),
    auth(
        name="tenant-api-key",
        kind=Many(Kind("TENANT:KEY"), least=1),
        default=(),
        tag="beyond",
        feature="tenants",
        secret=True,
        help="Serving key of a tenant.",
    ),
    auth(
        name="control-plane-api-keys",
        kind=Many(Item("ID:NAME:ROLE:KEY", control_plane_key), least=1),
        default=(),
        env="CONTROL_PLANE_API_KEYS",
        secret=True,
        help="Keys of the admin API; role admin or user.",
    ),
    auth(name="jwt-issuer", kind=Kind("URL"), env="JWT_ISSUER", help="Issuer of admin tokens."),
    auth(
        name="jwt-audience", kind=Kind("NAME"), env="JWT_AUDIENCE", help="Audience of admin tokens."
    ),
    auth(
        name="jwt-jwks-uri",
        kind=Kind("URL"),
        env="JWT_JWKS_URI",
        help="Keys of the issuer; else discovered.",
    ),
    auth(
        name="jwt-role-claim",
        kind=Kind("CLAIM"),
        default="roles",
        help="Claim that carries the roles.",
    ),
    auth(
        name="jwt-role-mapping",
        kind=Many(Item("IDP_ROLE=ROLE", role_mapping), least=1, maps=True),
        default=(),
        help="Roles of the issuer and ours.",
    ),
    auth(
        name="disable-audit-logging",
        kind=Switch(),
        default=False,
        help="Write no audit log of admin calls.",
    ),
    auth(
        name="control-plane-audit-enabled",
        kind=Switch(),
        default=False,
        help="Accepted for compatibility; the audit log is on anyway.",
    ),
)
