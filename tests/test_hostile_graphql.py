"""No argument makes GraphQL fail: a client's mistake is told as one, and logged in one line."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, get_named_type

from cinema.graphql.view import schema
from tests.builders import Client, make_movie, make_screening
from tests.hostile import TEXTS, cursor, global_id

pytestmark = pytest.mark.django_db

#: One case in so many is tried; `HOSTILE=1` tries all of them, which takes minutes.
STEP = int(os.environ.get("HOSTILE") or 13)
CURSORS = [
    "x",
    "=",
    "é",
    "YQ==",
    global_id("Movie", 1),
    *map(cursor, ["", "x", -1, -5, 1.5, "٣", "1e3", 2**63, 2**64, "9" * 5000, "0x1", " 1"]),
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
LITERALS = ["-1", "0", "2147483647", "2147483648", "-2147483649", "9" * 5000, "1.5", "1e400", "{}",
            "[]", "null", "NAME", "true", '{AND: {OR: {NOT: {startsFrom: "x"}}}}',
            '{startsFrom: "0001-01-01T00:00:00+14:00"}',
            "{AND: " * 200 + "{}" + "}" * 200]  # fmt: skip


def queries() -> Iterator[str]:
    """Each argument of each field, as a query with a place for its value."""
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
                yield start % f"{name}({argument}: %s) {inner}"


def codes(client: Client, query: str, **variables: Any) -> list[str]:
    answer = client.post("/graphql", {"query": query, "variables": variables})
    assert answer.status_code == 200, (query[:300], answer.content)
    return [error["extensions"]["code"] for error in answer.json().get("errors", ())]


def test_no_argument_makes_the_server_fail(
    viewer: Client, caplog: pytest.LogCaptureFixture
) -> None:
    make_screening(make_movie())
    texts = [text for text in [*TEXTS, *CURSORS, *IDS, *MOMENTS] if text != "\ud800"]
    tried = itertools.product(queries(), [*map(json.dumps, texts), *LITERALS])
    failed = [
        (query, value[:100])
        for query, value in itertools.islice(tried, 0, None, STEP)
        if "INTERNAL_SERVER_ERROR" in codes(viewer, query % value)
    ]
    assert failed == []
    assert [record for record in caplog.records if record.exc_info] == []


MISTAKES = [
    '{ movies(after: "x") { totalCount } }',
    *(f'{{ movies(after: "{each}") {{ totalCount }} }}' for each in CURSORS[:5]),
    *(f'{{ movies(before: "{cursor(n)}") {{ totalCount }} }}' for n in (-5, 2**64, "9" * 5000)),
    *(f'{{ node(id: "{each}") {{ id }} }}' for each in IDS if each),
    '{ movie(slug: "a\\u0000b") { pk } }',
    '{ playlist(slug: "\\u0000") { pk } }',
    "{ movie(pk: %s) { pk } }" % ("9" * 5000),
    "{ movies(first: -1) { totalCount } }",
    "{ movies(last: 101) { totalCount } }",
    '{ movies { edges { node { screenings(after: "x") { totalCount } } } } }',
    '{ screenings(startsFrom: "0001-01-01T00:00:00+14:00") { totalCount } }',
    "{" * 1500,
    "{ movies { edges { node { " * 300 + "pk" + " } } }" * 300 + " }",
    "{ movies { edges { node { " * 60 + "pk" + " } } }" * 60 + " }",
    "{ movies(sort: NAME) { edges { node { screenings(filters: %s) { totalCount } } } } }"
    % ("{AND: " * 60 + "{startsFrom: 1}" + "}" * 60),
]


@pytest.mark.parametrize("query", MISTAKES, ids=range(len(MISTAKES)))
def test_a_client_error_has_a_code_and_one_short_log_line(
    anonymous: Client, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_movie()
    caplog.set_level("INFO", logger="cinema")
    found = codes(anonymous, query)
    assert set(found) <= {
        "BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"
    }  # fmt: skip
    assert found
    [line] = [record for record in caplog.records if record.name.startswith("cinema.graphql")]
    assert line.exc_info is None
    assert len(line.getMessage()) < 200


@pytest.mark.parametrize("value", [*CURSORS, -1, 2**40, ["x"], {"a": 1}, "\0"])
def test_values_of_variables_are_checked_too(anonymous: Client, value: object) -> None:
    make_movie()
    query = "query($v: String) { movies(after: $v) { edges { node { pk } } } }"
    assert codes(anonymous, query, v=value)
    query = 'query($v: String = "x") { movies(after: $v) { totalCount } }'
    assert codes(anonymous, query)


def test_fragments_are_checked_too(anonymous: Client) -> None:
    make_movie()
    fragment = 'fragment f on Movie { screenings(after: "x") { edges { node { pk } } } }'
    assert codes(anonymous, "{ movies { edges { node { ...f } } } } " + fragment)


@pytest.mark.parametrize(
    "operation",
    [
        {"query": "{ __typename }", "variables": [1]},
        {"query": "{ __typename }", "variables": "x"},
        {"query": "{ __typename }", "operationName": 1},
        {"query": ["{ __typename }"]},
    ],
)
def test_an_operation_of_other_types_is_refused(anonymous: Client, operation: Any) -> None:
    assert anonymous.post("/graphql", operation).status_code == 422


@pytest.mark.parametrize("variables", ["{", "[1]", "9" * 5000, '{"a": NaN}', "[" * 3000])
def test_the_variables_of_a_get_are_checked(anonymous: Client, variables: str) -> None:
    answer = anonymous.get("/graphql", query="{ __typename }", variables=variables)
    assert answer.status_code == 422


def test_good_arguments_still_work(anonymous: Client) -> None:
    for _ in range(3):
        make_movie()
    query = "query($after: String) { movies(first: 2, after: $after) { pageInfo { endCursor } edges { node { id pk } } } }"  # noqa: E501
    first = anonymous.post("/graphql", {"query": query}).json()["data"]["movies"]
    end = first["pageInfo"]["endCursor"]
    rest = anonymous.post("/graphql", {"query": query, "variables": {"after": end}}).json()
    shown = [*first["edges"], *rest["data"]["movies"]["edges"]]
    assert len({edge["node"]["pk"] for edge in shown}) == 3
    node = shown[0]["node"]
    asked = {"query": f'{{ node(id: "{node["id"]}") {{ ... on Movie {{ pk }} }} }}'}
    assert anonymous.post("/graphql", asked).json()["data"]["node"] == {"pk": node["pk"]}
