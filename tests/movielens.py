"""MovieLens folders to import, and what the import has made of them."""

from __future__ import annotations

import io
from pathlib import Path

from django.core.management import call_command
from django.db import connection

from recommendations.models import Interaction

MOVIES = (
    "1,Toy Story (1995),Adventure|Children|Sci-Fi",
    '2,"Matrix, The (1999)",Sci-Fi',
    "3,Misérables (1998),(no genres listed)",
)
RATINGS = ("1,1,4.0,964982703", "1,2,0.5,964981247", "7,2,5.0,1147880044")


def write_csv(
    folder: Path,
    *ratings: str | bytes,
    movies: tuple[str | bytes, ...] = MOVIES,
    links: tuple[str, ...] | None = None,
) -> Path:
    """A folder as those since ml-20m are."""
    write_lines(folder / "movies.csv", "movieId,title,genres", *movies)
    write_lines(folder / "ratings.csv", "userId,movieId,rating,timestamp", *(ratings or RATINGS))
    if links is not None:
        write_lines(folder / "links.csv", "movieId,imdbId,tmdbId", *links)
    return folder


def write_ml_100k(folder: Path) -> Path:
    """`u.item` has a column for each of 19 genres, of which the first is none."""
    films = {
        "1|Toy Story (1995)|01-Jan-1995||http://us.imdb.com/M/1": (2, 4, 15),
        "2|Matrix, The (1999)|01-Jan-1999||": (15,),
        "3|Misérables|12-Nov-1998||": (0,),
    }
    flags = [[str(int(n in genres)) for n in range(19)] for genres in films.values()]
    lines = ["|".join([film, *each]) for film, each in zip(films, flags, strict=True)]
    (folder / "u.item").write_text("\n".join([*lines, ""]), encoding="latin-1")
    (folder / "u.data").write_text("1\t1\t4\t964982703\n1\t2\t1\t964981247\n")
    (folder / "u.genre").write_text("unknown|0\nAction|1\n\n")
    (folder / "u.user").write_text("1|24|M|technician|85711\n")
    return folder


def write_lines(path: Path, *lines: str | bytes) -> None:
    encoded = [line if isinstance(line, bytes) else line.encode() for line in lines]
    path.write_bytes(b"\n".join([*encoded, b""]))


def run(folder: Path, *options: str) -> tuple[str, str]:
    """The command's output, and its complaints."""
    out, err = io.StringIO(), io.StringIO()
    call_command("import_movielens", str(folder), *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def ratings() -> dict[tuple[str, str], tuple[float | None, int]]:
    """Stars and Unix seconds by the viewer's e-mail address and the movie's name."""
    rows = Interaction.objects.select_related("user", "movie")
    return {
        (row.user.email, row.movie.name): (row.stars, int(row.updated_at.timestamp()))
        for row in rows
    }


def viewer(number: int) -> str:
    return f"movielens-{number}@cinema.invalid"


def every_row() -> dict[str, list[tuple[object, ...]]]:
    """All rows of the tables concerned; `ctid` and `xmax` show an update to the same values."""
    tables = ["movies_movie", "movies_movie_genres", "movies_genre", "users_user"]
    tables += ["recommendations_interaction", "movies_catalogueversion"]
    with connection.cursor() as cursor:
        rows = {}
        for table in tables:
            cursor.execute(f"SELECT ctid, xmax::text, t.* FROM {table} t ORDER BY t.id")  # noqa: S608
            rows[table] = cursor.fetchall()
    return rows
