from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from cinema.locks import single_run
from recommendations.models import Release, TrainingRun
from recommendations.tasks import TRAINING_LOCK
from recommendations.training.runs import run_training

State = TrainingRun.State


class Command(BaseCommand):
    help = "Train and publish a release in the foreground, and show what was measured."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--force", action="store_true", help="train even without changes")
        parser.add_argument(
            "--accept-worse", action="store_true", help="publish even a worse release"
        )
        parser.add_argument(
            "--tuning-budget-s",
            type=float,
            metavar="SECONDS",
            help="seconds of search for better settings, instead of TUNING_BUDGET_S",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with single_run(TRAINING_LOCK) as acquired:
            if not acquired:
                raise CommandError("Another training is running. Wait until it ends.")
            shown = options["verbosity"] > 0
            with tqdm(total=100, unit="%", disable=not shown, leave=False) as bar:

                def watch(phase: str, percent: int) -> None:
                    bar.set_description(phase, refresh=False)
                    bar.update(percent - bar.n)

                try:
                    run = run_training(
                        TrainingRun.objects.create(),
                        force=options["force"],
                        accept_worse=options["accept_worse"],
                        tuning_budget_s=options["tuning_budget_s"],
                        watch=watch,
                    )
                except KeyboardInterrupt:
                    raise CommandError("Interrupted.") from None
        if run.state == State.REJECTED:
            raise CommandError(run.message)
        if not shown:
            return
        if run.state == State.UNCHANGED:
            self.stdout.write(f"{run.message} --force trains all the same.")
        elif run.release:
            self._show(run.release)

    def _show(self, release: Release) -> None:
        self.stdout.write(
            f"Published {release} in {release.training_s:.1f} s: {release.interactions:,} "
            f"interactions of {release.users:,} viewers with {release.items:,} movies."
        )
        self.stdout.write(f"{'':12}{'NDCG@10':>9}{'recall@10':>11}{'hit rate':>10}{'coverage':>10}")
        for name, quality in release.metrics.items():
            figures = [quality[key] for key in ("ndcg", "recall", "hit_rate", "coverage")]
            cells = ["-" if figure is None else f"{figure:.4f}" for figure in figures]
            widths = (9, 11, 10, 10)
            row = "".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True))
            self.stdout.write(f"{name:12}{row}")
        users = next(iter(release.metrics.values()))["users"]
        self.stdout.write(
            f"Measured on {users} viewers: trained on the past, judged on what followed."
        )
