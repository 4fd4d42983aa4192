"""POST /users/me/import: files that are broken, or meant to do harm. None is a 5xx, none is taken
by halves, and none takes long.
"""

from __future__ import annotations

import io
import stat
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from recommendations.importing import files, uploads
from recommendations.models import Interaction
from tests.builders import Client
from tests.uploads import BOUNDARY, form, video
from tests.viewer_files import (
    CLEO,
    PLAIN,
    RATINGS,
    counts,
    csv,
    imported,
    make_cleo,
    refusal,
    send,
    zipped,
)
from users.models import Playlist, Viewing

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

GOOD = csv(RATINGS, f"{CLEO},4")
MB = 1024 * 1024
#: Seconds that the loop of `_slowness` takes on an idle core.
IDLE_S = 0.2


def _slowness() -> float:
    """Return how much slower than an idle core this one is now: threads may share it."""
    started = time.process_time()
    sum(number * number for number in range(3_000_000))
    return (time.process_time() - started) / IDLE_S


@pytest.fixture(autouse=True)
def _nothing_is_written_and_soon(viewer: Client) -> Iterator[None]:
    """No test writes anything beside what it checks, and each takes a bounded time of the CPU."""
    make_cleo()
    started = time.process_time()
    yield
    spent = time.process_time() - started
    # A tenth of it is usual; only a slow core is measured.
    assert spent < 15 or spent < 15 * _slowness()
    assert not Viewing.objects.exists()
    assert not Playlist.objects.exists()


# --- archives


def raw_zip(*infos: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in infos:
            archive.writestr(info, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "name", ["../ratings.csv", "/etc/ratings.csv", "a/../../b.csv", "C:/b.csv", "..\\b.csv", "/"]
)
def test_names_that_lead_out_are_refused(viewer: Client, name: str) -> None:
    file = zipped({"ratings.csv": GOOD, name: GOOD})
    assert "leads out" in refusal(viewer, file)


def test_links_are_refused(viewer: Client) -> None:
    link = zipfile.ZipInfo("ratings.csv")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "link" in refusal(viewer, raw_zip((link, b"/etc/passwd")))


def test_a_bomb_is_refused_by_its_declared_size(viewer: Client) -> None:
    bomb = zipped({"ratings.csv": bytes(files.MAX_UNPACKED_MB * MB + 1)})
    assert len(bomb) < MB
    assert "50 MB" in refusal(viewer, bomb)


def test_several_files_share_the_limit(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_UNPACKED_MB", 1)
    half = csv(PLAIN, *[CLEO] * 10_000)
    assert len(half) < MB < 2 * len(half)
    assert "1 MB" in refusal(viewer, zipped({"watched.csv": half, "likes/films.csv": half}))


def test_a_bomb_with_a_false_size_is_not_unpacked_further(viewer: Client) -> None:
    bomb = bytearray(zipped({"ratings.csv": GOOD + b"\n" * (60 * MB)}))
    place = bomb.rindex(b"PK\x01\x02")
    for at in (22, place + 24):  # uncompressed size, in the entry and in the directory
        bomb[at : at + 4] = struct.pack("<L", len(GOOD))
    tracemalloc.start()
    try:
        assert "damaged" in refusal(viewer, bytes(bomb))
        assert tracemalloc.get_traced_memory()[1] < 20 * MB
    finally:
        tracemalloc.stop()


def test_a_nested_archive_is_not_unpacked(viewer: Client) -> None:
    inner = zipped({"ratings.csv": GOOD})
    assert "no known file of" in refusal(viewer, zipped({"inner.zip": inner}))
    assert imported(viewer, zipped({"inner.zip": inner, "ratings.csv": csv(RATINGS)}))["rows"] == 0
    assert "no known file of" in refusal(viewer, zipped({"ratings.csv": inner}))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_know_no_limit_are_refused(viewer: Client, method: int) -> None:
    assert "unusual" in refusal(viewer, zipped({"ratings.csv": GOOD}, method))


def test_encrypted_archives_are_refused(viewer: Client) -> None:
    file = bytearray(zipped({"ratings.csv": GOOD}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        file[file.index(mark) + offset] |= 1
    assert "encrypted" in refusal(viewer, bytes(file))


def test_too_many_files_are_refused(viewer: Client) -> None:
    many = {f"{n}.txt": b"" for n in range(files.MAX_ENTRIES + 1)}
    assert "5,000 files" in refusal(viewer, zipped(many))


def test_a_long_list_of_files_is_not_even_read(viewer: Client) -> None:
    """That its end says that they are few does not help."""
    file = bytearray(zipped({f"{n:0250}.csv": b"" for n in range(4_000)}))
    assert "5,000 files" in refusal(viewer, bytes(file))
    end = file.rindex(b"PK\x05\x06")
    file[end + 10 : end + 12] = struct.pack("<H", 1)
    assert "5,000 files" in refusal(viewer, bytes(file))


def test_the_large_form_is_refused_which_tells_other_sizes(viewer: Client) -> None:
    file = zipped({"ratings.csv": GOOD})
    end = file.rindex(b"PK\x05\x06")
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 2**40, 2**50)
    assert "zip64" in refusal(viewer, file[:end] + large + locator + file[end:])


def test_names_without_end_are_refused(viewer: Client) -> None:
    """They would be told with each row."""
    assert "255 characters" in refusal(viewer, zipped({f"{'x' * 65_000}.csv": GOOD}))


def test_two_files_of_one_name_are_refused(viewer: Client) -> None:
    info = zipfile.ZipInfo
    with pytest.warns(UserWarning, match="Duplicate name"):
        file = raw_zip((info("ratings.csv"), GOOD), (info("ratings.csv"), csv(RATINGS)))
    assert "one name" in refusal(viewer, file)


def test_archives_that_are_cut_short_are_refused(viewer: Client) -> None:
    file = zipped({"ratings.csv": GOOD})
    for length in (4, 10, len(file) // 2, len(file) - 1):
        assert "damaged" in refusal(viewer, file[:length])


def test_archives_with_any_byte_changed_are_refused_or_read(viewer: Client) -> None:
    file = zipped({"ratings.csv": csv(RATINGS)})
    for place in range(4, len(file)):
        broken = bytearray(file)
        broken[place] ^= 0xFF
        assert send(viewer, bytes(broken)).status_code in (200, 422), place


@pytest.mark.parametrize(
    "file", [zipped({}), zipped({"a.csv": b"a,b\n1,2\n", "readme.txt": b"hi"})]
)
def test_archives_without_anything_known_are_refused(viewer: Client, file: bytes) -> None:
    assert "no known file of Letterboxd" in refusal(viewer, file)


# --- what is no table


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n\r\n", "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "neither a text nor a zip"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "neither a text nor a zip"),
        (b"Date,Name\0,Year,Letterboxd URI,Rating", "neither a text nor a zip"),
        (GOOD.decode().encode("utf-16-le"), "neither a text nor a zip"),
        (b"Name,Age\nAgnes,80\n", "no known file of Letterboxd"),
        (b"hello", "no known file of Letterboxd"),
        (b'"' * 5000, "no known file of Letterboxd"),
        (b"," * 200_000, "no known file of Letterboxd"),
        (csv(RATINGS, "2024-01-01,\x9d,1962,x,4").replace(b"\xc2\x9d", b"\xe9\x9d"), "UTF-8"),
        (b"\xff\xfe" + GOOD + b"x", "UTF-8"),
        (b"[1,", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"movies": []}', "no known file of Letterboxd"),
        (b"[]", "no known file of Letterboxd"),
        (b"[1, null, [], {}]", "no known file of Letterboxd"),
        (b'[{"rated_at": "\\ud800"}]', "not JSON"),
    ],
)
def test_an_unusable_file_is_refused_with_a_sentence(viewer: Client, file: bytes, why: str) -> None:
    assert why in refusal(viewer, file)


def test_videos_are_refused(viewer: Client) -> None:
    assert "neither a text nor a zip" in refusal(viewer, video())


def test_a_header_alone_is_an_import_of_nothing(viewer: Client) -> None:
    report = imported(viewer, csv(RATINGS))
    assert (report["rows"], counts(report)) == (0, (0, 0, 0))


def test_a_quotation_mark_that_is_not_closed_refuses_the_file(viewer: Client) -> None:
    for open_ in ('2024-01-01,"Open,1962,x,4', '2024-01-01,"Op"en,1962,x,4'):
        why = refusal(viewer, csv(RATINGS, f"{CLEO},4", open_, *[f"{CLEO},4"] * 5))
        assert "cannot be read beyond line 3" in why
    assert not Interaction.objects.exists()


def test_lines_that_open_a_quotation_over_and_over_take_no_longer(viewer: Client) -> None:
    file = csv(RATINGS, *['a",,"'] * 300_000)
    assert "cannot be read beyond line 2" in refusal(viewer, file)


def test_a_huge_cell_refuses_the_file(viewer: Client) -> None:
    assert "cannot be read beyond line 2" in refusal(
        viewer, csv(RATINGS, f"2024-01-01,{'x' * MB},1962,x,4")
    )


def test_too_many_rows_are_refused(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_ROWS", 10)
    rows = [f"{CLEO},4", "broken"] * 5
    assert imported(viewer, csv(RATINGS, *rows), dry_run="true")["rows"] == 10
    assert "more than 10 rows" in refusal(viewer, csv(RATINGS, *rows, f"{CLEO},4"))
    assert not Interaction.objects.exists()


def test_large_lists_of_json_are_refused(viewer: Client) -> None:
    large = b"[" + b"{}," * (2 * MB) + b"{}]"
    assert "5 MB of JSON" in refusal(viewer, large)
    file = zipped({"ratings-movies.json": large, "ratings.csv": GOOD})
    report = imported(viewer, file, dry_run="true")
    assert report["matched"] == 1
    assert [(row["file"], row["row"]) for row in report["refused"]] == [("ratings-movies.json", 1)]


@pytest.mark.parametrize("cells", [b"," * (20 * MB), b',"\n"' * (5 * MB), b"\n" * (20 * MB)])
def test_cells_of_unbounded_number_take_little_memory(viewer: Client, cells: bytes) -> None:
    file = zipped({"ratings.csv": csv(RATINGS) + cells})
    tracemalloc.start()
    try:
        assert send(viewer, file).status_code in (200, 422)
        assert tracemalloc.get_traced_memory()[1] < 100 * MB
    finally:
        tracemalloc.stop()


# --- forms


def test_a_file_that_is_too_large_is_refused(viewer: Client, settings: Settings) -> None:
    settings.VIEWER_IMPORT_MAX_MB = 1
    answer = send(viewer, GOOD + b" " * MB)
    assert (answer.status_code, answer.json()["detail"]) == (413, "The file may have at most 1 MB.")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"", f"multipart/form-data; boundary={BOUNDARY}"),
        (form(GOOD, field="other"), f"multipart/form-data; boundary={BOUNDARY}"),
        (form(GOOD), "multipart/form-data"),
    ],
)
def test_a_form_without_the_file_is_refused(viewer: Client, body: bytes, content_type: str) -> None:
    answer = viewer.send("POST", "/users/me/import", body, content_type=content_type)
    assert answer.status_code == 422


@pytest.mark.parametrize("content_type", ["text/csv", "application/zip", ""])
def test_a_file_that_is_not_in_a_form_is_415(viewer: Client, content_type: str) -> None:
    answer = viewer.send("POST", "/users/me/import", GOOD, content_type=content_type)
    assert (answer.status_code, answer["Accept"]) == (415, "multipart/form-data")


@pytest.mark.parametrize("query", [{"content": "ratings"}, {"dry_run": "perhaps"}])
def test_bad_parameters_are_refused(viewer: Client, query: dict[str, Any]) -> None:
    assert send(viewer, GOOD, **query).status_code == 422


def test_the_worst_titles_take_no_longer(viewer: Client) -> None:
    """Characters that are many others in one, as often as they may be there."""
    rows = [f"2024-01-01,{n}{'ﷺ' * 290},1962,x,4" for n in range(uploads.MAX_FILMS)]
    report = imported(viewer, zipped({"ratings.csv": csv(RATINGS, *rows)}))
    assert report["unknown_count"] == uploads.MAX_FILMS


def test_too_many_films_are_refused(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_FILMS", 2)
    rows = [f"2024-01-01,{n},1962,x,4" for n in range(3)]
    assert imported(viewer, csv(RATINGS, *rows[:2], *rows[:2]))["rows"] == 4
    assert "more than 2 films" in refusal(viewer, csv(RATINGS, *rows))
