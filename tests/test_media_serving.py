"""GET /media/…: whole, in part, again, and nothing that is not ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.builders import Client, make_movie
from tests.uploads import Fetched, fetched, uploaded_poster, uploaded_trailer, video

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]

CONTENT = video()
SIZE = len(CONTENT)


@pytest.fixture
def url(staff: Client) -> str:
    return uploaded_trailer(staff, make_movie(), CONTENT)


def part(client: Client, url: str, wanted: str, **headers: str) -> Fetched:
    return fetched(client, url, {"Range": wanted, **headers})


def test_a_whole_file_can_be_cached_for_good(anonymous: Client, url: str) -> None:
    found = fetched(anonymous, url)
    assert (found.status, found.body) == (200, CONTENT)
    assert found.headers["Content-Length"] == str(SIZE)
    assert found.headers["Accept-Ranges"] == "bytes"
    assert found.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert found.headers["ETag"] == f'"{url.partition("/media/")[2]}"'


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-1", 0, 1),
        ("bytes=10-19", 10, 19),
        ("bytes=10-", 10, SIZE - 1),
        ("bytes=0-", 0, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("bytes=-1", SIZE - 1, SIZE - 1),
        ("bytes=-100", SIZE - 100, SIZE - 1),
        ("bytes=-999999", 0, SIZE - 1),
        ("bytes=100-999999999999999999", 100, SIZE - 1),
        ("BYTES=5-6", 5, 6),
    ],
)
def test_a_range_is_answered_with_just_that_part(
    anonymous: Client, url: str, wanted: str, first: int, last: int
) -> None:
    found = part(anonymous, url, wanted)
    assert (found.status, found.body) == (206, CONTENT[first : last + 1])
    assert found.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert found.headers["Content-Length"] == str(last - first + 1)
    assert found.headers["Content-Type"] == "video/mp4"
    assert "ETag" in found.headers


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE}", "bytes=-0"])
def test_a_range_behind_the_end_is_416(anonymous: Client, url: str, wanted: str) -> None:
    found = part(anonymous, url, wanted)
    assert (found.status, found.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
    assert found.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=0-1,4-5",
        "bytes=5-4",
        "bytes=-",
        "bytes=a-b",
        "bytes=0",
        "bytes=0-1-2",
        "bytes=" + "9" * 5000 + "-",
        "items=0-1",
        "",
    ],
    ids=lambda wanted: wanted[:20],
)
def test_several_ranges_and_nonsense_are_answered_with_the_whole(
    anonymous: Client, url: str, wanted: str
) -> None:
    found = part(anonymous, url, wanted)
    assert (found.status, found.body) == (200, CONTENT)


def test_a_range_is_given_only_of_the_file_that_the_client_has(anonymous: Client, url: str) -> None:
    etag = fetched(anonymous, url).headers["ETag"]
    assert part(anonymous, url, "bytes=0-1", **{"If-Range": etag}).status == 206
    for other in ('"other"', f"W/{etag}", "Wed, 21 Oct 2026 07:28:00 GMT"):
        assert part(anonymous, url, "bytes=0-1", **{"If-Range": other}).status == 200


def test_a_file_that_the_client_has_is_not_sent_again(anonymous: Client, url: str) -> None:
    etag = fetched(anonymous, url).headers["ETag"]
    for headers in (
        {"If-None-Match": etag},
        {"If-None-Match": "*"},
        {"If-None-Match": etag, "Range": "bytes=0-1"},
    ):
        found = fetched(anonymous, url, headers)
        assert (found.status, found.body) == (304, b"")
        assert found.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert found.headers["ETag"] == etag
    assert fetched(anonymous, url, {"If-None-Match": '"other"'}).status == 200
    assert fetched(anonymous, url, {"If-Match": '"other"'}).status == 412


def test_head_tells_the_length_and_sends_nothing(anonymous: Client, url: str) -> None:
    found = fetched(anonymous, url, {"Range": "bytes=0-1"}, method="HEAD")
    assert (found.status, found.body) == (200, b"")
    assert found.headers["Content-Length"] == str(SIZE)
    assert found.headers["Content-Type"] == "video/mp4"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_on_media_are_refused(anonymous: Client, url: str, method: str) -> None:
    assert fetched(anonymous, url, method=method).status == 405


@pytest.mark.parametrize(
    "path",
    [
        "",
        "posters",
        "posters/",
        "../secret-key",
        "posters/../../secret-key",
        "posters/%2e%2e/%2e%2e/secret-key",
        "..%2f..%2fetc/passwd",
        "/etc/passwd",
        "posters/" + "0" * 32 + "-320.jpg",
        "posters/" + "0" * 32 + "-320.jpg%00.mp4",
        "posters/.unfinished-abc",
        "other/file.jpg",
    ],
)
def test_other_files_are_not_served(anonymous: Client, media: Path, path: str) -> None:
    (media / "posters").mkdir(parents=True)
    (media / "posters" / ".unfinished-abc").write_text("secret")
    (media / "other").mkdir()
    (media / "other" / "file.jpg").write_text("secret")
    (media.parent / "secret-key").write_text("secret")
    answer = anonymous.get(f"/media/{path}")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert b"secret" not in answer.content


def test_a_link_is_not_followed_outside(anonymous: Client, media: Path) -> None:
    (media / "posters").mkdir(parents=True)
    name = "posters/" + "a" * 32 + "-320.jpg"
    (media.parent / "secret-key").write_text("secret")
    os.symlink(media.parent / "secret-key", media / name)
    assert anonymous.get(f"/media/{name}").status_code == 404


def test_a_store_on_another_disk_may_be_linked_as_a_whole(
    staff: Client, anonymous: Client, media: Path, tmp_path: Path
) -> None:
    (tmp_path / "large disk").mkdir()
    media.symlink_to(tmp_path / "large disk")
    poster = uploaded_poster(staff, make_movie())["poster"]
    assert fetched(anonymous, poster).status == 200
