"""From scores to a list: how films differ, what is fresh, one of a series at the beginning."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from movies.models import Movie
from recommendations.dataset import load_histories
from recommendations.impressions import storage
from recommendations.lists.list_builder import ListQuery, build_lists
from recommendations.models import Impression, Interaction
from tests.audience import ids, listed, say, sources, train_release
from tests.builders import Client, make_movie, make_user
from tests.promoting import make_promotion
from users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone", "by_popularity")]

LONG_AGO = timezone.localdate() - timedelta(days=3650)


@pytest.fixture
def by_popularity(settings: Settings) -> None:
    """The order of a newcomer's list is known: no film is shown for being new."""
    settings.TRAINING_ALGORITHMS = ["popularity"]
    settings.EXPLORATION_SHARE = 0.0


def make_film(genre: str = "drama", start_date: date = LONG_AGO, **fields: object) -> Movie:
    return make_movie(genres=[genre], start_date=start_date, **fields)


def release_of(*films: Movie) -> list[int]:
    """One that finds each film more popular than the next; their ids."""
    fans = [make_user() for _ in films]
    Interaction.objects.bulk_create(
        Interaction(user=fan, movie=film, kind=Interaction.Kind.LIKE)
        for place, film in enumerate(films)
        for fan in fans[place:]
    )
    train_release()
    return [film.pk for film in films]


def shown_unopened(*viewers: User) -> list[dict[int, int]]:
    """The numbers of lists that showed a movie unopened, by movie id, for each viewer."""
    histories = load_histories([viewer.pk for viewer in viewers], with_unopened=True)
    return [
        dict(zip(each.unopened.movies.ids.tolist(), each.unopened.times.tolist(), strict=False))
        for each in histories
    ]


def show(viewer: User, *films: Movie, days_ago: int = 1, clicked: bool = False) -> None:
    """Show the films to the viewer in one list."""
    at, list_id = timezone.now() - timedelta(days=days_ago), uuid4()
    Impression.objects.bulk_create(
        Impression(
            list_id=list_id, position=position, user=viewer, movie=film, scope="catalogue",
            algorithm="hybrid", source="popularity", is_fallback=True, shown_at=at,
            clicked_at=at if clicked else None,
        )
        for position, film in enumerate(films, 1)
    )  # fmt: skip


def boost(film: Movie, strength: float) -> None:
    make_promotion(film, strength=strength)


# --- diversity


def test_films_of_another_kind_come_up(viewer: Client, settings: Settings) -> None:
    films = [make_film(genre) for genre in ("drama", "drama", "drama", "comedy", "comedy")]
    a, b, c, d, e = release_of(*films)
    assert ids(listed(viewer)) == [a, b, c, d, e]
    settings.DIVERSITY = 0.6
    assert ids(listed(viewer, refresh=True)) == [a, d, b, c, e]


def test_scores_stay_those_of_the_model(viewer: Client, settings: Settings) -> None:
    release_of(*(make_film(genre) for genre in ("drama", "drama", "comedy")))
    before = {item["movie"]["id"]: item["score"] for item in listed(viewer)["items"]}
    settings.DIVERSITY = 1.0
    items = listed(viewer, refresh=True)["items"]
    assert {item["movie"]["id"]: item["score"] for item in items} == before
    assert [item["rank"] for item in items] == [1, 2, 3]
    assert [item["score"] for item in items] != sorted(before.values(), reverse=True)


def test_a_named_algorithm_is_not_reranked(viewer: Client, settings: Settings) -> None:
    films = [make_film(genre) for genre in ("drama", "drama", "comedy")]
    films.append(make_film("war", timezone.localdate()))
    in_order = release_of(*films)
    settings.DIVERSITY = settings.FRESHNESS = 1.0
    show(viewer.user, films[0])
    show(viewer.user, films[0])
    boost(films[3], 1.0)
    assert ids(listed(viewer, algorithm="popularity")) == in_order
    assert ids(listed(viewer)) != in_order


@pytest.mark.parametrize("diversity", [0.0, 1.0])
def test_fallbacks_never_overtake_films_with_scores(
    viewer: Client, settings: Settings, diversity: float
) -> None:
    """First what the viewer says to like, then what is popular, and by date what nobody knows."""
    settings.DIVERSITY, settings.FRESHNESS = diversity, 1.0
    today = timezone.localdate()
    popular = [make_film("comedy", today), make_film("western", today)]
    preferred = [make_film("war"), make_film("war")]
    release_of(*popular)
    by_date = [make_film("horror", today - timedelta(days=day)) for day in (1, 2, 3)]
    viewer.put("/users/me/preferences", {"genres": ["war"], "languages": []})
    answer = listed(viewer)
    assert sources(answer) == ["preferences", "popularity", "programme"]
    assert set(ids(answer)[:2]) == {film.pk for film in preferred}
    assert set(ids(answer)[2:4]) == {film.pk for film in popular}
    assert ids(answer)[4:] == [film.pk for film in by_date]


def test_reranking_takes_films_from_beyond_the_end_of_the_list(
    viewer: Client, settings: Settings
) -> None:
    """The 44th of 45 films, the only one of another kind."""
    films = [make_film("comedy" if place == 43 else "drama") for place in range(45)]
    in_order = release_of(*films)
    assert ids(listed(viewer, limit=40)) == in_order[:40]
    settings.DIVERSITY = 1.0
    answer = ids(listed(viewer, limit=40, refresh=True))
    assert answer[:2] == [in_order[0], in_order[43]]
    assert len(set(answer)) == 40


def test_a_part_of_a_list_is_its_beginning(viewer: Client, settings: Settings) -> None:
    settings.DIVERSITY = settings.FRESHNESS = 0.5
    films = [make_film(genre) for genre in ("drama", "drama", "war", "war", "comedy", "comedy")]
    release_of(*films)
    show(viewer.user, *films[:2])
    show(viewer.user, *films[:2])
    question = ListQuery("catalogue", "hybrid", 7)
    [found] = build_lists([viewer.user.pk], question, limit=3)
    assert [item.movie_id for item in found.items] == ids(listed(viewer))[:3]


def test_a_film_without_any_fields_is_listed(viewer: Client, settings: Settings) -> None:
    settings.DIVERSITY = 0.5
    bare = make_movie(genres=[], original_language=None, release_year=None)
    in_order = release_of(bare, make_film(), make_film())
    assert set(ids(listed(viewer))) == set(in_order)


# --- freshness


def test_a_film_that_starts_now_moves_up_a_little(viewer: Client, settings: Settings) -> None:
    today = timezone.localdate()
    starts = [*[LONG_AGO] * 4, today + timedelta(days=1), LONG_AGO]
    a, b, c, d, e, f = release_of(*(make_film(start_date=start) for start in starts))
    assert ids(listed(viewer)) == [a, b, c, d, e, f]
    settings.FRESHNESS = 0.3
    assert ids(listed(viewer, refresh=True)) == [a, b, c, e, d, f]


def test_a_film_shown_without_a_click_moves_down(viewer: Client, settings: Settings) -> None:
    settings.FRESHNESS = 0.6
    films = [make_film() for _ in range(5)]
    a, b, c, d, e = release_of(*films)
    show(viewer.user, films[0])
    # Once is nothing, and what others were shown is nothing at all.
    show(make_user(), films[0])
    assert ids(listed(viewer)) == [a, b, c, d, e]
    show(viewer.user, films[0])
    assert ids(listed(viewer, refresh=True)) == [b, a, c, d, e]
    show(viewer.user, films[0])
    show(viewer.user, films[0])
    assert ids(listed(viewer, refresh=True)) == [b, c, a, d, e]
    settings.FRESHNESS = 0.0
    assert ids(listed(viewer, refresh=True)) == [a, b, c, d, e]


def test_opened_and_old_impressions_do_not_count(viewer: Client) -> None:
    opened, old, worn, once = (make_film() for _ in range(4))
    show(viewer.user, opened, clicked=True)
    show(viewer.user, opened, worn, once)
    show(viewer.user, worn, old)
    show(viewer.user, old, worn, days_ago=15)
    assert shown_unopened(viewer.user) == [{worn.pk: 2, once.pk: 1, old.pk: 1}]


def test_the_number_of_impressions_read_per_viewer_is_bounded(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "MAX_READ", 4)
    early, late = make_film(), make_film()
    for film, days_ago in ((early, 3), (early, 3), (late, 2), (late, 1), (late, 1)):
        show(viewer.user, film, days_ago=days_ago)
    assert shown_unopened(viewer.user) == [{late.pk: 3, early.pk: 1}]


def test_impressions_of_many_viewers_are_one_query(
    settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.FRESHNESS = 1.0
    films = [make_film() for _ in range(3)]
    in_order = release_of(*films)
    tired, fresh, nobody = make_user(), make_user(), make_user()
    for _ in range(4):
        show(tired, films[0])
    with django_assert_num_queries(1):
        found = shown_unopened(tired, fresh)
    assert found == [{films[0].pk: 4}, {}]
    question = ListQuery("catalogue", "hybrid", 7)
    lists = list(build_lists([tired.pk, nobody.pk, fresh.pk], question, limit=3))
    first = [found.items[0].movie_id for found in lists]
    assert first == [in_order[1], in_order[0], in_order[0]]


# --- boosts


def test_a_boosted_film_comes_up_by_its_strength(viewer: Client) -> None:
    films = [make_film() for _ in range(5)]
    a, b, c, d, e = release_of(*films)
    boost(films[4], 0.6)
    assert ids(listed(viewer)) == [a, b, e, c, d]


def test_a_boosted_film_that_nobody_knows_comes_in_among_the_known(viewer: Client) -> None:
    films = [make_film() for _ in range(41)]
    in_order = release_of(*films)
    new = make_film(start_date=LONG_AGO - timedelta(days=1))
    assert new.pk not in ids(listed(viewer, limit=40))
    boost(new, 1.0)
    answer = listed(viewer, limit=40, refresh=True)
    # The film is as relevant as the best one, and comes after it.
    assert ids(answer) == [in_order[0], new.pk, *in_order[1:39]]
    assert answer["items"][1]["source"] == "programme"


def test_a_boost_does_not_show_a_rejected_film(viewer: Client) -> None:
    films = [make_film() for _ in range(3)]
    release_of(*films)
    boost(films[0], 1.0)
    say(viewer, films[0], "hide")
    assert films[0].pk not in ids(listed(viewer))


# --- series


def test_the_first_five_films_are_of_different_series(viewer: Client) -> None:
    toys = ("Toy Story", "Toy Story 2", "Toy Story 3")
    names = (*toys[:2], "Vertigo", "Ikiru", toys[2], "Persona", "Gertrud", "Playtime")
    films = [make_film(name=name) for name in names]
    a, b, c, d, e, f, g, h = release_of(*films)
    apart = [a, c, d, f, g, b, e, h]
    assert ids(listed(viewer)) == apart
    # The same holds for a named algorithm.
    assert ids(listed(viewer, algorithm="popularity")) == apart
    # And the same for a beginning.
    assert ids(listed(viewer, limit=5)) == apart[:5]


def test_a_pinned_film_stays_and_its_series_makes_room(viewer: Client) -> None:
    names = ("Toy Story", "Vertigo", "Ikiru", "Persona", "Gertrud", "Playtime", "Toy Story 2")
    films = [make_film(name=name) for name in names]
    a, b, c, d, e, f, g = release_of(*films)
    make_promotion(films[6], place=3)
    assert ids(listed(viewer)) == [b, c, g, d, e, a, f]


def test_the_series_of_a_film_is_the_one_that_staff_give(viewer: Client) -> None:
    names = ("Dr. No", "Goldfinger", "Vertigo", "Ikiru", "Persona", "Gertrud")
    films = [make_film(name=name) for name in names]
    Movie.objects.filter(name__in=names[:2]).update(series="James Bond")
    a, b, c, d, e, f = release_of(*films)
    assert ids(listed(viewer)) == [a, c, d, e, f, b]
