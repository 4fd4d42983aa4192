"""`manage.py import_movies`: JSON Lines and spreadsheets, and what the command tells."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from cinema.audit.models import AuditEntry
from movies.importing import services
from movies.importing.schemas import MovieRow, Result
from movies.models import Movie
from tests.builders import Client, make_movie
from tests.catalogue import film
from tests.importing import every_row, films, imported, json_lines, run

pytestmark = pytest.mark.django_db

HEADER = "name,protagonists,start_date"
CLEO = "Cléo,Corinne Marchand,2026-12-03"


def sheet(path: Path, *lines: str, encoding: str = "utf-8", end: str = "\n") -> Path:
    path.write_bytes(end.join([*lines, ""]).encode(encoding))
    return path


# --- formats


def test_json_lines_go_in(tmp_path: Path) -> None:
    path = json_lines(
        tmp_path / "films.jsonl",
        film(genres=["drama", {"slug": "sf", "name": "Sci-Fi"}], runtime_minutes="90"),
        "",
        "   ",
        film(name="七人の侍", overview='Two "lines"\nand a \u2028 mark', tmdb_id=346),
    )
    assert run(path) == ("Films: 2 created, 0 updated, 0 unchanged. Rows refused: 0.\n", "")
    cleo, samurai = Movie.objects.order_by("pk")
    assert {genre.name for genre in cleo.genres.all()} == {"Drama", "Sci-Fi"}
    assert (cleo.runtime_minutes, samurai.slug) == (90, "七人の侍")
    assert samurai.overview == 'Two "lines"\nand a \u2028 mark'


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_spreadsheet_goes_in_as_any_program_saves_it(
    tmp_path: Path, separator: str, end: str, encoding: str
) -> None:
    rows = [
        ["Name", "protagonists", "START DATE", "End-date", "overview", "genres", "runtime_minutes"],
        ["Cléo; de 5, à 7", "Corinne Marchand|Sammy Davis, Jr.", "2026-12-03", "30.12.2026",
         'Two "hours"\tin\nParis', "drama | Film Noir|", " 90 "],
        [""] * 7,
        ["B", "Varda", "3.1.2027", "", "", "", ""],
    ]  # fmt: skip
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end).writerows(rows)
    path = tmp_path / "films.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    assert run(path) == ("Films: 2 created, 0 updated, 0 unchanged. Rows refused: 0.\n", "")
    cleo, other = Movie.objects.order_by("pk")
    assert cleo.name == "Cléo; de 5, à 7"
    assert cleo.protagonists == ["Corinne Marchand", "Sammy Davis, Jr."]
    assert (str(cleo.end_date), cleo.runtime_minutes) == ("2026-12-30", 90)
    assert cleo.overview == 'Two "hours"in\nParis'
    assert {genre.slug for genre in cleo.genres.all()} == {"drama", "film-noir"}
    assert str(other.start_date) == "2027-01-03"


def test_excel_may_name_the_separator(tmp_path: Path) -> None:
    lines = ["sep=;", HEADER.replace(",", ";"), CLEO.replace(",", ";")]
    path = sheet(tmp_path / "films.csv", *lines, encoding="utf-8-sig", end="\r\n")
    assert "1 created" in run(path)[0]


def test_an_empty_cell_changes_nothing_without_the_option(tmp_path: Path) -> None:
    everything = (
        "overview,genres,keywords,directors,poster,end_date,status,original_language,release_year,"
        "tmdb_id,series"
    )
    values = (
        "Paris.,drama,paris,Varda|Demy,https://example.org/a,2026-12-30,running,fr,1962,499,Cléo"
    )
    run(sheet(tmp_path / "full.csv", f"{HEADER},{everything}", f"{CLEO},{values}"))
    before = every_row()
    empty = sheet(tmp_path / "empty.csv", f"{HEADER},slug,{everything}", f"{CLEO},{',' * 11}")
    assert "1 unchanged" in run(empty)[0]
    assert every_row() == before
    assert "1 updated" in run(empty, "--clear-empty")[0]
    cleo = Movie.objects.get()
    assert (cleo.overview, cleo.keywords, cleo.poster, cleo.end_date) == ("", [], None, None)
    assert (cleo.directors, cleo.original_language, cleo.release_year) == ([], None, None)
    assert (cleo.tmdb_id, cleo.series) == (None, "")
    assert (cleo.status_is_manual, cleo.genres.count(), cleo.slug) == (False, 0, "cleo")


@pytest.mark.parametrize(
    ("cell", "entries"),
    [
        (r"A\|B|C", ["A|B", "C"]),
        (r"AC\DC", [r"AC\DC"]),
        (r"A\\|B", ["A\\", "B"]),
        (r"A\\\|B", [r"A\|B"]),
        ("|A||B|", ["A", "B"]),
        ("'=A|B", ["=A", "B"]),
        ("''=A", ["'=A"]),
        ("'Tis|'s", ["'Tis", "'s"]),
        ("-A|@B", ["-A", "@B"]),
    ],
)
def test_lists_are_written_with_bars(tmp_path: Path, cell: str, entries: list[str]) -> None:
    run(sheet(tmp_path / "films.csv", HEADER, f"Cléo,{cell},2026-12-03"))
    assert Movie.objects.get().protagonists == entries


def test_a_packed_file_goes_in_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "films"
    path.write_bytes(gzip.compress(f"{HEADER}\n{CLEO}\n".encode()))
    assert "1 created" in run(path)[0]


def test_standard_input_goes_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = json_lines(tmp_path / "films", film())
    with path.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert "1 created" in run("-")[0]


def test_films_are_read_from_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps(film())
    with subprocess.Popen(["echo", line], stdout=subprocess.PIPE, text=True) as echo:
        monkeypatch.setattr(sys, "stdin", echo.stdout)
        assert "1 created" in run("-")[0]


def test_unknown_columns_and_keys_can_be_left_out(tmp_path: Path) -> None:
    path = sheet(tmp_path / "a.csv", f"{HEADER},Notes", f"{CLEO},good")
    out = run(path, "--ignore-unknown")[0]
    assert "1 created" in out
    assert "Left out: 'notes'." in out
    rows = json_lines(tmp_path / "a.jsonl", film(id=7, ranking=10))
    out = run(rows, "--ignore-unknown")[0]
    assert "1 unchanged" in out
    assert "Left out: 'id', 'ranking'." in out


# --- what is told


def test_a_dry_run_tells_field_by_field_what_would_change(tmp_path: Path) -> None:
    movie = make_movie(name="Cléo", start_date=date(2026, 12, 3), runtime_minutes=90, overview="")
    path = json_lines(
        tmp_path / "films.jsonl",
        film(runtime_minutes=91, overview="x" * 500, genres=["drama"]),
        film(name="B\x1b[31m\u009bm"),
        film(name="b[31mm", tmdb_id=499),
        film(overview="x" * 500),
    )
    before = every_row()
    out, err = run(path, "--dry-run")
    assert every_row() == before
    assert err == ""
    assert out.splitlines() == [
        f'films.jsonl:1: change movie {movie.pk}, "Cléo": protagonists ["Agnès Varda"] → '
        f'["Corinne Marchand"]; overview "" → "{"x" * 59}…; genres [] → ["drama"]; '
        "runtime_minutes 90 → 91",
        'films.jsonl:2: create "B[31mm", 2026-12-03',
        'films.jsonl:3: change the one to create, "b[31mm": name "B[31mm" → "b[31mm"; '
        "tmdb_id null → 499",
        "Dry run: nothing is written. Films: 1 created, 2 updated, 1 unchanged. Rows refused: 0.",
    ]


def test_a_dry_run_of_many_rows_tells_of_the_first_hundred(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "films.jsonl", *films(1500), *films(3))
    out = run(path, "--dry-run")[0].splitlines()
    assert out[99].startswith("films.jsonl:100: create")
    assert out[100:] == [
        "... more rows created: --verbosity 2 tells of all",
        "Dry run: nothing is written. "
        "Films: 1,500 created, 0 updated, 3 unchanged. Rows refused: 0.",
    ]
    assert len(run(path, "--dry-run", "--verbosity", "2")[0].splitlines()) == 1501
    assert run(path, "--dry-run", "--verbosity", "0") == ("", "")
    assert not Movie.objects.exists()


def test_refused_rows_are_told_with_their_lines_and_reported(tmp_path: Path) -> None:
    path = sheet(
        tmp_path / "films.csv", f"{HEADER},overview", f'{CLEO},"two\nlines"', "B,Varda,soon,",
        ",,2026-12-03,", "C,Varda,2026-12-03,",
    )  # fmt: skip
    report = tmp_path / "report.csv"
    out, err = run(path, "--report", str(report))
    assert out == "Films: 2 created, 0 updated, 0 unchanged. Rows refused: 2.\n"
    assert err.splitlines() == [
        "films.csv:4: body.start_date: expected a date as in 2026-12-03",
        "films.csv:5: body.name: Field required; body.protagonists: Field required",
        "Rows refused: 2.",
    ]
    with report.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == [
            ["line", "field", "message", "movie_id"],
            ["4", "body.start_date", "expected a date as in 2026-12-03", ""],
            ["5", "body.name", "Field required", ""],
            ["5", "body.protagonists", "Field required", ""],
        ]


def test_the_first_hundred_refused_rows_are_shown_and_all_reported(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "films.jsonl", *["{"] * 1234, film())
    report = tmp_path / "report.csv"
    err = run(path, "--report", str(report))[1].splitlines()
    assert len(err) == 102
    assert err[100:] == [
        "... more rows refused: --verbosity 2 tells of all",
        "Rows refused: 1,234.",
    ]
    assert len(report.read_text().splitlines()) == 1235


def test_rows_are_brought_in_by_the_thousand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def watched(rows: Sequence[MovieRow]) -> list[Result]:
        sizes.append(sum(isinstance(row, MovieRow) for row in rows))
        return original(rows)

    original = services.import_rows
    monkeypatch.setattr(services, "import_rows", watched)
    path = json_lines(tmp_path / "films.jsonl", *films(1999), "{", *films(2))
    assert "1,999 created, 0 updated, 2 unchanged. Rows refused: 1." in run(path)[0]
    assert sizes == [1000, 999, 2]


def test_imported_changes_are_in_the_audit_log(tmp_path: Path, staff: Client) -> None:
    run(json_lines(tmp_path / "films.jsonl", *films(2)))
    imported(staff, film(name="Film 1", overview="New."))
    told = AuditEntry.objects.filter(model="movie", action="create").order_by("pk")
    assert [(entry.via, entry.path, entry.user_id) for entry in told] == [
        ("command", "import_movies", None)
    ] * 2
    change = AuditEntry.objects.get(model="movie", action="update")
    assert (change.via, change.user_id) == ("api", staff.user.pk)
    assert (change.before or {})["overview"] == ""
    assert (change.after or {})["overview"] == "New."
