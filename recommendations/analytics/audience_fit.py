"""Estimate by the models how many members would like a movie.

This is taste and not attendance: it does not say how many will come.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Query, Router, Schema
from numpy.typing import NDArray

from cinema.auth import staff
from cinema.errors import problems
from cinema.http import Document
from cinema.response_cache import CacheKind, responses
from cinema.throttling.limits import Limit
from movies import catalogue
from movies.catalogue import Snapshot
from movies.days import cinema_day
from movies.errors import MovieNotFound
from movies.models import Movie
from movies.programme.selectors import DEFAULT_DAYS, MAX_DAYS
from recommendations.dataset import Evidence, load_histories
from recommendations.engine.audience_reach import AudienceCounts, Estimate, estimate
from recommendations.engine.matrices import IdMap
from recommendations.lists.list_builder import viewers_at_once
from recommendations.lists.ranking import FALLBACK_ALGORITHM, HYBRID
from recommendations.lists.scores import Candidates, ReleaseScorer
from recommendations.models import Interaction
from recommendations.releases import LoadedRelease, loaded_release
from users.models import Favourite, User, Viewing

#: A movie suits a member if it is in this best share of their catalogue. In ml-latest-small that
#: share holds half of what viewers go on to like (docs/measurements.md).
BEST_SHARE = 0.05
#: Members in a sample, which takes a few seconds; the interval is two points in a hundred.
SAMPLE = 2_000
#: The first of these that the release has is used.
ALGORITHMS = (HYBRID, FALLBACK_ALGORITHM)
#: Further ahead than any programme.
ALL_DAYS = 36_500

#: Single members change little of the taste of thousands within an hour.
LIFETIME_S = 3600
AUDIENCE_FIT = CacheKind(
    "audience-fit", lambda: LIFETIME_S, memory_share=0.05, places=64, patience_s=12
)


MAX_FILMS = 100


class EstimateOut(Schema):
    """An estimate for all members. 95 of 100 samples have it between `low` and `high`."""

    count: int = Field(examples=[412])
    low: int = Field(examples=[371])
    high: int = Field(examples=[456])


class AudienceFitFilmOut(Schema):
    movie_id: int = Field(examples=[42])
    name: str = Field(examples=["Cléo from 5 to 7"])
    in_programme: bool = Field(description="Whether the film is in the programme of these days.")
    had: EstimateOut = Field(
        description="Members who have watched or judged the film, whom it no longer suits."
    )
    had_share: float | None = Field(description="`had` as a share of `asked`.", examples=[0.12])
    suited: EstimateOut | None = Field(
        description="Members to whom the film is new and among the best `best_share` of the "
        "catalogue. Null if the release does not know the film."
    )
    added: EstimateOut | None = Field(
        description="Members whom this film suits and the programme does not: its gain in reach."
    )


class AudienceFitOut(Schema):
    release: int | None = Field(
        description="Null without a release, and then there are no estimates.", examples=[3]
    )
    algorithm: str | None = Field(examples=["hybrid"])
    best_share: float = Field(examples=[0.05])
    days: int = Field(description="Cinema days of the programme, from today.", examples=[7])
    members: int = Field(description="Number of open accounts.", examples=[5200])
    asked: int = Field(description="Number of members in the sample.", examples=[2000])
    known: EstimateOut = Field(description="Members whose taste is known.")
    unknown: EstimateOut = Field(description="Members whose taste is not known.")
    reached: EstimateOut = Field(description="Members whom a film of the programme suits.")
    unreached: EstimateOut = Field(description="Known members whom no film of the programme suits.")
    total: int = Field(description="Number of films compared.", examples=[310])
    data: list[AudienceFitFilmOut]


class AudienceFitFilters(Schema):
    movie_ids: str | None = Field(
        None,
        pattern=r"^[0-9]{1,18}(,[0-9]{1,18}){0,99}$",
        description="At most 100 ids with commas. Default: all without a future screening.",
        examples=["17,42"],
    )
    days: int = Field(
        DEFAULT_DAYS, ge=1, le=MAX_DAYS, description="Cinema days of the programme, today included."
    )
    limit: int = Field(20, ge=1, le=MAX_FILMS, description="The largest `added` comes first.")

    @property
    def ids(self) -> list[int]:
        """Each once, in ascending order."""
        return sorted({int(part) for part in self.movie_ids.split(",")}) if self.movie_ids else []


router = Router(tags=["Analytics"])


@router.get(
    "/analytics/audience-fit",
    auth=staff,
    throttle=Limit("THROTTLE_HEAVY"),
    response={200: AudienceFitOut, **problems(401, 403, 404, 422)},
)
def get_audience_fit(request: HttpRequest, filters: Query[AudienceFitFilters]) -> AudienceFitOut:
    """The films to screen next: how many members each one suits, and how many it would add."""
    return audience_fit(movie_ids=filters.ids, days=filters.days, limit=filters.limit)


def audience_fit(*, movie_ids: Sequence[int], days: int, limit: int) -> AudienceFitOut:
    """The cached fit of these movies, or of all that have no screening to come.

    Raises:
        MovieNotFound: One of them is not published.
    """
    release, snapshot = loaded_release(), catalogue.current().snapshot
    if missing := sorted(set(movie_ids) - set(snapshot.published)):
        raise MovieNotFound(missing[0])

    def build() -> Document:
        fit = fit_audience(release, snapshot, movie_ids, days=days, limit=MAX_FILMS)
        return Document(fit.model_dump_json().encode())

    label = f"{release.id}:{snapshot.version}:{cinema_day(timezone.now())}:{_schema_hash()}"
    document, _ = responses.get(AUDIENCE_FIT, json.dumps([*movie_ids, f"{days}"]), label, build)
    whole = AudienceFitOut.model_validate_json(document.body)
    return whole.model_copy(update={"data": whole.data[:limit]})


@cache
def _schema_hash() -> int:
    """A hash that keeps out cached answers of another version of this program."""
    return zlib.crc32(json.dumps(AudienceFitOut.model_json_schema()).encode())


def fit_audience(
    release: LoadedRelease, snapshot: Snapshot, movie_ids: Sequence[int], *, days: int, limit: int
) -> AudienceFitOut:
    """The movies that add most to the reach of the programme of these days come first.

    Args:
        movie_ids: Published movies; empty for all that have no screening to come.
    """
    candidates = Candidates.of(sorted(snapshot.published), release)
    counts = AudienceCounts(np.isin(candidates.ids, snapshot.upcoming.showing(days)), BEST_SHARE)
    algorithm = next((name for name in ALGORITHMS if name in release.recommenders), None)
    members = _members_with_history()
    if algorithm:
        _count(counts, _sample(members, release.id or 0), algorithm, release, candidates)
    of_all = partial(estimate, asked=counts.asked, total=len(members) if algorithm else 0)
    n_members, known = User.objects.filter(is_active=True).count(), of_all(counts.known)
    wanted = np.empty(0, dtype=np.intp)
    if algorithm:
        showing = np.isin(candidates.ids, snapshot.upcoming.showing(ALL_DAYS))
        is_wanted = np.isin(candidates.ids, movie_ids) if movie_ids else ~showing
        wanted = _best_first(np.flatnonzero(is_wanted), candidates, counts)
    fit: dict[str, Any] = {
        "release": release.id,
        "algorithm": algorithm,
        "best_share": BEST_SHARE,
        "days": days,
        "members": n_members,
        "asked": counts.asked,
        "known": known,
        "unknown": known.taken_from(n_members),
        "reached": of_all(counts.reached),
        "unreached": of_all(counts.known - counts.reached),
        "total": len(wanted),
        "data": _movies(wanted[:limit], candidates, counts, of_all),
    }
    return AudienceFitOut.model_validate(fit)


def _members_with_history() -> NDArray[np.int64]:
    mine = [rows.objects.filter(user=OuterRef("pk")) for rows in (Interaction, Favourite, Viewing)]
    has_history = Exists(mine[0]) | Exists(mine[1]) | Exists(mine[2])
    users = User.objects.filter(has_history, is_active=True).order_by("pk")
    ids = users.values_list("pk", flat=True).iterator(chunk_size=50_000)
    return np.fromiter(ids, dtype=np.int64)


def _sample(members: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """All members, or the same simple random sample for each query: so movies compare."""
    if len(members) <= SAMPLE:
        return members
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(members, SAMPLE, replace=False))


def _count(
    counts: AudienceCounts,
    members: NDArray[np.int64],
    algorithm: str,
    release: LoadedRelease,
    candidates: Candidates,
) -> None:
    indices_of, at_once = IdMap(candidates.ids), viewers_at_once(release)
    for start in range(0, len(members), at_once):
        histories = load_histories(members[start : start + at_once].tolist())
        by_model = ReleaseScorer(release, candidates, histories).scores(algorithm)
        assert by_model
        scores = by_model.of_candidates(np.arange(len(histories)))
        for history, of_viewer in zip(histories, scores, strict=True):
            past = indices_of.indices(history.movie_ids)
            had = past[(past >= 0) & (history.kinds != Evidence.HIDE)]
            counts.ask(of_viewer, past=past[past >= 0], had=had)


def _best_first(
    wanted: NDArray[np.intp], candidates: Candidates, counts: AudienceCounts
) -> NDArray[np.intp]:
    """Sort movies by the reach they add, then by the members they suit; unknown ones come last."""
    keys = (candidates.ids, -counts.suited, -counts.added, candidates.items < 0)
    return wanted[np.lexsort([key[wanted] for key in keys])]


def _movies(
    wanted: NDArray[np.intp],
    candidates: Candidates,
    counts: AudienceCounts,
    of_all: Callable[[int], Estimate],
) -> list[dict[str, Any]]:
    """Return rows in the form of `AudienceFitFilmOut`."""
    ids = candidates.ids[wanted].tolist()
    names = dict(Movie.objects.filter(pk__in=ids).values_list("pk", "name"))
    return [
        {
            "movie_id": movie_id,
            "name": names.get(movie_id, ""),
            "in_programme": bool(counts.showing[movie]),
            "had": of_all(int(counts.had[movie])),
            "had_share": float(counts.had[movie]) / counts.asked if counts.asked else None,
            "suited": of_all(int(counts.suited[movie])) if is_known else None,
            "added": of_all(int(counts.added[movie])) if is_known else None,
        }
        for movie, movie_id, is_known in zip(
            wanted.tolist(), ids, candidates.items[wanted] >= 0, strict=True
        )
    ]
