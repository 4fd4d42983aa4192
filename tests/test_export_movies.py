"""`manage.py export_movies` writes what `import_movies` reads, and nothing is lost in between."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, OutputWrapper
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cinema.command_output import opened_output
from movies.importing.files import FIELDS
from movies.models import Genre, Movie
from tests.builders import Client, make_movie
from tests.importing import every_row, exported, films, imported, run

pytestmark = pytest.mark.django_db

#: Texts that spreadsheets, shells, JSON and CSV could stumble over.
HOSTILE = (
    "=cmd|'/C calc'!A0",
    "'=1+1",
    "''@SUM(A1)",
    "+49 30; DROP TABLE",
    "-1,5",
    "@home",
    "＝wide",
    'Say "yes", "no"; or\\not | \\| \\\\',
    "'Tis",
    "|",
    "a=b",
    "sep=;",
    "{",
    "null",
    "#N/A",
    "007",
    "1e5",
    "2026-12-03",
    "3.12.2026",
    "\u202egnp.exe",
    "👩\u200d👩\u200d👧 🎬",
    "İstanbul ß ẞ ﷺ",
    "七人の侍",
    "e\x00\u0301",
    "\ufeffmark",
    "a\u2028b\x85c",
)


def post_hostile_films(staff: Client) -> None:
    rows = [
        {
            "name": text,
            "start_date": "2026-12-03",
            "protagonists": [text, f"{text} again", *HOSTILE[:3]],
            "keywords": [text],
            "directors": [text, f"{text} too"],
            "series": text,
            "overview": f"{text}\r\n\n  {text}  \n" if number % 2 else text,
            "poster": "https://example.org/?a=1|2&b='\"",
            "end_date": "2027-01-31" if number % 3 else None,
            "status": "running" if number % 3 == 1 else None,
            "tmdb_id": number or None,
            "genres": ["Drama", "film-noir"] if number % 2 else [],
        }
        for number, text in enumerate(HOSTILE)
    ]
    assert imported(staff, *rows)["created"] == len(HOSTILE)
    slugs = {"drama-2": "Drama", "SF_x": "=Sci|Fi\\", "a-b": "a=b", "music": "music", "7": "VII"}
    genres = [Genre(slug=slug, name=name) for slug, name in slugs.items()]
    Movie.objects.get(tmdb_id=2).genres.add(*Genre.objects.bulk_create(genres))


FILES = pytest.mark.parametrize("name", ["films.jsonl", "films.csv", "films.csv.gz"])


# --- there and back


@FILES
def test_an_import_into_an_empty_catalogue_restores_every_film(
    staff: Client, tmp_path: Path, name: str
) -> None:
    post_hostile_films(staff)
    before = exported(tmp_path / name)
    genres = set(Genre.objects.values_list("slug", "name"))
    Movie.objects.all().delete()
    Genre.objects.all().delete()
    out, err = run(tmp_path / name)
    assert (err, out.split()[1]) == ("", str(len(HOSTILE)))
    assert exported(tmp_path / f"again-{name}") == before
    assert set(Genre.objects.values_list("slug", "name")) == genres


@FILES
@pytest.mark.parametrize("options", [(), ("--clear-empty",)])
def test_an_import_into_the_same_catalogue_changes_nothing(
    staff: Client, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    post_hostile_films(staff)
    exported(tmp_path / name)
    before = every_row()
    out, err = run(tmp_path / name, *([] if name.endswith("l") else options))
    assert (out, err) == (
        f"Films: 0 created, 0 updated, {len(HOSTILE)} unchanged. Rows refused: 0.\n",
        "",
    )
    assert every_row() == before


@pytest.mark.parametrize("separator", ["comma", "semicolon", "tab"])
def test_each_separator_is_read_again(staff: Client, tmp_path: Path, separator: str) -> None:
    post_hostile_films(staff)
    exported(tmp_path / "films.csv", "--separator", separator)
    assert f"{len(HOSTILE)} unchanged" in run(tmp_path / "films.csv")[0]


# --- what is in it


def test_every_field_that_can_be_brought_in_is_in_it(tmp_path: Path) -> None:
    make_movie(
        name="Cléo",
        start_date=date(2026, 12, 3),
        genres=["drama"],
        keywords=["paris"],
        directors=["Agnès Varda", "Chantal Akerman"],
        series="Cléo and friends",
    )
    [line] = exported(tmp_path / "films.jsonl").splitlines()
    assert json.loads(line) == {
        "name": "Cléo",
        "slug": "cleo",
        "protagonists": ["Agnès Varda"],
        "overview": "",
        "genres": [{"slug": "drama", "name": "Drama"}],
        "poster": None,
        "trailer": None,
        "start_date": "2026-12-03",
        "end_date": None,
        "status": None,
        "original_language": "fr",
        "release_year": 1962,
        "runtime_minutes": 90,
        "tmdb_id": None,
        "keywords": ["paris"],
        "directors": ["Agnès Varda", "Chantal Akerman"],
        "series": "Cléo and friends",
    }


def test_no_cell_begins_as_a_formula(staff: Client, tmp_path: Path) -> None:
    post_hostile_films(staff)
    text = exported(tmp_path / "films.csv").decode("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert tuple(header) == FIELDS
    assert len(rows) == len(HOSTILE)
    cells = [cell for row in rows for cell in row if cell]
    assert not [cell for cell in cells if cell[0] in "=+-@\t\r\n＝＋－＠"]


def test_a_status_set_by_the_clock_is_not_exported(tmp_path: Path) -> None:
    make_movie(name="A")
    make_movie(name="B", status="finished")
    lines = exported(tmp_path / "films.jsonl").splitlines()
    assert [json.loads(line)["status"] for line in lines] == [None, "finished"]


def test_withdrawn_films_are_left_out(tmp_path: Path) -> None:
    make_movie(name="A")
    Movie.objects.update(withdrawn_at=timezone.now())
    make_movie(name="B")
    assert [json.loads(line)["name"] for line in exported(tmp_path / "f").splitlines()] == ["B"]


def test_an_empty_catalogue_gives_an_empty_file(tmp_path: Path) -> None:
    assert exported(tmp_path / "films.jsonl") == b""
    assert exported(tmp_path / "films.csv") == b"\xef\xbb\xbf" + ",".join(FIELDS).encode() + b"\r\n"
    assert run(tmp_path / "films.csv")[1] == ""


def test_the_same_films_are_the_same_packed_bytes(staff: Client, tmp_path: Path) -> None:
    imported(staff, *films(3))
    first = exported(tmp_path / "a.jsonl.gz")
    assert first == exported(tmp_path / "b.jsonl.gz")
    assert gzip.decompress(first) == exported(tmp_path / "a.jsonl")


def test_the_films_come_by_one_query_however_many(staff: Client, tmp_path: Path) -> None:
    imported(staff, *films(300, genres=["drama"]))
    with CaptureQueriesContext(connection) as queries:
        exported(tmp_path / "films.jsonl")
    # Beside it: how many there are, and the savepoint of the tests.
    assert len(queries) <= 5


# --- where it goes


def test_without_a_file_it_goes_to_standard_output(staff: Client, tmp_path: Path) -> None:
    imported(staff, *films(3))
    for options in ((), ("-",), ("--format", "csv")):
        out = io.TextIOWrapper(io.BytesIO())
        call_command("export_movies", *options, stdout=out)
        name = "films.csv" if "csv" in options else "films.jsonl"
        assert out.buffer.getvalue() == exported(tmp_path / name)


def test_an_existing_file_is_replaced_once_the_new_one_is_complete(
    staff: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(staff, *films(3))
    path = tmp_path / "films.jsonl"
    path.write_text("precious")
    with monkeypatch.context() as patch:
        patch.setattr("movies.management.commands.export_movies.json_lines", _full_disk)
        with pytest.raises(CommandError, match="cannot be written: No space left on device"):
            exported(path)
    assert (path.read_text(), os.listdir(tmp_path)) == ("precious", ["films.jsonl"])
    assert len(exported(path).splitlines()) == 3
    assert os.listdir(tmp_path) == ["films.jsonl"]


def _full_disk() -> Any:
    yield b"{}"
    raise OSError(28, os.strerror(28))


def no_output() -> OutputWrapper:
    return OutputWrapper(io.TextIOWrapper(io.BytesIO()))


def test_two_exports_to_one_file_at_once_leave_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "films.jsonl"
    stdout = no_output()
    with opened_output(str(path), stdout) as first, opened_output(str(path), stdout) as second:
        first.write(b"whole\n")
        second.write(b"ha")
        second.flush()
        first.flush()
        # The second one ends first here, and is not yet to be seen in the first one's file.
        second.write(b"lf\n")
    assert path.read_bytes() == b"whole\n"
    assert (os.listdir(tmp_path), path.stat().st_mode & 0o777) == (["films.jsonl"], 0o600)


def test_an_export_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    """As `docker stop` and systemd stop it."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with (
            pytest.raises(SystemExit),
            opened_output(str(tmp_path / "films.jsonl"), no_output()),
        ):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert os.listdir(tmp_path) == []


def test_an_unwritable_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written: Is a directory"):
        exported(tmp_path)
    with pytest.raises(CommandError, match="cannot be written: No such file or directory"):
        exported(tmp_path / "none" / "films.csv")
    call_command("export_movies", os.devnull)
    assert Path(os.devnull).is_char_device()
