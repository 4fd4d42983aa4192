"""An Atom feed (RFC 4287) of newly announced movies."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from django.conf import settings
from django.http import HttpResponse
from django.template.defaultfilters import date as formatted
from django.utils.feedgenerator import Atom1Feed
from django.utils.html import linebreaks

from cinema.http import Document, absolute_url
from movies.catalogue import Snapshot, set_genres
from movies.models import Movie
from movies.programme.document import LINKED, snapshot_response
from movies.programme.texts import credit, plain

PATH = "/api/v1/movies/feed.atom"
LENGTH = 50
#: The date of a feed without entries.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Feed(Atom1Feed):
    def latest_post_date(self) -> datetime:
        """A constant without entries, where Django would give the present time."""
        return super().latest_post_date() if self.items else NEVER


def feed_response() -> HttpResponse:
    return snapshot_response(LINKED, PATH, build_feed)


def build_feed(snapshot: Snapshot) -> Document:
    """The latest announced movies, without those whose run has finished."""
    feed = Feed(
        title=plain(f"{settings.CINEMA_NAME}: new films"),
        link=absolute_url("/"),
        description=None,
        language=settings.LANGUAGE_CODE,
        author_name=plain(settings.CINEMA_NAME),
        feed_url=absolute_url(PATH),
        feed_guid=absolute_url(PATH),
    )
    # Statuses are listed, so that an index serves: nearly all movies of an old cinema are finished.
    current = (Movie.Status.COMING_UP, Movie.Status.STARTING, Movie.Status.RUNNING)
    movies = Movie.objects.published().filter(status__in=current).order_by("-created_at", "-id")
    for movie in set_genres(movies[:LENGTH]):
        feed.add_item(
            title=plain(movie.name),
            link=absolute_url(f"/api/v1/movies/{movie.pk}"),
            description=linebreaks(plain(_summary(movie)), autoescape=True),
            unique_id=_unique_id(movie),
            pubdate=movie.created_at,
            updateddate=movie.updated_at,
            categories=[plain(genre.name) for genre in movie.genres.all()],
        )
    return Document(feed.writeString("utf-8").encode(), Feed.content_type)


def _unique_id(movie: Movie) -> str:
    """A permanent id that does not depend on the server's address."""
    return uuid5(NAMESPACE_URL, f"{movie.created_at.isoformat()}/movies/{movie.pk}").urn


def _summary(movie: Movie) -> str:
    facts = [
        f"From {formatted(movie.start_date, 'l, j F Y')}.",
        f"Directed by {', '.join(movie.directors)}." if movie.directors else "",
        f"With {', '.join(movie.actors)}." if movie.actors else "",
    ]
    paragraphs = [" ".join(fact for fact in facts if fact), movie.overview, credit(movie)]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
