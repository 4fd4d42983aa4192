"""Reads environment variables for `cinema.settings`.

django-environ reads `.env` and parses the address of the database. Its own casts are not used: they
take `DEBUG=maybe` for false, name no variable in an error, look up a password that begins with `$`
as another variable, and show parts of a password in the traceback of a broken address.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Set
from datetime import time
from email.utils import parseaddr
from ipaddress import ip_network
from math import inf
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from cinema.valkey import SENTINEL_PARAMETERS

T = TypeVar("T")

#: Variables of earlier versions: fixed now, and MEDIA_REGION is AWS_DEFAULT_REGION.
FORMER_VARIABLES = (
    "ACCESS_TOKEN_LIFETIME_S, CACHE_TIMEOUT_S, CATALOGUE_CHECK_INTERVAL_S, CATALOGUE_MAX_AGE_S, "
    "CSRF_TRUSTED_ORIGINS, DATABASE_POOL_SIZE, DATABASE_TIMEOUT_S, DETAILS_LIFETIME_S, "
    "EASE_MAX_ITEMS, EMAIL_TIMEOUT_S, FRESHNESS, GENRES_LIFETIME_S, GRAPHQL_MAX_ALIASES, "
    "GRAPHQL_MAX_COST, GRAPHQL_MAX_DEPTH, GRAPHQL_MAX_TOKENS, "
    "IMPRESSIONS_KEPT_DAYS, ITEM_KNN_WEIGHTING, LOCKOUT_ATTEMPTS, LOCKOUT_FIRST_PAUSE_S, "
    "LOCKOUT_FORGET_S, LOCKOUT_LONGEST_PAUSE_S, MATCH_SHRINKAGE, MAX_SESSIONS, MEDIA_KEPT_S, "
    "MEDIA_REGION, POPULAR_HALF_LIFE_DAYS, POPULAR_LIFETIME_S, POSTER_MAX_MB, "
    "POSTER_MAX_MEGAPIXELS, "
    "RATING_PRIOR_COUNT, REFRESH_GRACE_S, REFRESH_TOKEN_LIFETIME_S, RELEASES_KEPT, "
    "RELEASE_CHECK_INTERVAL_S, RESET_PASSWORD_LIFETIME_S, SEARCH_LIFETIME_S, SESSIONS_KEPT_DAYS, "
    "SESSION_LIFETIME_DAYS, SIMILAR_CONTENT_SHARE, SIMILAR_LIFETIME_S, THROTTLE_GRAPHQL, "
    "THROTTLE_REFRESH, THROTTLE_STAFF, THROTTLE_UPLOAD, TMDB_BASE_URL, TMDB_IMAGE_URL, "
    "TMDB_POSTER_SIZE, TMDB_REQUESTS_PER_S, TRAINING_FACTORS, TRAINING_GATE_MARGIN, "
    "TRENDING_LIFETIME_S, VERIFY_EMAIL_LIFETIME_S, VIEWER_IMPORT_MAX_MB, WEB_STATEMENT_TIMEOUT_S"
)
ENCODED = "in the password, the characters %/?#@: as %25 %2F %3F %23 %40 %3A"


class Address(NamedTuple):
    schemes: tuple[str, ...]
    example: str


POSTGRES = Address(("postgres", "postgresql"), "postgres://user:password@host:5432/name")
REDIS = Address(
    ("redis", "rediss", "unix", *SENTINEL_PARAMETERS),
    "redis://:password@host:6379/0 or redis+sentinel://:password@host,host,host/mymaster/0",
)
BROKER = Address(
    ("redis", "rediss", "redis+socket", *SENTINEL_PARAMETERS, "amqp", "amqps"),
    "amqp://user:password@host:5672//, redis://:password@host:6379/1 or "
    "redis+sentinel://:password@host,host,host/mymaster/1",
)

#: Schemes whose addresses cannot have several hosts, divided by commas.
SINGLE_HOST = {"redis", "rediss", "unix", "redis+socket"}


def read(name: str, cast: Callable[[str], T], default: str, *, form: str = "") -> T:
    """The value of a variable. An empty variable counts as unset.

    `NAME_FILE` names a file with the value, as container engines provide secrets.

    Args:
        form: The expected form of a value with a secret in it. An error then shows the form, and
            neither the value nor the message of the cast, which may repeat a part of the value.

    Raises:
        ImproperlyConfigured: The cast refuses the value, the file cannot be read, or both
            variables are set. The message names the variable.
    """
    text = os.environ.get(name, "").strip()
    if path := os.environ.get(f"{name}_FILE", "").strip():
        if text:
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: set one of them.")
        name, text = f"{name}_FILE", _read_file(f"{name}_FILE", path)
    try:
        return cast(text or default)
    except (ValueError, KeyError, LookupError) as error:
        if form or name.endswith("_FILE"):
            # `from None`: otherwise the traceback shows the error of the cast.
            expected = f": expected {form}" if form else ""
            raise ImproperlyConfigured(f"{name}=… cannot be used{expected}") from None
        raise ImproperlyConfigured(f"{name}={text!r} cannot be used: {error}") from error


def read_address(name: str, form: Address, password_name: str) -> str:
    """The address of a server, with the password of another variable if it has none itself."""
    expected = f"{form.example}; {ENCODED}, or in {password_name} as it is"
    url = read(name, server_url(*form.schemes), "", form=expected)
    return with_password(url, read(password_name, str, ""))


def warn_of_former_variables() -> None:
    if ignored := [name for name in words(FORMER_VARIABLES) if os.environ.get(name)]:
        warnings.warn(f"Former settings, ignored, please unset: {', '.join(ignored)}", stacklevel=2)


def _read_file(name: str, path: str) -> str:
    try:
        if text := Path(path).read_text().strip():
            return text
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ImproperlyConfigured(f"{name}={path!r} cannot be read: {reason}") from None
    raise ImproperlyConfigured(f"{name}={path!r} cannot be used: the file is empty")


def boolean(text: str) -> bool:
    known = {"1": True, "true": True, "on": True, "yes": True}
    known |= {"0": False, "false": False, "off": False, "no": False}
    if text.lower() not in known:
        raise ValueError("expected true or false")
    return known[text.lower()]


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def checked(
    cast: Callable[[str], T], holds: Callable[[T], object], expected: str
) -> Callable[[str], T]:
    """A cast that refuses values for which `holds` is false."""

    def cast_and_check(text: str) -> T:
        if not holds(value := cast(text)):
            raise ValueError(f"expected {expected}")
        return value

    return cast_and_check


def whole(minimum: int, maximum: int = 2**31 - 1) -> Callable[[str], int]:
    expected = f"a whole number from {minimum} to {maximum}"
    return checked(int, lambda number: minimum <= number <= maximum, expected)


fraction = checked(float, lambda number: 0 <= number <= 1, "a number from 0 to 1")
time_of_day = checked(
    time.fromisoformat, lambda at: not at.tzinfo, "a time by the cinema's clock, as in 06:00"
)


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    return checked(str, re.compile(pattern).fullmatch, expected)


def some_of(*choices: str) -> Callable[[str], list[str]]:
    def cast(text: str) -> list[str]:
        if unknown := set(words(text)) - set(choices):
            raise ValueError(f"{', '.join(sorted(unknown))} is not one of {', '.join(choices)}")
        return words(text)

    return cast


def all_of(cast: Callable[[str], T]) -> Callable[[str], list[T]]:
    """A cast of several values divided by commas."""
    return lambda text: [cast(word) for word in words(text)]


def weight_table(*names: str) -> Callable[[str], dict[str, float]]:
    """`like=2,hide=-3` to a dictionary, in which each name must be."""

    def cast(text: str) -> dict[str, float]:
        pairs = (word.partition("=") for word in words(text))
        table = {name.strip(): float(value) for name, _, value in pairs}
        if set(table) != set(names):
            raise ValueError(f"expected exactly these names: {', '.join(names)}")
        return table

    return cast


def shares_of(*names: str) -> Callable[[str], dict[str, float]]:
    """A table of weights from 0, not all 0; an empty text is an empty table."""
    table = checked(
        weight_table(*names),
        lambda found: all(share >= 0 for share in found.values()) and 0 < sum(found.values()) < inf,
        "numbers from 0, not all of them 0",
    )
    return lambda text: table(text) if text else {}


def origins(text: str) -> frozenset[str]:
    """Origins of web pages, such as `https://www.example.org`, or `*` for every site."""
    for origin in words(text):
        if not re.fullmatch(r"\*|https?://[a-z0-9._:\[\]-]+", origin):
            raise ValueError(f"{origin!r} is not an origin, such as https://www.example.org")
    return frozenset(words(text))


def networks(text: str) -> tuple[str, ...]:
    """`127.0.0.0/8,::1` as networks, `off` as none."""
    return tuple(str(ip_network(part)) for part in words(text) if text.lower() != "off")


def url_of(*schemes: str) -> Callable[[str], str]:
    expected = f"an address that begins with {' or '.join(schemes)}://"
    return checked(str, lambda text: not text or text.partition("://")[0] in schemes, expected)


def server_url(*schemes: str) -> Callable[[str], str]:
    """The address of a server, which may have a user and a password.

    A `/`, `?` or `#` in a password divides the address at the wrong place. A part of the password
    then counts as the host, the port or the path, and every error of the connection shows it. So
    an address with more than it needs is refused.
    """

    def cast(text: str) -> str:
        if text.startswith("amqp") and ";" in text:  # as `cinema.broker` writes it
            return ";".join(map(cast, text.split(";")))
        parts = urlsplit(url_of(*schemes)(text))
        behind_host = parts.path + parts.query
        if parts.fragment or "@" in behind_host or re.search(r"\s", text):
            raise ValueError("a character of the password is not percent-encoded")
        if "," not in parts.netloc:
            _ = parts.port  # raises ValueError
        elif parts.scheme in SINGLE_HOST:
            raise ValueError("expected one host")
        else:
            _check_hosts(parts.netloc.rpartition("@")[2].split(","), parts.scheme)
        if parts.scheme in {"postgres", "postgresql"} and not re.fullmatch(
            r"/[^/:]+|//.+", parts.path
        ):
            raise ValueError("expected one name of a database")
        if parts.scheme in {"redis", "rediss"} and not re.fullmatch(r"(/\d*)?", parts.path):
            raise ValueError("expected the number of a database")
        if parts.scheme in SENTINEL_PARAMETERS:
            _check_sentinels(parts, SENTINEL_PARAMETERS[parts.scheme])
        return text

    return cast


def _check_hosts(hosts: list[str], scheme: str) -> None:
    """Check several hosts. libpq gives a port that stands alone to all of them.

    Raises:
        ValueError: A host is missing, or only some of them have a port.
    """
    if "" in hosts:
        raise ValueError("expected a host on both sides of each comma")
    with_port = [bool(re.search(r":\d+$", host)) for host in hosts]
    if scheme in {"postgres", "postgresql"} and len({*with_port}) > 1:
        raise ValueError("expected a port for each host, or for none")


def _check_sentinels(parts: SplitResult, parameters: Set[str]) -> None:
    """Check the path and the parameters of an address of Sentinels.

    Raises:
        ValueError: They are others than `cinema.valkey` reads.
    """
    if not re.fullmatch(r"/[\w.-]+(/\d+)?", parts.path):
        raise ValueError("expected the name of the group, and perhaps the number of a database")
    if not dict(parse_qsl(parts.query, keep_blank_values=True)).keys() <= parameters:
        raise ValueError(f"expected parameters out of {', '.join(sorted(parameters))}")


def with_password(url: str, password: str) -> str:
    """The address with this password, unless it has one itself or the password is empty."""
    parts = urlsplit(url)
    if not url or not password or parts.password is not None:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()


def host_name(text: str) -> str:
    """The name or address of a network interface. An IPv6 address may have its brackets."""
    if re.search(r"[/\s@?#]|^$", text):
        raise ValueError("expected a name or an address alone, such as 127.0.0.1, ::1 or 0.0.0.0")
    return text.removeprefix("[").removesuffix("]")


def in_url(host: str) -> str:
    """The host as part of a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def local_url(host: str, port: int) -> str:
    """The address of a server on this machine that listens on `host`."""
    is_every_interface = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return f"http://{'localhost' if is_every_interface else in_url(host)}:{port}"


def site_url(text: str) -> str:
    """A scheme, a host and perhaps a port: `https://cinema.example`.

    Raises:
        ValueError: The URL has more than that. Links, cookies and the admin expect to be at
            the root of their host.
    """
    parts = urlsplit(url_of("http", "https")(text))
    host = (parts.hostname or "").encode("idna").decode()
    if not re.fullmatch(r"[a-z0-9._:-]+", host) or parts.port == 0:
        raise ValueError("expected a host, as in https://cinema.example")
    if parts.path not in ("", "/"):
        raise ValueError(
            f"Cinema cannot be served below a path such as {parts.path}: give it a host of its own"
        )
    if "?" in text or "#" in text or "@" in parts.netloc:
        raise ValueError("expected a scheme and a host alone, without user, ? and #")
    return f"{parts.scheme}://{in_url(host)}{f':{parts.port}' if parts.port else ''}"


page_url = checked(
    url_of("http", "https"),
    lambda text: "#" not in text,
    "an address without #: the token comes behind one",
)


class MailServer(NamedTuple):
    host: str
    port: int
    user: str
    password: str
    use_tls: bool
    use_ssl: bool


def mail_server(text: str) -> MailServer:
    """The server of `smtp+tls://user:password@host:587`. Without an address it has no host."""
    ports = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465}
    parts = urlsplit(url_of(*ports)(text))
    if text and (not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment):
        raise ValueError("expected the name of a mail server, and nothing behind it")
    return MailServer(
        host=parts.hostname or "",
        port=parts.port or ports.get(parts.scheme, 25),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        use_tls=parts.scheme == "smtp+tls",
        use_ssl=parts.scheme == "smtp+ssl",
    )


mail_sender = checked(
    str,
    lambda text: "@" in parseaddr(text)[1] and all(ord(character) >= 32 for character in text),
    "an address, as in Cinema <no-reply@example.org>",
)
