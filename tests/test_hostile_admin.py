"""No query parameter or form field makes a page of the admin fail."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.test import Client as Browser
from django.urls import URLPattern

from tests.builders import make_movie, make_screening, make_user
from tests.hostile import TEXTS

pytestmark = pytest.mark.django_db(transaction=True)

STEP = int(os.environ.get("HOSTILE") or 29)
#: Parameters of every list and form, of Unfold's, and of our own pages.
COMMON = ["q", "o", "p", "all", "e", "_popup", "_to_field", "_facets", "_changelist_filters",
          "next", "week", "movie", "hall", "day", "from", "to", "starts_at", "name", "user",
          "initial", "app_label", "model_name", "field_name", "term", "s", "id", "id__in", "pk"]  # fmt: skip


def pages() -> Iterator[tuple[str, list[str]]]:
    """Each address of the admin, and the parameters that it may read."""
    yield "/admin/", COMMON
    for path in ("login", "logout", "password_change", "jsi18n", "autocomplete", "search"):
        yield f"/admin/{path}/", COMMON
    for model, page in admin.site._registry.items():
        prefix = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        names = [f.attname for f in model._meta.concrete_fields] + [f.name for f in model._meta.get_fields()]
        lookups = [f"{n}__{lookup}" for n in names for lookup in ("exact", "in", "isnull", "gte", "id__exact", "range_from", "year")]
        filters = [str(getattr(f, "parameter_name", "")) for f in page.list_filter if not isinstance(f, str)]
        for pattern in page.get_urls():
            if isinstance(pattern, URLPattern):
                route = str(pattern.pattern).replace("<path:object_id>", "1").replace("<id>", "1")
                route = route.replace("<int:pk>", "1").replace("<path:content_type_id>", "1")
                yield prefix + route.strip("^$"), [*COMMON, *names, *filters, *(lookups if route == "" else [])]


def cases() -> Iterator[str]:
    for path, names in pages():
        for name, text in itertools.product(dict.fromkeys(names), TEXTS):
            if name:
                yield f"{path}?{quote(name)}={quote(text, errors='surrogatepass')}"
    for model in admin.site._registry:
        prefix = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for text, page in itertools.product(TEXTS, ["change", "history", "delete", "password"]):
            key = quote(text, safe="", errors="surrogatepass")
            yield f"{prefix}{key}/{page}/"
            yield f"{prefix}{key}/"


@pytest.fixture
def boss(client: Browser) -> Browser:
    client.raise_request_exception = False
    who = make_user(is_staff=True, is_superuser=True)
    client.force_login(who, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_no_parameter_makes_a_page_fail(boss: Browser) -> None:
    make_screening(make_movie())
    failed = []
    count = 0
    for number, address in enumerate(cases()):
        if number % STEP or "logout" in address:
            continue
        count += 1
        answer = boss.get(address)
        if answer.status_code >= 500:
            failed.append((address[:150], repr(answer.exc_info[1])[:200] if hasattr(answer, "exc_info") else ""))
    print(count)
    for f in failed: print(f)
    assert failed == []


def test_no_action_makes_a_list_fail(boss: Browser) -> None:
    make_screening(make_movie())
    failed = []
    counter = itertools.count()
    for model, page in admin.site._registry.items():
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        request = boss.get(path).wsgi_request
        for action, text in itertools.product(["x", *page.get_actions(request)], TEXTS):
            if text == "\ud800":
                continue
            for values in (
                {"_selected_action": [text]},
                {"_selected_action": [text], "post": "yes"},
                {"_selected_action": ["1", text], "index": text},
                {"_selected_action": [], "select_across": text},
                {"_selected_action": ["1"], "post": "yes", "week": text, "day": text, "status": text, "apply": "yes"},
            ):
                if (number := next(counter)) % STEP: continue
                answer = boss.post(path, {"action": action, **values})
                if answer.status_code >= 500:
                    failed.append((path, action, str(values)[:150], repr(answer.exc_info[1])[:200]))
    for f in failed: print(f)
    assert failed == []
