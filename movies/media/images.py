"""Encode an uploaded poster again: small, upright, in sRGB, and without metadata."""

from __future__ import annotations

import hashlib
import io
import logging
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from movies.errors import FileRefused
from movies.media.files import POSTER_EXTENSIONS, rendition_name

POSTER_MAX_MEGAPIXELS = 40

log = logging.getLogger(__name__)

#: Widths for a card in a list, for a phone, and for a sharp screen or a desktop.
WIDTHS = (320, 640, 1280)
#: The largest ratio of the sides.
MAX_ASPECT = 5
READ = ("JPEG", "PNG", "WEBP")
ENCODERS: dict[str, dict[str, Any]] = {
    "webp": {"format": "WEBP", "quality": 80, "method": 4},
    "jpeg": {"format": "JPEG", "quality": 82, "optimize": True, "progressive": True},
}
SRGB = ImageCms.createProfile("sRGB")

#: One image at a time in a process: 40 megapixels take up to 200 MB, transparent or as WebP 600 MB.
_decoding = threading.Lock()


@dataclass(frozen=True)
class Poster:
    """The files of a poster by name; `stem` is a digest of their content."""

    stem: str
    widths: list[int]
    files: dict[str, bytes]


def encode_poster(file: IO[bytes]) -> Poster:
    """Encode the image in each width and format.

    Raises:
        FileRefused: The file is not an image that can be a poster.
    """
    with _decoding:
        widest = _decode(file)
    widths = sorted({width for width in WIDTHS if width < widest.width} | {widest.width})
    renditions = [
        (width, extension, content)
        for width in widths
        for extension, content in _encode(_scaled(widest, width))
    ]
    digest = hashlib.blake2b(b"".join(content for *_, content in renditions), digest_size=16)
    stem = f"posters/{digest.hexdigest()}"
    files = {rendition_name(stem, width, end): content for width, end, content in renditions}
    return Poster(stem, widths, files)


def _decode(file: IO[bytes]) -> Image.Image:
    """The upright image in RGB, not wider than the widest poster."""
    try:
        with Image.open(file, formats=READ) as image:
            _check(image)
            return _normalised(image)
    except FileRefused:
        raise
    except UnidentifiedImageError:
        raise FileRefused("Send an image: JPEG, PNG or WebP.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels() from None
    except Exception as error:  # noqa: BLE001 - broken files raise nearly anything in Pillow
        log.info("an image was refused: %r", error)
        raise FileRefused("The image is damaged or cut short.") from None


def _check(image: Image.Image) -> None:
    """Check the facts of the header before the pixels are decoded."""
    width, height = image.size
    if width * height > POSTER_MAX_MEGAPIXELS * 1_000_000:
        raise _too_many_pixels()
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise FileRefused(f"One side of a poster may be {MAX_ASPECT} times the other, not more.")
    # A JPEG with a second picture (MPO, as some phones write it) is no animation.
    if image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False):
        raise FileRefused("The image is animated. Send one that stands still.")


def _too_many_pixels() -> FileRefused:
    return FileRefused(f"The image may have at most {POSTER_MAX_MEGAPIXELS} megapixels.")


def _normalised(image: Image.Image) -> Image.Image:
    # libjpeg then decodes at an eighth, a quarter or half of the size, in less time and memory.
    image.draft(None, (WIDTHS[-1], WIDTHS[-1]))
    image.load()
    profile = image.info.get("icc_profile")
    # The whole image is copied as seldom as possible: it takes 160 MB.
    scale = min(1, WIDTHS[-1] / min(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = _eight_bits(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
    small = _with_profile(_upright(_on_white(small)), profile)
    return _scaled(small, min(small.width, WIDTHS[-1]))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Convert to a mode with 8 bits a channel, of which averages can be taken."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    target = {"P": "RGB", "1": "L"}.get(image.mode)
    return image.convert(target) if target else image


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    white.info = image.info
    return white.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation, if it can be read."""
    try:
        return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error) as error:
        log.info("the EXIF data of an image were ignored: %s", error)
        return image


def _with_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to RGB by the image's colour profile, if it has a usable one."""
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, io.BytesIO(profile), SRGB, outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            log.info("the colour profile of an image was ignored: %s", error)
        else:
            assert converted
            return converted
    return image.convert("RGB")


def _scaled(image: Image.Image, width: int) -> Image.Image:
    if width == image.width:
        return image
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _encode(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    """The encoded files by extension, without metadata, which Pillow would copy."""
    image.info = {}
    for name, options in ENCODERS.items():
        buffer = io.BytesIO()
        image.save(buffer, **options)
        yield POSTER_EXTENSIONS[name], buffer.getvalue()
