"""No argument makes GraphQL fail: a client's mistake is told as one, and logged in one line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from graphql import GraphQLInterfaceType, GraphQLList, GraphQLNonNull, GraphQLObjectType, get_named_type

from cinema.graphql.schema import schema
from tests.builders import Client, make_movie, make_screening
from tests.hostile import TEXTS, cursor, global_id

pytestmark = pytest.mark.django_db

CURSORS = [
    "x",
    "=",
    "é",
    "YQ==",
    global_id("Movie", 1),
    *map(cursor, ["", "x", -1, -5, 1.5, "٣", "1e3", 2**31, 2**63, 2**64, "9" * 5000, "0x1", " 1"]),
]
IDS = [
    "VXNlcjox",
    "x",
    "",
    cursor(1),
    *(global_id(kind, 1) for kind in ["User", "Query", "Node", "Favourite", "", "\0", "movie"]),
    *(global_id("Movie", key) for key in ["", "x", -1, 0, 2**63, "9" * 5000, "1\0", "٣", "None"]),
]
MOMENTS = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1869-12-31", "2201-01-01",
           "0001-01-01T00:00:00", "9999-12-31T23:59:59"]  # fmt: skip


def fields() -> Iterator[tuple[str, str]]:
    """Each field that takes arguments, as a query with a place for one, and the arguments."""
    starts = {"Query": "{ %s }", "Viewer": "{ viewer { %s } }",
              "Movie": "{ movies { edges { node { %s } } } }",
              "Playlist": "{ playlists { edges { node { %s } } } }"}  # fmt: skip
    for type_name, start in starts.items():
        parent = schema._schema.type_map[type_name]
        assert isinstance(parent, GraphQLObjectType)
        for name, field in parent.fields.items():
            named = get_named_type(field.type)
            is_leaf = not isinstance(named, GraphQLObjectType | GraphQLInterfaceType)
            inner = "" if is_leaf else "{ __typename }"
            if "edges" in getattr(named, "fields", {}):
                inner = "{ totalCount edges { node { __typename } } }"
            for argument in field.args:
                yield argument, start % f"{name}({argument}: %s) {inner}"


def hostile(argument: str) -> list[str]:
    """Values as GraphQL writes them."""
    texts = [text for text in [*TEXTS, *CURSORS, *IDS, *MOMENTS] if text != "\ud800"]
    numbers = ["-1", "0", "2147483647", "2147483648", "-2147483649", "9" * 5000, "1.5", "1e400"]
    objects = ["{}", "[]", "null", "{AND: {OR: {NOT: {startsFrom: \"x\"}}}}", "NAME", "true",
               '{startsFrom: "0001-01-01T00:00:00+14:00"}',
               "{AND: " * 200 + "{}" + "}" * 200]  # fmt: skip
    return [*map(json.dumps, texts), *numbers, *objects]


def sent(client: Client, query: str, **variables: Any) -> Any:
    answer = client.post("/graphql", {"query": query, "variables": variables})
    assert answer.status_code < 500, (query[:300], answer.content)
    return answer.json()


def test_no_argument_makes_the_server_fail(
    viewer: Client, caplog: pytest.LogCaptureFixture
) -> None:
    make_screening(make_movie())
    failed = []
    count = 0
    for argument, query in fields():
        for value in hostile(argument):
            count += 1
            found = sent(viewer, query % value)
            codes = {error["extensions"]["code"] for error in found.get("errors", ())}
            if "INTERNAL_SERVER_ERROR" in codes:
                failed.append((query, value[:100]))
    print(count)
    assert failed == []
    assert [r for r in caplog.records if r.exc_info] == []
