"""POST /users/me/import: rows that say nonsense, or would like to be more than text."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from recommendations.models import Interaction
from tests.builders import Client, make_movie
from tests.viewer_files import CLEO, DIARY, RATINGS, cells, counts, csv, imported, make_cleo

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


@pytest.fixture(autouse=True)
def _cleo(db: None) -> None:
    make_cleo()


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (f"{CLEO},0", "not one of 0.5"),
        (f"{CLEO},5.5", "not one of 0.5"),
        (f"{CLEO},4.25", "not one of 0.5"),
        (f"{CLEO},-3", "no number"),
        (f"{CLEO},nan", "no number"),
        (f"{CLEO},1e1", "no number"),
        (f"{CLEO},٤", "no number"),
        (f"{CLEO},=1+1", "no number"),
        ("2024-02-30,A,1962,x,4", "no such date"),
        ("0000-00-00,A,1962,x,4", "no such date"),
        ("1066-10-14,A,1962,x,4", "before all films"),
        ("2199-01-01,A,1962,x,4", "future"),
        ("yesterday,A,1962,x,4", "not written as"),
        ("1/2/2024,A,1962,x,4", "not written as"),
        ("2024W011,A,1962,x,4", "not written as"),
        ("2024-01-01T25:00:00Z,A,1962,x,4", "no such date"),
        ("0001-01-01T00:00:00+23:59,A,1962,x,4", "before all films"),
        ("9999-12-31T23:59:59-23:59,A,1962,x,4", "future"),
        ("soon,A,1962,x,4", "not written as"),
        ("2024-01-01,,1962,x,4", "title is empty"),
        ("2024-01-01,\x01\x02,1962,x,4", "title is empty"),
        (f"2024-01-01,{'x' * 301},1962,x,4", "more than 300"),
        ("2024-01-01,A,1962", "3 cells for 5 columns"),
        ("2024-01-01,A,1962,x,4,,", "7 cells for 5 columns"),
        ("2024-01-01,A,1962,x,", "says nothing"),
        ("2024-01-01,A,1962,x\0,4", "NUL"),
    ],
)
def test_a_bad_row_is_refused_alone(viewer: Client, row: str, why: str) -> None:
    report = imported(viewer, csv(RATINGS + " " * 5000, row, f"{CLEO},4"))
    assert (report["rows"], report["matched"], report["refused_count"]) == (2, 1, 1)
    [refused] = report["refused"]
    assert refused["row"] == 2
    assert why in refused["reason"]
    assert Interaction.objects.get().half_stars == 8


def test_tomorrow_is_refused(viewer: Client) -> None:
    day = timezone.localdate() + timedelta(days=1)
    assert imported(viewer, csv(DIARY, f"{CLEO},,,,{day}"))["refused_count"] == 1


@pytest.mark.parametrize("year", ["-1", "99999999999999999999", "MCMLXII", "1869", "²", "1962.5"])
def test_an_invalid_year_is_ignored(viewer: Client, year: str) -> None:
    row = cells(RATINGS, Date="2024-01-01", Name="Cléo from 5 to 7", Year=year, Rating=4)
    assert imported(viewer, csv(RATINGS, row))["matched"] == 1


@pytest.mark.parametrize("tmdb_id", ["-1", "9" * 30, "2147483648", "٧", "1e3", "0"])
def test_an_invalid_id_is_ignored(viewer: Client, tmdb_id: str) -> None:
    header = "rated_at,title,year,tmdb_id,rating"
    row = f"2024-01-01T10:00:00Z,Cléo from 5 to 7,1962,{tmdb_id},8"
    assert imported(viewer, csv(header, row))["matched"] == 1


def test_repeated_rows_count_once(viewer: Client) -> None:
    assert counts(imported(viewer, csv(RATINGS, *[f"{CLEO},4"] * 500))) == (1, 0, 499)


def test_long_lists_in_a_report_are_cut_and_counted_in_full(viewer: Client) -> None:
    rows = [f"2024-01-01,Nothing {n},1962,x,4" for n in range(300)] + ["broken"] * 300
    report = imported(viewer, csv(RATINGS, *rows))
    assert (report["unknown_count"], report["refused_count"]) == (300, 300)
    assert (len(report["unknown"]), len(report["refused"])) == (200, 200)


# --- formulas


FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-1+cmd", "@SUM(A1)", "\t=1", "=HYPERLINK(“http://x”)")


@pytest.mark.parametrize("formula", FORMULAS)
def test_formulas_are_text_and_only_titles_are_kept(viewer: Client, formula: str) -> None:
    known = {"Date": "2024-01-01", "Year": 1962, "Rating": 4, "Tags": formula}
    rows = [
        cells(DIARY, **known, Name=name, Letterboxd_URI=formula, Rewatch=formula)
        for name in ("Cléo from 5 to 7", formula)
    ]
    report = imported(viewer, csv(DIARY, *rows))
    assert (report["matched"], report["unknown_count"]) == (1, 1)
    assert Interaction.objects.get().half_stars == 8
    assert report["not_kept"] == [{"file": "", "columns": ["Rewatch", "Tags"]}]
    export = json.loads(viewer.get("/users/me/export").getvalue())
    [pending] = export.pop("pending_imports")
    assert pending["title"] == formula.strip()
    assert formula.strip() not in json.dumps(export, ensure_ascii=False)


def test_a_title_can_look_like_a_formula(viewer: Client) -> None:
    film = make_movie(name="=SUM(A1)", release_year=1962)
    imported(viewer, csv(RATINGS, "2024-01-01,=SUM(A1),1962,x,4"))
    assert Interaction.objects.get().movie == film


def test_a_nul_in_json_is_taken_out(viewer: Client) -> None:
    item = {"rated_at": "2024-01-01T10:00:00Z", "rating": 8, "movie": {"title": "A\0B", "year": 1}}
    [unknown] = imported(viewer, json.dumps([item]).encode())["unknown"]
    assert unknown["title"] == "AB"


def test_excerpts_of_a_row_are_clean_and_short(viewer: Client) -> None:
    row = f"2024-01-01,\x1b[31m=A\u0007,1962,x,{'=' * 5000}"
    [refused] = imported(viewer, csv(RATINGS, row))["refused"]
    assert len(refused["reason"]) < 120
    [unknown] = imported(viewer, csv(RATINGS, "2024-01-01,\x1b=A\u0007,1962,x,4"))["unknown"]
    assert unknown["title"] == "=A"
