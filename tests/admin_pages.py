"""The pages of the admin site, filled in as a browser does."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from django.db.models import Model
from django.test import Client as Browser

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response


class Form(HTMLParser):
    """The values that a page's fields hold, by name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}
        self._name = ""
        self._is_text = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attributes}
        name = found.get("name", "")
        is_ticked = found.get("type") not in ("checkbox", "radio") or "checked" in found
        if tag == "input" and name and found.get("type") != "submit" and is_ticked:
            self.values[name] = found.get("value", "on" if "checked" in found else "")
        elif tag == "select":
            self._name = name
            if "multiple" in found:
                self.values[name] = []
        elif tag == "option" and "selected" in found:
            if isinstance(self.values.get(self._name), list):
                self.values[self._name].append(found.get("value", ""))
            else:
                self.values[self._name] = found.get("value", "")
        elif tag == "textarea":
            self._name, self._is_text, self.values[name] = name, True, ""

    def handle_data(self, data: str) -> None:
        if self._is_text:
            self.values[self._name] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._is_text = False
            # The line end after the tag is the page's, not the value's.
            self.values[self._name] = self.values[self._name].removeprefix("\n").strip("\r\n")


def page(model: type[Model], name: str, pk: object = None) -> str:
    prefix = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    return prefix + (f"{pk}/{name}/" if pk is not None else f"{name}/" if name else "")


def fill_in(browser: Browser, path: str, **values: Any) -> str:
    """Open a form, change the values and save; what went wrong, or nothing."""
    opened = browser.get(path)
    assert opened.status_code == 200
    answer = browser.post(path, {**Form(opened.content.decode()).values, **values})
    if answer.status_code == 302:
        return ""
    assert answer.status_code == 200
    return " ".join(str(error) for errors in answer.context["errors"] for error in errors)


def choose(browser: Browser, path: str, action: str, *rows: Model, **extra: Any) -> str:
    """Do something to the rows of a list; the messages that come of it."""
    values = {"action": action, "_selected_action": [row.pk for row in rows], **extra}
    return messages(browser.post(path, values, follow=True))


def messages(answer: Response) -> str:
    assert answer.status_code == 200, answer.content
    return " ".join(map(str, answer.context["messages"]))
