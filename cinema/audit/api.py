from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Query, Router
from ninja.pagination import paginate

from cinema.audit import selectors
from cinema.audit.models import AuditEntry
from cinema.audit.schemas import AuditEntryOut, AuditFilters
from cinema.auth import staff
from cinema.errors import problems
from cinema.schemas import Paginated

router = Router(tags=["Audit"])


@router.get("/audit", auth=staff, response={200: list[AuditEntryOut], **problems(401, 403, 422)})
@paginate(Paginated)
def list_audit(request: HttpRequest, filters: Query[AuditFilters]) -> QuerySet[AuditEntry]:
    """Who changed what, with before and after, the newest first."""
    return selectors.list_entries(filters)
