from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from django.conf import settings
from ninja import Field, Schema
from pydantic import AfterValidator, ConfigDict, model_validator
from pydantic.json_schema import SkipJsonSchema

from cinema.errors import Unprocessable
from cinema.schemas import Line, RowId
from movies.programme.selectors import DEFAULT_DAYS, MAX_DAYS
from movies.schemas import MovieForViewerOut, MovieOut, MovieReferenceOut
from movies.types import ClockTime, Language, LocalTime
from recommendations.dataset import weight_table
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.lists.filters import CandidateFilters
from recommendations.lists.list_builder import ListQuery
from recommendations.lists.ranking import HYBRID
from recommendations.models import Interaction, Release

Kind = Literal["like", "superlike", "dislike", "seen", "hide", "rating"]


def _in_halves(stars: float) -> float:
    if (stars * 2) % 1:
        raise ValueError("expected halves: 0.5, 1, 1.5 … 5")
    return stars


def _known_algorithm(name: str) -> str:
    if name not in ALGORITHMS:
        raise ValueError(f"expected one of {', '.join(ALGORITHMS)}")
    return name


# Strict: no "4" and no true.
Stars = Annotated[float, Field(ge=0.5, le=5, strict=True), AfterValidator(_in_halves)]
BatchNumber = Annotated[int, Field(ge=1, le=100)]
SimilarLimit = Annotated[int, Field(ge=1, le=40)]
OnboardingLimit = Annotated[int, Field(ge=1, le=20)]
Algorithm = Annotated[str, AfterValidator(_known_algorithm)]
MovieId = Annotated[int, Field(ge=1, le=2**63 - 1)]
#: The ids of a query string stay within the 8 KB that proxies take.
MAX_EXCLUDED = 500


class RatingIn(Schema):
    model_config = ConfigDict(extra="forbid")

    stars: Stars = Field(examples=[4.5])


class InteractionIn(Schema):
    model_config = ConfigDict(extra="forbid")

    movie_id: RowId = Field(examples=[42])
    kind: Kind = Field(examples=["like"])
    stars: Stars | None = Field(None, description="Only for a rating; required.", examples=[None])

    @model_validator(mode="after")
    def _stars_go_with_ratings(self) -> Self:
        if (self.kind == "rating") != (self.stars is not None):
            raise ValueError("stars belong to a rating, and a rating needs them")
        return self


class InteractionOut(Schema):
    id: int = Field(examples=[1001])
    movie_id: int = Field(examples=[42])
    kind: Kind
    stars: float | None = Field(examples=[4.5])
    weight: float = Field(examples=[2.5])
    created_at: LocalTime
    updated_at: LocalTime

    @staticmethod
    def resolve_kind(interaction: Interaction) -> str:
        return str(interaction.get_kind_display())

    @staticmethod
    def resolve_weight(interaction: Interaction) -> float:
        return float(weight_table()[interaction.kind, interaction.half_stars])


class MatchOut(Schema):
    id: int
    name: str
    similarity: float


class NewInteractionOut(InteractionOut):
    new_matches: list[MatchOut] = []


class RecommendationFilters(Schema):
    scope: Literal["catalogue", "programme"] = Field(
        "catalogue",
        description="`programme`: only films with a screening still to come within `days`.",
    )
    algorithm: Algorithm = HYBRID
    limit: int = Field(settings.RECOMMENDATIONS_PER_REQUEST, ge=1, le=40)
    days: int = Field(
        DEFAULT_DAYS,
        ge=1,
        le=MAX_DAYS,
        description="How many cinema days `programme` looks ahead, today included.",
    )
    refresh: bool = Field(False, description="Make a new list even if nothing has changed.")
    exclude: list[MovieId] = Field(
        [],
        max_length=MAX_EXCLUDED,
        description="Ids of films to leave out. Unknown ids are ignored.",
        examples=[[42]],
    )
    genre: Line | None = Field(None, description="A genre's slug.", examples=["drama"])
    runtime_max: int | None = Field(
        None,
        ge=1,
        le=6000,
        description="Running time in minutes. Films of unknown length are left out.",
        examples=[100],
    )
    language: Language | None = Field(
        None,
        description="The spoken language: of a screening with `programme`, else the original "
        "language. `zh` finds `zh-Hant` too.",
        examples=["fr"],
    )
    understands: list[Language] = Field(
        [],
        max_length=20,
        description="Films spoken in the language, subtitled in it (with `programme`), or without "
        "words. Several values: any of them.",
        examples=[["en"]],
    )
    before: ClockTime | None = Field(
        None,
        description="Only with `programme`: a screening ends before this time, by the cinema's "
        "clock. The small hours belong to the evening before. `language` and "
        "`understands` apply to the same screening.",
        examples=["22:00"],
    )
    calibrated: bool = Field(
        False,
        description="The genres of the list have the proportions of the films that the viewer "
        "likes.",
    )

    def query(self) -> ListQuery:
        """The parameters that decide which films are in the list.

        Raises:
            Unprocessable: The scope has no screenings that could end before a time.
        """
        if self.before is not None and self.scope != "programme":
            raise Unprocessable("query.before", "`before` needs `scope=programme`")
        filters = CandidateFilters(
            exclude=tuple(sorted({*self.exclude})),
            genre=self.genre,
            runtime_max=self.runtime_max,
            language=self.language,
            understands=tuple(sorted({*self.understands})),
            before=self.before,
        )
        return ListQuery(self.scope, self.algorithm, self.days, filters, self.calibrated)


class ReasonOut(Schema):
    kind: str = Field(examples=["liked"])
    text: str = Field(examples=["Because you liked Amélie"])
    movie_id: int | None = Field(examples=[17])


class _Similar(Schema):
    score: float = Field(description="The similarity to the film, up to 1.", examples=[0.83])
    source: str = Field(
        description="The source: a model, `content`, or `blend` for both.", examples=["blend"]
    )
    reasons: list[ReasonOut]


class SimilarMovieOut(MovieOut, _Similar):
    pass


class SimilarReferenceOut(MovieReferenceOut, _Similar):
    """With `include_movie_details=false`."""


class SimilarListOut(Schema):
    release: int | None = Field(description="The release that found the films.", examples=[3])
    data: list[SimilarMovieOut] | list[SimilarReferenceOut]


class OnboardingMovieOut(Schema):
    source: Literal["release", "popular", "ranking"] = Field(
        description="The reason for the choice: the release, popularity here, or the ranking."
    )
    movie_id: int = Field(examples=[42])
    movie: MovieOut


class OnboardingListOut(Schema):
    release: int | None = Field(description="Null without a release.", examples=[3])
    data: list[OnboardingMovieOut]


class PotentialMatchOut(Schema):
    user_id: int
    condition: str
    confidence: float


class RecommendationOut(Schema):
    rank: int = Field(examples=[1])
    movie_id: int = Field(examples=[42])
    movie: MovieForViewerOut | SkipJsonSchema[None] = Field(
        default_factory=lambda: None, description="Absent with `include_movie_details=false`."
    )
    score: float
    source: str = Field(description="The algorithm or fallback.", examples=["als"])
    reasons: list[ReasonOut]
    matched_users: list[MatchOut]
    potential_matches: list[PotentialMatchOut]


class RecommendationListOut(Schema):
    list_id: str
    batch: int = Field(examples=[1])
    scope: Literal["catalogue", "programme"]
    algorithm: str = Field(examples=[HYBRID])
    release: int | None = Field(examples=[3])
    generated_at: datetime
    expires_at: datetime
    items: list[RecommendationOut]


class QualityOut(Schema):
    users: int
    k: int
    ndcg: float | None
    recall: float | None
    hit_rate: float | None
    coverage: float | None
    precision: float | None = None
    mrr: float | None = None
    map: float | None = None
    ndcg_low: float | None = Field(None, description="Lower end of its 95% interval.")
    ndcg_high: float | None = Field(
        None, description="Upper end of its 95% interval over samples of viewers."
    )
    novelty: float | None = None
    popularity: float | None = None
    gini: float | None = Field(None, description="How unequally films are listed; 0 is equal.")
    diversity: float | None = None
    miscalibration: float | None = Field(None, description="Lower is better.")


class AlgorithmOut(Schema):
    name: str = Field(examples=["als"])
    description: str
    available: bool = Field(description="Whether the current release has the algorithm.")
    left_out: str | None = Field(
        description="Why the current release does not have the algorithm, if known.",
        examples=["NDCG@10 0.0312, below popularity."],
    )
    quality: QualityOut | None = Field(description="Quality measured when the release was trained.")


class ReleaseOut(Schema):
    id: int = Field(examples=[3])
    created_at: LocalTime
    is_current: bool
    is_held: bool = Field(description="Whether newer trainings are kept from being published.")
    can_be_activated: bool
    users: int
    items: int
    interactions: int
    metrics: dict[str, QualityOut]
    training_s: float

    @staticmethod
    def resolve_can_be_activated(release: Release) -> bool:
        return bool(release.directory)


class RunOut(Schema):
    id: int = Field(examples=[5])
    state: Literal["queued", "running", "published", "unchanged", "rejected", "failed"]
    phase: str = Field(examples=["fitting als"])
    percent: int = Field(examples=[45])
    message: str
    release_id: int | None
    created_at: LocalTime
    started_at: LocalTime | None
    finished_at: LocalTime | None


class ClickIn(Schema):
    model_config = ConfigDict(extra="forbid")

    movie_id: RowId = Field(description="The film that was opened.", examples=[42])


MatchLimit = Annotated[int, Field(ge=1, le=100)]


class MatchedViewerOut(Schema):
    id: int = Field(examples=[7])
    name: str = Field(examples=["Agnès"])


class ListedMatchOut(Schema):
    user: MatchedViewerOut
    similarity: float = Field(description="From the threshold up to 1.", examples=[0.87])
    shared: list[MovieOut] | list[MovieReferenceOut] = Field(
        description="A few films that both of you like best."
    )
    since: LocalTime


class MatchListOut(Schema):
    data: list[ListedMatchOut]
