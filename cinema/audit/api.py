from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from ninja.pagination import paginate

from cinema.audit.models import AuditEntry
from cinema.auth import staff
from cinema.errors import problems
from cinema.schemas import Moment, Paginated

Via = Literal["api", "admin", "command", "task", "database"]
Action = Literal["create", "update", "delete"]
AuditedModel = Literal[
    "movie",
    "screening",
    "hall",
    "genre",
    "user",
    "session",
    "second-factor",
    "release",
    "training-run",
    "tmdb-sync",
    "tmdb-genre",
    "promotion",
    "experiment",
]
AuditID = Annotated[int, Field(ge=1, le=2**63 - 1)]


class AuditEntryOut(Schema):
    id: int = Field(examples=[918])
    at: datetime
    user_id: int | None = Field(description="The author; null for scheduled tasks.", examples=[7])
    via: Via
    action: Action
    model: AuditedModel
    object_id: int = Field(examples=[310])
    movie_id: int | None = Field(description="The film of the row.", examples=[42])
    before: dict[str, Any] | None = Field(
        description="Old values by column; of an update, the changed ones. Null on creation.",
        examples=[{"state": "scheduled"}],
    )
    after: dict[str, Any] | None = Field(
        description="New values by column. Null on deletion.", examples=[{"state": "cancelled"}]
    )
    request_id: str = Field(examples=["0f6c2f4e1f6b4f0d9a4d1d9a4f5c1e77"])
    path: str = Field(examples=["PATCH /api/v1/screenings/310"])


class AuditFilters(Schema):
    model: AuditedModel | None = None
    object_id: AuditID | None = None
    movie_id: AuditID | None = Field(None, description="Film, with screenings and promotions.")
    user_id: AuditID | None = None
    via: Via | None = None
    action: Action | None = None
    since: Moment | None = Field(None, alias="from", description="Made at this time or later.")
    until: Moment | None = Field(None, alias="to", description="Made before this time.")


def list_entries(filters: AuditFilters) -> QuerySet[AuditEntry]:
    """Return the entries that match, newest first."""
    wanted = filters.model_dump(exclude_none=True)
    for name, lookup in (("since", "at__gte"), ("until", "at__lt")):
        if name in wanted:
            wanted[lookup] = wanted.pop(name)
    return AuditEntry.objects.filter(**wanted)


router = Router(tags=["Audit"])


@router.get("/audit", auth=staff, response={200: list[AuditEntryOut], **problems(401, 403, 422)})
@paginate(Paginated)
def list_audit(request: HttpRequest, filters: Query[AuditFilters]) -> QuerySet[AuditEntry]:
    """The changes by staff, with before and after, the newest first."""
    return list_entries(filters)
