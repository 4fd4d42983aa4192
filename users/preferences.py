from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Annotated
from uuid import uuid4

from django.db import transaction
from ninja import Field, Router, Schema
from pydantic import AfterValidator, StringConstraints

from cinema.auth import signed_in
from cinema.cache import shared
from cinema.errors import Unprocessable, problems
from cinema.locks import retry_if_deleted
from cinema.schemas import Line, StrictSchema
from movies.models import Genre
from movies.types import Language, each_once
from users.auth import AuthedRequest, lock_viewer, raise_taste_version
from users.models import Preferences, User


class UnknownGenres(Unprocessable):
    def __init__(self, slugs: Sequence[str]) -> None:
        super().__init__("body.genres", f"There is no genre {', '.join(map(repr, slugs))}.")


@dataclass(frozen=True)
class StatedPreferences:
    """The preferences that a viewer has stated; the genres are in the order of their slugs."""

    genres: Sequence[Genre] = ()
    languages: Sequence[str] = ()
    match_visible: bool = False


#: A value in Valkey that changes when a viewer is hidden, renamed or erased. Cached answers that
#: may name the viewer have an older one. It lasts longer than any of them.
VISIBILITY_KEY = "users:visibility"
VISIBILITY_KEPT_S = 120


def mark_visibility_changed() -> None:
    """Outdate the kept answers that name other viewers; callers wait for the commit."""
    shared().set(VISIBILITY_KEY, str(uuid4()), VISIBILITY_KEPT_S)


def stated_preferences(user_id: int) -> StatedPreferences:
    """The viewer's preferences; empty ones if the viewer has stated none."""
    return stated_preferences_by_user([user_id]).get(user_id, StatedPreferences())


def stated_preferences_by_user(user_ids: Sequence[int]) -> dict[int, StatedPreferences]:
    """The preferences of the viewers who have stated some, by user id.

    One statement reads them: of two, the second could see a write in between.
    """
    rows = (
        Preferences.objects.filter(pk__in=user_ids)
        .order_by("pk", "genres__slug")
        .values_list(
            "pk", "languages", "match_visible", "genres__pk", "genres__slug", "genres__name"
        )
    )
    found = {}
    for user_id, of_viewer in groupby(rows, key=itemgetter(0)):
        stated = list(of_viewer)
        genres = [Genre(pk=pk, slug=slug, name=name) for *_, pk, slug, name in stated if pk]
        _, languages, match_visible, *_ = stated[0]
        found[user_id] = StatedPreferences(tuple(genres), tuple(languages), match_visible)
    return found


MAX_PREFERENCES = 20


GenreSlugs = Annotated[
    list[Annotated[Line, StringConstraints(max_length=60)]],
    Field(max_length=MAX_PREFERENCES),
    AfterValidator(each_once),
]
Languages = Annotated[list[Language], Field(max_length=MAX_PREFERENCES), AfterValidator(each_once)]


class PreferencesIn(StrictSchema):
    """A complete set of preferences: omitted fields are reset."""

    genres: GenreSlugs = Field([], description="Slugs of genres.", examples=[["drama", "music"]])
    languages: Languages = Field([], description="Original languages.", examples=[["fr", "en"]])
    match_visible: bool = Field(
        False,
        # Consent must be explicit: neither 1 nor "yes" is true.
        strict=True,
        description="Viewers of similar taste may see you, by your name.",
        examples=[False],
    )


class PreferencesOut(Schema):
    genres: list[str] = Field(examples=[["drama", "music"]])
    languages: list[str] = Field(examples=[["fr", "en"]])
    match_visible: bool = Field(examples=[False])

    @staticmethod
    def resolve_genres(stated: StatedPreferences) -> list[str]:
        return [genre.slug for genre in stated.genres]


@retry_if_deleted
@transaction.atomic
def replace_preferences(
    *, user: User, genres: Sequence[str], languages: Sequence[str], match_visible: bool
) -> StatedPreferences:
    """Replace the viewer's preferences; equal ones write nothing.

    Of several requests at once, the last one counts as a whole.

    Raises:
        UnknownGenres: No genre has some of the slugs.
    """
    lock_viewer(user)
    wanted = _genres_of(genres)
    stated = StatedPreferences(tuple(wanted), tuple(languages), match_visible)
    before = stated_preferences(user.pk)
    if stated != before:
        row, _ = Preferences.objects.update_or_create(
            user=user, defaults={"languages": list(languages), "match_visible": match_visible}
        )
        row.genres.set(wanted)
        raise_taste_version(user.pk)
    if match_visible != before.match_visible:
        transaction.on_commit(mark_visibility_changed)
    return stated


def _genres_of(slugs: Sequence[str]) -> list[Genre]:
    found = list(Genre.objects.filter(slug__in=slugs).order_by("slug"))
    if unknown := sorted({*slugs} - {genre.slug for genre in found}):
        raise UnknownGenres(unknown)
    return found


router = Router(tags=["Accounts"], auth=signed_in)


@router.get("/users/me/preferences", response={200: PreferencesOut, **problems(401)})
def get_preferences(request: AuthedRequest) -> StatedPreferences:
    """Your preferences. Empty until you say something."""
    return stated_preferences(request.auth.pk)


@router.put("/users/me/preferences", response={200: PreferencesOut, **problems(401, 422)})
def put_preferences(request: AuthedRequest, payload: PreferencesIn) -> StatedPreferences:
    """Replace your preferences. The next list of recommendations goes by them."""
    return replace_preferences(user=request.auth, **payload.model_dump())
