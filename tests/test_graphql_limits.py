"""GraphQL refuses too large, malformed and hostile operations, with no word of internals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from graphql import get_introspection_query

from cinema.graphql import limits
from movies.programme.document import MAX_COMING_UP
from movies.programme.selectors import MAX_DAYS
from tests.builders import Client, make_movie
from tests.outages import database_refusing
from tests.test_graphql import ask, refusal

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

DEEP = "{ movies { edges { node { %s pk %s } } } }" % (
    "screenings { edges { node { movie { " * 4,
    "} } } }" * 4,
)
WIDE = "{ movies { edges { node { screenings { edges { node { pk hall } } } } } } }"
ALIASES = "{ %s }" % " ".join(f"a{n}: genres {{ totalCount }}" for n in range(40))
TOKENS = "{ genres { totalCount %s } }" % ("__typename " * 3000)
#: Each fragment uses the next one twice: two to the power of forty fields.
LAUGHS = "{ movies { edges { node { ...f0 } } } } " + " ".join(
    f"fragment f{n} on Movie {{ ...f{n + 1} screenings {{ totalCount }} ...f{n + 1} }}"
    for n in range(40)
) + " fragment f40 on Movie { name }"  # fmt: skip


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (DEEP, "levels"),
        (WIDE, "values"),
        (ALIASES, "aliases"),
        (TOKENS, "tokens"),
        (LAUGHS, "values"),
    ],
    ids=["deep", "wide", "aliases", "tokens", "laughs"],
)
def test_an_operation_that_is_too_large_is_refused(
    anonymous: Client, query: str, says: str
) -> None:
    assert says in refusal(anonymous, query)


def test_a_page_size_in_a_variable_counts_as_well(anonymous: Client) -> None:
    query = """query($n: Int) { movies(first: $n) { edges { node {
      screenings(first: $n) { edges { node { pk hall state } } } } } } }"""
    assert "values" in refusal(anonymous, query, n=100)
    assert ask(anonymous, query, n=10) == {"movies": {"edges": []}}


WEEK = "days { movies { movie { name directors } screenings { pk hall state } } }"


@pytest.mark.parametrize(
    ("arguments", "variables", "is_refused"),
    [
        ("", {}, False),
        ("(days: 28)", {}, False),
        ("(days: 92)", {}, True),
        ("(days: $n)", {"n": 28}, False),
        ("(days: $n)", {"n": 92}, True),
        ("(days: $n)", {}, True),
        ('(from: "2026-12-01", to: "2026-12-21")', {}, False),
        ('(from: "2026-12-01", to: "2027-03-01")', {}, True),
        ('(to: "2027-03-01")', {}, True),
    ],
)
def test_the_days_of_a_programme_count(
    anonymous: Client, arguments: str, variables: dict[str, int], is_refused: bool
) -> None:
    """28 days of this selection fit into the limit four times."""
    part = " ".join(f"a{n}: programme{arguments} {{ {WEEK} }}" for n in range(4))
    query = f"query{'($n: Int = 92)' if '$n' in arguments else ''} {{ {part} }}"
    if is_refused:
        assert "values" in refusal(anonymous, query, **variables)
    else:
        assert len(ask(anonymous, query, **variables)) == 4


def test_the_limits_know_the_longest_lists() -> None:
    """`cinema` imports nothing of the apps, so it has the numbers a second time."""
    assert limits.MAX_DAYS == MAX_DAYS
    assert limits.LONG_LISTS == {"comingUp": MAX_COMING_UP}


def test_a_negative_number_of_days_makes_no_room_for_others(anonymous: Client) -> None:
    query = "{ a: programme(days: -99999) { %s } b: programme(days: 92) { %s } %s }"
    rest = " ".join(f"c{n}: programme(days: 92) {{ {WEEK} }}" for n in range(3))
    assert "values" in refusal(anonymous, query % (WEEK, WEEK, rest))


def test_the_films_that_are_coming_up_count_as_a_hundred(anonymous: Client) -> None:
    films = "comingUp { pk name directors protagonists }"
    part = " ".join(f"a{n}: programme {{ {4 * films} }}" for n in range(20))
    assert "values" in refusal(anonymous, "{ %s }" % part)


def test_a_page_has_at_most_a_hundred(anonymous: Client) -> None:
    assert "100" in refusal(anonymous, "{ movies(first: 101) { edges { node { pk } } } }")


@pytest.mark.parametrize(
    "arguments",
    [
        "first: -1",
        'after: "no cursor"',
        'after: "YXJyYXljb25uZWN0aW9uOjk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"',
        "yearFrom: 99999",
        'language: "%s"' % ("x" * 600),
        'sort: "name"',
        "nonsense: 1",
        "yearFrom: 99999999999999999999",
    ],
)
def test_bad_arguments_are_told_and_nothing_else(anonymous: Client, arguments: str) -> None:
    make_movie()
    message = refusal(anonymous, "{ movies(%s) { edges { node { pk } } } }" % arguments)
    assert message
    assert not any(word in message for word in ("Traceback", "SELECT", "psycopg", "File "))


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"{}", b'{"query": 1}', b'{"query": "{"}', b"\xff"],
)
def test_a_body_that_is_no_operation_is_refused(anonymous: Client, body: bytes) -> None:
    answer = anonymous.send("POST", "/graphql", body)
    assert answer.status_code in (200, 400, 422), answer.content
    if answer.status_code == 200:
        assert answer.json()["errors"]
    else:
        assert answer["Content-Type"] == "application/problem+json"


def test_graphql_has_no_mutations(staff: Client) -> None:
    assert "mutation" in refusal(staff, "mutation { deleteMovie(id: 1) }").lower()


def test_a_bad_token_is_refused_as_in_the_rest_api(anonymous: Client) -> None:
    answer = anonymous.send(
        "POST", "/graphql", {"query": "{ __typename }"}, headers={"Authorization": "Bearer no"}
    )
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"]


@pytest.mark.parametrize("field", ["__schema", '__type(name: "Movie")'])
def test_introspection_counts(anonymous: Client, field: str) -> None:
    of_schema = "types { name }" if field == "__schema" else "fields { name }"

    def query(count: int) -> str:
        return "{ %s }" % " ".join(f"a{n}: {field} {{ {of_schema} }}" for n in range(count))

    assert "values" in refusal(anonymous, query(7))
    assert "aliases" in refusal(anonymous, query(60))
    assert len(ask(anonymous, query(2))) == 2
    assert ask(anonymous, "{ __typename a: __typename }") == {"__typename": "Query", "a": "Query"}
    twice = "query { ...f a: __typename } fragment f on Query { %s }" % query(7)[1:-1]
    assert "values" in refusal(anonymous, twice)


def test_the_description_of_the_whole_schema_is_allowed(anonymous: Client) -> None:
    assert ask(anonymous, get_introspection_query())["__schema"]["types"]


def test_introspection_is_a_setting(anonymous: Client, settings: Settings) -> None:
    query = "{ __schema { types { name } } }"
    assert {"name": "ScreeningConnection"} in ask(anonymous, query)["__schema"]["types"]
    settings.GRAPHQL_INTROSPECTION = False
    assert "introspection" in refusal(anonymous, query)
    assert ask(anonymous, "{ __typename }") == {"__typename": "Query"}


@pytest.mark.django_db(transaction=True)
def test_without_the_database_the_error_says_nothing_of_it(
    anonymous: Client, viewer: Client
) -> None:
    query = "{ genres { totalCount } }"
    with database_refusing():
        message = refusal(anonymous, query)
        signed_in = viewer.post("/graphql", {"query": query})
    assert message == "The server made an error."
    assert signed_in.status_code == 503


def test_an_answer_is_not_cached(anonymous: Client) -> None:
    answer = anonymous.post("/graphql", {"query": "{ __typename }"})
    assert answer["Cache-Control"] == "no-store"
