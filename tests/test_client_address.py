"""Whom a request is counted for, and what a caller can write without being somebody else."""

from __future__ import annotations

import pytest
from django.test import RequestFactory
from ninja.conf import settings as ninja_settings
from pytest_django.fixtures import Settings

from cinema.throttling.limits import UNKNOWN, client_address, is_exempt
from cinema.variables import networks

PROXY = "10.0.0.1"


def address_of(peer: str = PROXY, forwarded: str | None = None) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return client_address(RequestFactory(REMOTE_ADDR=peer).get("/", headers=headers))


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", UNKNOWN),
        ("unix:", UNKNOWN),
    ],
)
def test_spellings_of_an_address_are_equal(peer: str, address: str) -> None:
    assert address_of(peer) == address


def test_addresses_of_one_network_count_as_one() -> None:
    assert address_of("2001:db8::1") == address_of("2001:db8::ffff:1")
    assert address_of("2001:db8::1") != address_of("2001:db8:0:1::1")


def test_without_a_proxy_a_forwarded_address_is_not_believed(settings: Settings) -> None:
    assert settings.NUM_PROXIES == 0
    for forged in ("192.0.2.7", "192.0.2.7, 192.0.2.8", PROXY, "garbage", ""):
        assert address_of(forwarded=forged) == PROXY


def test_ninja_reads_no_proxy_header_itself() -> None:
    assert ninja_settings.NUM_PROXIES == 0


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (1, "192.0.2.7", "192.0.2.7"),
        (1, "198.51.100.9, 192.0.2.7", "192.0.2.7"),
        (1, "garbage,,,\x00,192.0.2.7", "192.0.2.7"),
        (2, "198.51.100.9, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
        (1, " 192.0.2.7:4711 ", "192.0.2.7"),
        (1, "[2001:db8::1]:4711", "2001:db8::/64"),
        (1, "2001:db8::1", "2001:db8::/64"),
    ],
)
def test_behind_proxies_the_entry_of_the_outermost_counts(
    settings: Settings, proxies: int, forwarded: str, address: str
) -> None:
    settings.NUM_PROXIES = proxies
    assert address_of(forwarded=forwarded) == address


@pytest.mark.parametrize(
    "forwarded",
    [None, "", "192.0.2.7", "garbage, 10.0.0.2", "1.2.3.4.5, 10.0.0.2", "[, 10.0.0.2",
     "[]:1, 10.0.0.2", "192.0.2.07, 10.0.0.2", "9" * 10_000 + ", 10.0.0.2", "١٢٧.0.0.1, 10.0.0.2"],
)  # fmt: skip
def test_a_request_past_the_proxies_counts_for_its_sender(
    settings: Settings, forwarded: str | None
) -> None:
    settings.NUM_PROXIES = 2
    assert address_of(forwarded=forwarded) == PROXY


@pytest.mark.parametrize(
    ("peer", "exempt"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::ffff:127.0.0.1", True),
        ("::1", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8::1", False),
        ("", False),
    ],
)
def test_networks_are_exempt_by_a_setting(settings: Settings, peer: str, exempt: bool) -> None:
    settings.THROTTLE_EXEMPT = networks("127.0.0.0/8, ::1, 192.0.2.7")
    assert is_exempt(address_of(peer)) == exempt


def test_a_local_proxy_does_not_exempt_its_clients(settings: Settings) -> None:
    settings.THROTTLE_EXEMPT, settings.NUM_PROXIES = networks("127.0.0.0/8"), 1
    assert not is_exempt(address_of("127.0.0.1", "198.51.100.1"))
