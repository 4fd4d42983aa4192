from typing import Annotated

from django.conf import settings
from django.db.models import QuerySet
from ninja import File, Router
from ninja.files import UploadedFile
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import signed_in
from cinema.errors import problems
from cinema.schemas import Paginated
from cinema.throttling.limits import Limit
from movies.media.uploads import accept_file
from recommendations.importing import pending, services
from recommendations.importing.schemas import Content, PendingImportOut, ViewerImportOut
from recommendations.models import PendingImport
from users.auth import AuthedRequest

router = Router()
HEAVY = Limit("THROTTLE_HEAVY")


@router.post(
    "/users/me/import",
    auth=signed_in,
    throttle=HEAVY,
    response={200: ViewerImportOut, **problems(401, 413, 415, 422)},
    tags=["Accounts"],
)
@accept_file(lambda: settings.VIEWER_IMPORT_MAX_MB)
def import_viewer_file(
    request: AuthedRequest,
    file: Annotated[UploadedFile, File(..., examples=["letterboxd.zip"])],
    content: Content | None = None,
    dry_run: bool = False,
) -> ViewerImportOut:
    """Import your ratings, viewings, likes and watchlist: the zip of an export of Letterboxd, IMDb,
    Trakt, SIMKL, TMDb, Movary or MovieLens, or one file of it. Films are matched by their TMDb id,
    else by title and year. Statements about films that are not in the catalogue are kept, and take
    effect when the films are added. The same file again changes nothing; with `dry_run` nothing is
    written. `content` names the kind of a file whose columns fit several kinds.
    """
    return services.import_file(
        user=request.auth, file=file, name=file.name or "", content=content, dry_run=dry_run
    )


@router.get(
    "/users/me/import/pending",
    auth=signed_in,
    response={200: list[PendingImportOut], **problems(401, 422)},
    tags=["Accounts"],
)
@paginate(Paginated)
def list_pending_imports(request: AuthedRequest) -> QuerySet[PendingImport]:
    """Your imported statements about films that are not in the catalogue yet, by title."""
    return pending.list_pending(request.auth)


@router.delete(
    "/users/me/import/pending",
    auth=signed_in,
    response={204: None, **problems(401)},
    tags=["Accounts"],
)
def delete_pending_imports(request: AuthedRequest) -> Status[None]:
    """Delete all statements about films that are not in the catalogue yet."""
    pending.delete_all_pending(user=request.auth)
    return Status(204, None)


@router.delete(
    "/users/me/import/pending/{int:pending_id}",
    auth=signed_in,
    response={204: None, **problems(401, 404)},
    tags=["Accounts"],
)
def delete_pending_import(request: AuthedRequest, pending_id: int) -> Status[None]:
    """Delete one statement about a film that is not in the catalogue yet."""
    pending.delete_pending(user=request.auth, pending_id=pending_id)
    return Status(204, None)
