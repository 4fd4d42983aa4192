from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from django.http import HttpRequest
from ninja import Field, Router, Schema

from cinema.auth import staff
from cinema.errors import problems
from cinema.response_cache import DAYS_KEPT, HITS, MISSES, OUTCOMES, CacheOutcome, responses

router = Router(tags=["Operations"])

Days = Annotated[int, Field(ge=1, le=DAYS_KEPT, description="So many, today being the first.")]


class AnswersOut(Schema):
    """How answers of one kind came about. The first four are hits, the next two are misses."""

    kind: str = Field(examples=["trending"])
    memory: int = Field(description="In the memory of the process that was asked.")
    cache: int = Field(description="In Valkey.")
    stale: int = Field(description="Too old, while another request made it anew.")
    last_known: int = Field(description="As it was before Postgres went away.")
    waited: int = Field(description="Waited for another request that was making it.")
    made: int = Field(description="Made from Postgres.")
    fresh: int = Field(description="Of signed-in callers, who always get it from Postgres.")
    hit_rate: float | None = Field(description="Hits among hits and misses.", examples=[0.97])


class CacheStatisticsOut(Schema):
    days: int
    all_processes: bool = Field(description="False while Valkey is away: of one process alone.")
    answers: list[AnswersOut]


@router.get(
    "/cache/statistics", auth=staff, response={200: CacheStatisticsOut, **problems(401, 403, 422)}
)
def get_cache_statistics(request: HttpRequest, days: Days = 1) -> CacheStatisticsOut:
    """How often kept answers were there, by kind and level. Counts come in within ten seconds."""
    counts, all_processes = responses.tally.totals(days)
    kinds = sorted({kind for kind, _ in counts})
    shown = [_shown(kind, counts) for kind in kinds]
    return CacheStatisticsOut(days=days, all_processes=all_processes, answers=shown)


def _shown(kind: str, counts: Mapping[tuple[str, CacheOutcome], int]) -> AnswersOut:
    of: dict[str, int] = {outcome: counts.get((kind, outcome), 0) for outcome in OUTCOMES}
    hits, misses = (sum(of[outcome] for outcome in group) for group in (HITS, MISSES))
    rate = round(hits / (hits + misses), 4) if hits + misses else None
    return AnswersOut(kind=kind, **of, hit_rate=rate)
