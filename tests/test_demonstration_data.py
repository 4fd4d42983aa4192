"""The demonstration cinema's films, programme and viewers: no Django, no clock."""

from collections import Counter, defaultdict
from datetime import date, datetime, time, timedelta
from itertools import pairwise

import pytest

from cinema.development.simulated_programme import (
    DemonstrationFilm,
    PlannedScreening,
    Run,
    load_films,
    plan_runs,
    plan_screenings,
)
from cinema.development.simulated_viewers import (
    SimulatedInteraction,
    simulate_club,
    simulate_interactions,
)

FILMS = load_films()
ANY_WEEK = [date(2025, 11, 17) + timedelta(days=days) for days in range(7)]
CLOCK_CHANGES = [date(2025, 3, 30), date(2026, 3, 22), date(2025, 10, 26), date(2026, 10, 31)]
CALENDAR_EDGES = [date(2028, 2, 29), date(2024, 2, 22), date(2025, 12, 31), date(2026, 1, 1)]
DAYS = [*ANY_WEEK, *CLOCK_CHANGES, *CALENDAR_EDGES]
on_each_day = pytest.mark.parametrize("today", DAYS, ids=str)


def programme(today: date) -> tuple[list[Run], list[PlannedScreening]]:
    runs = plan_runs(FILMS, today)
    return runs, plan_screenings(FILMS, runs, today)


def evening_of(screening: PlannedScreening) -> date:
    """A late show belongs to the evening before its calendar date."""
    return (screening.starts_at - timedelta(hours=6)).date()


def test_catalogue_has_120_films_with_every_fact() -> None:
    assert len({(film.name, film.release_year) for film in FILMS}) == len(FILMS) == 120
    for film in FILMS:
        assert all([film.name, film.language, *film.directors, *film.actors, *film.genres])
        assert all([film.directors, film.actors, film.genres])
        assert 1890 < film.release_year < 2030
        assert 60 <= film.runtime_minutes <= 240
        assert film.overview.endswith(".")


def test_overview_states_the_facts_in_one_sentence() -> None:
    film = DemonstrationFilm(
        "Loop", 1962, ("A", "B"), ("B", "C"), ("action", "science-fiction"), "fr", 90, "US"
    )
    assert film.overview == (
        "An action and science fiction film from the United States, 1962, 90 minutes, "
        "directed by A and B."
    )
    assert film.protagonists == ("C", "B")


@on_each_day
def test_every_film_has_one_run_finished_running_or_coming(today: date) -> None:
    runs = plan_runs(FILMS, today)
    finished = [run for run in runs if run.ends_on and run.ends_on < today]
    coming = [run for run in runs if run.ends_on is None]
    assert sorted(run.film for run in runs) == list(range(len(FILMS)))
    assert (len(finished), len(coming), len(runs)) == (70, 24, 120)
    assert all(90 <= (today - run.starts_on).days <= 915 for run in finished)
    assert all(3 <= (run.starts_on - today).days <= 120 for run in coming)
    assert all(run.starts_on < run.ends_on for run in runs if run.ends_on)


@on_each_day
def test_hall_has_twenty_minutes_between_screenings(today: date) -> None:
    _, screenings = programme(today)
    halls: defaultdict[str, list[PlannedScreening]] = defaultdict(list)
    for screening in sorted(screenings, key=lambda screening: screening.starts_at):
        halls[screening.hall].append(screening)
    assert set(halls) == {"Hall 1", "Hall 2"}
    for shown in halls.values():
        for earlier, later in pairwise(shown):
            assert later.starts_at - earlier.ends_at >= timedelta(minutes=20)


@on_each_day
def test_every_evening_has_a_full_programme_in_both_halls(today: date) -> None:
    _, screenings = programme(today)
    evenings: defaultdict[tuple[date, str], list[datetime]] = defaultdict(list)
    for screening in screenings:
        evenings[evening_of(screening), screening.hall].append(screening.starts_at)
    assert len(evenings) == 21 * 2
    assert min(evenings)[0] == today - timedelta(days=7)
    assert max(evenings)[0] == today + timedelta(days=13)
    for (evening, _), starts in evenings.items():
        opening = datetime.combine(evening, time(14))
        assert len(starts) in (4, 5)
        assert opening <= min(starts) <= opening + timedelta(minutes=30)
        assert timedelta(hours=7.5) <= max(starts) - opening <= timedelta(hours=10.5)


@on_each_day
def test_late_shows_fall_on_friday_and_saturday_nights(today: date) -> None:
    _, screenings = programme(today)
    late = {evening_of(shown) for shown in screenings if shown.starts_at.date() > evening_of(shown)}
    assert Counter(evening.weekday() for evening in late) == {4: 3, 5: 3}


@on_each_day
def test_screening_lasts_as_long_as_its_film_and_avoids_the_clock_change(today: date) -> None:
    _, screenings = programme(today)
    for screening in screenings:
        runtime = timedelta(minutes=FILMS[screening.film].runtime_minutes)
        assert screening.ends_at - screening.starts_at == runtime
        assert screening.starts_at.tzinfo is None
        assert not time(2) <= screening.starts_at.time() < time(14)
        assert not time(2) <= screening.ends_at.time() < time(14)


@on_each_day
def test_screening_lies_in_its_films_run(today: date) -> None:
    runs, screenings = programme(today)
    run_of = {run.film: run for run in runs}
    assert all(run_of[screening.film].includes(evening_of(screening)) for screening in screenings)


@on_each_day
def test_running_film_is_shown_several_times(today: date) -> None:
    runs, screenings = programme(today)
    times_shown = Counter(screening.film for screening in screenings)
    running = [run.film for run in runs if run.ends_on and run.ends_on >= today]
    assert len(running) == 26
    assert min(times_shown[film] for film in running) >= 3


@on_each_day
def test_version_follows_from_language_and_audience(today: date) -> None:
    _, screenings = programme(today)
    assert {screening.version for screening in screenings} == {"original", "subtitled", "dubbed"}
    for screening in screenings:
        film = FILMS[screening.film]
        spoken = (screening.version, screening.language, screening.subtitles)
        if film.language == "en":
            assert spoken == ("original", "en", None)
        elif "family" in film.genres:
            assert spoken == ("dubbed", "en", None)
        else:
            assert spoken == ("subtitled", film.language, "en")


@on_each_day
def test_programme_has_every_tag_and_few_exceptions(today: date) -> None:
    _, screenings = programme(today)
    tags = {tag for screening in screenings for tag in screening.tags}
    states = Counter(screening.state for screening in screenings)
    assert tags == {"35mm", "q&a", "audio-description", "matinee", "family", "sing-along"}
    del states["scheduled"]
    assert states == {"sold-out": 6, "cancelled": 2, "hidden": 1}
    family = [screening for screening in screenings if "family" in screening.tags]
    assert all(time(14) <= screening.starts_at.time() < time(18) for screening in family)


def test_programme_is_the_same_each_time() -> None:
    assert programme(DAYS[0]) == programme(DAYS[0])


@pytest.fixture(scope="module")
def simulated() -> list[SimulatedInteraction]:
    return simulate_interactions(FILMS)


def test_simulation_depends_on_its_seed_alone(simulated: list[SimulatedInteraction]) -> None:
    assert simulated == simulate_interactions(FILMS)
    assert simulated != simulate_interactions(FILMS, seed=1896)


@pytest.mark.parametrize(("viewers", "interactions"), [(400, 12_000), (100, 2_500)])
def test_simulation_has_the_size_asked_for(viewers: int, interactions: int) -> None:
    simulated = simulate_interactions(FILMS, viewers=viewers, interactions=interactions)
    per_viewer = Counter(interaction.viewer for interaction in simulated)
    assert len(simulated) == pytest.approx(interactions, rel=0.05)
    assert sorted(per_viewer) == list(range(viewers))
    assert min(per_viewer.values()) >= 15
    assert max(per_viewer.values()) <= 60


def test_viewer_has_one_row_of_a_kind_for_a_film(simulated: list[SimulatedInteraction]) -> None:
    assert len({(row.viewer, row.film, row.kind) for row in simulated}) == len(simulated)


def test_interaction_lies_within_its_ranges(simulated: list[SimulatedInteraction]) -> None:
    half_stars = {halves / 2 for halves in range(1, 11)}
    for row in simulated:
        assert 0 <= row.film < len(FILMS)
        assert 0 <= row.days_ago <= 365
        assert row.stars in half_stars if row.kind == "rating" else row.stars is None


def test_every_kind_occurs_and_most_are_ratings(simulated: list[SimulatedInteraction]) -> None:
    kinds = Counter(row.kind for row in simulated)
    assert set(kinds) == {"rating", "like", "superlike", "dislike", "seen", "hide"}
    assert kinds["rating"] > len(simulated) / 2


def test_every_viewer_comes_back_on_several_days(simulated: list[SimulatedInteraction]) -> None:
    days: defaultdict[int, set[int]] = defaultdict(set)
    for row in simulated:
        days[row.viewer].add(int(row.days_ago))
    assert min(map(len, days.values())) >= 2


def test_the_club_shares_films_and_agrees_on_most_of_them() -> None:
    club = simulate_club(FILMS)
    assert club == simulate_club(FILMS)
    stars: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for row in club:
        assert row.kind == "rating"
        assert row.stars in {halves / 2 for halves in range(1, 11)}
        assert row.film not in stars[row.viewer]
        stars[row.viewer][row.film] = row.stars
    first, *others = (stars[member] for member in sorted(stars))
    apart = []
    for other in others:
        shared = first.keys() & other.keys()
        assert len(shared) >= 25
        apart.append(sum(abs(first[film] - other[film]) for film in shared) / len(shared))
    assert max(apart[:3]) < 0.6 < min(apart[-3:])
    # Films that the others liked and the first one has not seen can be recommended.
    assert all(len(other.keys() - first.keys()) >= 5 for other in others)
