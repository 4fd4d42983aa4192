"""The audience's fit, kept while release, catalogue and cinema day stand, for an hour at most."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from functools import cache

from django.utils import timezone

from cinema.answers.keeping import answers
from cinema.answers.kinds import Kind
from cinema.http import Document
from movies import catalogue
from movies.days import cinema_day
from movies.errors import MovieNotFound
from recommendations.analytics.audience import fit_audience
from recommendations.analytics.audience_schemas import MOST_FILMS, AudienceFitOut
from recommendations.loading import current_release

#: What members do meanwhile changes little of what thousands of them say.
LIFETIME_S = 3600
#: Whoever asks the same at the same time waits for one answer.
AUDIENCE_FIT = Kind("audience-fit", lambda: LIFETIME_S, places=64, patience_s=12)


def audience_fit(*, movie_ids: Sequence[int], days: int, limit: int) -> AudienceFitOut:
    """What to screen next, among these films or all that have no screening to come.

    Raises:
        MovieNotFound: One of them is not published.
    """
    release, snapshot = current_release(), catalogue.current().snapshot
    if missing := sorted(set(movie_ids) - set(snapshot.published)):
        raise MovieNotFound(missing[0])

    def build() -> Document:
        found = fit_audience(release, snapshot, movie_ids, days=days, limit=MOST_FILMS)
        shown = AudienceFitOut.from_orm(found)
        return Document(shown.model_dump_json().encode())

    label = f"{release.id}:{snapshot.version}:{cinema_day(timezone.now())}:{_shape()}"
    document, _ = answers.get(AUDIENCE_FIT, json.dumps([*movie_ids, f"{days}"]), label, build)
    whole = AudienceFitOut.model_validate_json(document.body)
    return whole.model_copy(update={"data": whole.data[:limit]})


@cache
def _shape() -> int:
    """An upgrade ends the answers of another shape."""
    return zlib.crc32(json.dumps(AudienceFitOut.model_json_schema()).encode())
