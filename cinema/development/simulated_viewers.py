"""Simulated viewers with tastes, and a year of their interactions with the films."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cinema.development.simulated_programme import DemonstrationFilm

Kind = Literal["rating", "like", "superlike", "dislike", "seen", "hide"]
Floats = NDArray[np.float64]

# The pulls weigh standard deviations in the log-odds of picking a film. They are tuned so that
# implicit ALS reaches about twice the NDCG@10 of popularity (0.46 and 0.21 on the default seed).
TASTE_PULL = 0.8
POPULARITY_PULL = 0.6
SECOND_TASTE_CHANCE = 0.5
AVERAGE_STARS = 2.8
LIKING_STARS = 0.6
NOISE_STARS = 0.8
FEWEST_FILMS, MAX_FILMS = 15, 60
FILMS_PER_SESSION = 5
SESSION_DAYS = 0.15
SHARE_OF_RATINGS = 0.65
SHARE_OF_SEEN = 0.08

# With these values some members match by `MATCH_THRESHOLD`, and others nearly.
CLUB_TASTE, CLUB_FILMS = "European art house", 50
CLUB_STARS, CLUB_LIKING_STARS = 3.4, 0.7
SHARE_WATCHED, SHARE_WATCHED_BY_FIRST = 0.9, 0.7
MIN_NOISE_STARS, MAX_NOISE_STARS = 0.2, 1.4


@dataclass(frozen=True)
class SimulatedInteraction:
    """`viewer` counts from 0, `film` is an index, `stars` is 0.5 to 5 in halves for a rating."""

    viewer: int
    film: int
    kind: Kind
    stars: float | None
    days_ago: float


@dataclass(frozen=True)
class ViewerTaste:
    """The taste of a group of viewers: each property that a film has adds its points."""

    genres: Mapping[str, float]
    languages: Mapping[str, float] = field(default_factory=dict)
    countries: Mapping[str, float] = field(default_factory=dict)
    decades: Mapping[int, float] = field(default_factory=dict)

    def points(self, film: DemonstrationFilm) -> float:
        return (
            sum(self.genres.get(genre, 0.0) for genre in film.genres)
            + self.languages.get(film.language, 0.0)
            + self.countries.get(film.country, 0.0)
            + self.decades.get(film.release_year // 10 * 10, 0.0)
        )


TASTES = {
    "shivers": ViewerTaste(genres={"horror": 3, "thriller": 1, "mystery": 1}),
    "space and speed": ViewerTaste(
        genres={"science-fiction": 3, "action": 2, "adventure": 1}, decades={1980: 0.5}
    ),
    "golden Hollywood": ViewerTaste(
        genres={"romance": 1, "comedy": 1, "music": 1, "western": 2},
        countries={"US": 1},
        decades={1930: 2, 1940: 2, 1950: 2, 1960: 1},
    ),
    "crime and guilt": ViewerTaste(
        genres={"crime": 3, "thriller": 1, "mystery": 1}, decades={1970: 1, 1990: 1}
    ),
    "European art house": ViewerTaste(
        genres={"drama": 1},
        languages={"fr": 2, "it": 2, "sv": 2, "de": 2, "pl": 2, "da": 2, "es": 1},
    ),
    "Asian cinema": ViewerTaste(
        genres={"drama": 0.5},
        countries={"JP": 3, "KR": 3, "HK": 3, "TW": 3, "IN": 2, "IR": 1},
    ),
    "with the children": ViewerTaste(
        genres={"family": 3, "animation": 2, "music": 1, "fantasy": 1}
    ),
    "the wide world": ViewerTaste(
        genres={"documentary": 3, "history": 1, "war": 1},
        languages={"fa": 3, "tr": 3, "pt": 3, "es": 2, "hi": 2, "bn": 2},
    ),
}


def simulate_interactions(
    films: Sequence[DemonstrationFilm],
    *,
    viewers: int = 400,
    interactions: int = 12_000,
    seed: int = 1895,
) -> list[SimulatedInteraction]:
    """Each viewer judges 15 to 60 films once, over sessions of the past year.

    Viewers pick films by taste and a little by popularity; what they think of them follows taste.
    """
    rng = np.random.default_rng(seed)
    affinities = _affinities(films)
    popularity = rng.standard_normal(len(films))
    chances = _softmax(TASTE_PULL * affinities + POPULARITY_PULL * popularity)
    shares = _shares(viewers, rng)
    simulated = []
    for viewer, total in enumerate(_totals(viewers, interactions, len(films), rng)):
        watched = rng.choice(len(films), size=total, replace=False, p=shares[viewer] @ chances)
        liking = affinities[shares[viewer] > 0].max(axis=0)[watched]
        enjoyment = AVERAGE_STARS + LIKING_STARS * liking + NOISE_STARS * rng.standard_normal(total)
        days_ago = _days_ago(total, rng)
        for film, stars, days in zip(watched, enjoyment, days_ago, strict=True):
            kind, rounded = _judgement(float(stars), rng.random())
            simulated.append(SimulatedInteraction(viewer, int(film), kind, rounded, float(days)))
    return simulated


def simulate_club(
    films: Sequence[DemonstrationFilm], *, members: int = 16, seed: int = 1955
) -> list[SimulatedInteraction]:
    """A film club, whose members rate much the same films, and agree the less the later they come.

    The first one has missed more than the others.
    """
    rng = np.random.default_rng(seed)
    affinities = _affinities(films)[[*TASTES].index(CLUB_TASTE)]
    shown = np.argsort(-affinities, kind="stable")[:CLUB_FILMS]
    simulated = []
    for member, noise in enumerate(np.linspace(MIN_NOISE_STARS, MAX_NOISE_STARS, members)):
        share = SHARE_WATCHED if member else SHARE_WATCHED_BY_FIRST
        watched = np.sort(rng.choice(shown, size=round(share * CLUB_FILMS), replace=False))
        liking = CLUB_STARS + CLUB_LIKING_STARS * affinities[watched]
        enjoyment = liking + noise * rng.standard_normal(len(watched))
        days_ago = _days_ago(len(watched), rng)
        for film, stars, days in zip(watched, enjoyment, days_ago, strict=True):
            kind, rounded = _judgement(float(stars), 0.0)  # all of them rate
            simulated.append(SimulatedInteraction(member, int(film), kind, rounded, float(days)))
    return simulated


def _affinities(films: Sequence[DemonstrationFilm]) -> Floats:
    """(tastes, films): points with mean 0 and deviation 1 over the films of each taste."""
    points = np.array([[taste.points(film) for film in films] for taste in TASTES.values()])
    mean, deviation = points.mean(axis=1, keepdims=True), points.std(axis=1, keepdims=True)
    affinities: Floats = (points - mean) / deviation
    return affinities


def _softmax(logits: Floats) -> Floats:
    """(tastes, films): the chance of each film to be picked next; rows sum to 1."""
    exponentials = np.exp(logits)
    chances: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return chances


def _shares(viewers: int, rng: np.random.Generator) -> Floats:
    """(viewers, tastes): how far each viewer leans to one or two tastes; rows sum to 1."""
    shares = np.zeros((viewers, len(TASTES)))
    for row in shares:
        first, second = rng.choice(len(TASTES), size=2, replace=False)
        share = rng.uniform(0.2, 0.5) if rng.random() < SECOND_TASTE_CHANCE else 0.0
        row[first], row[second] = 1 - share, share
    return shares


def _totals(viewers: int, interactions: int, films: int, rng: np.random.Generator) -> list[int]:
    """The number of films that each viewer judges: most a few, some many, `interactions` in all."""
    activity = rng.lognormal(sigma=0.4, size=viewers)
    totals = interactions * activity / activity.sum()
    return [int(total) for total in totals.round().clip(FEWEST_FILMS, min(MAX_FILMS, films))]


def _days_ago(total: int, rng: np.random.Generator) -> Floats:
    """(total,): sessions of about five interactions within hours, spread over 365 days."""
    sessions = rng.uniform(SESSION_DAYS, 365, size=max(3, total // FILMS_PER_SESSION))
    return rng.choice(sessions, size=total) - rng.uniform(0, SESSION_DAYS, size=total)


def _judgement(enjoyment: float, draw: float) -> tuple[Kind, float | None]:
    """A kind, and the stars of a rating; `enjoyment` is in stars, `draw` uniform in 0 to 1."""
    if draw < SHARE_OF_RATINGS:
        return "rating", min(max(round(enjoyment * 2) / 2, 0.5), 5.0)
    if draw < SHARE_OF_RATINGS + SHARE_OF_SEEN:
        return "seen", None
    if enjoyment >= 4.5:
        return "superlike", None
    if enjoyment >= 3:
        return "like", None
    return ("dislike", None) if enjoyment >= 1.5 else ("hide", None)
