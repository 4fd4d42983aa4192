from collections.abc import Sequence

from cinema.errors import Unprocessable


class UnknownGenres(Unprocessable):
    def __init__(self, slugs: Sequence[str]) -> None:
        super().__init__("body.genres", f"There is no genre {', '.join(map(repr, slugs))}.")
