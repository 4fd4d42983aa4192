"""MovieLens folders as matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recommendations.movielens import ratings
from recommendations.movielens.files import NotMovieLens
from recommendations.movielens.matrices import MovieLensData, read_matrices
from tests.movielens import MOVIES, RATINGS, write_csv, write_lines, write_ml_100k

#: The weights by half stars, with the default INTERACTION_WEIGHTS.
BY_HALF_STARS = {8: 2.0, 1: -2.5, 10: 3.0}


def read(folder: Path) -> tuple[MovieLensData, list[str]]:
    """The matrices, and what was complained about."""
    complaints: list[str] = []
    return read_matrices(folder, tell=complaints.append), complaints


def entries(matrix: csr_matrix) -> dict[tuple[int, int], float]:
    coo = matrix.tocoo()
    return dict(zip(zip(coo.row.tolist(), coo.col.tolist(), strict=True), coo.data, strict=True))


def write_dat(folder: Path, *ratings: str) -> Path:
    write_lines(
        folder / "movies.dat",
        "1::Toy Story (1995)::Animation|Children's",
        "2::M (1995)::Children's",
    )
    write_lines(folder / "ratings.dat", *ratings)
    return folder


def test_rows_are_viewers_and_columns_films(tmp_path: Path) -> None:
    data, complaints = read(write_csv(tmp_path))
    assert data.user_ids.tolist() == [1, 7]
    assert data.item_ids.tolist() == [1, 2, 3]
    assert data.years.tolist() == [1995, 1999, 1998]
    assert entries(data.interactions) == {(0, 0): 2.0, (0, 1): -2.5, (1, 1): 3.0}
    assert entries(data.times) == {(0, 0): 964982703, (0, 1): 964981247, (1, 1): 1147880044}
    assert data.interactions.dtype == np.float32
    assert data.times.dtype == np.float64
    assert complaints == []


def test_films_stand_in_ascending_order_whatever_the_files(tmp_path: Path) -> None:
    write_csv(tmp_path, "2,3,5,10", "1,1,4,10", "2,1,4,10", movies=tuple(reversed(MOVIES)))
    data, _ = read(tmp_path)
    assert data.item_ids.tolist() == [1, 2, 3]
    assert data.user_ids.tolist() == [1, 2]
    assert entries(data.interactions) == {(0, 0): 2.0, (1, 0): 2.0, (1, 2): 3.0}
    assert data.interactions.has_sorted_indices


def test_features_are_genres_decade_and_tags(tmp_path: Path) -> None:
    write_csv(tmp_path)
    write_lines(
        tmp_path / "tags.csv",
        "userId,movieId,tag,timestamp",
        "1,1,  Pixar  Animation,1",
        '7,1,"pixar animation",2',
        '1,2,"Café, cold",3',
        '7,3,"cafe, cold",3',
        "7,3,said of one film alone,3",
        "1,9,nothing,4",
    )
    data, complaints = read(tmp_path)
    features = data.items
    names = [
        {features.names[column] for column in features.matrix[row].indices} for row in range(3)
    ]
    assert names == [
        {"genre:sci-fi", "decade:1990"},
        {"genre:sci-fi", "decade:1990", "keyword:cafe, cold"},
        {"decade:1990", "keyword:cafe, cold"},
    ]
    assert set(features.matrix.data.tolist()) == {1.0}
    assert complaints == ["tags.csv:7: unknown movie 9"]


def test_the_older_folders_are_read_too(tmp_path: Path) -> None:
    data, complaints = read(write_dat(tmp_path, "1::1::5::978300760", "1::2::4::978300761"))
    assert entries(data.interactions) == {(0, 0): 3.0, (0, 1): 2.0}
    assert entries(data.times) == {(0, 0): 978300760, (0, 1): 978300761}
    assert data.items.names == ("decade:1990", "genre:children")
    assert complaints == []


def test_the_latest_of_two_ratings_of_a_film_counts(tmp_path: Path) -> None:
    folder = write_csv(tmp_path, "1,1,0.5,20", "1,1,5,30", "1,2,5,20", "1,2,0.5,20", "1,1,4,10")
    data, _ = read(folder)
    assert entries(data.interactions) == {(0, 0): 3.0, (0, 1): -2.5}
    assert entries(data.times) == {(0, 0): 30, (0, 1): 20}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,3,5", "3 fields instead of 4"),
        ("1,3,5,1,1", "5 fields instead of 4"),
        ("1,9,5,1", "unknown movie 9"),
        ("1,3,5.5,1", "rating '5.5' is not one of 0.5, 1, 1.5 ... 5"),
        ("1,3,3.2,1", "rating '3.2' is not one of 0.5, 1, 1.5 ... 5"),
        ("1,3,5,99999999999", "timestamp 99999999999 lies in the future"),
        ("1,3,nan,1", "rating 'nan' is not one of 0.5, 1, 1.5 ... 5"),
        ("x,3,5,1", "userId 'x' is not a whole number"),
        ("-1,3,5,1", "userId -1 is negative"),
    ],
)
def test_an_unusable_line_is_named_and_left_out(tmp_path: Path, line: str, reason: str) -> None:
    data, complaints = read(write_csv(tmp_path, *RATINGS[:2], line, RATINGS[2]))
    assert complaints == [f"ratings.csv:4: {reason}"]
    assert entries(data.interactions) == {(0, 0): 2.0, (0, 1): -2.5, (1, 1): 3.0}


def test_unusual_spelling_is_understood(tmp_path: Path) -> None:
    data, complaints = read(write_csv(tmp_path, '"1","1","4.0","5"', "", "7,2,5.00,6\r"))
    assert entries(data.interactions) == {(0, 0): 2.0, (1, 1): 3.0}
    assert complaints == []


def test_reading_in_blocks_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        f"{user},{film},{1 + (user + film) % 4},{user}" for user in (4, 2) for film in (2, 1, 3)
    ]
    folder = write_csv(tmp_path, *lines, "4,9,3,7")
    at_once, complaints = read(folder)
    monkeypatch.setattr(ratings, "BLOCK_LINES", 2)
    in_blocks, the_same = read(folder)
    assert complaints == the_same == ["ratings.csv:8: unknown movie 9"]
    assert entries(at_once.interactions) == entries(in_blocks.interactions)
    assert entries(at_once.times) == entries(in_blocks.times)


def test_a_folder_without_ratings_has_its_films(tmp_path: Path) -> None:
    write_csv(tmp_path)
    write_lines(tmp_path / "ratings.csv", "userId,movieId,rating,timestamp")
    data, _ = read(tmp_path)
    assert data.interactions.shape == (0, 3)
    assert data.items.matrix.shape[0] == 3


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotMovieLens, match="is not a MovieLens folder"):
        read_matrices(tmp_path)


def test_the_oldest_folder_is_read_too(tmp_path: Path) -> None:
    read = read_matrices(write_ml_100k(tmp_path))
    assert read.interactions.shape == (1, 3)
    assert list(read.years) == [1995, 1999, 1998]
