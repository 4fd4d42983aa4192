"""The documents of the programme as answers, from the bytes that each process keeps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from cinema.errors import database_away
from cinema.http import Document, document_response
from movies import catalogue
from movies.catalogue import Snapshot
from movies.programme.query import DEFAULT_DAYS, ProgrammeQuery

#: Makes the document of a part of the programme.
Builder = Callable[[ProgrammeQuery, Snapshot], Document]


def response_of(build: Builder, query: ProgrammeQuery) -> HttpResponse:
    """The document as an answer, made once for each change and process."""
    found, is_stale = catalogue.current().document(
        (build, query), partial(build, query), pinned=query.is_linked()
    )
    return document_response(found, is_stale)


def document_in(snapshot: Snapshot, build: Builder, query: ProgrammeQuery) -> Document:
    """The document for one that is made of it."""
    return snapshot.document(
        (build, query), partial(build, query, snapshot), pinned=query.is_linked()
    )


def without_parsing(
    build: Builder,
) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """Answer a request without parameters before the framework looks for them.

    Nearly all requests are such, and the bytes are there: looking took a fifth of the time.
    """

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            if request.META.get("QUERY_STRING"):
                return view(request, *args, **kwargs)
            try:
                return response_of(build, ProgrammeQuery.of_days(DEFAULT_DAYS))
            except (OperationalError, InterfaceError):
                return database_away()

        return answer

    return decorate
