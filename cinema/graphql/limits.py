"""Limits of one operation: its depth, its aliases and its cost.

An operation is refused before anything of it is resolved.

Strawberry's own limiters follow a fragment each time that it is used: thirty fragments that each
use the next one twice kept them busy for minutes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
    ValueNode,
    VariableNode,
    get_named_type,
    validate,
)
from graphql.utilities import value_from_ast_untyped
from strawberry.extensions import SchemaExtension

from cinema.graphql.arguments import MAX_ERRORS, PAGE, argument_errors

MAX_TOKENS = 2000
MAX_DEPTH = 12
MAX_ALIASES = 20
#: The number of values that the response of one operation may have.
MAX_COST = 30_000

#: The assumed length of a plain list, such as a movie's genres or the days of a week.
LIST = 7
#: The longest lists of other fields.
LONG_LISTS = {"comingUp": 100}
#: The longest programme.
MAX_DAYS = 92
#: The cost of one description of the schema.
INTROSPECTION = 5_000
#: Connections that need a query for each parent. The optimizer does not batch a connection without
#: nodes (`screenings { totalCount }`), and it reads `totalCount` off the rows of the page: past the
#: end, or with `first: 0`, there are none.
MAX_UNBATCHED_CONNECTIONS = 20
#: Lists that may have to be computed for the viewer; they have an argument `limit`.
MAX_RECOMMENDATION_LISTS = 4


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
            ("lists without `edges { node }`", size.counts, MAX_UNBATCHED_CONNECTIONS),
            ("lists of recommendations", size.computed, MAX_RECOMMENDATION_LISTS),
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
        #: The values of the variables, with the defaults of the operation that is being measured.
        self._values: Mapping[str, Any] = {}
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
        defaults = {
            each.variable.name.value: value_from_ast_untyped(each.default_value)
            for each in node.variable_definitions or ()
            if each.default_value
        }
        self._values = defaults | self.variables
        self._fragment_sizes = {}
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
            if node.selection_set is None:
                return Size(depth=1)
            return Size(depth=1, aliases=node.alias is not None, cost=INTROSPECTION)
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
            return max(math.ceil(self._days(node) / LIST), 1)
        type_ = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
        # These were counted with the connection, or with the list of recommendations.
        is_counted = node.name.value in ("edges", "items")
        if not isinstance(type_, GraphQLList) or is_counted:
            return 1
        return LONG_LISTS.get(node.name.value, LIST)

    def _days(self, node: FieldNode) -> int:
        """Return the number of days of the programme; MAX_DAYS where it is not known here."""
        given = {each.name.value: self._value(each.value) for each in node.arguments or ()}
        if given.get("to") is None:
            days = given.get("days")
            return LIST if days is None else days if isinstance(days, int) else MAX_DAYS
        try:
            first, last = (date.fromisoformat(given[name]) for name in ("from", "to"))
        except (KeyError, TypeError, ValueError):
            return MAX_DAYS
        return max((last - first).days + 1, 1)

    def _value(self, node: ValueNode) -> Any:
        """Return the value of an argument as JSON."""
        if isinstance(node, VariableNode):
            return self._values.get(node.name.value)
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
