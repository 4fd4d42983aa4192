"""What to screen next: how many members a film suits, by what is known of their taste.

Taste is not attendance: to whom a film suits says nothing of who comes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from django.db.models import Exists, OuterRef
from django.utils import timezone
from numpy.typing import NDArray

from cinema.http import Document
from cinema.response_cache import CacheKind, responses
from movies import catalogue
from movies.catalogue import Snapshot
from movies.days import cinema_day
from movies.errors import MovieNotFound
from movies.models import Movie
from recommendations.analytics.schemas import MOST_FILMS, AudienceFitOut
from recommendations.dataset import load_histories
from recommendations.engine.audience_reach import AudienceCounts, Estimate, estimate
from recommendations.engine.matrices import IdMap
from recommendations.interaction_weights import Evidence
from recommendations.lists.list_builder import viewers_at_once
from recommendations.lists.ranking import FALLBACK_ALGORITHM, HYBRID
from recommendations.lists.scores import Candidates, ReleaseScorer
from recommendations.models import Interaction
from recommendations.releases import LoadedRelease, loaded_release
from users.models import Favourite, User, Viewing

#: A film suits whom it stands among the best of for: of ml-latest-small so little of the catalogue
#: holds half of what viewers go on to like (docs/decisions/0053).
BEST_SHARE = 0.05
#: Of more members so many are drawn. A few seconds, and an interval of two points in a hundred.
SAMPLE = 2_000
#: The first of these that the release has.
ASKED = (HYBRID, FALLBACK_ALGORITHM)
#: Further ahead than anybody plans.
ALL_DAYS = 36_500


@dataclass(frozen=True)
class FilmFit:
    """One film. `suited` and `added` are None for one that the release does not know."""

    movie_id: int
    name: str
    in_programme: bool
    had: Estimate
    had_share: float | None
    suited: Estimate | None
    added: Estimate | None


@dataclass(frozen=True)
class AudienceFit:
    """How many there are of all members, by those who were asked.

    Attributes:
        algorithm: None if the release has none that could be asked.
        asked: Of them the figures are estimates, unless it is all who have a past here.
        known, unknown: Of whose taste the model can tell, and the others.
        reached, unreached: Of the known ones, to whom something suits that is showing, and nothing.
        total: Films in question, of which `data` are the first.
    """

    release: int | None
    algorithm: str | None
    best_share: float
    days: int
    members: int
    asked: int
    known: Estimate
    unknown: Estimate
    reached: Estimate
    unreached: Estimate
    total: int
    data: Sequence[FilmFit]


def fit_audience(
    release: LoadedRelease, snapshot: Snapshot, movie_ids: Sequence[int], *, days: int, limit: int
) -> AudienceFit:
    """The films that add most to the reach of the programme of so many days, those first.

    Args:
        movie_ids: Published ones; empty for all that have no screening to come.
    """
    films = Candidates.of(sorted(snapshot.published), release)
    tally = AudienceCounts(np.isin(films.ids, snapshot.showing(days)), BEST_SHARE)
    algorithm = next((name for name in ASKED if name in release.recommenders), None)
    members = _members_with_a_past()
    if algorithm:
        _ask(tally, _drawn(members, seed=release.id or 0), algorithm, release, films)
    of_all = partial(estimate, asked=tally.asked, total=len(members) if algorithm else 0)
    n_members, known = User.objects.filter(is_active=True).count(), of_all(tally.known)
    wanted = _wanted(movie_ids, films, snapshot) if algorithm else np.empty(0, dtype=np.intp)
    shown = _best_first(wanted, films, tally)[:limit]
    return AudienceFit(
        release=release.id,
        algorithm=algorithm,
        best_share=BEST_SHARE,
        days=days,
        members=n_members,
        asked=tally.asked,
        known=known,
        unknown=known.taken_from(n_members),
        reached=of_all(tally.reached),
        unreached=of_all(tally.known - tally.reached),
        total=len(wanted),
        data=list(_described(shown, films, tally, of_all)),
    )


def _members_with_a_past() -> NDArray[np.int64]:
    """Ids of those who have said or watched anything."""
    mine = [rows.objects.filter(user=OuterRef("pk")) for rows in (Interaction, Favourite, Viewing)]
    pasts = Exists(mine[0]) | Exists(mine[1]) | Exists(mine[2])
    ids = User.objects.filter(pasts, is_active=True).order_by("pk").values_list("pk", flat=True)
    return np.fromiter(ids.iterator(chunk_size=50_000), dtype=np.int64)


def _drawn(members: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
    """All, or a simple random sample: the same one for each question, so that films compare."""
    if len(members) <= SAMPLE:
        return members
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(members, SAMPLE, replace=False))


def _ask(
    tally: AudienceCounts,
    members: NDArray[np.int64],
    algorithm: str,
    release: LoadedRelease,
    films: Candidates,
) -> None:
    places, at_once = IdMap(films.ids), viewers_at_once(release)
    for start in range(0, len(members), at_once):
        histories = load_histories(members[start : start + at_once].tolist())
        said = ReleaseScorer(release, films, histories).scores(algorithm)
        assert said
        for row, history in enumerate(histories):
            past = places.indices(history.movie_ids)
            had = past[(past >= 0) & (history.kinds != Evidence.HIDE)]
            tally.ask(said.for_viewer(row).scores, past=past[past >= 0], had=had)


def _wanted(movie_ids: Sequence[int], films: Candidates, snapshot: Snapshot) -> NDArray[np.intp]:
    if movie_ids:
        return np.flatnonzero(np.isin(films.ids, movie_ids))
    return np.flatnonzero(~np.isin(films.ids, snapshot.showing(ALL_DAYS)))


def _best_first(
    wanted: NDArray[np.intp], films: Candidates, tally: AudienceCounts
) -> NDArray[np.intp]:
    """By what each adds, then by whom it suits; last what the release does not know."""
    by = (films.ids, -tally.suited, -tally.added, films.items < 0)
    return wanted[np.lexsort([key[wanted] for key in by])]


def _described(
    shown: NDArray[np.intp],
    films: Candidates,
    tally: AudienceCounts,
    of_all: Callable[[int], Estimate],
) -> Iterator[FilmFit]:
    ids = films.ids[shown].tolist()
    names = dict(Movie.objects.filter(pk__in=ids).values_list("pk", "name"))
    for film, movie_id in zip(shown.tolist(), ids, strict=True):
        is_known = films.items[film] >= 0
        yield FilmFit(
            movie_id=movie_id,
            name=names.get(movie_id, ""),
            in_programme=bool(tally.showing[film]),
            had=of_all(int(tally.had[film])),
            had_share=float(tally.had[film]) / tally.asked if tally.asked else None,
            suited=of_all(int(tally.suited[film])) if is_known else None,
            added=of_all(int(tally.added[film])) if is_known else None,
        )


#: What members do meanwhile changes little of what thousands of them say.
LIFETIME_S = 3600
#: Whoever asks the same at the same time waits for one answer.
AUDIENCE_FIT = CacheKind(
    "audience-fit", lambda: LIFETIME_S, memory_share=0.05, places=64, patience_s=12
)


def audience_fit(*, movie_ids: Sequence[int], days: int, limit: int) -> AudienceFitOut:
    """What to screen next, among these films or all that have no screening to come.

    Raises:
        MovieNotFound: One of them is not published.
    """
    release, snapshot = loaded_release(), catalogue.current().snapshot
    if missing := sorted(set(movie_ids) - set(snapshot.published)):
        raise MovieNotFound(missing[0])

    def build() -> Document:
        found = fit_audience(release, snapshot, movie_ids, days=days, limit=MOST_FILMS)
        shown = AudienceFitOut.from_orm(found)
        return Document(shown.model_dump_json().encode())

    label = f"{release.id}:{snapshot.version}:{cinema_day(timezone.now())}:{_shape()}"
    document, _ = responses.get(AUDIENCE_FIT, json.dumps([*movie_ids, f"{days}"]), label, build)
    whole = AudienceFitOut.model_validate_json(document.body)
    return whole.model_copy(update={"data": whole.data[:limit]})


@cache
def _shape() -> int:
    """An upgrade ends the answers of another shape."""
    return zlib.crc32(json.dumps(AudienceFitOut.model_json_schema()).encode())
