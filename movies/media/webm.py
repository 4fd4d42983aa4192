"""The container WebM (EBML, RFC 8794; Matroska, RFC 9559), as far as it tells a whole video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from movies.errors import FileRefused
from movies.media.boxes import MAX_DETAILS, MAX_PARTS, Element, at_most, damaged, read_exactly

EBML = b"\x1a\x45\xdf\xa3"
DOC_TYPE = b"\x42\x82"
SEGMENT = b"\x18\x53\x80\x67"
TRACKS = b"\x16\x54\xae\x6b"
TRACK_ENTRY = b"\xae"
TRACK_TYPE = b"\x83"
CLUSTER = b"\x1f\x43\xb6\x75"
VOID = b"\xec"
MAX_HEADER = 1024
#: Of a kind and a size together.
LONGEST_HEAD = 12


def is_webm(head: bytes) -> bool:
    """Whether a file that begins so claims to be of this family."""
    return head.startswith(EBML)


def check_webm(file: IO[bytes], size: int) -> None:
    """Walk its elements to the last byte.

    Raises:
        FileRefused: It is no WebM with moving pictures, or not a whole one.
    """
    header = _element(file, 0, size)
    if header.end - header.start > MAX_HEADER:
        raise damaged()
    doc_types = {_content(file, found).rstrip(b"\0") for found in _inside(file, header, DOC_TYPE)}
    if doc_types != {b"webm"}:
        raise FileRefused("Send a video: MP4 or WebM.")
    tops = at_most(MAX_DETAILS, _elements(file, header.end, size))
    segments = [top for top in tops if top.kind != VOID]
    if [segment.kind for segment in segments] != [SEGMENT]:
        raise damaged()
    parts = at_most(MAX_PARTS, _elements(file, segments[0].start, segments[0].end))
    tracks = next((part for part in parts if part.kind == TRACKS), None)
    if tracks is None or CLUSTER not in {part.kind for part in parts}:
        raise damaged()
    if not any(_shows_pictures(file, track) for track in _inside(file, tracks, TRACK_ENTRY)):
        raise FileRefused("The file has no moving pictures.")


def _shows_pictures(file: IO[bytes], track: Element) -> bool:
    kinds = _inside(file, track, TRACK_TYPE)
    return any(int.from_bytes(_content(file, kind), "big") == 1 for kind in kinds)


def _inside(file: IO[bytes], parent: Element, kind: bytes) -> list[Element]:
    children = at_most(MAX_DETAILS, _elements(file, parent.start, parent.end))
    return [element for element in children if element.kind == kind]


def _content(file: IO[bytes], element: Element) -> bytes:
    if (size := element.end - element.start) > MAX_HEADER:
        raise damaged()
    return read_exactly(file, element.start, size)


def _elements(file: IO[bytes], offset: int, end: int) -> Iterator[Element]:
    """The elements that fill the bytes from `offset` to `end`.

    Raises:
        FileRefused: They do not: one ends later, or something is left over.
    """
    while offset < end:
        element = _element(file, offset, end)
        yield element
        offset = element.end


def _element(file: IO[bytes], offset: int, end: int) -> Element:
    """The element at `offset`.

    A recorder that streams leaves two sizes open: the segment's, which then reaches to the end,
    and the clusters', which here end at once, so that their parts are walked beside them.
    """
    file.seek(offset)
    head = file.read(min(LONGEST_HEAD, end - offset))
    kind = head[: _length(head, longest=4)]
    coded = head[len(kind) :]
    coded = coded[: _length(coded, longest=8)]
    start = offset + len(kind) + len(coded)
    open_size = (1 << 7 * len(coded)) - 1
    size = int.from_bytes(coded, "big") & open_size
    if size == open_size and kind in (SEGMENT, CLUSTER):
        return Element(kind, start, end if kind == SEGMENT else start)
    if start + size > end:
        raise damaged()
    return Element(kind, start, start + size)


def _length(coded: bytes, longest: int) -> int:
    """How many bytes the number takes that begins here: zeros before the first one, and one."""
    length = 9 - coded[0].bit_length() if coded else 9
    if length > min(longest, len(coded)):
        raise damaged()
    return length
