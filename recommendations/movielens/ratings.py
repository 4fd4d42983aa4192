"""The lines of a folder's ratings."""

from __future__ import annotations

from collections.abc import Mapping

from recommendations.movielens.files import LineRefused, shown, whole_number, wrong_fields

FIELDS = 4
#: All ways in which the published files write the stars.
HALF_STARS = {
    text.encode(): b"%d" % half_stars
    for half_stars in range(1, 11)
    for text in (f"{half_stars / 2:g}", f"{half_stars / 2:.1f}")
}


class RatingParser:
    """From a line to a row of the staging table, as COPY reads it.

    Args:
        movies: The id of the movie by the film's number.
        separator: Of the fields.
        latest_s: The last moment, in Unix seconds, at which anyone can have rated.
    """

    def __init__(self, movies: Mapping[int, int], separator: str, latest_s: int) -> None:
        self._movies = {b"%d" % number: b"%d" % pk for number, pk in movies.items()}
        self._separator = separator.encode()
        self._latest_s = latest_s

    def parse(self, line: bytes) -> bytes:
        """Viewer, movie id, half stars and Unix seconds, between tabs.

        Raises:
            LineRefused: The line cannot be used.
        """
        fields = line.strip().split(self._separator)
        if len(fields) == FIELDS:
            viewer, movie, stars, seconds = fields
            movie_id, half_stars = self._movies.get(movie), HALF_STARS.get(stars)
            if (
                movie_id
                and half_stars
                and viewer.isdigit()
                and seconds.isdigit()
                and len(viewer) < 10
                and int(seconds) <= self._latest_s
            ):
                return b"\t".join((viewer, movie_id, half_stars, seconds))
        return self._parse_unusual(line)

    def _parse_unusual(self, line: bytes) -> bytes:
        """The same at length: finds what is wrong, or that only the spelling is unusual."""
        try:
            text = line.decode().strip()
        except UnicodeDecodeError as error:
            raise LineRefused(f"invalid UTF-8 at byte {error.start + 1}") from error
        fields = text.split(self._separator.decode())
        if len(fields) != FIELDS:
            raise wrong_fields(len(fields), FIELDS)
        viewer = whole_number(fields[0], "userId")
        movie = whole_number(fields[1], "movieId")
        half_stars = _half_stars(fields[2])
        seconds = whole_number(fields[3], "timestamp", below=2**63)
        if seconds > self._latest_s:
            raise LineRefused(f"timestamp {seconds} lies in the future")
        if (movie_id := self._movies.get(b"%d" % movie)) is None:
            raise LineRefused(f"unknown movie {movie}")
        return b"%d\t%s\t%d\t%d" % (viewer, movie_id, half_stars, seconds)


def _half_stars(text: str) -> int:
    try:
        half_stars = float(text.strip(' "')) * 2
    except ValueError as error:
        raise LineRefused(f"rating {shown(text)} is not a number") from error
    if not 1 <= half_stars <= 10 or half_stars % 1:
        raise LineRefused(f"rating {shown(text)} is not one of 0.5, 1, 1.5 ... 5")
    return int(half_stars)
