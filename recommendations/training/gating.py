"""Whether a new release may take the place of the one that stands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from django.conf import settings

from recommendations.data import Dataset
from recommendations.engine.artifacts import ArtifactError
from recommendations.engine.evaluation import Judged, Quality, Scorer, judge
from recommendations.engine.renumbering import Renumbered
from recommendations.engine.splitting import Split
from recommendations.loading import load_release
from recommendations.models import Release
from recommendations.training.fitting import DEFAULT, ENOUGH_USERS, Trained, is_worse
from recommendations.training.publishing import from_json

log = logging.getLogger(__name__)

#: So many viewers are asked which of two releases is the better one.
GATE_USERS = 500


class ReleaseRejected(Exception):
    """The new models are worse than what viewers have now."""


def check_against_standing(
    trained: Trained,
    dataset: Dataset,
    split: Split,
    current: Release,
    report: Callable[[str], None],
) -> None:
    """Hold the new release against the standing one, by what viewers get of each.

    Lower figures than on the standing one's own day can be the fault of the models, or of data
    that an import or a rush on a new film has made harder. So then both rank what the same
    viewers liked lately. Both may have learned that already, so it counts only here.

    Raises:
        ReleaseRejected: Viewers would get worse lists than now, beyond the margin.
    """
    margin = settings.TRAINING_GATE_MARGIN
    then = _best({name: from_json(quality) for name, quality in current.metrics.items()})
    now = _best(trained.quality)
    if min(then.users, now.users) < ENOUGH_USERS or now.ndcg >= then.ndcg * (1 - margin):
        return
    report(f"comparing with {current}")
    try:
        standing = load_release(current)
    except ArtifactError as error:
        log.warning("%s cannot be compared with: %s", current, error)
        return
    renumbered = {
        name: Renumbered(model, standing.items, dataset.items)
        for name, model in standing.recommenders.items()
    }
    new, old = _judge(trained.recommenders, split), _judge(renumbered, split)
    if is_worse(new, old, margin=margin):
        raise ReleaseRejected(
            f"NDCG@10 {Quality.of(new).ndcg:.4f} is more than {margin:.0%} below the "
            f"{Quality.of(old).ndcg:.4f} that {current} reaches for the same viewers. It stays."
        )


def _judge(models: Mapping[str, Scorer], split: Split) -> Judged:
    asked = [DEFAULT] if DEFAULT in models else models
    judged = [judge(models[name], split, max_users=GATE_USERS) for name in asked]
    return max(judged, key=lambda lists: Quality.of(lists).ndcg)


def _best(qualities: Mapping[str, Quality]) -> Quality:
    """That of the lists which viewers get; of a release without the default its best."""
    judged = {name: quality for name, quality in qualities.items() if quality.users}
    best = max(judged.values(), key=lambda quality: quality.ndcg, default=Quality.unknown(k=10))
    return judged.get(DEFAULT, best)
