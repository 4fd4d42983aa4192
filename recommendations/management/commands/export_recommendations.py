from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any, get_args

import orjson
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from cinema.command_output import STDOUT, opened_output
from movies import catalogue
from movies.programme.selectors import DEFAULT_DAYS, MAX_DAYS
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.errors import AlgorithmUnavailable
from recommendations.lists.list_builder import (
    LIST_LENGTH,
    ListQuery,
    ViewerList,
    active_viewers,
    build_lists,
)
from recommendations.lists.ranking import HYBRID
from recommendations.lists.scores import Scope
from recommendations.lists.serving import check_available
from recommendations.releases import loaded_release
from users.models import User


class Command(BaseCommand):
    help = "Write a list for each active viewer as a line of JSON, such as for a newsletter."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--scope", choices=get_args(Scope), default="programme")
        parser.add_argument(
            "--days",
            type=_number_between(1, MAX_DAYS),
            default=DEFAULT_DAYS,
            help="how many cinema days the programme looks ahead, today included",
        )
        parser.add_argument("--algorithm", choices=ALGORITHMS, default=HYBRID)
        parser.add_argument(
            "--limit", type=_number_between(1, LIST_LENGTH), default=10, help="films each"
        )
        parser.add_argument(
            "--reasons", action="store_true", help="add the reasons, which takes longer"
        )
        parser.add_argument(
            "--output", default=STDOUT, metavar="FILE", help="default: standard output"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        output: str = options["output"]
        question = ListQuery(options["scope"], options["algorithm"], options["days"])
        try:
            check_available(question.algorithm, loaded_release())
        except AlgorithmUnavailable as error:
            raise CommandError(str(error)) from error
        lists = build_lists(
            active_viewers(), question, limit=options["limit"], with_reasons=options["reasons"]
        )
        bar = tqdm(
            lists,
            desc="viewers",
            total=User.objects.filter(is_active=True).count(),
            leave=False,
            disable=None if options["verbosity"] > 0 and output != STDOUT else True,
        )
        with opened_output(output, self.stdout) as file:
            for viewer_list in bar:
                file.write(_line(viewer_list, with_reasons=options["reasons"]))


def _number_between(least: int, most: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return whole_number


def _line(viewer_list: ViewerList, *, with_reasons: bool) -> bytes:
    cards = catalogue.current().snapshot.cards(item.movie_id for item in viewer_list.items)
    items: list[dict[str, Any]] = [
        {
            "movie_id": item.movie_id,
            "name": cards[item.movie_id].name,
            "score": item.score,
            "source": item.source,
            **({"reasons": [reason.text for reason in item.reasons]} if with_reasons else {}),
        }
        for item in viewer_list.items
        if item.movie_id in cards
    ]
    line = {"viewer_id": viewer_list.user_id, "items": items}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
