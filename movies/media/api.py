from typing import Annotated

from django.conf import settings
from django.http import HttpRequest
from ninja import File, Router
from ninja.files import UploadedFile
from ninja.responses import Status

from cinema.auth import staff
from cinema.errors import problems
from cinema.throttling.limits import Limit
from movies.media import services
from movies.media.uploads import accept_file
from movies.models import Movie
from movies.schemas import PosterOut, TrailerOut

router = Router(tags=["Movies"], auth=staff)
UPLOAD = Limit("THROTTLE_UPLOAD")


@router.put(
    "/movies/{int:movie_id}/poster",
    throttle=UPLOAD,
    response={200: PosterOut, **problems(401, 403, 404, 413, 415, 422)},
)
@accept_file(lambda: settings.POSTER_MAX_MB)
def put_poster(
    request: HttpRequest,
    movie_id: int,
    file: Annotated[UploadedFile, File(..., examples=["poster.jpg"])],
) -> Movie:
    """Upload a movie's poster: JPEG, PNG or WebP. It replaces the present one."""
    return services.set_poster(movie_id=movie_id, file=file)


@router.delete("/movies/{int:movie_id}/poster", response={204: None, **problems(401, 403, 404)})
def delete_poster(request: HttpRequest, movie_id: int) -> Status[None]:
    """Remove a movie's poster, uploaded or not."""
    services.remove_poster(movie_id=movie_id)
    return Status(204, None)


@router.put(
    "/movies/{int:movie_id}/trailer",
    throttle=UPLOAD,
    response={200: TrailerOut, **problems(401, 403, 404, 413, 415, 422)},
)
@accept_file(lambda: settings.TRAILER_MAX_MB)
def put_trailer(
    request: HttpRequest,
    movie_id: int,
    file: Annotated[UploadedFile, File(..., examples=["trailer.mp4"])],
) -> Movie:
    """Upload a movie's trailer: MP4 or WebM. It replaces the present one."""
    return services.set_trailer(movie_id=movie_id, file=file)


@router.delete("/movies/{int:movie_id}/trailer", response={204: None, **problems(401, 403, 404)})
def delete_trailer(request: HttpRequest, movie_id: int) -> Status[None]:
    """Remove a movie's trailer, uploaded or not."""
    services.remove_trailer(movie_id=movie_id)
    return Status(204, None)
