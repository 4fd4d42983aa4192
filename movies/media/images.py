"""An uploaded poster, made anew: small, upright, sRGB, and without anything but its pixels."""

from __future__ import annotations

import hashlib
import io
import logging
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from movies.errors import FileRefused
from movies.media.files import POSTER_EXTENSIONS, rendition_name

POSTER_MAX_MEGAPIXELS = 40

log = logging.getLogger(__name__)

#: A card on a phone or in a list; a phone's whole width; the same on a sharp screen, or a desktop.
WIDTHS = (320, 640, 1280)
#: How many times as long as wide, or as wide as long, a poster may be.
MAX_ASPECT = 5
READ = ("JPEG", "PNG", "WEBP")
ENCODERS: dict[str, dict[str, Any]] = {
    "webp": {"format": "WEBP", "quality": 80, "method": 4},
    "jpeg": {"format": "JPEG", "quality": 82, "optimize": True, "progressive": True},
}
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = {5, 6, 7, 8}

SRGB = ImageCms.createProfile("sRGB")

#: An image of 40 megapixels takes some 250 MB on its way, as WebP 630: one at a time in a process.
_decoding = threading.Lock()


@dataclass(frozen=True)
class Poster:
    """Encoded in each width and format; `stem` is made from these bytes."""

    stem: str
    widths: list[int]
    files: dict[str, bytes]


def encode_poster(file: IO[bytes]) -> Poster:
    """Decode the image and encode it anew.

    Raises:
        FileRefused: It is not an image that can be a poster.
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
    """The image in RGB and upright, as wide as the widest poster at the most."""
    try:
        with Image.open(file, formats=READ) as image:
            _check(image)
            return _brought_to_srgb(image)
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
    """What the header tells, before the pixels are decoded."""
    width, height = image.size
    if width * height > POSTER_MAX_MEGAPIXELS * 1_000_000:
        raise _too_many_pixels()
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise FileRefused(f"One side of a poster may be {MAX_ASPECT} times the other, not more.")
    # A JPEG with a second picture in it (MPO, as some phones write) is no animation.
    if image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False):
        raise FileRefused("The image is animated. Send one that stands still.")


def _too_many_pixels() -> FileRefused:
    return FileRefused(f"The image may have {POSTER_MAX_MEGAPIXELS} megapixels.")


def _brought_to_srgb(image: Image.Image) -> Image.Image:
    width, height = image.size
    # libjpeg then decodes an eighth, a quarter or a half of it: less time and less memory.
    image.draft(None, _size(width, height, min(width, height)))
    image.load()
    turn = _turn(image)
    size = _size(width, height, height if turn in SIDEWAYS else width)
    small = _reduced(image, factor=max(1, image.width // size[0] // 2))
    small = small.resize(size, Image.Resampling.LANCZOS)
    small = _with_profile(small, image.info.get("icc_profile"))
    return small.transpose(TURNS[turn]) if turn in TURNS else small


def _size(width: int, height: int, upright_width: int) -> tuple[int, int]:
    """In the same proportion, and as wide as the widest poster at the most."""
    scale = min(1, WIDTHS[-1] / upright_width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _turn(image: Image.Image) -> int | None:
    """How the camera was held; None if its notes cannot be read."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error) as error:
        log.info("the notes of a camera were left out: %s", error)
        return None


def _reduced(image: Image.Image, *, factor: int) -> Image.Image:
    """The averages of squares of so many pixels, in RGB, L or CMYK.

    Strip by strip: in a whole large image each of these steps would take its size once more.
    """
    strip_height = 64 * factor
    reduced: Image.Image | None = None
    for top in range(0, image.height, strip_height):
        bottom = min(image.height, top + strip_height)
        strip = _eight_bits(image.crop((0, top, image.width, bottom))).reduce(factor)
        if reduced is None:
            reduced = Image.new(strip.mode, (strip.width, -(-image.height // factor)))
        reduced.paste(strip, (0, top // factor))
    assert reduced
    return reduced


def _eight_bits(image: Image.Image) -> Image.Image:
    """8 bits for each channel, of which averages can be taken, and on white."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.has_transparency_data:
        white = Image.new("RGB", image.size, "white")
        clear = image.convert("RGBA")
        white.paste(clear, mask=clear)
        return white
    target = {"P": "RGB", "1": "L"}.get(image.mode)
    return image.convert(target) if target else image


def _with_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB by the image's own colour profile, if it has one that can be used."""
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, io.BytesIO(profile), SRGB, outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            log.info("a colour profile was left out: %s", error)
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
    """By extension. What Pillow would copy from the original is not there any more."""
    image.info = {}
    for name, options in ENCODERS.items():
        buffer = io.BytesIO()
        image.save(buffer, **options)
        yield POSTER_EXTENSIONS[name], buffer.getvalue()
