from typing import Annotated

from django.conf import settings
from ninja import File, Router
from ninja.files import UploadedFile

from cinema.auth import signed_in
from cinema.errors import problems
from cinema.throttling.limits import Limit
from movies.media.uploading import takes_file
from recommendations.importing import services
from recommendations.importing.schemas import Content, ViewerImportOut
from users.auth import AuthedRequest

router = Router()
HEAVY = Limit("THROTTLE_HEAVY")


@router.post(
    "/users/me/import",
    auth=signed_in,
    throttle=HEAVY,
    response={200: ViewerImportOut, **problems(401, 413, 422)},
    tags=["Accounts"],
)
@takes_file(lambda: settings.VIEWER_IMPORT_MAX_MB)
def import_viewer_file(
    request: AuthedRequest,
    file: Annotated[UploadedFile, File(..., examples=["letterboxd.zip"])],
    content: Content | None = None,
    dry_run: bool = False,
) -> ViewerImportOut:
    """Bring along what you have rated, watched, liked and want to see. From Letterboxd: the zip of
    its export, or one file of it; from IMDb and Trakt: ratings, history, watchlist. Films are told
    by their TMDb id, else by title and year. The same file again changes nothing; with `dry_run`
    nothing is written. `content` says which of Letterboxd's three files with the same columns it
    is, if it has lost its name.
    """
    return services.import_file(
        user=request.auth, file=file, name=file.name or "", content=content, dry_run=dry_run
    )
