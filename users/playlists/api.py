from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import anyone, signed_in
from cinema.errors import problems
from cinema.http import public_unless_signed_in
from cinema.schemas import Paginated
from cinema.throttling.limits import Limit
from users.auth import AuthedRequest, ReaderRequest
from users.models import Playlist
from users.playlists import selectors, services
from users.playlists.schemas import (
    CopyIn,
    ListFilters,
    OrderIn,
    OtherFilmsProblem,
    PlaceIn,
    PlaceOut,
    PlaylistIn,
    PlaylistOut,
    PlaylistPatch,
    ShareOut,
)

router = Router(tags=["Playlists"], auth=signed_in)

#: The defaults of requests without a body.
UNPLACED, UNNAMED = PlaceIn(position=None), CopyIn(name=None)
HEAVY = Limit("THROTTLE_HEAVY")


@router.get("/playlists", auth=anyone, response={200: list[PlaylistOut], **problems(401, 422)})
@public_unless_signed_in
@paginate(Paginated)
def list_playlists(request: ReaderRequest, filters: Query[ListFilters]) -> QuerySet[Playlist]:
    """Public playlists and your own, the last changed first, each with its first films."""
    found = selectors.list_playlists(filters, reader=request.auth)
    return selectors.shown(found, request.auth, films=filters.movies)


@router.post("/playlists", response={201: PlaylistOut, **problems(401, 409, 422)})
def create_playlist(
    request: AuthedRequest, payload: PlaylistIn, response: HttpResponse
) -> Status[Playlist]:
    """Create a playlist. It is private by default."""
    playlist = services.create_playlist(owner=request.auth, payload=payload)
    response["Location"] = f"/api/v1/playlists/{playlist.pk}"
    return Status(201, playlist)


@router.get(
    "/playlists/shared/{slug}", auth=anyone, response={200: PlaylistOut, **problems(401, 404)}
)
def get_shared_playlist(request: ReaderRequest, slug: str, response: HttpResponse) -> Playlist:
    """The playlist of a link, public or not."""
    response["X-Robots-Tag"] = "noindex"
    return selectors.get_shared_playlist(slug, reader=request.auth)


@router.get(
    "/playlists/{int:playlist_id}", auth=anyone, response={200: PlaylistOut, **problems(401, 404)}
)
@public_unless_signed_in
def get_playlist(request: ReaderRequest, playlist_id: int) -> Playlist:
    """A playlist with all of its films, in order."""
    return selectors.get_playlist(playlist_id, reader=request.auth)


@router.patch(
    "/playlists/{int:playlist_id}", response={200: PlaylistOut, **problems(401, 403, 404, 422)}
)
def update_playlist(request: AuthedRequest, playlist_id: int, payload: PlaylistPatch) -> Playlist:
    """Change a playlist of yours. Omitted fields keep their values."""
    return services.update_playlist(owner=request.auth, playlist_id=playlist_id, changes=payload)


@router.delete("/playlists/{int:playlist_id}", response={204: None, **problems(401, 403, 404)})
def delete_playlist(request: AuthedRequest, playlist_id: int) -> Status[None]:
    """Delete a playlist of yours."""
    services.delete_playlist(owner=request.auth, playlist_id=playlist_id)
    return Status(204, None)


@router.put(
    "/playlists/{int:playlist_id}/movies/{int:movie_id}",
    response={200: PlaceOut, 201: PlaceOut, **problems(401, 403, 404, 409, 422)},
)
def put_playlist_movie(
    request: AuthedRequest, playlist_id: int, movie_id: int, payload: PlaceIn = UNPLACED
) -> Status[PlaceOut]:
    """Add a film to a playlist of yours, or move it. A repetition is 200 and changes nothing."""
    place, is_new = services.put_movie(
        owner=request.auth, playlist_id=playlist_id, movie_id=movie_id, position=payload.position
    )
    return Status(201 if is_new else 200, place)


@router.delete(
    "/playlists/{int:playlist_id}/movies/{int:movie_id}",
    response={204: None, **problems(401, 403, 404)},
)
def delete_playlist_movie(request: AuthedRequest, playlist_id: int, movie_id: int) -> Status[None]:
    """Remove a film from a playlist of yours."""
    services.remove_movie(owner=request.auth, playlist_id=playlist_id, movie_id=movie_id)
    return Status(204, None)


@router.put(
    "/playlists/{int:playlist_id}/order",
    response={204: None, 409: OtherFilmsProblem, **problems(401, 403, 404, 422)},
)
def put_playlist_order(request: AuthedRequest, playlist_id: int, payload: OrderIn) -> Status[None]:
    """Reorder a playlist of yours in one call. 409 unless exactly its films are named."""
    services.reorder_movies(
        owner=request.auth, playlist_id=playlist_id, movie_ids=payload.movie_ids
    )
    return Status(204, None)


@router.put(
    "/playlists/{int:playlist_id}/share", response={200: ShareOut, **problems(401, 403, 404)}
)
def share_playlist(request: AuthedRequest, playlist_id: int) -> Playlist:
    """Get the link of a playlist of yours; it is made on the first request."""
    return services.share_playlist(owner=request.auth, playlist_id=playlist_id)


@router.delete(
    "/playlists/{int:playlist_id}/share", response={204: None, **problems(401, 403, 404)}
)
def unshare_playlist(request: AuthedRequest, playlist_id: int) -> Status[None]:
    """Withdraw the link of a playlist of yours. A later link has another address."""
    services.unshare_playlist(owner=request.auth, playlist_id=playlist_id)
    return Status(204, None)


@router.post(
    "/playlists/{int:playlist_id}/copy",
    throttle=HEAVY,
    response={201: PlaylistOut, **problems(401, 404, 409, 422)},
)
def copy_playlist(
    request: AuthedRequest, playlist_id: int, response: HttpResponse, payload: CopyIn = UNNAMED
) -> Status[Playlist]:
    """Copy a public playlist, or one of yours, to a private one of your own."""
    playlist = services.copy_playlist(
        owner=request.auth, playlist_id=playlist_id, name=payload.name
    )
    response["Location"] = f"/api/v1/playlists/{playlist.pk}"
    return Status(201, playlist)


@router.put("/playlists/{int:playlist_id}/follow", response={204: None, **problems(401, 404, 409)})
def follow_playlist(request: AuthedRequest, playlist_id: int) -> Status[None]:
    """Follow another's public playlist: `GET /playlists?owner=followed` lists those."""
    services.follow_playlist(viewer=request.auth, playlist_id=playlist_id)
    return Status(204, None)


@router.delete("/playlists/{int:playlist_id}/follow", response={204: None, **problems(401, 404)})
def unfollow_playlist(request: AuthedRequest, playlist_id: int) -> Status[None]:
    """Stop following a playlist."""
    services.unfollow_playlist(viewer=request.auth, playlist_id=playlist_id)
    return Status(204, None)
