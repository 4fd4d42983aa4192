"""Refuse query parameters that an operation does not have.

A misspelt filter would otherwise be ignored, and the answer would look like a filtered one.
Calendars, feeds and JSON-LD go on ignoring such parameters: programs that subscribe to them add
parameters of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import wraps
from typing import Any

from django.http import HttpRequest, QueryDict
from ninja.operation import Operation

from cinema.errors import ApiError

JSON = "application/json"
#: Only so many are named in an answer, each up to so many characters.
MOST_NAMED = 10
LONGEST_NAME = 50

View = Callable[..., Any]


class WrongParameters(ApiError):
    status = 422

    def __init__(self, messages: Mapping[str, str]) -> None:
        errors = [
            {"field": f"query.{name}", "message": message} for name, message in messages.items()
        ]
        super().__init__("The request is malformed: see `errors`.", errors=errors)


def refuse_wrong_parameters(view: View) -> View:
    """Decorate the function of a Ninja operation, which is called once the caller is known.

    Raises:
        WrongParameters: The query string has a name that the operation does not declare, or a name
            twice that takes one value.
    """
    operation: Operation = view._ninja_operation  # type: ignore[attr-defined]
    if not _answers_json(operation):
        return view
    takes_many = _parameters(operation)

    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> Any:
        if request.META.get("QUERY_STRING") and (wrong := _wrong(request.GET, takes_many)):
            raise WrongParameters(wrong)
        return view(request, *args, **kwargs)

    return answer


def _answers_json(operation: Operation) -> bool:
    responses = (operation.openapi_extra or {}).get("responses", {})
    return {kind for each in responses.values() for kind in each.get("content", {})} <= {JSON}


def _parameters(operation: Operation) -> dict[str, bool]:
    """The names of the operation's query parameters, and whether each takes several values."""
    takes_many: dict[str, bool] = {}
    for model in operation.models:
        if model.__ninja_param_source__ == "query":
            lists = model.__ninja_collection_fields__
            names = model.__ninja_flatten_map__
            takes_many |= {name: name in lists for name in names}
    return takes_many


def _wrong(given: QueryDict, takes_many: Mapping[str, bool]) -> dict[str, str]:
    """By name, up to MOST_NAMED of them, what is wrong."""
    wrong: dict[str, str] = {}
    for name, values in given.lists():
        if len(wrong) == MOST_NAMED:
            break
        shown = name[:LONGEST_NAME]
        if name not in takes_many and shown not in wrong:
            wrong[shown] = _advice(shown, list(takes_many))
        elif len(values) > 1 and not takes_many.get(name, True):
            wrong[name] = "This parameter is given more than once."
    return wrong


def _advice(name: str, known: list[str]) -> str:
    if not known:
        return "There is no such parameter: this address takes none."
    if near := get_close_matches(name.lower(), known, n=1):
        return f"There is no such parameter. Did you mean `{near[0]}`?"
    return f"There is no such parameter. Those of this address are: {', '.join(sorted(known))}."
