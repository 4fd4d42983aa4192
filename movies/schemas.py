from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.db.models import Model
from django.utils.text import slugify
from ninja import Field, Query, Schema
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ModelWrapValidatorHandler,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from cinema.schemas import Day, Line, Name, Pagination, StrictSchema
from movies.media.files import poster_srcset, poster_url, trailer_url
from movies.models import MAX_DIRECTORS, MAX_PROTAGONISTS, Genre, Movie
from movies.types import UNSET, Language, LocalTime, Person, Slug, Status, Text, Title, WebAddress

STEM = "http://127.0.0.1:8000/media/posters/0f3c9a52d1b84e6f7a90c1d2e3f4a5b6"


class PosterSources(Schema):
    """The value of the attribute `srcset` for each format."""

    webp: str = Field(examples=[f"{STEM}-320.webp 320w, {STEM}-640.webp 640w"])
    jpeg: str = Field(examples=[f"{STEM}-320.jpg 320w, {STEM}-640.jpg 640w"])


class PosterOut(Schema):
    poster: str = Field(description="The widest image, as JPEG.", examples=[f"{STEM}-640.jpg"])
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


class GenreOut(Schema):
    slug: str = Field(examples=["science-fiction"])
    name: str = Field(examples=["Science Fiction"])

    @classmethod
    def of(cls, genre: Genre) -> GenreOut:
        return cls.model_construct(slug=genre.slug, name=genre.name)


def _genre_name(value: object) -> object:
    """Accept a genre as the API shows it, besides its name or slug."""
    return value.get("name") or value.get("slug") if isinstance(value, dict) else value


def _gives_a_slug(text: str) -> str:
    if not slugify(text, allow_unicode=True):
        raise ValueError("expected letters or digits")
    return text


GenreName = Annotated[
    Name,
    StringConstraints(max_length=60),
    AfterValidator(_gives_a_slug),
    BeforeValidator(_genre_name),
]


Protagonists = Annotated[
    list[Person],
    Field(
        min_length=1,
        max_length=MAX_PROTAGONISTS,
        description="The leading cast. Directors at its beginning do not count as actors; list a "
        "director who acts too after an actor.",
        examples=[["Corinne Marchand"]],
    ),
]


class MoviePatch(StrictSchema):
    """Changes by staff. Omitted fields keep their values; with `status: null` the dates decide."""

    name: Title = Field(UNSET, examples=["Cléo from 5 to 7"])
    slug: Slug = Field(UNSET, description="Default: made from the name.", examples=["cleo"])
    protagonists: Protagonists = UNSET
    directors: list[Person] = Field([], max_length=MAX_DIRECTORS, examples=[["Agnès Varda"]])
    overview: Text = Field("", examples=["Two hours in the life of a singer in Paris."])
    genres: list[GenreName] = Field([], max_length=20, examples=[["drama", "music"]])
    poster: WebAddress | None = None
    trailer: WebAddress | None = None
    start_date: Day = Field(UNSET, examples=["2026-12-03"])
    end_date: Day | None = Field(None, examples=["2026-12-30"])
    status: Status | None = Field(None, description="Set by staff; the clock moves it forward.")
    original_language: Language | None = Field(
        None,
        description="A tag of BCP 47, also as an older or longer code (`fra`), or TMDb's: `fra` is "
        "shown as `fr`, and `cn` as `yue`.",
        examples=["fr"],
    )
    release_year: int | None = Field(None, ge=1870, le=2200, examples=[1962])
    runtime_minutes: int | None = Field(None, ge=1, le=6000, examples=[90])
    tmdb_id: int | None = Field(None, ge=1, le=2**31 - 1, examples=[499])

    @model_validator(mode="after")
    def _dates_in_order(self) -> MoviePatch:
        if self.start_date and self.end_date and self.end_date < self.start_date:
            raise ValueError("end_date lies before start_date")
        return self


class MovieIn(MoviePatch):
    name: Title = Field(examples=["Cléo from 5 to 7"])
    protagonists: Protagonists
    start_date: Day = Field(examples=["2026-12-03"])


class MovieChanges(MoviePatch):
    """A change that Cinema itself makes: it may set fields that the API does not take."""

    keywords: list[str] = []
    series: str = ""
    tmdb_fields: list[str] = []
    tmdb_fetched_at: datetime | None = None


class NewMovie(MovieIn, MovieChanges):
    """A movie that Cinema itself posts."""


class MovieOut(Schema):
    id: int = Field(examples=[42])
    name: str = Field(examples=["Cléo from 5 to 7"])
    slug: str = Field(examples=["cleo-from-5-to-7"])
    protagonists: list[str] = Field(examples=[["Corinne Marchand", "Antoine Bourseiller"]])
    directors: list[str] = Field(examples=[["Agnès Varda"]])
    overview: str
    genres: list[GenreOut]
    poster: str | None = Field(description="URL of the widest uploaded image, or the given URL.")
    poster_srcset: PosterSources | None = Field(description="Null unless the poster was uploaded.")
    trailer: str | None
    start_date: date
    end_date: date | None
    status: Status
    ranking: int = Field(examples=[120])
    original_language: str | None = Field(examples=["fr"])
    release_year: int | None = Field(examples=[1962])
    runtime_minutes: int | None = Field(examples=[90])
    tmdb_id: int | None
    rating_average: float | None = Field(description="Mean of the stars.", examples=[4.2])
    rating_count: int = Field(examples=[31])
    community_score: float | None = Field(
        description="Mean of the stars, drawn towards the mean of all films if few viewers have "
        "rated. The order `-rating` uses it. 0.5 to 5; null without ratings.",
        examples=[4.07],
    )
    created_at: LocalTime
    updated_at: LocalTime

    @classmethod
    def of(cls, movie: Movie) -> MovieOut:
        """Without validation, which the row does not need: in a tenth of the time."""
        sources = poster_srcset(movie)
        return cls.model_construct(
            **{name: getattr(movie, name) for name in _ATTRIBUTES},
            genres=[GenreOut.of(genre) for genre in _genres(movie)],
            poster=poster_url(movie),
            poster_srcset=PosterSources(**sources) if sources else None,
            trailer=trailer_url(movie),
            rating_average=two_digits(movie.rating_average),
            community_score=two_digits(movie.community_score),
        )

    @model_validator(mode="wrap")
    @classmethod
    def _run_root_validator(
        cls, values: Any, handler: ModelWrapValidatorHandler[MovieOut], info: ValidationInfo
    ) -> MovieOut:
        """Replaces Ninja's validator, so that responses of movies use `of` too."""
        return cls.of(values) if isinstance(values, Movie) else handler(values)


def _genres(movie: Movie) -> Iterable[Genre]:
    """The movie's genres. `genres.all()` builds a class and a query even if they were read."""
    read: Mapping[str, Iterable[Genre]] = getattr(movie, "_prefetched_objects_cache", {})
    return read["genres"] if "genres" in read else movie.genres.all()


#: The fields of `MovieOut` that are attributes of the model.
_ATTRIBUTES = MovieOut.model_fields.keys() - {
    "genres", "poster", "poster_srcset", "trailer", "rating_average", "community_score",
}  # fmt: skip


def two_digits(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


class MovieForViewerOut(MovieOut):
    similarity_score: int | None = Field(
        None,
        ge=0,
        le=100,
        description="For signed-in viewers: the rating predicted from viewers of similar taste, "
        "from 0 to 100. Left out without enough evidence.",
        examples=[87],
    )


class MoviePageForViewerOut(Schema):
    data: list[MovieForViewerOut]
    pagination: Pagination


#: `?similarity=true`
Similarity = Annotated[
    bool, Query(description="Add each film's `similarity_score` for signed-in viewers.")
]


#: `?include_movie_details=false`
MovieDetails = Annotated[
    bool, Query(description="`false` leaves the movie objects out of the list; `movie_id` stays.")
]


class MovieReferenceOut(Schema):
    """The movie with `include_movie_details=false`."""

    movie_id: int = Field(examples=[42])


class OfMovieOut(Schema):
    """A viewer's row about a movie. Its operation excludes unset fields."""

    movie_id: int = Field(examples=[42])
    movie: MovieOut | SkipJsonSchema[None] = Field(
        default_factory=lambda: None, description="Absent with `include_movie_details=false`."
    )

    @staticmethod
    def resolve_movie(row: Model) -> Movie:
        """The movie, if it was read with the row.

        Raises:
            AttributeError: It was not. Pydantic then leaves the field unset.
        """
        if not type(row).movie.is_cached(row):  # type: ignore[attr-defined]
            raise AttributeError("movie")
        return row.movie  # type: ignore[attr-defined, no-any-return]


class GenrePageOut(Schema):
    data: list[GenreOut]
    pagination: Pagination


class MovieFilters(Schema):
    q: Line | None = Field(
        None,
        description="Words of names, people, keywords, tags and overviews, or beginnings of words. "
        "Finds the 400 films that fit best, at most.",
        examples=["agnes var"],
    )
    genre: Line | None = Field(None, description="A genre's slug.", examples=["drama"])
    status: Status | None = None
    language: Language | None = Field(
        None, description="Original language. `zh` finds `zh-Hant` too.", examples=["fr"]
    )
    person: Line | None = Field(
        None,
        description="A protagonist or director, by the full name. Accents and case do not matter.",
        examples=["Agnès Varda"],
    )
    year_from: int | None = Field(None, ge=0, le=9999, description="Release year.", examples=[1960])
    year_to: int | None = Field(None, ge=0, le=9999, examples=[1969])
    sort: Literal["name", "-ranking", "start_date", "-rating", "relevance"] | None = Field(
        None,
        description="Default: `relevance` with `q`, else `name`. Without `q`, `relevance` means "
        "`name`.",
    )
