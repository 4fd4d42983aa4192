"""The values that the fields of a movie take, and how they are stored."""

from __future__ import annotations

import pytest

from movies.models import Genre, Movie
from tests.builders import Client, make_movie
from tests.catalogue import film, posted, refused_fields

pytestmark = pytest.mark.django_db


# --- good and bad values


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("  Cléo \t from\n5 to 7 ", "Cléo from 5 to 7"),
        ("Cle\u0301o", "Cléo"),
        ("Alien\x00 \x07 3", "Alien 3"),
        ("🎬 Emoji 👩🏽‍🚀", "🎬 Emoji 👩🏽‍🚀"),
        ("שלום \u200fעולם", "שלום \u200fעולם"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("'; DROP TABLE movies_movie; --", "'; DROP TABLE movies_movie; --"),
        ("%s %(x)s {0} \\", "%s %(x)s {0} \\"),
        ("!!!", "!!!"),
        ("x" * 300, "x" * 300),
    ],
)
def test_a_name_is_kept_as_people_read_it(staff: Client, sent: str, kept: str) -> None:
    assert posted(staff, name=sent)["name"] == kept


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "\t\n",
        "\x00",
        "\u200b\u200f",
        "\u0301",
        "a" * 5_000,
        "x" * 301,
        None,
        7,
        ["x"],
        {},
    ],
)
def test_an_empty_or_overlong_name_is_refused(staff: Client, name: object) -> None:
    assert refused_fields(staff.post("/movies", film(name=name))) == ["body.name"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("protagonists", []),
        ("protagonists", ["Somebody"] * 101),
        ("protagonists", ["Somebody"] * 10_000),
        ("protagonists", [["Somebody"]]),
        ("protagonists", ["\u200f\u202e"]),
        ("protagonists", [""]),
        ("protagonists", ["x" * 201]),
        ("protagonists", [None]),
        ("protagonists", "Corinne Marchand"),
        ("protagonists", None),
        ("overview", "x" * 10_001),
        ("overview", None),
        ("start_date", "2026-02-30"),
        ("start_date", "03.12.2026"),
        ("start_date", "0001-01-01"),
        ("start_date", "9999-12-31"),
        ("start_date", 20261203),
        ("start_date", 86_400),
        ("start_date", "86400"),
        ("start_date", "20261203"),
        ("start_date", 1.5),
        ("start_date", True),
        ("start_date", None),
        ("end_date", "tomorrow"),
        ("end_date", 0),
        ("status", "cancelled"),
        ("original_language", "French"),
        ("original_language", "fr\n"),
        ("original_language", "\x00"),
        ("release_year", 1869),
        ("release_year", 2201),
        ("release_year", "MCMLXII"),
        ("release_year", 1962.5),
        ("runtime_minutes", 0),
        ("runtime_minutes", -1),
        ("runtime_minutes", 6001),
        ("runtime_minutes", 2**63),
        ("tmdb_id", 0),
        ("tmdb_id", 2**31),
        ("tmdb_id", 1e300),
        ("poster", "javascript:alert(1)"),
        ("poster", "java\nscript:alert(1)"),
        ("poster", "data:text/html,hello"),
        ("poster", "//example.org/a.jpg"),
        ("poster", "https://"),
        ("poster", "http://[::1"),
        ("poster", "https://example.org/a b"),
        ("poster", "https://example.org/" + "a" * 500),
        ("poster", "https://example.org/" + "\U0001d15f" * 400),
        ("trailer", "JavaScript:alert(1)"),
        ("trailer", ""),
        ("slug", ""),
        ("slug", "a/b"),
        ("slug", "-a"),
        ("slug", "a b"),
        ("slug", "a\x00b c"),
        ("slug", "x" * 121),
        ("slug", None),
        ("genres", ["x" * 61]),
        ("genres", ["drama"] * 21),
        ("genres", [""]),
        ("genres", ["!!!"]),
        ("genres", [{}]),
        ("genres", [{"slug": ["drama"]}]),
        ("genres", [7]),
        ("genres", "drama"),
        ("genres", None),
    ],
)
def test_a_bad_value_is_refused_and_its_field_named(
    staff: Client, field: str, value: object
) -> None:
    standing = make_movie()
    for answer in (
        staff.post("/movies", film(**{field: value})),
        staff.patch(f"/movies/{standing.pk}", {field: value}),
    ):
        assert refused_fields(answer) == [f"body.{field}"]
    assert Movie.objects.count() == 1


@pytest.mark.parametrize(
    "field",
    [
        "id",
        "ranking",
        "rating_average",
        "rating_count",
        "rating_sum",
        "community_score",
        "similarity_score",
        "created_at",
        "withdrawn_at",
        "status_is_manual",
        "unheard_of",
    ],
)
def test_a_field_that_is_computed_or_unknown_is_refused(staff: Client, field: str) -> None:
    movie = make_movie()
    assert refused_fields(staff.post("/movies", film(**{field: 1}))) == [f"body.{field}"]
    assert refused_fields(staff.patch(f"/movies/{movie.pk}", {field: 1})) == [f"body.{field}"]


@pytest.mark.parametrize("body", [[], "text", 7, None, True, [film()]])
def test_a_body_that_is_no_object_is_refused(staff: Client, body: object) -> None:
    assert staff.post("/movies", body).status_code == 422
    assert staff.patch(f"/movies/{make_movie().pk}", body).status_code == 422


def test_a_number_written_as_text_is_read_as_a_number(staff: Client) -> None:
    movie = posted(staff, runtime_minutes="90", release_year="1962")
    assert (movie["runtime_minutes"], movie["release_year"]) == (90, 1962)


def test_control_characters_leave_an_overview_but_its_lines_stay(staff: Client) -> None:
    assert posted(staff, overview="a\x00b\r\nc\x1b[31m")["overview"] == "ab\nc[31m"


@pytest.mark.parametrize(
    ("start", "end"), [("2026-12-03", "2026-12-02"), ("2026-12-03", "1990-01-01")]
)
def test_a_movie_does_not_end_before_it_starts(staff: Client, start: str, end: str) -> None:
    assert staff.post("/movies", film(start_date=start, end_date=end)).status_code == 422
    movie = posted(staff, start_date=start)
    path = f"/movies/{movie['id']}"
    assert refused_fields(staff.patch(path, {"end_date": end})) == ["body.end_date"]
    assert staff.get(path).json()["end_date"] is None


def test_a_start_after_the_standing_end_is_refused(staff: Client) -> None:
    movie = posted(staff, end_date="2026-12-30")
    assert staff.patch(f"/movies/{movie['id']}", {"start_date": "2026-12-31"}).status_code == 422


# --- slugs


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Amélie", "amelie"),
        ("七人の侍", "七人の侍"),
        ("Ὀδύσσεια", "ὀδύσσεια"),
        ("七人の侍 (1954)", "七人の侍-1954"),
        ("Straße", "straße"),
        ("1917", "1917"),
        ("!!!", "movie"),
        ("🎬", "movie"),
        ("../../etc/passwd", "etcpasswd"),
    ],
)
def test_the_address_of_a_movie_follows_from_its_name(
    staff: Client, anonymous: Client, name: str, slug: str
) -> None:
    movie = posted(staff, name=name)
    assert movie["slug"] == slug
    assert anonymous.get(f"/movies/by-slug/{slug}").json()["id"] == movie["id"]


def test_movies_of_one_name_get_addresses_by_year_and_then_by_number(staff: Client) -> None:
    slugs = [
        posted(staff, name="Dune", start_date=f"2026-12-0{n}", release_year=2021)["slug"]
        for n in range(1, 5)
    ]
    assert slugs == ["dune", "dune-2021", "dune-3", "dune-4"]


def test_the_longest_name_still_gets_an_address_of_its_own(staff: Client) -> None:
    first = posted(staff, name="x" * 300)
    second = posted(staff, name="x" * 299)
    assert first["slug"] != second["slug"]


def test_a_new_name_leaves_the_address(staff: Client) -> None:
    movie = posted(staff, name="Working Title")
    answer = staff.patch(f"/movies/{movie['id']}", {"name": "Final Title"})
    assert answer.json()["slug"] == "working-title"


def test_an_address_that_another_movie_has_is_a_conflict(staff: Client) -> None:
    posted(staff, slug="taken")
    other = posted(staff, name="Another")
    assert staff.post("/movies", film(name="Third", slug="taken")).status_code == 409
    assert staff.patch(f"/movies/{other['id']}", {"slug": "taken"}).status_code == 409
    assert staff.patch(f"/movies/{other['id']}", {"slug": other["slug"]}).status_code == 200


# --- genres


def test_genres_are_made_on_their_first_use_and_then_used_again(staff: Client) -> None:
    made = posted(staff, name="A", genres=["Science Fiction", "film-noir", "80s", "Комедия"])
    assert made["genres"] == [
        {"slug": "80s", "name": "80s"},
        {"slug": "film-noir", "name": "Film Noir"},
        {"slug": "science-fiction", "name": "Science Fiction"},
        {"slug": "комедия", "name": "Комедия"},
    ]
    again = posted(
        staff, name="B", genres=["science-fiction", "FILM NOIR", *made["genres"], "80s", "комедия"]
    )
    assert again["genres"] == made["genres"]
    assert staff.get("/genres").json()["data"] == made["genres"]


def test_a_genre_with_a_slug_of_its_own_is_known_by_its_name_too(staff: Client) -> None:
    Genre.objects.create(slug="sf", name="Science Fiction")
    for number, way in enumerate(
        ["sf", "science fiction", {"slug": "sf", "name": "Science Fiction"}, {"slug": "sf"}]
    ):
        movie = posted(staff, name=f"Movie {number}", genres=[way])
        assert movie["genres"] == [{"slug": "sf", "name": "Science Fiction"}]


def test_a_movie_can_be_sent_back_as_it_was_read(staff: Client) -> None:
    movie = posted(staff, genres=["drama"])
    computed = {
        "id", "ranking", "rating_average", "rating_count", "community_score", "created_at",
        "updated_at", "poster_srcset",
    }  # fmt: skip
    sent = {field: value for field, value in movie.items() if field not in computed}
    answer = staff.patch(f"/movies/{movie['id']}", sent)
    assert {**answer.json(), "updated_at": None} == {**movie, "updated_at": None}


@pytest.mark.parametrize("name", ["ß-" * 30, "ﷺ" * 60, "İ" * 60, "x" * 60, "ǰ" * 60])
def test_the_longest_genre_is_stored_however_its_letters_change(staff: Client, name: str) -> None:
    assert len(posted(staff, genres=[name])["genres"]) == 1


def test_genres_are_replaced_as_a_whole_or_left_alone(staff: Client) -> None:
    movie = posted(staff, genres=["drama", "music"])
    path = f"/movies/{movie['id']}"
    assert len(staff.patch(path, {"name": "Other"}).json()["genres"]) == 2
    assert staff.patch(path, {"genres": ["music"]}).json()["genres"] == [
        {"slug": "music", "name": "Music"}
    ]
    assert staff.patch(path, {"genres": []}).json()["genres"] == []
