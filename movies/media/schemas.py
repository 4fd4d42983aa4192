from __future__ import annotations

from ninja import Field, Schema

from movies.media.urls import poster_srcset, poster_url, trailer_url
from movies.models import Movie

STEM = "http://127.0.0.1:8000/media/posters/0f3c9a52d1b84e6f7a90c1d2e3f4a5b6"


class PosterSources(Schema):
    """By format, what the attribute `srcset` takes: each file with its width."""

    webp: str = Field(examples=[f"{STEM}-320.webp 320w, {STEM}-640.webp 640w"])
    jpeg: str = Field(examples=[f"{STEM}-320.jpg 320w, {STEM}-640.jpg 640w"])


class PosterOut(Schema):
    poster: str = Field(description="The widest, as JPEG.", examples=[f"{STEM}-640.jpg"])
    srcset: PosterSources

    @staticmethod
    def resolve_poster(movie: Movie) -> str | None:
        return poster_url(movie)

    @staticmethod
    def resolve_srcset(movie: Movie) -> dict[str, str] | None:
        return poster_srcset(movie)


class TrailerOut(Schema):
    trailer: str = Field(
        examples=["http://127.0.0.1:8000/media/trailers/0f3c9a52d1b84e6f7a90c1d2e3f4a5b6.mp4"]
    )

    @staticmethod
    def resolve_trailer(movie: Movie) -> str | None:
        return trailer_url(movie)
