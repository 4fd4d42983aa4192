"""Staff find a film in TMDb and post it; what they say themselves goes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pytest_django import DjangoAssertNumQueries

from movies.models import Genre, Movie
from movies.tmdb.models import FilmDetails, TmdbGenre
from movies.tmdb.payloads import Details, movie_fields
from movies.tmdb.schemas import ATTRIBUTION
from tests.builders import Client, make_movie
from tests.catalogue import film, posted, refused_fields
from tests.concurrency import at_once
from tests.tmdb_payloads import CLEO, cast, cleo, crew, image, tmdb_film, video
from tests.tmdb_server import TmdbServer, hangs_up, says

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db

ALL_FIELDS = [
    "directors", "genres", "keywords", "name", "original_language", "overview", "poster",
    "protagonists", "release_year", "runtime_minutes", "series", "trailer",
]  # fmt: skip


def post(staff: Client, tmdb_id: object = CLEO, **fields: Any) -> Response:
    payload = {"tmdb_id": tmdb_id, "start_date": "2026-12-03", **fields}
    return staff.post("/movies/from-tmdb", payload)


# --- search


def test_staff_find_a_film_and_see_what_is_in_the_catalogue(
    staff: Client, tmdb: TmdbServer
) -> None:
    tmdb.add(cleo(), tmdb_film(500, release_date="", overview=None, poster_path=None))
    movie = make_movie(tmdb_id=CLEO)
    answer = staff.get("/tmdb/search", q="Cléo", year=1962)
    assert answer.status_code == 200
    assert answer.json() == {
        "data": [
            {
                "tmdb_id": CLEO,
                "title": "Cléo from 5 to 7",
                "original_title": "Cléo de 5 à 7",
                "year": 1962,
                "overview": cleo()["overview"],
                "poster": "https://image.tmdb.org/t/p/w500/oelBStY4xpguaplRv15P3Za7Xsr.jpg",
                "movie_id": movie.pk,
            }
        ],
        "pagination": {"page": 1, "per_page": 20, "total": 1, "pages": 1},
        "attribution": ATTRIBUTION,
    }
    assert tmdb.seen[-1].query["year"] == "1962"
    [poor] = staff.get("/tmdb/search", q="Film 500").json()["data"]
    assert (poor["year"], poor["overview"], poor["poster"]) == (None, "", None)
    assert poor["movie_id"] is None


def test_a_search_has_pages(staff: Client, tmdb: TmdbServer) -> None:
    tmdb.add(*(tmdb_film(number) for number in range(1, 26)))
    second = staff.get("/tmdb/search", q="film", page=2).json()
    assert [found["tmdb_id"] for found in second["data"]] == [21, 22, 23, 24, 25]
    assert second["pagination"] == {"page": 2, "per_page": 20, "total": 25, "pages": 2}
    assert staff.get("/tmdb/search", q="film", page=3).json()["data"] == []


def test_a_search_asks_the_database_as_often_for_any_number_of_films(
    staff: Client, tmdb: TmdbServer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    tmdb.add(*(tmdb_film(number) for number in range(1, 21)))
    for number in range(1, 11):
        make_movie(tmdb_id=number)
    with django_assert_num_queries(2):  # who asks, and which films we have
        assert len(staff.get("/tmdb/search", q="film").json()["data"]) == 20


@pytest.mark.parametrize(
    ("query", "field"),
    [({}, "query.q"), ({"q": " "}, "query.q"), ({"q": "x" * 201}, "query.q"),
     ({"q": "x", "page": 0}, "query.page"), ({"q": "x", "page": 501}, "query.page"),
     ({"q": "x", "year": 12}, "query.year"), ({"q": "x", "year": "soon"}, "query.year")],
)  # fmt: skip
def test_a_bad_search_is_refused_before_tmdb_hears_of_it(
    staff: Client, tmdb: TmdbServer, query: dict[str, Any], field: str
) -> None:
    assert refused_fields(staff.get("/tmdb/search", **query)) == [field]
    assert tmdb.seen == []


@pytest.mark.parametrize("words", ["';--", "%_\\", "七人の侍", "🎬‮", "&page=9#?api_key=x"])
def test_a_search_of_any_words_stays_one_search(
    staff: Client, tmdb: TmdbServer, words: str
) -> None:
    assert staff.get("/tmdb/search", q=words).json()["data"] == []
    assert (tmdb.seen[0].query["query"], tmdb.seen[0].query["page"]) == (words, "1")


# --- posting


def test_a_film_is_filled_by_one_request(staff: Client, tmdb: TmdbServer) -> None:
    tmdb.add(cleo())
    answer = post(staff, end_date="2026-12-30")
    assert answer.status_code == 201
    shown = answer.json()
    assert answer["Location"] == f"/api/v1/movies/{shown['id']}"
    assert shown["name"] == "Cléo from 5 to 7"
    assert shown["protagonists"] == [
        "Corinne Marchand", "Antoine Bourseiller", "Dominique Davray",
    ]  # fmt: skip
    assert shown["overview"] == cleo()["overview"]
    assert [genre["slug"] for genre in shown["genres"]] == ["drama", "music"]
    assert (shown["original_language"], shown["release_year"]) == ("fr", 1962)
    assert (shown["runtime_minutes"], shown["tmdb_id"]) == (90, CLEO)
    assert shown["poster"] == "https://image.tmdb.org/t/p/w500/oelBStY4xpguaplRv15P3Za7Xsr.jpg"
    assert shown["trailer"] == "https://www.youtube.com/watch?v=official002"
    assert (shown["start_date"], shown["end_date"]) == ("2026-12-03", "2026-12-30")
    movie = Movie.objects.get()
    assert movie.keywords == ["paris, france", "singer"]
    assert (movie.directors, movie.series) == (["Agnès Varda"], "Left Bank")
    assert movie.tmdb_fields == ALL_FIELDS
    assert movie.tmdb_fetched_at is not None
    assert tmdb.paths().count(f"/movie/{CLEO}") == 1


def test_fields_given_by_staff_are_not_from_tmdb(staff: Client, tmdb: TmdbServer) -> None:
    tmdb.add(cleo())
    given = {"name": "Mittwoch zwischen 5 und 7", "genres": ["nouvelle vague"], "poster": None}
    shown = post(staff, **given).json()
    assert (shown["name"], shown["poster"]) == (given["name"], None)
    assert [genre["slug"] for genre in shown["genres"]] == ["nouvelle-vague"]
    fields = Movie.objects.get().tmdb_fields
    assert fields == [field for field in ALL_FIELDS if field not in given]


def test_the_same_film_again_is_a_conflict_and_asks_nobody(staff: Client, tmdb: TmdbServer) -> None:
    movie = make_movie(tmdb_id=CLEO)
    answer = post(staff)
    assert (answer.status_code, answer.json()["movie_id"]) == (409, movie.pk)
    assert tmdb.seen == []


def test_a_film_of_the_same_name_and_date_is_a_conflict(staff: Client, tmdb: TmdbServer) -> None:
    tmdb.add(cleo())
    standing = posted(staff, **film(name="CLÉO from 5 to 7"))
    answer = post(staff)
    assert (answer.status_code, answer.json()["movie_id"]) == (409, standing["id"])
    assert Movie.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_of_many_simultaneous_posts_succeeds(tmdb: TmdbServer, staff: Client) -> None:
    tmdb.add(cleo())
    answers = at_once([lambda: post(staff).status_code] * 4)
    assert sorted(answers) == [201, 409, 409, 409]
    assert Movie.objects.count() == 1


def test_a_film_that_tmdb_does_not_have_is_404(staff: Client, tmdb: TmdbServer) -> None:
    answer = post(staff, 404404)
    assert (answer.status_code, answer.json()["detail"]) == (404, "TMDb has no film 404404.")
    assert not Movie.objects.exists()
    assert not FilmDetails.objects.exists()


def test_a_film_of_which_tmdb_knows_nothing_but_the_id(staff: Client, tmdb: TmdbServer) -> None:
    tmdb.films[7] = {"id": 7}
    assert refused_fields(post(staff, 7)) == ["body.name"]
    assert refused_fields(post(staff, 7, name="Lost")) == ["body.protagonists"]
    shown = post(staff, 7, name="Lost", protagonists=["Unknown"]).json()
    assert (shown["overview"], shown["genres"], shown["poster"]) == ("", [], None)
    assert (shown["release_year"], shown["runtime_minutes"]) == (None, None)


def test_directors_are_no_protagonists_unless_they_act(staff: Client, tmdb: TmdbServer) -> None:
    directors = [f"Director {number}" for number in range(25)]
    crew_of_it = [crew(name, "Director", "Directing") for name in directors * 2]
    players = [cast("Director 1", 0), cast("Corinne Marchand", 1), cast("Director 0", 2)]
    tmdb.add(cleo(credits={"cast": players, "crew": crew_of_it}))
    shown = post(staff).json()
    # An actor stands before a director who acts.
    assert shown["protagonists"] == ["Corinne Marchand", "Director 1", "Director 0"]
    assert shown["directors"] == directors[:20]
    assert Movie.objects.get().actors == shown["protagonists"]


def test_without_a_cast_the_directors_stand_for_the_film_and_are_no_actors(
    staff: Client, tmdb: TmdbServer
) -> None:
    tmdb.add(cleo(credits={"cast": [], "crew": [crew("Agnès Varda", "Director", "Directing")]}))
    assert post(staff).json()["protagonists"] == ["Agnès Varda"]
    assert Movie.objects.get().actors == []


@pytest.mark.parametrize(
    ("collection", "series"),
    [
        ({"name": "Toy Story Collection"}, "Toy Story"),
        ({"name": "Der Herr der Ringe Filmreihe"}, "Der Herr der Ringe"),
        ({"name": "Matrix - Saga"}, "Matrix"),
        ({"name": "Indiana Jones – Colección"}, "Indiana Jones"),
        ({"name": "Three Colors"}, "Three Colors"),
        ({"name": "The Collection"}, "The"),
        ({"name": "Collection"}, "Collection"),
        ({"name": "x" * 201}, ""),
        ({"name": None}, ""),
        (None, ""),
        ("Toy Story", ""),
    ],
)
def test_the_series_is_the_collection(collection: Any, series: str) -> None:
    details = Details.model_validate(cleo(belongs_to_collection=collection))
    assert movie_fields(details)["series"] == series


def test_protagonists_are_required_for_a_film_without_directors_and_cast(
    staff: Client, tmdb: TmdbServer
) -> None:
    people = [crew(f"Gaffer {n}", "Gaffer", "Lighting") for n in range(9)]
    people += [crew("A Producer", "Producer", "Production"), crew("A Writer", "Novel", "Writing")]
    tmdb.add(cleo(credits={"cast": [], "crew": people}))
    assert refused_fields(post(staff)) == ["body.protagonists"]
    assert post(staff, protagonists=["A Singer"]).json()["protagonists"] == ["A Singer"]


def test_ten_protagonists_of_a_large_cast_are_kept(staff: Client, tmdb: TmdbServer) -> None:
    players = [cast(f"Player {n:03}", n) for n in range(300)]
    tmdb.add(cleo(credits={"cast": players[::-1], "crew": []}))
    names = post(staff).json()["protagonists"]
    assert names == [f"Player {n:03}" for n in range(10)]


def test_the_title_is_the_original_one_where_there_is_no_other(
    staff: Client, tmdb: TmdbServer
) -> None:
    tmdb.add(cleo(title=None))
    assert post(staff).json()["name"] == "Cléo de 5 à 7"


def test_without_a_poster_in_the_language_the_best_without_words_is_taken(
    staff: Client, tmdb: TmdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movies.tmdb.payloads.POSTER_SIZE", "w780")
    posters = [image("/a.jpg", "fr", 9.0), image("/b.jpg", None, 3.0), image("/c.jpg", None, 6.0)]
    tmdb.add(cleo(poster_path=None, images={"posters": posters}))
    assert post(staff).json()["poster"] == "https://image.tmdb.org/t/p/w780/c.jpg"


def test_a_trailer_in_the_language_goes_before_a_newer_one(
    staff: Client, tmdb: TmdbServer, settings: Settings
) -> None:
    settings.TMDB_LANGUAGE = "de-DE"
    german = video("deutsch0001", iso_639_1="de", published_at="2001-01-01T00:00:00.000Z")
    tmdb.add(cleo(videos={"results": [video("english0001"), german]}))
    assert post(staff).json()["trailer"] == "https://www.youtube.com/watch?v=deutsch0001"


def test_details_that_are_fresh_are_not_fetched_again(staff: Client, tmdb: TmdbServer) -> None:
    tmdb.add(cleo())
    first = post(staff).json()
    staff.delete(f"/movies/{first['id']}")
    again = post(staff).json()
    assert again["protagonists"] == first["protagonists"]
    assert again["poster"] == first["poster"]
    assert tmdb.paths().count(f"/movie/{CLEO}") == 1


def test_details_in_another_language_do_not_count(
    staff: Client, tmdb: TmdbServer, settings: Settings
) -> None:
    tmdb.add(cleo())
    staff.delete(f"/movies/{post(staff).json()['id']}")
    settings.TMDB_LANGUAGE = "fr-FR"
    assert post(staff).status_code == 201
    assert tmdb.paths().count(f"/movie/{CLEO}") == 2
    assert FilmDetails.objects.get().language == "fr-FR"


# --- refusals


@pytest.mark.parametrize(
    ("field", "value"),
    [("tmdb_id", 0), ("tmdb_id", 2**31), ("tmdb_id", None), ("tmdb_id", [1]),
     ("start_date", "soon"), ("start_date", None), ("end_date", "2026-02-30"), ("name", " "),
     ("protagonists", []), ("tmdb_fields", []), ("keywords", "x" * 81), ("id", 1)],
)  # fmt: skip
def test_a_bad_payload_is_refused_before_tmdb_hears_of_it(
    staff: Client, tmdb: TmdbServer, field: str, value: Any
) -> None:
    assert refused_fields(post(staff, **{field: value})) == [f"body.{field}"]
    assert tmdb.seen == []


def test_required_and_contradictory_fields_are_refused(staff: Client, tmdb: TmdbServer) -> None:
    empty = staff.post("/movies/from-tmdb", {})
    assert set(refused_fields(empty)) == {"body.tmdb_id", "body.start_date"}
    assert post(staff, end_date="2026-01-01").status_code == 422
    assert tmdb.seen == []


@pytest.mark.parametrize(
    ("trouble", "status"),
    [(says(500), 503), (hangs_up, 503), (says(429, Retry_After="60"), 503), (says(401), 502),
     (says(200, b"<html>"), 502), (says(200, b'{"id": 4'), 502)],
    ids=["500", "reset", "429", "401", "html", "truncated"],
)  # fmt: skip
def test_when_tmdb_fails_nothing_is_written_and_it_is_said(
    staff: Client, tmdb: TmdbServer, trouble: Any, status: int
) -> None:
    tmdb.always("*", trouble)
    for answer in (post(staff), staff.get("/tmdb/search", q="cléo")):
        assert answer.status_code == status
        assert answer["Content-Type"] == "application/problem+json"
        assert "TMDb" in answer.json()["detail"]
        assert ("Retry-After" in answer) == (status == 503)
    for model in (Movie, FilmDetails, Genre, TmdbGenre):
        assert not model._default_manager.exists()
