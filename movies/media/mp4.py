"""The container MP4 (ISO/IEC 14496-12), as far as it tells a whole video from anything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from movies.errors import FileRefused
from movies.media.boxes import MAX_DETAILS, MAX_PARTS, Element, at_most, damaged, read_exactly

#: Brands under which a file is an MP4. QuickTime (`qt  `) and pictures (`heic`) have others.
BRANDS = {
    b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8", b"iso9",
    b"mp41", b"mp42", b"avc1", b"M4V ", b"dash", b"MSNV",
}  # fmt: skip
MAX_FTYP = 1024


def is_mp4(head: bytes) -> bool:
    """Whether a file that begins so claims to be of this family."""
    return head[4:8] == b"ftyp"


def check_mp4(file: IO[bytes], size: int) -> None:
    """Walk its boxes to the last byte.

    Raises:
        FileRefused: It is no MP4 with moving pictures, or not a whole one.
    """
    boxes = at_most(MAX_PARTS, _boxes(file, 0, size))
    _check_brand(file, boxes[0])
    kinds = {box.kind for box in boxes}
    if not {b"moov", b"mdat"} <= kinds:
        raise damaged()
    movie = next(box for box in boxes if box.kind == b"moov")
    if not any(_shows_pictures(file, track) for track in _inside(file, movie, b"trak")):
        raise FileRefused("The file has no moving pictures.")


def _check_brand(file: IO[bytes], ftyp: Element) -> None:
    if not 8 <= ftyp.end - ftyp.start <= MAX_FTYP:
        raise damaged()
    content = read_exactly(file, ftyp.start, ftyp.end - ftyp.start)
    major, compatible = content[:4], {content[at : at + 4] for at in range(8, len(content), 4)}
    if major == b"qt  " or not BRANDS & {major, *compatible}:
        raise FileRefused("Send a video: MP4 or WebM.")


def _shows_pictures(file: IO[bytes], track: Element) -> bool:
    """The handler of the track's media says what it is: `vide`, `soun`, `text` …"""
    return any(
        read_exactly(file, handler.start, 12)[8:12] == b"vide"
        for media in _inside(file, track, b"mdia")
        for handler in _inside(file, media, b"hdlr")
    )


def _inside(file: IO[bytes], parent: Element, kind: bytes) -> list[Element]:
    children = at_most(MAX_DETAILS, _boxes(file, parent.start, parent.end))
    return [box for box in children if box.kind == kind]


def _boxes(file: IO[bytes], offset: int, end: int) -> Iterator[Element]:
    """The boxes that fill the bytes from `offset` to `end`.

    Raises:
        FileRefused: They do not: one ends later, or something is left over.
    """
    while offset < end:
        header = read_exactly(file, offset, 8)
        size, start = int.from_bytes(header[:4], "big"), offset + 8
        if size == 1:  # the size needs 64 bits
            size, start = int.from_bytes(read_exactly(file, start, 8), "big"), start + 8
        elif size == 0:  # to the end
            size = end - offset
        if size < start - offset or offset + size > end:
            raise damaged()
        yield Element(header[4:], start, offset + size)
        offset += size
