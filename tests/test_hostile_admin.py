"""No query parameter, path or action makes a page of the admin fail."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.test import Client as Browser
from django.urls import URLPattern

from tests.builders import make_movie, make_screening, make_user
from tests.hostile import TEXTS
from tests.test_hostile_rest import DIGITS, quoted

# No transaction around the test: a bad value would break it for the statements that follow.
pytestmark = pytest.mark.django_db(transaction=True)

#: One case in so many is tried; `HOSTILE=1` tries all of them, which takes an hour.
STEP = int(os.environ.get("HOSTILE") or 331)
#: Parameters of lists and forms: of Django, of Unfold, and of our own pages.
COMMON = [
    *["q", "o", "p", "all", "e", "_popup", "_to_field", "_facets", "_changelist_filters", "next"],
    *["week", "movie", "hall", "day", "from", "to", "term", "id", "id__in"],
]
LOOKUPS = ["exact", "in", "isnull", "gte", "id__exact", "range_from", "year"]


def pages() -> Iterator[tuple[str, list[str]]]:
    """Each address of the admin, and the parameters that it may read."""
    for path in ("", "login/", "password_change/", "jsi18n/", "autocomplete/", "search/"):
        yield f"/admin/{path}", [*COMMON, "app_label", "model_name", "field_name"]
    for model, page in admin.site._registry.items():
        names = [*{f.name for f in model._meta.get_fields()}]
        names += [f.attname for f in model._meta.concrete_fields]
        filters = [str(getattr(each, "parameter_name", "")) for each in page.list_filter]
        lookups = [f"{name}__{lookup}" for name in names for lookup in LOOKUPS]
        for pattern in page.get_urls():
            if isinstance(pattern, URLPattern):
                route = str(pattern.pattern).replace("<path:object_id>", "1").replace("<id>", "1")
                read = [*COMMON, *names, *filter(None, filters), *([] if route else lookups)]
                yield prefix_of(model) + route, read


def prefix_of(model: type) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"  # type: ignore[attr-defined]


def addresses() -> Iterator[str]:
    for path, names in pages():
        for name, text in itertools.product(sorted({*names}), TEXTS):
            yield f"{path}?{name}={quoted(text)}"
    views = ["", "change/", "history/", "delete/", "password/"]
    for model, text, view in itertools.product(admin.site._registry, TEXTS, views):
        yield f"{prefix_of(model)}{quoted(text)}/{view}"


@pytest.fixture
def boss(client: Browser) -> Browser:
    client.raise_request_exception = False
    who = make_user(is_staff=True, is_superuser=True)
    client.force_login(who, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_no_parameter_makes_a_page_fail(boss: Browser) -> None:
    make_screening(make_movie())
    failed = [
        address[:200]
        for address in itertools.islice(addresses(), 0, None, STEP)
        if boss.get(address).status_code >= 500
    ]
    assert failed == []


def test_no_action_makes_a_list_fail(boss: Browser) -> None:
    make_screening(make_movie())
    texts = [text for text in TEXTS if text != "\ud800"]
    forms = [
        "_selected_action={}",
        "_selected_action={}&post=yes",
        "_selected_action=1&index={}",
        "select_across={}",
        "action={}&_selected_action=1",
        "_selected_action=1&week={}",
    ]
    for model, page in admin.site._registry.items():
        path = prefix_of(model)
        actions = [*page.get_actions(boss.get(path).wsgi_request)]
        tried = itertools.product(actions, texts, forms)
        for action, text, form in itertools.islice(tried, 0, None, max(1, STEP // 8)):
            body = f"action={action}&" + form.replace("{}", quoted(text))
            answer = boss.post(path, body, content_type="application/x-www-form-urlencoded")
            assert answer.status_code < 500, (path, body[:200])


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (f"/admin/audit/auditentry/?user_id={DIGITS}", 302),
        ("/admin/audit/auditentry/?model=%00", 302),
        ("/admin/movies/movie/?name=%00", 302),
        ("/admin/movies/movie/?q=%00", 200),
        (f"/admin/movies/movie/?p={DIGITS}", 200),
        (f"/admin/movies/movie/?o={DIGITS}", 200),
        ("/admin/movies/screening/?week=9999-99", 200),
        ("/admin/movies/screening/?week=9999-12-31", 200),
        ("/admin/movies/screening/add/?movie=abc", 200),
        (f"/admin/movies/screening/add/?movie={DIGITS}", 200),
        (f"/admin/movies/screening/add/?hall={2**64}", 200),
        ("/admin/movies/screening/add/?starts_at=x", 200),
        ("/admin/movies/screening/add/?starts_at=9999-12-31T23:59:59-14:00", 200),
        ("/admin/movies/movie/add/?protagonists=x", 200),
        ("/admin/movies/movie/1/change/?_to_field=", 400),
        (f"/admin/movies/movie/{DIGITS}/change/", 302),
        ("/admin/movies/movie/%00/history/", 302),
        ("/admin/users/session/?created_at__year=9223372036854775808", 302),
    ],
)
def test_a_value_that_fits_no_column_is_left_out_or_refused(
    boss: Browser, address: str, status: int
) -> None:
    assert boss.get(address).status_code == status


def test_initial_values_that_fit_are_kept(boss: Browser) -> None:
    film = make_movie(name="Cleo")
    address = f"/admin/movies/screening/add/?movie={film.pk}&language=fr&hall=abc&tags=x"
    initial = boss.get(address).context["adminform"].form.initial
    assert (initial["movie"], initial["language"]) == (film.pk, "fr")
    assert "hall" not in initial
