"""Lists what a new OpenAPI document breaks for clients of an old one.

`openapi_difference.py OLD NEW`; both are files.

It exits with 1 if there is such a change. Additions break nothing: paths, methods, statuses, fields
of answers, optional parameters and fields.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Document = dict[str, Any]
METHODS = ("get", "put", "post", "patch", "delete")


class Comparison:
    def __init__(self, old: Document, new: Document) -> None:
        self.old, self.new = old, new
        self.compared: set[tuple[str, str, bool]] = set()

    def breaks(self) -> Iterator[str]:
        for path, methods in self.old["paths"].items():
            for method in methods.keys() & set(METHODS):
                old, new = methods[method], self.new["paths"].get(path, {}).get(method)
                name = f"{method.upper()} {path}"
                if new is None:
                    yield f"{name} is gone"
                else:
                    yield from self._operation(name, old, new)

    def _operation(self, name: str, old: Document, new: Document) -> Iterator[str]:
        yield from self._parameters(name, _parameters(old), _parameters(new))
        if new.get("requestBody", {}).get("required") and "requestBody" not in old:
            yield f"{name}: a body is required now"
        bodies = (old.get("requestBody", {}), new.get("requestBody", {}))
        yield from self._content(f"{name}: the body", *bodies, is_sent=True)
        for status, answer in old["responses"].items():
            if status in new["responses"]:
                answers = (answer, new["responses"][status])
                yield from self._content(f"{name}: {status}", *answers, is_sent=False)
            elif status.startswith("2"):
                yield f"{name}: {status} is gone"

    def _parameters(
        self, name: str, before: dict[str, Document], after: dict[str, Document]
    ) -> Iterator[str]:
        for key in before.keys() - after.keys():
            yield f"{name}: the parameter {key} is gone"
        for key, parameter in after.items():
            known = before.get(key)
            if parameter.get("required") and not (known and known.get("required")):
                yield f"{name}: the parameter {key} is required now"
            if known:
                schemas = (known.get("schema", {}), parameter.get("schema", {}))
                yield from self._schema(f"{name}: {key}", *schemas, is_sent=True)

    def _content(self, where: str, old: Document, new: Document, *, is_sent: bool) -> Iterator[str]:
        for kind, media in old.get("content", {}).items():
            if other := new.get("content", {}).get(kind):
                schemas = (media.get("schema", {}), other.get("schema", {}))
                yield from self._schema(where, *schemas, is_sent=is_sent)
            else:
                yield f"{where} is no {kind} any more"

    def _schema(self, where: str, old: Document, new: Document, *, is_sent: bool) -> Iterator[str]:
        """`is_sent` tells what a client sends from what it receives."""
        key = (json.dumps(old, sort_keys=True), json.dumps(new, sort_keys=True), is_sent)
        if key in self.compared:
            return
        self.compared.add(key)
        old, new = _resolved(self.old, old), _resolved(self.new, new)
        if old.get("type") != new.get("type"):
            yield f"{where}: the type was {old.get('type')} and is {new.get('type')}"
        if is_sent and "enum" in new and (gone := set(old.get("enum", [])) - set(new["enum"])):
            yield f"{where}: {', '.join(sorted(map(str, gone)))} is refused now"
        yield from _fields(where, old, new, is_sent=is_sent)
        before, after = old.get("properties", {}), new.get("properties", {})
        for field in before.keys() & after.keys():
            inner = (before[field], after[field])
            yield from self._schema(f"{where}.{field}", *inner, is_sent=is_sent)
        if "items" in old and "items" in new:
            yield from self._schema(f"{where}[]", old["items"], new["items"], is_sent=is_sent)
        for group in ("anyOf", "oneOf", "allOf"):
            forms = (old.get(group, []), new.get(group, []))
            for one, other in zip(*forms, strict=False):
                yield from self._schema(where, one, other, is_sent=is_sent)


def _fields(where: str, old: Document, new: Document, *, is_sent: bool) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for field in before.keys() - after.keys():
        yield f"{where}: the field {field} is gone"
    demanded, promised = set(new.get("required", [])), set(old.get("required", []))
    if is_sent:
        for field in demanded - promised:
            yield f"{where}: the field {field} is required now"
    else:
        for field in (promised - demanded) & after.keys():
            yield f"{where}: the field {field} may be missing now"


def _parameters(operation: Document) -> dict[str, Document]:
    return {f"{each['in']} {each['name']}": each for each in operation.get("parameters", [])}


def _resolved(document: Document, schema: Document) -> Document:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def main(old: str, new: str) -> None:
    documents = (json.loads(Path(path).read_text()) for path in (old, new))
    if breaks := sorted(set(Comparison(*documents).breaks())):
        sys.exit("Breaking changes:\n  " + "\n  ".join(breaks))
    sys.stdout.write("No breaking change.\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
