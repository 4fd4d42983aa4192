"""Archives that `manage.py restore` refuses before it writes anything."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile, ZipInfo

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from cinema.backup.archive import Archive, ArchiveWriter, Manifest, TableCopy, new_file

LINK = 0o120777 << 16


def write_archive(path: Path, *, change: Callable[[ArchiveWriter, Manifest], object]) -> Path:
    """A small backup that is changed before its manifest is written."""
    manifest = Manifest(
        id=uuid4(),
        cinema="0.2.0",
        created_at=timezone.now(),
        migrations=[],
        tables={"movies_genre": TableCopy(columns=["id", "name"], rows=1)},
        sequences=[],
        elsewhere=[],
        missing=[],
    )
    with new_file(path) as file, ArchiveWriter(file, lambda size: None) as writer:
        writer.add("secret-key", [b"secret"], compress=False)
        writer.add("tables/movies_genre", [b"1\tNoir\n"], compress=True)
        writer.add("media/posters/abc-300.webp", [bytes(range(256)) * 40], compress=False)
        change(writer, manifest)
        writer.add_manifest(manifest)
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "good.zip", change=lambda writer, manifest: None)


def with_member(good: Path, name: str, content: bytes, **fields: Any) -> Path:
    """The backup with one more member, which its manifest lists."""
    bad = good.with_name("bad.zip")
    info = ZipInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    with ZipFile(good) as source, ZipFile(bad, "w") as target:
        for each in source.infolist():
            if each.filename != "manifest.json":
                target.writestr(each, source.read(each))
        manifest = json.loads(source.read("manifest.json"))
        manifest["parts"][name] = {"size": len(content), "sha256": "0" * 64}
        target.writestr("manifest.json", json.dumps(manifest))
        target.writestr(info, content)
    return bad


def with_manifest(good: Path, **changes: Any) -> Path:
    bad = good.with_name("bad.zip")
    with ZipFile(good) as source, ZipFile(bad, "w") as target:
        for each in source.infolist():
            if each.filename != "manifest.json":
                target.writestr(each, source.read(each))
        manifest = json.loads(source.read("manifest.json"))
        target.writestr("manifest.json", json.dumps({**manifest, **changes}))
    return bad


def refused(path: Path, home: Path) -> str:
    """Why it is refused. The database is closed to these tests, and the home stays as it was."""
    before = [found for found in sorted(home.rglob("*")) if found.name != "up.lock"]
    with pytest.raises(CommandError) as refusal:
        call_command("restore", str(path), verbosity=0)
    assert [found for found in sorted(home.rglob("*")) if found.name != "up.lock"] == before
    return str(refusal.value)


def test_an_unchanged_backup_is_accepted(good: Path) -> None:
    read: list[int] = []
    Archive(good).verify(read.append)
    assert sum(read) == 6 + 7 + 256 * 40


@pytest.mark.parametrize("left", [0, 1, 100, 5_000, -1, -30])
def test_a_truncated_backup_is_refused(good: Path, home: Path, left: int) -> None:
    good.write_bytes(good.read_bytes()[:left])
    assert "is no backup of Cinema" in refused(good, home)


def test_a_damaged_backup_is_refused(good: Path, home: Path) -> None:
    """Each byte of a part counts, here every 97th."""
    content = good.read_bytes()
    for at in range(content.index(bytes(range(256))), content.index(b"PK\x01\x02"), 97):
        good.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        refused(good, home)


def test_a_file_of_another_kind_is_refused(tmp_path: Path, home: Path) -> None:
    text, other = tmp_path / "text.zip", tmp_path / "other.zip"
    text.write_text("-- PostgreSQL database dump\n")
    with ZipFile(other, "w") as target:
        target.writestr("word/document.xml", "<document/>")
    assert "is no backup of Cinema" in refused(text, home)
    assert "has no manifest.json" in refused(other, home)
    assert "cannot be read" in refused(tmp_path / "nowhere.zip", home)
    assert "cannot be read" in refused(tmp_path, home)


def test_a_backup_of_a_newer_version_is_refused(good: Path, home: Path) -> None:
    newer = with_manifest(good, format=2, cinema="0.9.0", colour="blue")
    assert "made by the newer Cinema 0.9.0" in refused(newer, home)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "other"},
        {"tables": {}},
        {"tables": {"users_user": {"columns": ["id"], "rows": 1}}},
        {"parts": {}},
        {"colour": "blue"},
        {"sequences": "none"},
        {"format": "one"},
        {"id": "../../etc"},
    ],
)
def test_an_inconsistent_manifest_is_refused(
    good: Path, home: Path, changes: dict[str, Any]
) -> None:
    refused(with_manifest(good, **changes), home)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "media/posters/../../evil",
        "media/../secret-key",
        "media/posters/.hidden",
        "releases/../evil.npy",
        "releases/a/b/c.npy",
        "releases\\a",
        "tables/pg_class; DROP TABLE users_user",
        'tables/"',
        "postgres/postgresql.conf",
        "media/posters/ä.webp",
        "media/posters/a\n",
    ],
)
def test_a_part_with_a_hostile_name_is_refused(good: Path, home: Path, name: str) -> None:
    assert "a part that no backup has" in refused(with_member(good, name, b"x"), home)


def test_a_link_is_read_as_a_file_and_not_followed(good: Path, home: Path) -> None:
    bad = with_member(good, "media/posters/link.webp", b"/etc/passwd", external_attr=LINK)
    assert "media/posters/link.webp is damaged" in refused(bad, home)


def test_a_decompression_bomb_is_refused(good: Path, home: Path) -> None:
    zeros = b"0" * (65 * 1024 * 1024)
    bad = with_member(good, "media/posters/bomb.webp", zeros, compress_type=ZIP_DEFLATED)
    assert "does not have the size" in refused(bad, home)


def test_a_part_longer_than_declared_is_refused(good: Path, home: Path) -> None:
    bad = with_member(good, "media/posters/a.webp", b"0" * 50_000, compress_type=ZIP_DEFLATED)
    content = bytearray(bad.read_bytes())
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"media/posters/a.webp"))
    content[at + 24 : at + 28] = struct.pack("<L", 10)  # the size in the directory
    bad.write_bytes(content)
    assert "does not have the size" in refused(bad, home)


def test_parts_of_one_name_and_other_compressions(good: Path, home: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = with_member(good, "secret-key", b"secret")
    assert "two parts of one name" in refused(twice, home)
    packed = with_member(good, "media/posters/a.webp", b"x", compress_type=ZIP_BZIP2)
    assert "a part that no backup has" in refused(packed, home)
