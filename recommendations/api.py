from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from ninja import Query, Router
from ninja.decorators import decorate_view
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import signed_in, staff
from cinema.errors import problems
from cinema.schemas import Paginated
from cinema.throttling.limits import Limit
from movies.schemas import MovieDetails, MoviePageForViewerOut, Similarity
from recommendations import releases, selectors, services
from recommendations.lists import serving
from recommendations.models import Interaction, Release, TrainingRun
from recommendations.onboarding import onboarding_json
from recommendations.popular import popular_page
from recommendations.schemas import (
    AlgorithmOut,
    BatchNumber,
    ClickIn,
    InteractionIn,
    InteractionOut,
    NewInteractionOut,
    OnboardingLimit,
    OnboardingListOut,
    RatingIn,
    RecommendationFilters,
    RecommendationListOut,
    ReleaseOut,
    RunOut,
    SimilarLimit,
    SimilarListOut,
)
from recommendations.similar_movies import similar_movies
from recommendations.training import requests
from users.auth import AuthedRequest

router = Router()
HEAVY = Limit("THROTTLE_HEAVY")
REFRESHING = Limit("THROTTLE_HEAVY", when=lambda request: "refresh" in request.GET)

MOVIES = ["Movies"]
FEEDBACK, RECOMMENDATIONS, RELEASES = ["Feedback"], ["Recommendations"], ["Releases"]


@router.put(
    "/movies/{int:movie_id}/rating",
    auth=signed_in,
    response={200: InteractionOut, **problems(401, 404, 422)},
    tags=FEEDBACK,
)
def put_rating(request: AuthedRequest, movie_id: int, payload: RatingIn) -> Interaction:
    """Rate a movie, or change your rating of it."""
    return services.rate_movie(user=request.auth, movie_id=movie_id, stars=payload.stars)


@router.delete(
    "/movies/{int:movie_id}/rating",
    auth=signed_in,
    response={204: None, **problems(401, 404)},
    tags=FEEDBACK,
)
def delete_rating(request: AuthedRequest, movie_id: int) -> Status[None]:
    """Delete your rating of a movie."""
    services.delete_rating(user=request.auth, movie_id=movie_id)
    return Status(204, None)


@router.post(
    "/interactions",
    auth=signed_in,
    response={200: NewInteractionOut, 201: NewInteractionOut, **problems(401, 404, 422)},
    tags=FEEDBACK,
)
def create_interaction(
    request: AuthedRequest, response: HttpResponse, payload: InteractionIn
) -> Status[Interaction]:
    """Record an interaction with a movie. A repeated one is 200 and changes nothing."""
    kind = Interaction.Kind[payload.kind.upper()]
    interaction, created = services.record_and_match(
        user=request.auth, movie_id=payload.movie_id, kind=kind, stars=payload.stars
    )
    response["Location"] = f"/api/v1/interactions/{interaction.pk}"
    return Status(201 if created else 200, interaction)


@router.delete(
    "/interactions/{int:interaction_id}",
    auth=signed_in,
    response={204: None, **problems(401, 404)},
    tags=FEEDBACK,
)
def delete_interaction(request: AuthedRequest, interaction_id: int) -> Status[None]:
    """Delete an interaction."""
    services.delete_interaction(user=request.auth, interaction_id=interaction_id)
    return Status(204, None)


@router.get(
    "/recommendations",
    auth=signed_in,
    throttle=REFRESHING,
    response={200: RecommendationListOut, **problems(401, 409, 422)},
    tags=RECOMMENDATIONS,
)
def get_recommendations(
    request: AuthedRequest,
    filters: Query[RecommendationFilters],
    include_movie_details: MovieDetails = True,
) -> HttpResponse:
    """Recommendations with reasons. A film that you acted on leaves the list at once.

    The filters apply before films are ranked: the list has as many films as match, up to 40.
    409 for an algorithm that the current release does not have.
    """
    found = serving.recommendations_json(
        user=request.auth,
        query=filters.query(),
        limit=filters.limit,
        refresh=filters.refresh,
        with_movies=include_movie_details,
    )
    return _private_json(found)


@router.get(
    "/recommendations/next",
    auth=signed_in,
    response={200: RecommendationListOut, **problems(401, 404, 422)},
    tags=RECOMMENDATIONS,
)
def get_next_recommendations(
    request: AuthedRequest, batch: BatchNumber = 2, include_movie_details: MovieDetails = True
) -> HttpResponse:
    """The next batch of the list that you were given last. 404 once it is used up.

    Films that you have acted on since are left out. A batch may be empty, and a later one not.
    """
    found = serving.recommend_next(user=request.auth, number=batch)
    return _private_json(found.as_json(with_movies=include_movie_details))


@router.get(
    "/recommendations/onboarding",
    auth=signed_in,
    response={200: OnboardingListOut, **problems(401, 422)},
    tags=RECOMMENDATIONS,
)
def list_onboarding_movies(request: AuthedRequest, limit: OnboardingLimit = 5) -> HttpResponse:
    """Films to ask a new viewer about: well known, and informative.

    A film that you have rated, liked, disliked, hidden, seen or made a favourite is not asked
    about again.
    """
    return _private_json(onboarding_json(user=request.auth, limit=limit))


def _private_json(body: bytes) -> HttpResponse:
    headers = {"Cache-Control": "private, no-store"}
    return HttpResponse(body, content_type="application/json", headers=headers)


@router.get(
    "/recommendations/algorithms",
    response={200: list[AlgorithmOut]},
    tags=RECOMMENDATIONS,
)
@decorate_view(cache_control(public=True, max_age=0, must_revalidate=True))
def list_algorithms(request: HttpRequest) -> list[AlgorithmOut]:
    """The values of `algorithm`, with the quality of each on this cinema's own data."""
    return [AlgorithmOut(**algorithm) for algorithm in serving.describe_algorithms()]


@router.get("/movies/popular", response={200: MoviePageForViewerOut, **problems(422)}, tags=MOVIES)
def list_popular_movies(
    request: HttpRequest, paging: Query[Paginated.Input], similarity: Similarity = False
) -> HttpResponse:
    """Films that viewers here liked lately. Films without interactions follow by ranking."""
    return popular_page(request, paging, is_personal=similarity)


@router.get(
    "/movies/{int:movie_id}/similar",
    response={200: SimilarListOut, **problems(404, 422)},
    tags=MOVIES,
)
def list_similar_movies(
    request: HttpRequest,
    movie_id: int,
    limit: SimilarLimit = 10,
    include_movie_details: MovieDetails = True,
) -> HttpResponse:
    """Similar films with reasons: by the viewers who like them and by their content."""
    return similar_movies(request, movie_id, limit, with_movies=include_movie_details)


@router.get(
    "/releases",
    auth=staff,
    response={200: list[ReleaseOut], **problems(401, 403, 422)},
    tags=RELEASES,
)
@paginate(Paginated)
def list_releases(request: HttpRequest) -> QuerySet[Release]:
    """The trained models, the newest first, with their measured quality."""
    return selectors.list_releases()


@router.post(
    "/releases/train",
    auth=staff,
    throttle=HEAVY,
    response={202: RunOut, **problems(401, 403, 409)},
    tags=RELEASES,
)
def request_training(request: HttpRequest, response: HttpResponse) -> Status[TrainingRun]:
    """Request a training. While one waits or runs, the answer is that one."""
    run = requests.request_training()
    response["Location"] = f"/api/v1/releases/runs/{run.pk}"
    return Status(202, run)


@router.get(
    "/releases/runs/{int:run_id}",
    auth=staff,
    response={200: RunOut, **problems(401, 403, 404)},
    tags=RELEASES,
)
def get_training_run(request: HttpRequest, run_id: int) -> TrainingRun:
    """The progress of a training, and its result."""
    return selectors.get_run(run_id)


@router.post(
    "/releases/{int:release_id}/activate",
    auth=staff,
    response={200: ReleaseOut, **problems(401, 403, 404, 409)},
    tags=RELEASES,
)
def activate_release(request: HttpRequest, release_id: int) -> Release:
    """Serve this release, such as the one before a release that disappoints.

    If there is a newer one, the release is held: trainings are not published over it. Activating
    the newest release, or `DELETE /releases/{id}/hold`, lifts the hold.
    """
    return releases.activate_release(release_id=release_id)


@router.put(
    "/releases/{int:release_id}/hold",
    auth=staff,
    response={200: ReleaseOut, **problems(401, 403, 404, 409)},
    tags=RELEASES,
)
def hold_release(request: HttpRequest, release_id: int) -> Release:
    """Keep the current release: trainings are not published over it."""
    return releases.hold_release(release_id=release_id)


@router.delete(
    "/releases/{int:release_id}/hold",
    auth=staff,
    response={204: None, **problems(401, 403, 404)},
    tags=RELEASES,
)
def lift_hold(request: HttpRequest, release_id: int) -> Status[None]:
    """Lift the hold: trainings are published again."""
    releases.lift_hold(release_id=release_id)
    return Status(204, None)


@router.post(
    "/recommendations/{uuid:list_id}/clicks",
    auth=signed_in,
    response={204: None, **problems(401, 404, 422)},
    tags=RECOMMENDATIONS,
)
def create_click(request: AuthedRequest, list_id: UUID, payload: ClickIn) -> Status[None]:
    """Record that you opened a film of your list. A repeated click changes nothing."""
    services.record_click(user=request.auth, list_id=list_id, movie_id=payload.movie_id)
    return Status(204, None)
