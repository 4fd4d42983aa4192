"""Similar films are found by night, and served by day."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from movies.models import Movie
from recommendations.engine.matrices import IdMap, ItemFeatures
from recommendations.feature_builder import load_features
from recommendations.models import SimilarMovies
from recommendations.releases import activate_release
from recommendations.similar_movies import find_similar_movies
from recommendations.tasks import find_similar_movies as task
from tests.audience import make_audience, train_release
from tests.builders import Client, make_movie
from tests.concurrency import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

#: That two films could have in common without anybody saying so.
NOTHING = {"release_year": None, "original_language": None}


def similar(client: Client, movie: Movie, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/movies/{movie.pk}/similar", **query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def names(answer: dict[str, Any]) -> list[str]:
    return [film["name"] for film in answer["data"]]


def texts(film: dict[str, Any]) -> list[str]:
    return [reason["text"] for reason in film["reasons"]]


def make(name: str, *, people: str = "", genres: str = "", **fields: Any) -> Movie:
    """A movie whose people no other movie has, unless they are named."""
    protagonists = people.split() or [f"{name}'s"]
    made = {"protagonists": protagonists, "genres": genres.split(), **NOTHING, **fields}
    return make_movie(name=name, **made)


def test_films_are_similar_by_likes_and_by_content(
    anonymous: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    audience = make_audience()
    for number, movie in enumerate(audience.all_movies):
        fields = {"protagonists": [f"somebody {number}"], **NOTHING}
        Movie.objects.filter(pk=movie.pk).update(**fields)
    film, double, *_ = audience.movies[0]
    stranger = audience.movies[1][0]
    for movie in (film, double, stranger):
        Movie.objects.filter(pk=movie.pk).update(protagonists=["Varda"])
    release = train_release()
    monkeypatch.setattr("recommendations.similar_movies.CONTENT_SHARE", 0.3)
    assert find_similar_movies() == Movie.objects.count()
    answer = similar(anonymous, film, limit=40)
    assert answer["release"] == release.pk
    found = {other["id"]: other for other in answer["data"]}
    assert film.pk not in found
    assert found[double.pk]["source"] == "blend"
    assert texts(found[double.pk]) == ["Liked by the same viewers", "Also with Varda"]
    # The other camp's viewers like it: only its maker speaks for it.
    assert found[stranger.pk]["source"] == "content"
    assert texts(found[stranger.pk]) == ["Also with Varda"]
    others = [other for other in answer["data"] if other["id"] not in (double.pk, stranger.pk)]
    camp = [other for other in others if audience.camp_of(other["id"]) == 0]
    assert len(camp) == 6
    for other in camp:
        assert (other["source"], texts(other)[0]) == ("als", "Liked by the same viewers")
    scores = [other["score"] for other in answer["data"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


@pytest.mark.parametrize(("share", "first"), [(0, "als"), (1, "content")])
def test_the_content_share_decides_between_likes_and_content(
    anonymous: Client, monkeypatch: pytest.MonkeyPatch, share: float, first: str
) -> None:
    audience = make_audience(n_camps=2)
    train_release()
    monkeypatch.setattr("recommendations.similar_movies.CONTENT_SHARE", share)
    find_similar_movies()
    found = similar(anonymous, audience.movies[0][0], limit=3)["data"]
    assert {film["source"] for film in found} == {first}
    by_viewers = [text for film in found for text in texts(film) if "viewers" in text]
    assert bool(by_viewers) == (share == 0)


def test_a_film_without_interactions_is_compared_by_content(anonymous: Client) -> None:
    audience = make_audience(n_camps=2)
    train_release()
    new, like_it = (make(name, people="Marchand", genres="music") for name in ("new", "like it"))
    find_similar_movies()
    found = similar(anonymous, new)["data"]
    assert (found[0]["id"], {film["source"] for film in found}) == (like_it.pk, {"content"})
    # ... and pushes nobody out of the lists of those that viewers know.
    assert new.pk not in {film["id"] for film in similar(anonymous, audience.movies[0][0])["data"]}


def test_without_a_release_films_are_similar_by_content(anonymous: Client) -> None:
    film, other, _ = (make(name, genres=genre) for name, genre in [
        ("film", "drama"), ("other", "drama"), ("neither", "war")
    ])  # fmt: skip
    find_similar_movies()
    row = SimilarMovies.objects.get(movie=film)
    assert (row.others, row.by_factors, row.release_id) == ([other.pk], [None], None)
    answer = similar(anonymous, film)
    assert (answer["release"], names(answer)) == (None, ["other"])


def test_a_film_without_shared_people_or_genres_has_a_reason(anonymous: Client) -> None:
    film = make("film", overview="A singer waits.", release_year=1962, original_language="fr")
    make("years", release_year=1968, original_language="sv")
    make("language", release_year=1999, original_language="fr")
    make("words", release_year=2001, original_language="cs", overview="Nobody waits a singer out.")
    make("none", release_year=2012, original_language="it")
    find_similar_movies()
    found = {other["name"]: texts(other) for other in similar(anonymous, film)["data"]}
    assert found == {
        "years": ["Also of the 1960s"],
        "language": ["In the same language"],
        "words": ["Told of in similar words"],
    }


def test_a_film_posted_today_is_compared_at_once(anonymous: Client) -> None:
    make("old", people="Varda")
    find_similar_movies()
    new = make("new", people="Varda")
    assert names(similar(anonymous, new)) == ["old"]
    assert not SimilarMovies.objects.filter(movie=new).exists()
    find_similar_movies()
    assert SimilarMovies.objects.filter(movie=new).exists()


def test_a_film_withdrawn_since_leaves_no_gap(anonymous: Client, staff: Client) -> None:
    film = make("film", people="Varda Demy")
    both = make("both", people="Varda Demy")
    make("one", people="Varda")
    find_similar_movies()
    make("today's", people="Demy")
    assert names(similar(anonymous, film, limit=2)) == ["both", "one"]
    assert staff.delete(f"/movies/{both.pk}", force="true").status_code == 204
    assert names(similar(anonymous, film, limit=2)) == ["one", "today's"]
    find_similar_movies()
    assert not SimilarMovies.objects.filter(movie=both).exists()
    assert both.pk not in SimilarMovies.objects.get(movie=film).others


def test_a_night_renews_the_answers_that_are_kept(anonymous: Client) -> None:
    film = make("film", people="Varda")
    find_similar_movies()
    path = f"/movies/{film.pk}/similar"
    before = anonymous.get(path)
    other = make("other")
    # This update does not raise the catalogue's version.
    SimilarMovies.objects.filter(movie=film).update(
        others=[other.pk], scores=[0.5], by_factors=[None], by_content=[0.5]
    )
    first = anonymous.get(path)
    SimilarMovies.objects.filter(movie=film).update(scores=[0.4])
    assert anonymous.get(path).content == first.content
    find_similar_movies()
    after = anonymous.get(path)
    assert (before.json()["data"], names(first.json()), after.json()["data"]) == ([], ["other"], [])
    assert after["ETag"] != first["ETag"]
    again = anonymous.send("GET", path, headers={"If-None-Match": after["ETag"]})
    assert again.status_code == 304


def test_similar_films_of_a_release_that_staff_have_replaced_do_not_count(
    anonymous: Client,
) -> None:
    film = make_audience(n_camps=2).movies[0][0]
    old = train_release()
    newer = train_release(force=True)
    find_similar_movies()
    assert similar(anonymous, film)["release"] == newer.pk
    activate_release(release_id=old.pk)
    assert similar(anonymous, film)["release"] == old.pk
    find_similar_movies()
    activate_release(release_id=newer.pk)  # until tonight what was found by an older one will do
    assert similar(anonymous, film)["release"] == old.pk


def test_the_first_release_is_not_waited_for(anonymous: Client) -> None:
    film = make_audience(n_camps=2).movies[0][0]
    find_similar_movies()
    assert {other["source"] for other in similar(anonymous, film)["data"]} == {"content"}
    release = train_release()
    answer = similar(anonymous, film)
    assert (answer["release"], answer["data"][0]["source"]) == (release.pk, "als")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_catalogue_may_be_tiny(count: int) -> None:
    films = [make(f"film {number}", genres="drama") for number in range(count)]
    SimilarMovies.objects.bulk_create(
        SimilarMovies(movie=film, others=[], scores=[], by_factors=[], by_content=[])
        for film in films
    )
    assert find_similar_movies() == count
    assert [len(row.others) for row in SimilarMovies.objects.all()] == [max(0, count - 1)] * count


def test_each_film_has_the_forty_most_alike(anonymous: Client) -> None:
    film = make("film", people="Varda", genres="drama")
    for number in range(45):
        make(f"genre {number}", genres="drama")
    make("person", people="Varda", genres="drama")
    find_similar_movies()
    row = SimilarMovies.objects.get(movie=film)
    assert len(row.others) == len(set(row.others)) == 40
    assert names(similar(anonymous, film))[0] == "person"
    assert row.scores == sorted(row.scores, reverse=True)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    make_audience(n_camps=2)
    train_release()

    def found() -> list[Any]:
        find_similar_movies()
        return [*SimilarMovies.objects.order_by("pk").values_list("pk", "others")]

    whole = found()
    monkeypatch.setattr("recommendations.engine.ranking.similar_items.CELLS", 1)
    assert found() == whole


@pytest.mark.django_db(transaction=True)
def test_a_reader_during_the_task_finds_one_complete_night() -> None:
    """The rows of a night come with its commit; and the task runs once at a time."""
    films = [make(f"film {number}", genres="drama") for number in range(3)]
    task()
    before = [*SimilarMovies.objects.order_by("pk").values_list("pk", "others")]
    assert len(before) == 3
    gone = films.pop()

    def read() -> list[Any]:
        return [*SimilarMovies.objects.order_by("pk").values_list("pk", "others")]

    with transaction.atomic():
        Movie.objects.filter(pk=gone.pk).update(withdrawn_at="2026-11-01T00:00Z")
        find_similar_movies()
        [seen] = at_once([read])
    assert seen == before
    assert len(SimilarMovies.objects.all()) == 2


def test_a_film_that_is_deleted_while_it_is_compared_has_no_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    film, gone, other = (make(name, genres="drama") for name in ("film", "gone", "other"))

    def and_delete(ids: IdMap) -> ItemFeatures:
        features = load_features(ids)
        Movie.objects.filter(pk=gone.pk).delete()
        return features

    monkeypatch.setattr("recommendations.similar_movies.load_features", and_delete)
    assert find_similar_movies() == 3
    assert {row.pk for row in SimilarMovies.objects.all()} == {film.pk, other.pk}
    assert names(similar(Client(), film)) == ["other"]


def test_the_task_runs_once_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    from cinema.locks import single_run
    from recommendations.tasks import SIMILAR_MOVIES_LOCK

    make("film")
    with single_run(SIMILAR_MOVIES_LOCK), caplog.at_level("INFO"):
        task()
    assert "recommendations.find_similar_movies is skipped" in caplog.text
    assert not SimilarMovies.objects.exists()
    task()
    assert SimilarMovies.objects.count() == 1
