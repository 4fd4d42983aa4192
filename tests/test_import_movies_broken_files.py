"""`manage.py import_movies` says what is wrong with a file, and where, and brings in the rest."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from movies.models import Movie
from tests.catalogue import film
from tests.importing import films, json_lines, run

pytestmark = pytest.mark.django_db

HEADER = "name;protagonists;start_date;overview"
ROWS = ("A;Varda;2026-12-03;", "B;Varda;2026-12-03;", "C;Varda;2026-12-03;")


def names() -> list[str]:
    return list(Movie.objects.order_by("pk").values_list("name", flat=True))


# --- files that are refused as a whole


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty."),
        (b"\xef\xbb\xbf", "is empty."),
        (b"\n \r\n\n", "is empty."),
        (f"{HEADER}\n".encode("utf-16"), "is UTF-16. Save it as UTF-8."),
        (f"{HEADER}\n".encode("utf-16-le"), "has NUL bytes in its first line"),
        ("größe;name\n".encode("latin-1"), "has no header. The byte 0xF6 is no UTF-8."),
        (b"PK\x03\x04\x14\x00", "is a workbook or another archive. Save it as"),
        (b"\xd0\xcf\x11\xe0\xa1", "is an old Excel workbook."),
        (b"BZh91AY", "is compressed by bzip2."),
        (b"\x1f\x8b\x08\x00 no gzip at all", "cannot be read beyond line 0"),
        (b'[{"name": "A"}]', "is one list of JSON. Write one object a line"),
        (b"hello\nworld\n", "is no file of films: its first line names none of name, slug"),
        (os.urandom(5000).replace(b"\n", b"").replace(b"\0", b"x"), ""),
        (b"x" * 2_000_000, "has no header. The line has more than 1,000,000 characters."),
        (b"name;start_date\n", "lacks protagonists."),
        (b"name;protagonists;start_date;Name\n", "has twice: 'name'."),
        (b"name;protagonists;start_date;notes;\x1b[31m\n", "does not: 'notes', '\\x1b[31m'."),
    ],
)
def test_a_file_without_films_is_refused_with_a_sentence(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "films.csv"
    path.write_bytes(content)
    out, err = run(path)
    assert out == ""
    assert err.startswith(f"{path} ")
    assert complaint in err
    assert err.count("\n") == 1
    assert len(err) < 1000
    assert not Movie.objects.exists()


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    assert "cannot be opened: No such file or directory." in run(tmp_path / "none")[1]
    assert "cannot be opened: Is a directory." in run(tmp_path)[1]
    path = json_lines(tmp_path / "films.jsonl", film())
    err = run(path, "--report", str(tmp_path))[1]
    assert err == f"The report {tmp_path} cannot be written: Is a directory.\n"
    before = path.read_bytes()
    assert run(path, "--report", str(path))[1] == "The report would overwrite the films.\n"
    assert path.read_bytes() == before
    assert not Movie.objects.exists()


def test_a_header_alone_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    path.write_text(f"{HEADER}\n")
    assert run(path) == ("Films: 0 created, 0 updated, 0 unchanged. Rows refused: 0.\n", "")


def test_a_truncated_archive_is_imported_up_to_its_end(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "films", *films(2500))
    packed = gzip.compress(path.read_bytes())
    path.write_bytes(packed[:-2000])
    err = run(path)[1]
    assert "cannot be read beyond line 1" in err
    count = Movie.objects.count()
    assert 1000 < count < 2500
    assert f"Films: {count:,} created" in err


# --- lines that are refused alone


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("X;Varda;2026-12-03", "There are 3 cells for 4 columns."),
        ("X;Varda;2026-12-03;;y", "There are 5 cells for 4 columns."),
        ('X;Varda;2026-12-03;"a" b', "A quotation mark within quotation marks must be doubled."),
        ('X;Varda;2026-12-03;"a', "A quotation mark is left open"),
        ('"X;Varda;2026-12-03;', "A quotation mark is left open"),
        (b"M\xe9lo;Varda;2026-12-03;", "The byte 0xE9 is no UTF-8. Save the file as UTF-8."),
        (b"\xff\xfe", "The byte 0xFF is no UTF-8."),
        (b"X;Varda;2026-12-03;" + b"x" * 1_100_000, "The line has more than 1,000,000 characters."),
        (b"X;Varda;2026-12-03;" + b"x" * 200_000, "A quotation mark is left open, or a cell is"),
        ("X;Varda;2026-12-03;" + "x" * 10_001, "body.overview: "),
        ("X;;2026-12-03;", "body.protagonists: Field required"),
        ("\0;Varda;2026-12-03;", "body.name: the text is blank"),
    ],
)
@pytest.mark.parametrize("place", [1, 3])
def test_a_broken_line_of_a_spreadsheet_is_named_and_the_others_go_in(
    tmp_path: Path, line: str | bytes, reason: str, place: int
) -> None:
    path = json_lines(tmp_path / "films.csv", HEADER, *ROWS[:place], line, *ROWS[place:])
    out, err = run(path)
    assert names() == ["A", "B", "C"]
    assert "3 created" in out
    refusal, rest = err.split("\n", 1)
    assert refusal.startswith(f"films.csv:{place + 2}: ")
    assert reason in refusal
    assert rest == "Rows refused: 1.\n"


def test_two_quotation_marks_left_open_lose_no_line_between(tmp_path: Path) -> None:
    """One of the two could be taken for the end of the other."""
    stray = ('X;Varda;2026-12-03;"a', 'Y;Varda;2026-12-03;"b')
    path = json_lines(tmp_path / "films.csv", HEADER, ROWS[0], stray[0], ROWS[1], stray[1], ROWS[2])
    err = run(path)[1]
    assert names() == ["A", "B", "C"]
    assert [line.split(":")[1] for line in err.splitlines()[:-1]] == ["3", "5"]


def test_a_column_without_a_name_has_to_be_empty(tmp_path: Path) -> None:
    path = json_lines(
        tmp_path / "films.csv", f"{HEADER};;", *(f"{row};;" for row in ROWS), "X;V;2026-12-03;;;y"
    )
    assert "films.csv:5: body: There is something in a column without a name." in run(path)[1]
    assert names() == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "The line is not JSON: "),
        ('{"name": "\\ud800"}', "The line is not JSON: "),
        ('{"a": NaN}', "The line is not JSON: "),
        ("[" * 100_000, "The line is not JSON: "),
        ("7", "body: Input should be a valid dictionary"),
        ("[]", "body: Input should be a valid dictionary"),
        ("null", "body: Input should be a valid dictionary"),
        (b'{"name": "M\xe9lo"}', "The byte 0xE9 is no UTF-8."),
        (b'{"name": "\x00"}', "The line is not JSON: "),
        (b'{"name": "' + b"x" * 3_000_000 + b'"}', "The line has more than 1,000,000 characters."),
        (film(runtime_minutes=10**30), "body.runtime_minutes: "),
        (film(id=7), "body.id: Extra inputs are not permitted"),
    ],
)
def test_a_broken_line_of_json_is_named_and_the_others_go_in(
    tmp_path: Path, line: object, reason: str
) -> None:
    path = json_lines(tmp_path / "films.jsonl", film(name="A"), line, film(name="B"))
    err = run(path)[1]
    assert names() == ["A", "B"]
    refusal, rest = err.split("\n", 1)
    assert refusal.startswith("films.jsonl:2: ")
    assert reason in refusal
    assert rest == "Rows refused: 1.\n"


def test_a_slug_that_two_rows_want_goes_to_the_first(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a", film(slug="cleo"), film(name="B", slug="cleo"))
    assert "a:2: body: Another movie has the slug 'cleo'." in run(path)[1]
