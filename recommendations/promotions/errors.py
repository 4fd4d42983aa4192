from __future__ import annotations

from typing import TYPE_CHECKING

from cinema.errors import Conflict, NotFound, Unprocessable

if TYPE_CHECKING:
    from recommendations.models import Promotion


class PromotionNotFound(NotFound):
    def __init__(self, promotion_id: int) -> None:
        super().__init__(f"There is no promotion {promotion_id}.")


class AlreadyPinned(Conflict):
    """At some time of its own, another film has the place, or this film another place."""

    def __init__(self, wanted: Promotion, standing: Promotion) -> None:
        what = f"Place {wanted.place}" if standing.place == wanted.place else "The film"
        super().__init__(
            f"{what} is pinned in that time by promotion {standing.pk} ({standing.movie.name}, "
            f"place {standing.place}).",
            promotion_id=standing.pk,
        )


class WrongForKind(Unprocessable):
    """A pin has a place, a boost has a strength, and neither has both."""

    def __init__(self, field: str, kind: str) -> None:
        super().__init__(f"body.{field}", f"A {kind} has no {field}.")


class EndsTooEarly(Unprocessable):
    def __init__(self, message: str) -> None:
        super().__init__("body.ends_at", message)
