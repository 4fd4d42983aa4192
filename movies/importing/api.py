from django.http import HttpRequest
from ninja import Router

from cinema.auth import staff
from cinema.errors import problems
from cinema.throttling.limits import Limit
from movies.importing import services
from movies.importing.schemas import ImportIn, ImportOut

router = Router()
HEAVY = Limit("THROTTLE_HEAVY")


@router.post(
    "/movies/import",
    auth=staff,
    throttle=HEAVY,
    response={200: ImportOut, **problems(401, 403, 413, 422)},
    tags=["Movies"],
)
def import_movies(request: HttpRequest, payload: ImportIn, dry_run: bool = False) -> ImportOut:
    """Import up to 1,000 movies. A movie is matched by its TMDb id, else by name and start date; a
    field that a row leaves out stays as it is. A bad row does not stop the others: `refused` names
    it with the reason. With `dry_run` nothing is written.
    """
    return services.import_list(payload.movies, dry_run=dry_run)
