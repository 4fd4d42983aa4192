"""`manage.py import_movielens`, on small folders of every format, and on a real one."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from cinema.locks import single_run
from movies.models import CatalogueVersion, Genre, Movie
from recommendations.management.commands import import_movielens
from recommendations.models import Interaction
from recommendations.movielens import catalogue, importing, merging
from recommendations.movielens.matching import Matching
from recommendations.movielens.titles import parse_title
from tests.builders import Client, make_movie
from users.models import User

pytestmark = pytest.mark.django_db

ML_LATEST_SMALL = Path(settings.BASE_DIR).parent / "shared" / "data" / "ml-latest-small"

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
    _write(folder / "movies.csv", "movieId,title,genres", *movies)
    _write(folder / "ratings.csv", "userId,movieId,rating,timestamp", *(ratings or RATINGS))
    if links is not None:
        _write(folder / "links.csv", "movieId,imdbId,tmdbId", *links)
    return folder


def _write(path: Path, *lines: str | bytes) -> None:
    encoded = [line if isinstance(line, bytes) else line.encode() for line in lines]
    path.write_bytes(b"\n".join([*encoded, b""]))


def write_ml_1m(folder: Path) -> Path:
    (folder / "movies.dat").write_text(
        "1::Toy Story (1995)::Adventure|Children's|Sci-Fi\n2::Matrix, The (1999)::Sci-Fi\n"
        "3::Misérables (1998)::Drama\n",
        encoding="latin-1",
    )
    (folder / "ratings.dat").write_text("1::1::4::964982703\n1::2::1::964981247\n")
    (folder / "users.dat").write_text("1::F::1::10::48067\n")
    return folder


def write_ml_10m(folder: Path) -> Path:
    (folder / "movies.dat").write_text(
        "1::Toy Story (1995)::Adventure|Children|Sci-Fi\n2::Matrix, The (1999)::Sci-Fi\n"
        "3::Misérables (1998)::(no genres listed)\n",
        encoding="utf-8",
    )
    (folder / "ratings.dat").write_text("1::1::4::964982703\n1::2::0.5::964981247\n")
    (folder / "tags.dat").write_text("1::1::toys::964982703\n")
    return folder


def run(folder: Path, *options: str) -> tuple[str, str]:
    """What the command prints, and what it complains about."""
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


# --- formats


@pytest.mark.parametrize("write", [write_csv, write_ml_1m, write_ml_10m])
def test_every_published_format_is_recognised(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    out, err = run(write(tmp_path))
    assert err == ""
    assert "Films: 3 created, 0 known." in out
    assert "Lines refused: 0." in out
    names = list(Movie.objects.order_by("name").values_list("name", "release_year"))
    assert names == [("Misérables", 1998), ("The Matrix", 1999), ("Toy Story", 1995)]
    genres = Movie.objects.get(name="Toy Story").genres.order_by("slug")
    assert [genre.slug for genre in genres] == ["adventure", "children", "sci-fi"]
    assert ratings()[viewer(1), "Toy Story"] == (4.0, 964982703)


def test_without_its_other_files_the_encoding_is_told_by_the_films(tmp_path: Path) -> None:
    write_ml_1m(tmp_path)
    (tmp_path / "users.dat").unlink()
    run(tmp_path)
    assert Movie.objects.filter(name="Misérables").exists()


def test_windows_line_ends_quotes_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    write_csv(tmp_path, '"1","1","4","964982703"', "1, 2, 3.50, 964982703", "", "7,2,5.0,5")
    for name in ("movies.csv", "ratings.csv"):
        text = (tmp_path / name).read_bytes().replace(b"\n", b"\r\n")
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text)
    assert "Ratings: 3 created" in run(tmp_path)[0]
    assert Movie.objects.filter(name="The Matrix").exists()


@pytest.mark.parametrize("present", [[], ["movies.csv"], ["ratings.csv", "movies.dat"]])
def test_a_folder_of_something_else_is_refused(tmp_path: Path, present: list[str]) -> None:
    for name in present:
        (tmp_path / name).touch()
    with pytest.raises(CommandError, match=r"looked for movies\.csv .* movies\.dat"):
        run(tmp_path)


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is not a folder"):
        run(tmp_path / "nowhere")


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path)
    _write(tmp_path / "ratings.csv", "user,item,stars", "1,1,5")
    with pytest.raises(CommandError, match="begins with 'user,item,stars'"):
        run(tmp_path)
    assert not Movie.objects.exists()


# --- films


@pytest.mark.parametrize(
    ("text", "name", "year"),
    [
        ("Toy Story (1995)", "Toy Story", 1995),
        ("Matrix, The (1999)", "The Matrix", 1999),
        ("American in Paris, An (1951) ", "An American in Paris", 1951),
        ("Avventura, L' (1960)", "L'Avventura", 1960),
        ("Misérables, Les (1995)", "Les Misérables", 1995),
        ("Cry, the Beloved Country (1995)", "Cry, the Beloved Country", 1995),
        ("Steal Big, Steal Little (1995)", "Steal Big, Steal Little", 1995),
        ("Postman, The (Postino, Il) (1994)", "The Postman (Il Postino)", 1994),
        (
            "Good, the Bad and the Ugly, The (Buono, il brutto, il cattivo, Il) (1966)",
            "The Good, the Bad and the Ugly (Il Buono, il brutto, il cattivo)",
            1966,
        ),
        ("Seven (a.k.a. Boot, Das) (1995)", "Seven (a.k.a. Das Boot)", 1995),
        ("Death Note: Desu nôto (2006–2007)", "Death Note: Desu nôto", 2006),
        ("Fargo (2014- )", "Fargo", 2014),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", 1968),
        ("1984", "1984", None),
        ("Babylon 5", "Babylon 5", None),
        ("Odyssey (9999)", "Odyssey (9999)", None),
        ("(1995)", "", 1995),
        ("The", "The", None),
    ],
)
def test_titles_give_a_name_and_a_year(text: str, name: str, year: int | None) -> None:
    title = parse_title(text)
    assert (title.name, title.release_year) == (name, year)


def test_a_new_film_runs_since_the_first_day_of_its_year(tmp_path: Path, anonymous: Client) -> None:
    run(write_csv(tmp_path, links=("2,0133093,603",)))
    movie = Movie.objects.get(name="The Matrix")
    answer = anonymous.get(f"/movies/{movie.pk}").json()
    expected = {
        "name": "The Matrix",
        "slug": "the-matrix",
        "protagonists": ["Unknown"],
        "genres": [{"slug": "sci-fi", "name": "Sci-Fi"}],
        "start_date": "1999-01-01",
        "end_date": None,
        "status": "running",
        "release_year": 1999,
        "tmdb_id": 603,
        "rating_count": 2,
        "rating_average": 2.75,
    }
    assert answer.items() >= expected.items()


def test_a_film_without_year_or_genres_has_neither(tmp_path: Path) -> None:
    run(write_csv(tmp_path, movies=("9,Babylon 5,(no genres listed)",)))
    movie = Movie.objects.get()
    assert (movie.release_year, movie.start_date) == (None, date(1970, 1, 1))
    assert not Genre.objects.exists()


def test_a_film_of_next_year_is_coming_up(tmp_path: Path) -> None:
    run(write_csv(tmp_path, movies=(f"9,Soon ({timezone.localdate().year + 1}),Drama",)))
    assert Movie.objects.get().status == Movie.Status.COMING_UP


def test_of_two_films_of_one_name_and_year_the_second_is_numbered(tmp_path: Path) -> None:
    movies = ("1,Emma (1996),Drama", "2,EMMA (1996),Drama", "3,Emma (1996),", "4,Emma (2020),")
    folder = write_csv(tmp_path, "1,1,1,5", "1,2,2,5", "1,3,3,5", "1,4,4,5", movies=movies)
    run(folder)
    found = Movie.objects.order_by("pk").values_list("name", "release_year", "slug")
    assert list(found) == [
        ("Emma", 1996, "emma"),
        ("EMMA (2)", 1996, "emma-1996"),
        ("Emma (3)", 1996, "emma-2"),
        ("Emma", 2020, "emma-2020"),
    ]
    before = every_row()
    assert "Films: 0 created, 4 known." in run(folder)[0]
    assert every_row() == before
    stars = Interaction.objects.order_by("movie_id").values_list("half_stars", flat=True)
    assert list(stars) == [2, 4, 6, 8]


def test_of_two_films_with_one_tmdb_id_the_first_has_it(tmp_path: Path) -> None:
    folder = write_csv(tmp_path, links=("1,0,862", "2,0,862", "3,0,"))
    run(folder)
    ids = dict(Movie.objects.values_list("name", "tmdb_id"))
    assert ids == {"Toy Story": 862, "The Matrix": None, "Misérables": None}
    assert "Films: 0 created, 3 known." in run(folder)[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "THE MATRIX", "release_year": 1999},
        {"name": "the matrix", "release_year": None, "start_date": date(1999, 1, 1)},
        {"name": "Matrix", "release_year": 2000, "tmdb_id": 603},
    ],
    ids=["name and year", "name and start", "TMDb id"],
)
def test_a_film_that_the_catalogue_has_is_used_as_it_is(
    tmp_path: Path, fields: dict[str, object]
) -> None:
    movie = make_movie(**fields)
    before = Movie.objects.filter(pk=movie.pk).values("name", "protagonists", "tmdb_id").get()
    out, _ = run(write_csv(tmp_path, links=("2,0133093,603",)))
    assert "Films: 2 created, 1 known." in out
    assert Interaction.objects.filter(movie=movie).count() == 2
    assert Movie.objects.filter(pk=movie.pk).values(*before).get() == before


@pytest.mark.parametrize("name", ["The Postman", "il postino"])
def test_a_film_is_known_by_each_of_the_names_in_its_title(tmp_path: Path, name: str) -> None:
    movie = make_movie(name=name, release_year=1994)
    run(write_csv(tmp_path, "1,4,5,5", movies=('4,"Postman, The (Postino, Il) (1994)",',)))
    assert list(Movie.objects.all()) == [movie]
    assert Interaction.objects.get().movie == movie


def test_a_film_of_the_very_name_comes_before_one_of_the_same_other_name(tmp_path: Path) -> None:
    movie = make_movie(name="Il Postino", release_year=1994)
    movies = ('4,"Postman, The (Postino, Il) (1994)",', '5,"Postino, Il (1994)",')
    run(write_csv(tmp_path, "1,5,5,5", movies=movies))
    assert Movie.objects.count() == 2
    assert Interaction.objects.get().movie == movie


def test_a_remake_of_another_year_is_another_film(tmp_path: Path) -> None:
    make_movie(name="The Matrix", release_year=2031)
    assert "Films: 3 created" in run(write_csv(tmp_path))[0]


def test_a_withdrawn_film_stays_withdrawn(tmp_path: Path) -> None:
    folder = write_csv(tmp_path)
    run(folder)
    Movie.objects.filter(name="The Matrix").update(withdrawn_at=timezone.now())
    assert "Films: 0 created, 3 known." in run(folder)[0]


def test_a_film_posted_meanwhile_is_found_at_the_second_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    class MatchingInARace(Matching):
        def _read_catalogue(self) -> None:
            super()._read_catalogue()
            attempts.append(self)
            if len(attempts) == 1:
                make_movie(name="The Matrix", start_date=date(1999, 1, 1))

    monkeypatch.setattr(catalogue, "Matching", MatchingInARace)
    run(write_csv(tmp_path))
    assert len(attempts) == 2
    assert Movie.objects.count() == 3


# --- viewers and ratings


def test_viewers_cannot_sign_in(tmp_path: Path) -> None:
    run(write_csv(tmp_path))
    user = User.objects.get(email=viewer(7))
    assert user.name == "MovieLens viewer 7"
    assert not user.has_usable_password()
    assert user.is_active
    assert not user.is_staff


def test_a_rating_has_its_stars_and_its_time(tmp_path: Path) -> None:
    run(write_csv(tmp_path))
    row = Interaction.objects.get(user__email=viewer(1), movie__name="The Matrix")
    assert (row.kind, row.half_stars) == (Interaction.Kind.RATING, 1)
    assert row.created_at == row.updated_at == datetime(2000, 7, 30, 18, 20, 47, tzinfo=UTC)


def test_repeated_it_changes_nothing(tmp_path: Path) -> None:
    folder = write_csv(tmp_path, *RATINGS, "1,1,2.0,900000000", links=("2,0133093,603",))
    run(folder)
    before = every_row()
    out, _ = run(folder)
    assert out.startswith(
        "Films: 0 created, 3 known. Viewers: 0 created, 2 known. "
        "Ratings: 0 created, 0 updated, 4 unchanged. Lines refused: 0. "
    )
    assert every_row() == before


def test_only_what_has_changed_is_written(tmp_path: Path) -> None:
    run(write_csv(tmp_path))
    versions = dict(User.objects.values_list("email", "taste_version"))
    catalogue_version = CatalogueVersion.objects.get().version
    out, _ = run(
        write_csv(
            tmp_path,
            "1,1,4.0,964982703",  # the same
            "1,2,1.0,964981247",  # other stars
            "1,3,3.0,964981247",  # new
            "7,2,4.0,1147880000",  # older than what stands
        )
    )
    assert "Ratings: 1 created, 1 updated, 2 unchanged." in out
    assert ratings() == {
        (viewer(1), "Toy Story"): (4.0, 964982703),
        (viewer(1), "The Matrix"): (1.0, 964981247),
        (viewer(1), "Misérables"): (3.0, 964981247),
        (viewer(7), "The Matrix"): (5.0, 1147880044),
    }
    after = dict(User.objects.values_list("email", "taste_version"))
    assert after[viewer(1)] > versions[viewer(1)]
    assert after[viewer(7)] == versions[viewer(7)]
    assert CatalogueVersion.objects.get().version == catalogue_version
    matrix = Movie.objects.get(name="The Matrix")
    assert (matrix.rating_count, matrix.rating_sum) == (2, 6.0)


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_of_several_lines_for_one_viewer_and_film_the_newest_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(importing, "CHUNK", chunk)
    lines = ("1,1,3.0,200", "1,1,1.0,100", "1,1,5.0,300", "1,1,2.0,250", "1,2,4.0,7")
    out, _ = run(write_csv(tmp_path, *lines))
    assert ratings() == {
        (viewer(1), "Toy Story"): (5.0, 300),
        (viewer(1), "The Matrix"): (4.0, 7),
    }
    assert "Viewers: 1 created, 0 known." in out


def test_the_limit_is_of_ratings(tmp_path: Path) -> None:
    folder = write_csv(tmp_path)
    out, _ = run(folder, "--limit", "2")
    assert "Films: 3 created, 0 known. Viewers: 1 created, 0 known. Ratings: 2 created" in out
    assert "Ratings: 0 created" in run(folder, "--limit", "0")[0]
    assert "Ratings: 1 created, 0 updated, 2 unchanged" in run(folder, "--limit", "9")[0]


def test_a_limit_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="'-1' is not a count"):
        run(write_csv(tmp_path), "--limit=-1")


def test_an_interrupted_import_goes_on_when_it_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = iter([1])

    def merge_one_chunk(rows: Iterator[bytes]) -> merging.Merged:
        if next(chunks, None) is None:
            raise KeyboardInterrupt
        return merging.merge_ratings(rows)

    folder = write_csv(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(importing, "CHUNK", 2)
        patch.setattr(importing, "merge_ratings", merge_one_chunk)
        with pytest.raises(CommandError, match="Interrupted"):
            run(folder)
    assert Interaction.objects.count() == 2
    out, _ = run(folder)
    assert "Films: 0 created, 3 known. Viewers: 1 created, 1 known. Ratings: 1 created" in out
    assert Interaction.objects.count() == 3


def test_two_at_once_do_not_fight(tmp_path: Path) -> None:
    folder = write_csv(tmp_path)
    lock = single_run(import_movielens.LOCK)
    with lock, pytest.raises(CommandError, match="Another import is under way"):
        run(folder)
    assert not Movie.objects.exists()


# --- broken lines


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,1,4.0", "3 fields instead of 4"),
        ("1,1,4.0,5,6", "5 fields instead of 4"),
        ("one,1,4.0,5", "userId 'one' is not a whole number"),
        ("1,1.5,4.0,5", "movieId '1.5' is not a whole number"),
        ("1,1,good,5", "rating 'good' is not a number"),
        ("1,1,4.0,now", "timestamp 'now' is not a whole number"),
        ("1,1,4.0,", "timestamp '' is not a whole number"),
        ("1,1,0,5", "rating '0' is not one of 0.5, 1, 1.5 ... 5"),
        ("1,1,5.5,5", "rating '5.5' is not one of"),
        ("1,1,-1,5", "rating '-1' is not one of"),
        ("1,1,3.7,5", "rating '3.7' is not one of"),
        ("1,1,nan,5", "rating 'nan' is not one of"),
        ("1,99,4.0,5", "unknown movie 99"),
        ("1,1,4.0,-5", "timestamp -5 is negative"),
        ("1,1,4.0,9999999999999", "timestamp 9999999999999 lies in the future"),
        ("1,1,4.0," + "9" * 30, "timestamp '" + "9" * 30 + "' is out of range"),
        ("-1,1,4.0,5", "userId -1 is negative"),
        ("99999999999,1,4.0,5", "userId '99999999999' is out of range"),
        (b"1,1,4.0,\xff5", "invalid UTF-8 at byte 9"),
        ("1,1,4.0," + "x" * 500, "timestamp '" + "x" * 40 + "…' is not"),
        ("1,1,4.0,5\x00", "timestamp '5\\x00' is not"),
    ],
)
def test_a_broken_rating_is_named_and_the_rest_goes_in(
    tmp_path: Path, line: str | bytes, reason: str
) -> None:
    out, err = run(write_csv(tmp_path, RATINGS[0], line, *RATINGS[1:]))
    assert err.startswith(f"ratings.csv:3: {reason}")
    assert err.count("\n") == 1
    assert "Ratings: 3 created, 0 updated, 0 unchanged. Lines refused: 1." in out


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("8,Heat (1995)", "2 fields instead of 3"),
        ("8,Heat, Dust (1983),Drama", "4 fields instead of 3"),
        ('8,"Heat (1995),Drama', "not comma-separated values: unexpected end of data"),
        ("x,Heat (1995),Drama", "movieId 'x' is not a whole number"),
        ("1,Heat (1995),Drama", "movie 1 stands there a second time"),
        ("8,(1995),Drama", "title '' cannot be used"),
        ("8," + "x" * 291 + ",Drama", "title '" + "x" * 40 + "…' cannot be used"),
        ("8,Heat (1995),Drama|" + "x" * 61, "genre '" + "x" * 40 + "…' cannot be used"),
        (b"8,H\xe9at (1995),Drama", "invalid UTF-8 at byte 4"),
    ],
)
def test_a_broken_film_is_named_and_its_ratings_are_refused(
    tmp_path: Path, line: str | bytes, reason: str
) -> None:
    folder = write_csv(tmp_path, *RATINGS, "1,8,4,5", movies=(MOVIES[0], line, *MOVIES[1:]))
    out, err = run(folder)
    assert err.startswith(f"movies.csv:3: {reason}")
    assert err.endswith("\nratings.csv:5: unknown movie 8\n")
    assert "Films: 3 created" in out
    assert "Ratings: 3 created" in out


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,0114709", "2 fields instead of 3"),
        ("1,0114709,x", "tmdbId 'x' is not a whole number"),
        ("1,0114709,9999999999", "tmdbId '9999999999' is out of range"),
        ("99,0114709,862", "unknown movie 99"),
    ],
)
def test_a_broken_link_is_named_and_the_film_has_none(
    tmp_path: Path, line: str, reason: str
) -> None:
    out, err = run(write_csv(tmp_path, links=(line, "2,0133093,603")))
    assert err == f"links.csv:2: {reason}\n"
    assert "Lines refused: 1." in out
    assert list(Movie.objects.exclude(tmdb_id=None).values_list("tmdb_id", flat=True)) == [603]


def test_a_broken_line_of_an_older_folder_is_named_too(tmp_path: Path) -> None:
    write_ml_10m(tmp_path)
    with (tmp_path / "movies.dat").open("ab") as file:
        file.write(b"4::Am\xe9lie (2001)::Romance\n5::A::B::C\n")
    with (tmp_path / "ratings.dat").open("a") as file:
        file.write("1::1::4\n")
    assert run(tmp_path)[1].splitlines() == [
        "movies.dat:4: invalid UTF-8 at byte 6",
        "movies.dat:5: 4 fields instead of 3",
        "ratings.dat:3: 3 fields instead of 4",
    ]


def test_of_many_broken_lines_the_first_twenty_are_named_and_the_rest_counted(
    tmp_path: Path,
) -> None:
    out, err = run(write_csv(tmp_path, *["broken"] * 1025, *RATINGS))
    lines = err.splitlines()
    assert lines[19] == "ratings.csv:21: 1 field instead of 4"
    assert lines[20:] == ["... and 1,005 more lines were refused"]
    assert "Ratings: 3 created" in out
    assert "Lines refused: 1,025." in out


# --- the published data


@pytest.mark.skipif(not ML_LATEST_SMALL.is_dir(), reason=f"{ML_LATEST_SMALL} is not there")
def test_the_published_folder_goes_in_whole_and_once() -> None:
    out, err = run(ML_LATEST_SMALL)
    assert err == ""
    assert out.startswith(
        "Films: 9,742 created, 0 known. Viewers: 610 created, 0 known. "
        "Ratings: 100,836 created, 0 updated, 0 unchanged. Lines refused: 0. "
    )
    matrix = Movie.objects.get(tmdb_id=603)
    assert (matrix.name, matrix.release_year, matrix.rating_count) == ("The Matrix", 1999, 278)
    assert Movie.objects.filter(name__endswith=" (2)").count() == 5
    before = every_row()
    out, _ = run(ML_LATEST_SMALL)
    assert "Ratings: 0 created, 0 updated, 100,836 unchanged." in out
    assert every_row() == before
