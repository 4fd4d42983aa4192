"""Limits of one operation: its arguments, its depth, its aliases and its cost.

An operation is refused before anything of it is resolved. The rules of arguments depend on the type
of a value, not on the field that takes it, so that a new field needs none of its own.

Strawberry's own limiters follow a fragment each time that it is used: thirty fragments that each
use the next one twice kept them busy for minutes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    ValueNode,
    VariableNode,
    Visitor,
    get_argument_values,
    get_named_type,
    get_variable_values,
    validate,
    visit,
)
from graphql.execution.values import VariableValues
from graphql.utilities import get_operation_ast, value_from_ast_untyped
from strawberry.extensions import SchemaExtension
from strawberry.relay.types import PREFIX
from strawberry.relay.utils import from_base64
from strawberry.types.base import has_object_definition

from cinema.schemas import SURROGATES, is_within_years

MAX_TOKENS = 2000
MAX_DEPTH = 12
MAX_ALIASES = 20
#: The number of values that the response of one operation may have.
MAX_COST = 30_000

#: The largest value of `first` and `last`, and the page size of a connection that names none.
PAGE = 100
#: The assumed length of a plain list, such as a movie's genres or the days of a week.
LIST = 7
#: The fields with longer lists.
LONG_LISTS = {"comingUp": 100}
#: The longest programme.
MOST_DAYS = 92
#: The cost of one description of the schema.
INTROSPECTION = 5_000
#: Connections that need a query for each parent. The optimizer does not batch a connection without
#: nodes (`screenings { totalCount }`), and it reads `totalCount` off the rows of the page: past the
#: end, or with `first: 0`, there are none.
MAX_COUNTS = 20
#: Lists that may have to be computed for the viewer; they have an argument `limit`.
MAX_COMPUTED = 4

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


@dataclass(frozen=True)
class Size:
    """The size of a part of an operation; `cost` counts the values in the response.

    Attributes:
        has_nodes: Whether the part is, or has, the nodes of a connection.
        has_total: Whether the part is the `totalCount` of a connection.
    """

    depth: int = 0
    aliases: int = 0
    cost: int = 0
    counts: int = 0
    computed: int = 0
    has_nodes: bool = False
    has_total: bool = False

    def __add__(self, other: Size) -> Size:
        return Size(
            max(self.depth, other.depth),
            self.aliases + other.aliases,
            self.cost + other.cost,
            self.counts + other.counts,
            self.computed + other.computed,
            self.has_nodes or other.has_nodes,
            self.has_total or other.has_total,
        )


class OperationLimits(SchemaExtension):
    """Refuses a valid operation that is too large, before anything of it is resolved."""

    def on_validate(self) -> Iterator[None]:
        """Validate, then measure: only a valid operation has fragments without cycles."""
        context = self.execution_context
        document = context.graphql_document
        assert document
        schema, variables = context.schema._schema, context.variables or {}
        context.pre_execution_errors = (
            validate(schema, document, context.validation_rules, max_errors=MAX_ERRORS)
            or argument_errors(
                schema,
                document,
                variables=variables,
                operation_name=context.operation_name,
            )
            or _size_errors(_Measure(schema, document, variables).size())
        )
        yield


def _size_errors(size: Size) -> list[GraphQLError]:
    """Return an error for each limit that is exceeded."""
    return [
        GraphQLError(f"The operation is too large: {asked:.4g} {what}, allowed are {allowed}.")
        for what, asked, allowed in (
            ("levels", size.depth, MAX_DEPTH),
            ("aliases", size.aliases, MAX_ALIASES),
            ("values", size.cost, MAX_COST),
            ("lists without `edges { node }`", size.counts, MAX_COUNTS),
            ("lists of recommendations", size.computed, MAX_COMPUTED),
        )
        if asked > allowed
    ]


@dataclass
class _Measure:
    """Sizes of one valid document, whose fragments form no cycle."""

    schema: GraphQLSchema
    document: DocumentNode
    variables: dict[str, Any]

    def __post_init__(self) -> None:
        self._fragment_sizes: dict[str, Size] = {}

    def size(self) -> Size:
        """Return the size of all operations, whichever of them is run: a client needs one."""
        operations = (
            d for d in self.document.definitions if isinstance(d, OperationDefinitionNode)
        )
        return sum(map(self._operation, operations), Size())

    @cached_property
    def _fragments(self) -> dict[str, FragmentDefinitionNode]:
        definitions = self.document.definitions
        return {d.name.value: d for d in definitions if isinstance(d, FragmentDefinitionNode)}

    def _operation(self, node: OperationDefinitionNode) -> Size:
        return self._selections(node.selection_set, self.schema.get_root_type(node.operation))

    def _selections(
        self, selection_set: SelectionSetNode | None, parent: GraphQLNamedType | None
    ) -> Size:
        size = Size()
        for selection in selection_set.selections if selection_set else ():
            if isinstance(selection, FieldNode):
                size += self._field(selection, parent)
            elif isinstance(selection, FragmentSpreadNode):
                size += self._fragment(selection.name.value)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                within = self.schema.get_type(condition.name.value) if condition else parent
                size += self._selections(selection.selection_set, within)
        return size

    def _fragment(self, name: str) -> Size:
        if name not in self._fragment_sizes:
            fragment = self._fragments[name]
            within = self.schema.get_type(fragment.type_condition.name.value)
            self._fragment_sizes[name] = self._selections(fragment.selection_set, within)
        return self._fragment_sizes[name]

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> Size:
        if node.name.value.startswith("__"):
            # Its depth has a limit of its own, and a setting turns it off.
            is_large = node.selection_set is not None
            return Size(1, node.alias is not None, INTROSPECTION if is_large else 1)
        definition = (
            parent.fields.get(node.name.value)
            if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
            else None
        )
        within = get_named_type(definition.type) if definition else None
        inner = self._selections(node.selection_set, within)
        times = self._times(node, definition) if definition and node.selection_set else 1
        is_counted = _is_connection(within) and not self._is_batched(node, inner)
        return Size(
            depth=1 + inner.depth,
            aliases=(node.alias is not None) + inner.aliases,
            cost=1 + times * inner.cost,
            counts=times * inner.counts + is_counted,
            computed=times * inner.computed + (definition is not None and _is_computed(definition)),
            has_nodes=node.name.value == "node" or (node.name.value == "edges" and inner.has_nodes),
            has_total=node.name.value == "totalCount",
        )

    def _times(self, node: FieldNode, field: GraphQLField) -> int:
        """Return the number of objects that the field may return."""
        if "first" in field.args:
            return max(self._page_size(node), 1)
        if _is_computed(field):
            default = field.args["limit"].default_value
            return max(self._page_size(node, ("limit",), default), 1)
        if "days" in field.args:  # a day counts as one of the list of a week
            return math.ceil(self._days(node) / LIST)
        type_ = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
        # These were counted with the connection, or with the list of recommendations.
        is_counted = node.name.value in ("edges", "items")
        if not isinstance(type_, GraphQLList) or is_counted:
            return 1
        return LONG_LISTS.get(node.name.value, LIST)

    def _days(self, node: FieldNode) -> int:
        """Return the number of days of the programme; MOST_DAYS where it is not known here."""
        given = {each.name.value: self._value(each.value) for each in node.arguments or ()}
        if given.get("to") is None:
            days = given.get("days")
            return LIST if days is None else days if isinstance(days, int) else MOST_DAYS
        try:
            first, last = (date.fromisoformat(given[name]) for name in ("from", "to"))
        except (KeyError, TypeError, ValueError):
            return MOST_DAYS
        return max((last - first).days + 1, 1)

    def _value(self, node: ValueNode) -> Any:
        """Return the value of an argument as JSON."""
        if isinstance(node, VariableNode):
            return self.variables.get(node.name.value)
        return value_from_ast_untyped(node)

    def _is_batched(self, node: FieldNode, inner: Size) -> bool:
        """Return whether one query gets the connection for all parents."""
        is_elsewhere = any(a.name.value in ("after", "before") for a in node.arguments or ())
        has_rows = not is_elsewhere and self._page_size(node) > 0
        return inner.has_nodes and (has_rows or not inner.has_total)

    def _page_size(
        self, node: FieldNode, names: Sequence[str] = ("first", "last"), default: int = PAGE
    ) -> int:
        sizes = []
        for argument in node.arguments or ():
            if argument.name.value in names:
                given = self._value(argument.value)
                sizes.append(given if isinstance(given, int) else PAGE)
        return min(sizes, default=default)


def _is_connection(named: GraphQLNamedType | None) -> bool:
    return named is not None and named.name.endswith("Connection")


def _is_computed(field: GraphQLField) -> bool:
    return "limit" in field.args
