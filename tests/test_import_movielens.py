"""`manage.py import_movielens`: every format, viewers and ratings, and the published data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management.base import CommandError

from cinema.locks import single_run
from movies.models import CatalogueVersion, Movie
from recommendations.management.commands import import_movielens
from recommendations.models import Interaction
from recommendations.movielens import ratings as movielens_ratings
from recommendations.movielens import services
from recommendations.movielens.ratings import RatingRows, merge_ratings
from tests.movielens import (
    RATINGS,
    every_row,
    ratings,
    run,
    viewer,
    write_csv,
    write_lines,
    write_ml_100k,
)
from users.models import User

pytestmark = pytest.mark.django_db

ML_LATEST_SMALL = Path(settings.BASE_DIR).parent / "shared" / "data" / "ml-latest-small"


# --- formats


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


@pytest.mark.parametrize("write", [write_csv, write_ml_1m, write_ml_10m, write_ml_100k])
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
    write_lines(tmp_path / "ratings.csv", "user,item,stars", "1,1,5")
    with pytest.raises(CommandError, match="begins with 'user,item,stars'"):
        run(tmp_path)
    assert not Movie.objects.exists()


def test_broken_lines_of_the_oldest_folder_are_named_too(tmp_path: Path) -> None:
    write_ml_100k(tmp_path)
    with (tmp_path / "u.item").open("a") as file:
        file.write("4|Heat (1995)|01-Jan-1995|||1|0\n")
    with (tmp_path / "u.data").open("a") as file:
        file.write("1\t1\t6\t964982703\n1\t99\t3\t964982703\n")
    assert run(tmp_path)[1].splitlines() == [
        "u.item:4: 7 fields instead of 24",
        "u.data:3: rating '6' is not one of 0.5, 1, 1.5 ... 5",
        "u.data:4: unknown movie 99",
    ]


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


def test_a_repeated_import_changes_nothing(tmp_path: Path) -> None:
    folder = write_csv(tmp_path, *RATINGS, "1,1,2.0,900000000", links=("2,0133093,603",))
    run(folder)
    before = every_row()
    out, _ = run(folder)
    assert out.startswith(
        "Films: 0 created, 3 known. Viewers: 0 created, 2 known. "
        "Ratings: 0 created, 0 updated, 4 unchanged. Lines refused: 0. "
    )
    assert every_row() == before


def test_only_changed_rows_are_written(tmp_path: Path) -> None:
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
    # Once, so that the films' mean ratings show.
    assert CatalogueVersion.objects.get().version == catalogue_version + 1
    matrix = Movie.objects.get(name="The Matrix")
    assert (matrix.rating_count, matrix.rating_sum) == (2, 6.0)


@pytest.mark.parametrize("block_lines", [1, 2, 1000], ids=["line by line", "two lines", "at once"])
def test_the_newest_line_for_a_viewer_and_film_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_lines: int
) -> None:
    monkeypatch.setattr(movielens_ratings, "BLOCK_LINES", block_lines)
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


def test_an_invalid_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="'-1' is not a count"):
        run(write_csv(tmp_path), "--limit=-1")


def test_an_interrupted_import_goes_on_when_it_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = iter([1])

    def merge_one_block(rows: RatingRows) -> tuple[list[int], Counter[str]]:
        if next(blocks, None) is None:
            raise KeyboardInterrupt
        return merge_ratings(rows)

    folder = write_csv(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(movielens_ratings, "BLOCK_LINES", 2)
        patch.setattr(services, "merge_ratings", merge_one_block)
        with pytest.raises(CommandError, match="Interrupted"):
            run(folder)
    assert Interaction.objects.count() == 2
    out, _ = run(folder)
    assert "Films: 0 created, 3 known. Viewers: 1 created, 1 known. Ratings: 1 created" in out
    assert Interaction.objects.count() == 3


def test_two_at_once_do_not_fight(tmp_path: Path) -> None:
    folder = write_csv(tmp_path)
    lock = single_run(import_movielens.LOCK)
    with lock, pytest.raises(CommandError, match="Another import is running"):
        run(folder)
    assert not Movie.objects.exists()


# --- the published data


@pytest.mark.skipif(not ML_LATEST_SMALL.is_dir(), reason=f"{ML_LATEST_SMALL} is not there")
def test_the_published_folder_goes_in_whole_and_once() -> None:
    out, err = run(ML_LATEST_SMALL)
    assert err == ""
    assert out.startswith(
        "Films: 9,742 created, 0 known. Keywords from tags: 1,571 films. "
        "Viewers: 610 created, 0 known. "
        "Ratings: 100,836 created, 0 updated, 0 unchanged. Lines refused: 0. "
    )
    matrix = Movie.objects.get(tmdb_id=603)
    assert (matrix.name, matrix.release_year, matrix.rating_count) == ("The Matrix", 1999, 278)
    assert {"martial arts", "sci-fi"} <= set(matrix.keywords)
    assert Movie.objects.filter(name__endswith=" (2)").count() == 5
    before = every_row()
    out, _ = run(ML_LATEST_SMALL)
    assert "Ratings: 0 created, 0 updated, 100,836 unchanged." in out
    assert every_row() == before
