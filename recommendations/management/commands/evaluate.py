from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from recommendations import evaluation, evaluation_report
from recommendations.engine.evaluation.splits import Split
from recommendations.engine.matrices import ItemFeatures
from recommendations.evaluation import (
    SPLITS,
    AlgorithmResult,
    CannotEvaluate,
    EvaluationData,
    calibration_rerankers,
    diversity_rerankers,
)
from recommendations.movielens.files import NotMovieLens

#: Options that reorder the lists of one algorithm, with their help.
RERANKERS = {
    "diversity": (
        diversity_rerankers,
        "compare values of DIVERSITY for one algorithm, by default hybrid",
    ),
    "calibration": (calibration_rerankers, "compare weights of calibration"),
}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to {2**32 - 1}")
    return int(text)


def _check_is_writable(path: Path) -> None:
    """Refuse before the measurement, which takes minutes, what would fail after it."""
    if not path.parent.is_dir():
        raise CommandError(f"There is no folder {path.parent} to write to.")
    is_new = not path.exists()
    try:
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error


class Command(BaseCommand):
    help = "Measure algorithms on interactions that are withheld from them, and compare them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--algorithms", type=_names, help="such as als,ease; by default all")
        parser.add_argument("--split", choices=sorted(SPLITS), default="time")
        parser.add_argument("--data", type=Path, help="a MovieLens folder; else the database")
        parser.add_argument("--k", type=_positive, default=10, help="length of the lists")
        parser.add_argument("--baseline", help="compare with this one; by default with the best")
        parser.add_argument("--json", type=Path, help="also write the measurements to this file")
        parser.add_argument("--max-users", type=_positive, default=2000)
        parser.add_argument("--seed", type=_seed, default=1895)
        parser.add_argument(
            "--validation",
            action="store_true",
            help="split the training data once more, to choose settings",
        )
        for name, (_, description) in RERANKERS.items():
            parser.add_argument(
                f"--{name}", dest="reranked", action="store_const", const=name, help=description
            )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._evaluate(options)
        except (CannotEvaluate, NotMovieLens) as reason:
            raise CommandError(str(reason)) from reason

    def _evaluate(self, options: Mapping[str, Any]) -> None:
        named, baseline, path = options["algorithms"], options["baseline"], options["json"]
        if by := options["reranked"]:
            named = named or ["hybrid"]
            if baseline or len(named) > 1:
                raise CommandError(f"--{by} takes one algorithm and no --baseline.")
        if named and baseline:
            named = [*named, baseline]
        evaluation.check_names(named or [baseline] * bool(baseline))
        if path:
            _check_is_writable(path)
        data = self._read(options["data"])
        split = evaluation.split_data(data, options["split"], seed=options["seed"])
        if options["validation"]:
            data = evaluation.past_of(data, split)
            split = evaluation.split_data(data, options["split"], seed=options["seed"])
        names, left_out = evaluation.choose_algorithms(named, split, data.items)
        if reason := left_out.get(baseline):
            raise CommandError(f"The baseline {baseline} cannot be used: {reason}")
        measured = self._measure(names, split, data.items, options)
        baseline = baseline or (next(iter(measured)) if by else evaluation.best_algorithm(measured))
        self._introduce(data, split, measured, options)
        self.stdout.write(evaluation_report.as_text(measured, baseline, left_out))
        if by:
            self.stdout.write(f"\nChosen value: {evaluation.choose_weight(measured)}")
        if path:
            how = {"split": options["split"], "seed": options["seed"]}
            document = how | evaluation_report.as_document(measured, baseline, left_out)
            path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))

    def _read(self, path: Path | None) -> EvaluationData:
        if path is None:
            return evaluation.from_database()
        return evaluation.from_folder(path, self.stderr.write)

    def _measure(
        self, names: Sequence[str], split: Split, items: ItemFeatures, options: Mapping[str, Any]
    ) -> dict[str, AlgorithmResult]:
        shown = options["verbosity"] > 0
        with tqdm(total=100, unit="%", disable=not shown, leave=False) as bar:

            def report(what: str, share: float) -> None:
                bar.set_description(what, refresh=False)
                bar.update(int(100 * share) - bar.n)

            how = {name: options[name] for name in ("k", "max_users", "seed")}
            if by := options["reranked"]:
                rerankers = RERANKERS[by][0](items)
                return evaluation.measure_reranked(
                    names[0], split, items, rerankers, report=report, **how
                )
            return evaluation.measure(names, split, items, report=report, **how)

    def _introduce(
        self,
        data: EvaluationData,
        split: Split,
        measured: Mapping[str, AlgorithmResult],
        options: Mapping[str, Any],
    ) -> None:
        n_users, n_items = data.interactions.shape
        judged = next(iter(measured.values())).quality.users
        self.stdout.write(
            f"{data.interactions.nnz:,} interactions of {n_users:,} viewers with {n_items:,} "
            f"movies, split by {options['split']}: {split.train.nnz:,} learned from, "
            f"{judged:,} viewers judged, seed {options['seed']}."
        )
        self.stdout.write("")
