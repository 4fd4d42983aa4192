"""From where a request comes, as far as it can be believed."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from django.conf import settings
from django.http import HttpRequest

#: Whoever comes without one, as over a unix socket, is counted as one.
UNKNOWN = "unknown"
#: What a household or a server gets: whoever has one address of it has all.
IPV6_PREFIX = 64
#: No address is longer, with its port and its zone.
MAX_LENGTH = 100


def client_address(request: HttpRequest) -> str:
    """The address of the caller; of IPv6 the network.

    Each proxy appends to `X-Forwarded-For` whom it has heard. So of the entries the last
    NUM_PROXIES are ours, and those before them are whatever the caller wrote. Without that many
    the request has come by another way, and who has brought it is the caller.
    """
    if proxies := settings.NUM_PROXIES:
        entries = request.META.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", proxies)
        if len(entries) >= proxies and (address := _normal(entries[-proxies])):
            return address
    return _normal(request.META.get("REMOTE_ADDR", "")) or UNKNOWN


def is_exempt(address: str) -> bool:
    """Whether the general limits do not count what comes from there; of IPv6 a whole /64."""
    return _is_within(address, settings.THROTTLE_EXEMPT)


@lru_cache(maxsize=4096)
def _is_within(address: str, among: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    if address == UNKNOWN:
        return False
    asked = ip_network(address)
    return any(asked.version == each.version and asked.overlaps(each) for each in among)


def _normal(text: str) -> str:
    """Empty if it is none."""
    return _normal_short(text.strip()) if len(text) <= MAX_LENGTH else ""


@lru_cache(maxsize=4096)
def _normal_short(text: str) -> str:
    for candidate in (text, _without_port(text)):
        try:
            return _grouped(ip_address(candidate))
        except ValueError:
            continue
    return ""


def _without_port(text: str) -> str:
    """`192.0.2.1:80` and `[2001:db8::1]:80`, as some proxies write."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, _, port = text.partition(":")
    return host if port.isdecimal() else ""


def _grouped(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), IPV6_PREFIX), strict=False))
