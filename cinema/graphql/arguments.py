"""The arguments of one operation.

Its rules depend on the type of a value, not on the field that takes it, so that a new field needs
none of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_argument_values,
    get_named_type,
    get_variable_values,
    visit,
)
from graphql.execution.values import VariableValues
from graphql.utilities import get_operation_ast
from strawberry.relay.types import PREFIX
from strawberry.relay.utils import from_base64
from strawberry.types.base import has_object_definition

from cinema.schemas import SURROGATES, is_within_years

#: The largest value of `first` and `last`, and the page size of a connection that names none.
PAGE = 100
#: The code of an error that a client can avoid by another value.
BAD_INPUT = "BAD_USER_INPUT"
#: Longer texts are refused: the longest that a filter takes is far shorter.
MAX_TEXT = 5_000
#: The response names no more mistakes than this.
MAX_ERRORS = 10

_POSITION = re.compile(r"\d{1,10}", re.ASCII)
_ROW_ID = re.compile(r"[1-9]\d{0,17}", re.ASCII)


def argument_errors(
    schema: GraphQLSchema,
    document: DocumentNode,
    *,
    variables: dict[str, Any],
    operation_name: str | None,
) -> list[GraphQLError]:
    """Return the mistakes in the arguments of a valid document."""
    operation = get_operation_ast(document, operation_name)
    if operation is None:
        return []
    values = get_variable_values(
        schema, operation.variable_definitions or (), variables, max_errors=MAX_ERRORS
    )
    if isinstance(values, list):
        return values
    info = TypeInfo(schema)
    visitor = _ArgumentVisitor(schema, info, values)
    visit(document, TypeInfoVisitor(info, visitor))
    return visitor.errors[:MAX_ERRORS]


class _ArgumentVisitor(Visitor):
    def __init__(self, schema: GraphQLSchema, info: TypeInfo, variables: VariableValues) -> None:
        super().__init__()
        self._schema = schema
        self._info = info
        self._variables = variables
        self.errors: list[GraphQLError] = []

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        definition = self._info.get_field_def()
        if definition is None or not node.arguments:
            return
        try:
            arguments = get_argument_values(definition, node, self._variables)
        except GraphQLError as error:
            self.errors.append(error)
            return
        is_connection = get_named_type(definition.type).name.endswith("Connection")
        for name, value in arguments.items():
            messages = [*_value_errors(value)]
            given_name, type_name = _in_schema(definition, name)
            if not messages and type_name == "ID" and not _is_global_id(value, self._schema):
                messages = ["there is nothing with such an id"]
            elif not messages and is_connection:
                messages = [*_page_mistakes(given_name, value)]
            self.errors += [
                GraphQLError(
                    f"Argument '{given_name}': {message}.", node, extensions={"code": BAD_INPUT}
                )
                for message in messages
            ]


def _in_schema(definition: GraphQLField, out_name: str) -> tuple[str, str]:
    """Return the argument's name in the schema and its type; values have the name in Python."""
    for name, argument in definition.args.items():
        if (argument.out_name or name) == out_name:
            return name, get_named_type(argument.type).name
    return out_name, ""


def _value_errors(value: object) -> Iterator[str]:
    """Find values, nested ones too, that the database or a resolver cannot take."""
    if isinstance(value, str):
        if "\0" in value or SURROGATES.search(value):
            yield "the text has characters that cannot be stored"
        elif len(value) > MAX_TEXT:
            yield f"the text is longer than {MAX_TEXT} characters"
    elif isinstance(value, date) and not is_within_years(value):
        yield "expected a year from 1870 to 2200"
    for each in _nested_values(value):
        yield from _value_errors(each)


def _nested_values(value: object) -> Iterable[object]:
    """Return the values of a list or of an input object."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, dict):
        return value.values()
    return vars(value).values() if has_object_definition(value) else ()


def _is_global_id(value: object, schema: GraphQLSchema) -> bool:
    """Return whether `node` finds the type of the id; the row may be missing."""
    try:
        type_name, key = from_base64(str(value))
    except ValueError:
        return False
    interfaces = getattr(schema.get_type(type_name), "interfaces", ())
    return schema.get_type("Node") in interfaces and _ROW_ID.fullmatch(key) is not None


def _page_mistakes(name: str, value: object) -> Iterator[str]:
    """Check the four arguments that every connection has."""
    if name in ("first", "last") and isinstance(value, int):
        if not 0 <= value <= PAGE:
            yield f"expected a number from 0 to {PAGE}"
    elif name in ("after", "before") and isinstance(value, str) and value:
        try:
            prefix, position = from_base64(value)
        except ValueError:
            prefix = position = ""
        if prefix != PREFIX or not _POSITION.fullmatch(position):
            yield "expected a cursor from `pageInfo` or `edges`"
