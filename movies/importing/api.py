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
    """Bring in up to 1,000 movies. A movie is known by its TMDb id, else by name and start date;
    of one that stands, what a row leaves out stays. A bad row stops no other: `refused` says
    which and why. With `dry_run` nothing is written.
    """
    return services.import_list(payload.movies, dry_run=dry_run)
