from django.http import HttpResponse
from ninja import Router

from cinema.auth import signed_in
from cinema.errors import problems
from movies.schemas import MovieDetails
from recommendations.matches.rendering import match_list_response
from recommendations.matches.schemas import MatchLimit, MatchListOut
from users.auth import AuthedRequest

router = Router(tags=["Recommendations"])


@router.get("/matches", auth=signed_in, response={200: MatchListOut, **problems(401, 422)})
def list_matches(
    request: AuthedRequest, limit: MatchLimit = 10, include_movie_details: MovieDetails = True
) -> HttpResponse:
    """Viewers of similar taste who agreed to be seen, the most alike first."""
    return match_list_response(request.auth.pk, limit, with_movies=include_movie_details)
