"""Images become upright, sRGB, on white, and nothing but pixels."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from tests.builders import Client, make_movie
from tests.uploads import candidates, decoded, encoded, fetched, picture, png, uploaded_poster

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def shown(staff: Client, content: bytes) -> list[Image.Image]:
    """The widest WebP and the widest JPEG of the uploaded image."""
    srcset = uploaded_poster(staff, make_movie(), content)["srcset"]
    widest = [list(candidates(srcset[form]).values())[-1] for form in ("webp", "jpeg")]
    return [decoded(fetched(staff, url).body) for url in widest]


def assert_colour(image: Image.Image, x: float, y: float, colour: tuple[int, int, int]) -> None:
    """The colour at this share of width and height, except for losses of the compression."""
    assert image.mode == "RGB"
    found: Any = image.getpixel((int(image.width * x), int(image.height * y)))
    difference = max(abs(a - b) for a, b in zip(found, colour, strict=True))
    assert difference < 24, (found, colour)


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
        ("JPEG", "CMYK", {}),
        ("MPO", "RGB", {"save_all": True, "append_images": [picture()]}),
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}),
    ],
)
def test_every_kind_keeps_its_colours(
    staff: Client, form: str, mode: str, options: dict[str, Any]
) -> None:
    for image in shown(staff, encoded(picture((60, 80), mode), form, **options)):
        assert_colour(image, 0.1, 0.1, BLUE)
        assert_colour(image, 0.9, 0.9, RED)


@pytest.mark.parametrize(("form", "mode"), [("JPEG", "CMYK"), ("PNG", "P"), ("PNG", "RGBA")])
def test_a_large_image_is_reduced_without_seams(staff: Client, form: str, mode: str) -> None:
    for image in shown(staff, encoded(picture((5200, 1300), mode), form)):
        assert image.size == (1280, 320)
        assert_colour(image, 0.24, 0.24, BLUE)
        for x, y in ((0.27, 0.1), (0.1, 0.27), (0.99, 0.99), (0.01, 0.99)):
            assert_colour(image, x, y, RED)


@pytest.mark.parametrize(
    ("mode", "dark", "light"),
    [
        ("1", 0, 255),
        ("L", 60, 200),
        ("LA", (60, 255), (200, 255)),
        ("I;16", 60 * 257, 200 * 257),
    ],
)
def test_grey_stays_as_light_as_it_is(staff: Client, mode: str, dark: Any, light: Any) -> None:
    image = Image.new(mode, (60, 80), dark)
    image.paste(light, (0, 0, 30, 80))
    dark, light = (0, 255) if mode == "1" else (60, 200)
    for made in shown(staff, encoded(image, "PNG")):
        assert_colour(made, 0.2, 0.5, (light, light, light))
        assert_colour(made, 0.8, 0.5, (dark, dark, dark))


def sixteen_bits() -> bytes:
    """Red, with 16 bits for each channel, which Pillow reads and does not write."""
    rows = b"".join(b"\0" + b"\xff\xff\0\0\0\0" * 30 for _ in range(40))
    return png((30, 40), rows, depth=16, colour=2)


def test_sixteen_bits_for_each_colour_are_read_as_eight(staff: Client) -> None:
    for image in shown(staff, sixteen_bits()):
        assert_colour(image, 0.5, 0.5, RED)


def transparent_palette() -> bytes:
    return encoded(picture(mode="P"), "PNG", transparency=picture(mode="P").getpixel((0, 0)))


def transparent_colour() -> bytes:
    return encoded(picture(), "PNG", transparency=BLUE)


def transparent_pixels(form: str) -> bytes:
    image = picture(mode="RGBA")
    image.paste((0, 0, 0, 0), (0, 0, image.width // 4, image.height // 4))
    return encoded(image, form)


@pytest.mark.parametrize(
    "content",
    [
        transparent_palette(),
        transparent_colour(),
        transparent_pixels("PNG"),
        transparent_pixels("WEBP"),
    ],
    ids=["palette", "colour", "png", "webp"],
)
def test_transparent_pixels_become_white(staff: Client, content: bytes) -> None:
    for image in shown(staff, content):
        assert_colour(image, 0.1, 0.1, WHITE)
        assert_colour(image, 0.9, 0.9, RED)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_photograph_is_turned_upright(staff: Client, orientation: int, form: str) -> None:
    """The square is in the upper left corner once it is seen as the camera says."""
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    lying = picture((150, 200))
    lying = lying.transpose(undo) if undo is not None else lying
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    for image in shown(staff, encoded(lying, form, exif=exif)):
        assert image.size == (150, 200)
        assert_colour(image, 0.1, 0.1, BLUE)
        assert_colour(image, 0.9, 0.1, RED)
        assert_colour(image, 0.1, 0.9, RED)


def where_it_was_taken() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "secret photographer"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "secret latitude"
    return exif


def png_texts() -> PngImagePlugin.PngInfo:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "secret comment")
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>secret</x:xmpmeta>")
    return texts


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {"comment": "secret comment", "xmp": b"<x:xmpmeta>secret</x:xmpmeta>"}),
        ("PNG", {"pnginfo": png_texts()}),
        ("WEBP", {"xmp": b"<x:xmpmeta>secret</x:xmpmeta>"}),
    ],
)
def test_metadata_of_an_image_is_removed(
    staff: Client, media: Path, form: str, options: dict[str, Any]
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options |= {"exif": where_it_was_taken(), "icc_profile": profile}
    content = encoded(picture(), form, **options)
    assert content.count(b"secret") >= 3
    uploaded_poster(staff, make_movie(), content)
    written = [path for path in media.rglob("*") if path.is_file()]
    assert len(written) == 4
    for path in written:
        found = path.read_bytes()
        for mark in (b"secret", b"Exif", b"EXIF", b"xmp", b"XMP", b"ICC", b"acsp", b"\xff\xfe"):
            assert mark not in found or (mark == b"\xff\xfe" and path.suffix == ".webp")
        assert not decoded(found).getexif()


def profile_with_red_and_blue_swapped() -> bytes:
    """A colour profile under which what is stored as red is seen as blue."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack(">I", profile[128:132])
    entries = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_colours_are_those_of_the_images_profile(staff: Client, form: str) -> None:
    content = encoded(picture(), form, icc_profile=profile_with_red_and_blue_swapped())
    for image in shown(staff, content):
        assert_colour(image, 0.1, 0.1, RED)
        assert_colour(image, 0.9, 0.9, BLUE)


@pytest.mark.parametrize("profile", [b"no profile at all", b"\0" * 200, b"x" * 100_000])
def test_a_broken_profile_is_left_out(staff: Client, profile: bytes) -> None:
    for image in shown(staff, encoded(picture(), "JPEG", icc_profile=profile)):
        assert_colour(image, 0.9, 0.9, RED)
