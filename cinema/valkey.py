"""Connections to Valkey: by its address, or by those of the Sentinels that know its primary.

redis-py has no URL for Sentinels. The form `redis+sentinel://:password@host:26379,host/name/0` is
that of other programs, such as Prefect. The user and the password before the hosts are those of
Valkey. With `rediss+sentinel`, connections to Valkey and to the Sentinels use TLS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

SENTINEL_PORT = 26379
_ACCOUNT = {"sentinel_username", "sentinel_password"}
#: The parameters that an address of Sentinels may have, by its scheme.
SENTINEL_PARAMETERS = {
    "redis+sentinel": _ACCOUNT,
    "rediss+sentinel": _ACCOUNT | {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"},
}


@dataclass(frozen=True)
class SentinelAddress:
    """The parts of a `redis+sentinel://` address.

    Attributes:
        hosts: Each Sentinel as `host:port`.
        group: The name that the Sentinels know the primary by.
        user_info: `user:password@` of Valkey, percent-encoded, or an empty text.
        tls: Options of redis-py for Valkey and the Sentinels; empty without TLS.
        sentinel_account: The Sentinels' `username` and `password`, as far as they have them.
    """

    hosts: tuple[str, ...]
    group: str
    database: int
    user_info: str
    username: str | None
    password: str | None
    tls: Mapping[str, str]
    sentinel_account: Mapping[str, str]

    @property
    def tls_options(self) -> dict[str, Any]:
        return {"ssl": True, **self.tls} if self.tls else {}

    def sentinel_options(self, socket_timeout_s: float) -> dict[str, Any]:
        """Options of a connection to a Sentinel. If it fails, the next Sentinel is asked."""
        return {
            "socket_timeout": socket_timeout_s,
            "socket_connect_timeout": socket_timeout_s,
            "retry": Retry(NoBackoff(), 0),
            **self.sentinel_account,
            **self.tls_options,
        }


def sentinel_address(url: str) -> SentinelAddress | None:
    """The parts of the address; None for an address of another kind."""
    parts = urlsplit(url)
    if parts.scheme not in SENTINEL_PARAMETERS:
        return None
    user_info, at, hosts = parts.netloc.rpartition("@")
    group, _, database = parts.path.strip("/").partition("/")
    parameters = dict(parse_qsl(parts.query.replace("+", "%2B")))
    account = {name: parameters.pop(name) for name in _ACCOUNT & parameters.keys()}
    has_tls = parts.scheme.startswith("rediss")
    return SentinelAddress(
        hosts=tuple(
            host if ":" in host else f"{host}:{SENTINEL_PORT}" for host in hosts.split(",")
        ),
        group=group,
        database=int(database or 0),
        user_info=user_info + at,
        username=unquote(parts.username or "") or None,
        password=unquote(parts.password or "") or None,
        tls={"ssl_cert_reqs": "required", **parameters} if has_tls else {},
        sentinel_account={name.removeprefix("sentinel_"): each for name, each in account.items()},
    )


def connect(url: str, *, timeout_s: float, **options: Any) -> Redis:
    """A client that tries once. Behind Sentinels, each new connection goes to the present primary.

    Args:
        timeout_s: For the connection and for each answer.
        options: Further ones of redis-py's connections.
    """
    options |= {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    options |= {"retry": Retry(NoBackoff(), 0)}
    if (address := sentinel_address(url)) is None:
        return Redis.from_url(url, **options)
    places = [host.rpartition(":") for host in address.hosts]
    sentinels: Any = Sentinel(  # type: ignore[no-untyped-call]
        [(host, int(port)) for host, _, port in places],
        sentinel_kwargs=address.sentinel_options(timeout_s),
        **options,
        **address.tls_options,
    )
    primary: Redis = sentinels.master_for(
        address.group,
        db=address.database,
        username=address.username,
        password=address.password,
    )
    return primary
