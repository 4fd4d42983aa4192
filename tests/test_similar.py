"""`GET /movies/{id}/similar`: by the release where it knows the film, and by what films share."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from movies.models import Movie
from recommendations.releases import activate_release
from tests.audience import make_audience, train_release
from tests.builders import Client, make_movie
from tests.catalogue import refused_fields

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

Found = list[dict[str, Any]]


def similar(client: Client, movie: Movie, **query: Any) -> Found:
    answer = client.get(f"/movies/{movie.pk}/similar", **query)
    assert answer.status_code == 200, answer.content
    found: Found = answer.json()["data"]
    return found


def names(found: Found) -> list[str]:
    return [film["name"] for film in found]


def reasons(film: dict[str, Any]) -> list[tuple[str, str]]:
    return [(reason["kind"], reason["text"]) for reason in film["reasons"]]


def make(name: str, *, people: str, genres: str = "", **fields: Any) -> Movie:
    """A film by somebody, of genres; words stand for names."""
    return make_movie(name=name, protagonists=people.split(), genres=genres.split(), **fields)


# --- by what films share


def test_without_a_release_films_are_like_those_with_the_same_people_and_genres(
    anonymous: Client,
) -> None:
    film = make("film", people="Varda Marchand", genres="drama music")
    make("same genre", people="Kubrick", genres="drama")
    make("same person", people="Varda", genres="comedy")
    make("same person and genre", people="Varda", genres="drama")
    make("something else", people="Kubrick", genres="war")
    found = similar(anonymous, film)
    assert names(found) == ["same person and genre", "same person", "same genre"]
    assert [reasons(other) for other in found] == [
        [("person", "Also with Varda"), ("genre", "Same genre: Drama")],
        [("person", "Also with Varda")],
        [("genre", "Same genre: Drama")],
    ]
    assert {other["source"] for other in found} == {"content"}
    assert {reason["movie_id"] for other in found for reason in other["reasons"]} == {None}
    scores = [other["score"] for other in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


def test_films_with_the_same_features_have_the_similarity_one(anonymous: Client) -> None:
    film = make("film", people="Varda", genres="drama")
    make("its double", people="Varda", genres="drama")
    [double] = similar(anonymous, film)
    assert double["score"] == 1


def test_people_say_more_than_keywords_and_these_more_than_genres(anonymous: Client) -> None:
    film = make("film", people="A B", genres="drama", keywords=["bank heist", "paris"])
    make("genre", people="C", genres="drama")
    make("keywords", people="C", keywords=["paris", "bank heist", "rain"])
    make("person", people="A C")
    make("words of a keyword", people="C", keywords=["heist of a bank"], overview="Paris.")
    found = similar(anonymous, film)
    assert names(found) == ["person", "keywords", "genre"]
    assert reasons(found[1]) == [("keyword", "Also about paris and bank heist")]


def test_a_director_is_a_person_too_and_counts_once(anonymous: Client) -> None:
    film = make("film", people="A Varda", directors=["Varda"])
    make("by her", people="B", directors=["Varda"])
    make("with her", people="Varda C")
    make("by and with her", people="Varda", directors=["Varda"])
    found = similar(anonymous, film)
    assert {film["name"]: film["score"] for film in found} == pytest.approx(
        {"by and with her": 0.5**0.5, "by her": 0.5, "with her": 0.5}, abs=1e-4
    )
    assert {reason for other in found for reason in reasons(other)} == {
        ("person", "Also with Varda")
    }


def test_however_a_name_is_written_it_is_itself_alone(anonymous: Client) -> None:
    names_ = ["O'Neal", "七人の侍", "Ağaoğlu", "Σωκράτης", "Müller & Söhne", "!!!", "' | & !", "N"]
    film = make_movie(name="film", protagonists=names_, keywords=names_)
    for number, name in enumerate(names_):
        make_movie(name=f"film {number}", protagonists=[name])
    found = similar(anonymous, film)
    assert {reason["text"] for other in found for reason in other["reasons"]} <= {
        f"Also with {name}" for name in names_
    }
    # A name without a letter cannot be searched for.
    assert len(found) == len(names_) - 2


def test_a_similar_film_has_all_fields_and_the_reason(anonymous: Client) -> None:
    film, other = (make(name, people="Varda") for name in ("film", "other"))
    [found] = similar(anonymous, film)
    details = anonymous.get(f"/movies/{other.pk}").json()
    assert {key: found[key] for key in details} == details
    assert found.keys() - details.keys() == {"score", "source", "reasons"}


def test_a_film_without_shared_features_has_no_similar_films(anonymous: Client) -> None:
    film = make("film", people="Varda", genres="drama")
    make("other", people="Kubrick", genres="war")
    assert similar(anonymous, film) == []


def test_withdrawn_films_and_the_film_itself_are_not_similar(
    anonymous: Client, staff: Client
) -> None:
    film, *others = [make(f"film {n}", people="Varda", genres="drama") for n in range(3)]
    assert names(similar(anonymous, film)) == ["film 1", "film 2"]
    assert staff.delete(f"/movies/{others[0].pk}", force="true").status_code == 204
    assert names(similar(anonymous, film)) == ["film 2"]
    assert anonymous.get(f"/movies/{others[0].pk}/similar").status_code in (404, 200)


def test_fields_from_tmdb_are_compared_only_if_the_settings_allow_it(
    anonymous: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = make("film", people="Varda", genres="drama", keywords=["paris"])
    by_hand = make("by hand", people="Varda", genres="drama", keywords=["paris"])
    for name, fields in (
        ("all of it", ["protagonists", "genres", "keywords"]),
        ("the people", ["protagonists"]),
    ):
        other = make(name, people="Varda", genres="drama", keywords=["paris"])
        Movie.objects.filter(pk=other.pk).update(tmdb_fields=fields)
    found = similar(anonymous, film)
    assert names(found) == ["by hand", "the people"]
    assert reasons(found[1]) == [("keyword", "Also about paris"), ("genre", "Same genre: Drama")]
    # A director whom staff have named says what TMDb's protagonists must not.
    Movie.objects.filter(name="all of it").update(directors=["Varda"])
    Movie.objects.filter(name="all of it").update(tmdb_fields=["protagonists", "genres"])
    Movie.objects.filter(name="all of it").update(keywords=[])
    monkeypatch.setattr("recommendations.similar_movies.SIMILAR_LIFETIME_S", 0)
    assert ("person", "Also with Varda") in [
        reason
        for other in similar(anonymous, film)
        for reason in reasons(other)
        if other["name"] == "all of it"
    ]
    settings.TMDB_USE_FOR_TRAINING = True
    monkeypatch.setattr("recommendations.similar_movies.SIMILAR_LIFETIME_S", 0)
    assert len(similar(anonymous, film)) == 3
    settings.TMDB_USE_FOR_TRAINING = False
    Movie.objects.filter(pk=by_hand.pk).update(tmdb_fields=["genres", "keywords"])
    Movie.objects.filter(pk=film.pk).update(tmdb_fields=["protagonists", "genres", "keywords"])
    assert similar(anonymous, film) == []


def test_placeholder_people_make_no_films_similar(anonymous: Client) -> None:
    """MovieLens names no one, and a movie must name someone."""
    film = make("film", people="Unknown", genres="drama")
    make("other", people="Unknown", genres="war")
    assert similar(anonymous, film) == []


# --- by the release


def test_the_release_finds_what_the_same_viewers_liked(anonymous: Client) -> None:
    audience = make_audience()
    release = train_release()
    for movie in (audience.movies[0][0], audience.movies[2][5]):
        answer = anonymous.get(f"/movies/{movie.pk}/similar", limit=5).json()
        assert answer["release"] == release.pk
        assert len(answer["data"]) == 5
        for other in answer["data"]:
            assert audience.camp_of(other["id"]) == audience.camp_of(movie.pk)
            assert other["id"] != movie.pk
            assert other["source"] == "als"
            assert reasons(other)[0] == ("viewers", "Liked by the same viewers")
            # The builders give all films one person, which is true of them too.
            assert reasons(other)[1:] == [("person", "Also with Agnès Varda")]
            assert 0.2 <= other["score"] <= 1


def test_films_similar_by_content_follow_those_of_the_release(anonymous: Client) -> None:
    audience = make_audience(n_camps=2, movies_each=5)
    train_release()
    since = [make_movie(name=f"new {number}") for number in range(3)]
    sources = [film["source"] for film in similar(anonymous, audience.movies[0][0], limit=40)]
    assert sources == sorted(sources)
    assert {"als", "content"} == set(sources)
    found = similar(anonymous, audience.movies[0][0], limit=40)
    ids = [film["id"] for film in found]
    assert len(ids) == len(set(ids))
    assert {film.pk for film in since} <= set(ids)


def test_a_film_that_the_release_does_not_know_is_compared_by_its_makings(
    anonymous: Client,
) -> None:
    make_audience(n_camps=2)
    train_release()
    new = make("new", people="Marchand", genres="music")
    make("like it", people="Marchand", genres="music")
    found = similar(anonymous, new)
    assert names(found) == ["like it"]
    assert found[0]["source"] == "content"


def test_a_film_that_was_withdrawn_since_the_training_leaves_no_gap(
    anonymous: Client, staff: Client
) -> None:
    audience = make_audience()
    train_release()
    film = audience.movies[0][0]
    first, *others = [other["id"] for other in similar(anonymous, film, limit=4)]
    assert staff.delete(f"/movies/{first}", force="true").status_code == 204
    after = [other["id"] for other in similar(anonymous, film, limit=4)]
    assert (after[:3], len(after)) == (others, 4)


def test_another_release_makes_another_answer(anonymous: Client) -> None:
    audience = make_audience()
    old = train_release()
    path = f"/movies/{audience.movies[0][0].pk}/similar"
    assert anonymous.get(path).json()["release"] == old.pk
    new = train_release(force=True)
    assert anonymous.get(path).json()["release"] == new.pk
    activate_release(release_id=old.pk)
    assert anonymous.get(path).json()["release"] == old.pk


# --- whatever is asked


@pytest.mark.parametrize("movie_id", ["999999999", "0", "9" * 30])
def test_an_unknown_film_is_404(anonymous: Client, movie_id: str) -> None:
    assert anonymous.get(f"/movies/{movie_id}/similar").status_code == 404


def test_a_withdrawn_film_is_404_also_where_the_release_knows_it(
    anonymous: Client, staff: Client
) -> None:
    film = make_audience(n_camps=2).movies[0][0]
    train_release()
    assert similar(anonymous, film)
    assert staff.delete(f"/movies/{film.pk}", force="true").status_code == 204
    assert anonymous.get(f"/movies/{film.pk}/similar").status_code == 404


@pytest.mark.parametrize("limit", [0, 41, -1, "x", 10**30])
def test_a_bad_limit_is_refused(anonymous: Client, limit: object) -> None:
    film = make_movie()
    assert refused_fields(anonymous.get(f"/movies/{film.pk}/similar", limit=limit)) == [
        "query.limit"
    ]


def test_the_limit_gives_the_number_of_similar_films(anonymous: Client) -> None:
    film = make("film", people="Varda")
    for number in range(50):
        make(f"film {number}", people="Varda")
    for limit in (1, 7, 40):
        assert len(similar(anonymous, film, limit=limit)) == limit
    assert len(similar(anonymous, film)) == 10


@pytest.mark.parametrize("known", [False, True], ids=["by content", "by the release"])
def test_a_large_catalogue_takes_as_many_queries_as_a_small_one(
    anonymous: Client, settings: Settings, django_assert_num_queries: Any, known: bool
) -> None:
    settings.RELEASE_CHECK_INTERVAL_S = 3600
    film = make("film", people="A", genres="x")
    if known:
        film = make_audience(n_camps=2).movies[0][0]
        film.genres.create(slug="y", name="Y")
        train_release()
    anonymous.get("/movies/1/similar")  # the release is loaded
    for rows in (1, 30):
        for number in range(rows):
            make(f"film {rows} {number}", people="A Varda", genres="x y z")
        # Version; film and genres; the night's; films of the release with genres; candidates
        # twice, compared with their genres; films of those with genres.
        expected = 1 + 2 + 1 + (2 if known else 0) + 3 + 2
        with django_assert_num_queries(expected):
            similar(anonymous, film, limit=40)
