"""The cinema itself, as calendars and search engines are told of it."""

from __future__ import annotations

from django.conf import settings

from cinema.http import absolute_url


def address_line() -> str:
    """Where one goes: the name, and the address as far as it is set."""
    city = f"{settings.CINEMA_POSTAL_CODE} {settings.CINEMA_CITY}".strip()
    parts = [settings.CINEMA_NAME, settings.CINEMA_STREET, city]
    return ", ".join(part for part in parts if part)


def movie_theater() -> dict[str, object]:
    """The cinema as schema.org has it. Search engines show no event without an address."""
    address = {
        "streetAddress": settings.CINEMA_STREET,
        "postalCode": settings.CINEMA_POSTAL_CODE,
        "addressLocality": settings.CINEMA_CITY,
        "addressCountry": settings.CINEMA_COUNTRY,
    }
    known = {key: value for key, value in address.items() if value}
    theater = {
        "@type": "MovieTheater",
        "@id": absolute_url("/#cinema"),
        "name": settings.CINEMA_NAME,
        "url": settings.CINEMA_WEBSITE or absolute_url("/"),
        "telephone": settings.CINEMA_PHONE,
        "address": {"@type": "PostalAddress", **known} if known else None,
    }
    return {key: value for key, value in theater.items() if value}
