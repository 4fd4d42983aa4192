"""Values that clients send by mistake or on purpose, and that no parameter expects."""

from __future__ import annotations

import base64


def cursor(position: object) -> str:
    """A cursor of a GraphQL connection."""
    return base64.b64encode(f"arrayconnection:{position}".encode()).decode()


def global_id(kind: str, key: object) -> str:
    """An id of GraphQL's `node`."""
    return base64.b64encode(f"{kind}:{key}".encode()).decode()


#: Texts for a query parameter, a part of a path or a form field.
TEXTS = [
    "",
    " ",
    "x",
    "a\0b",
    "\0",
    "\ud800",
    "-1",
    "0",
    "1.5",
    "1e400",
    "NaN",
    "٣",
    str(2**31),
    str(2**63),
    str(-(2**63) - 1),
    "9" * 5000,
    "x" * 20_000,
    "0000-00-00",
    "9999-12-31",
    "9999-99",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "' OR 1=1 --",
    "%s%(a)s{0}",
    "\u202e\ufeff\u2028",
]
#: Values for a field of a JSON body.
JSON_VALUES: list[object] = [
    *[text for text in TEXTS if text != "\ud800"],
    None,
    True,
    -1,
    0,
    1.5,
    1e308,
    2**31,
    2**63 - 1,
    [],
    {},
    [None],
    ["\0"],
    {"\0": "\0"},
    [[[[]]]],
]
#: JSON bodies as bytes, since no encoder writes them.
BODIES = [
    b"",
    b"null",
    b"[]",
    b'"x"',
    b"{",
    b"\xff",
    b"\x00",
    b'{"email":"\\ud800"}',
    b'{"name":"\\u0000"}',
    b'{"\\ud800":1}',
    b'{"\\u0000":1}',
    b'{"page":' + b"9" * 5000 + b"}",
    b'{"page":1e999}',
    b'{"page":NaN}',
    b"[" * 5000,
    b'{"a":' * 5000,
]
