"""Which algorithms a release is made of, with which settings, and what it says of the others."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_django.fixtures import Settings

from recommendations.engine import artifacts
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.algorithms.ease import EaseRecommender
from recommendations.engine.algorithms.hybrid import HybridRecommender
from recommendations.engine.fit_cost import FitCost
from recommendations.engine.recommender import Recommender
from recommendations.models import Release
from recommendations.releases import load_release
from tests.audience import change_something, make_audience, set_options, train, train_release
from tests.builders import Client, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("home")]


def manifest_of(release: Release) -> dict[str, object]:
    return artifacts.load(release.path)[1]


def test_by_default_each_algorithm_that_suits_the_data_is_fitted(settings: Settings) -> None:
    """And each of the registry is either in the release, or it says why not."""
    settings.TRAINING_ALGORITHMS = []
    make_audience()
    release = train_release()
    kept = manifest_of(release)["algorithms"]
    assert isinstance(kept, list)
    assert {*kept} | release.left_out.keys() == ALGORITHMS.keys()
    assert not {*kept} & release.left_out.keys()
    assert {"popularity", "als", "ease", "item_knn", "ensemble", "hybrid"} <= {*kept}
    assert all(reason.endswith(".") for reason in release.left_out.values())
    assert release.metrics["ensemble"]["ndcg"] > release.metrics["popularity"]["ndcg"]


def test_a_composite_brings_its_parts_and_popularity_is_always_there(settings: Settings) -> None:
    settings.TRAINING_ALGORITHMS = ["ensemble"]
    make_audience()
    release = train_release()
    assert release.left_out["user_knn"] == "TRAINING_ALGORITHMS does not name it."
    assert {"popularity", "als", "ease", "ensemble"} <= {*release.metrics}


def test_an_algorithm_that_takes_too_long_is_left_out_with_the_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRAINING_ALGORITHMS = ["ease", "als"]
    monkeypatch.setattr(EaseRecommender, "fit_cost", lambda *_: FitCost(seconds=121))
    make_audience()
    release = train_release()
    assert release.left_out["ease"] == "Fitting would take about 121 s, longer than 120 s."
    assert "ease" not in release.metrics


def test_a_composite_of_one_part_is_left_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRAINING_ALGORITHMS = ["ensemble"]
    monkeypatch.setattr(EaseRecommender, "fit_cost", lambda *_: FitCost(seconds=121))
    make_audience(viewers_each=6)
    assert train_release().left_out["ensemble"] == "Of its parts the release has als."


def test_the_options_of_an_algorithm_reach_its_model(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRAINING_ALGORITHMS = ["als", "content", "hybrid"]
    set_options(monkeypatch, "als", factors=7)
    weights = {"als": 0.25, "content": 0.75, "popularity": 0.0}
    set_options(monkeypatch, "hybrid", weights=weights)
    make_audience()
    arrays, _ = artifacts.load(train_release().path)
    assert arrays["als.item_factors"].shape[1] == 7
    stored = dict(zip(HybridRecommender.part_types, arrays["hybrid.weights"].tolist(), strict=True))
    assert stored == {**weights, "ease": 0.0}


def test_without_a_search_the_default_has_fixed_weights(settings: Settings) -> None:
    settings.TRAINING_ALGORITHMS = ["als", "ease", "content", "hybrid"]
    make_audience()
    release = train_release()
    blends = manifest_of(release)["blends"]
    assert blends == {"hybrid": {"popularity": 1.5, "ease": 10.0}}
    assert release.tuned_settings == {}


def test_fixed_weights_are_those_of_als_content_and_popularity(settings: Settings) -> None:
    settings.TRAINING_ALGORITHMS = ["als", "ease", "content", "hybrid"]
    settings.HYBRID_WEIGHTS = {"collaborative": 0.5, "content": 0.3, "popularity": 0.2}
    settings.TUNING_BUDGET_S = 1
    make_audience()
    release = train_release()
    weights = {"als": 0.5, "content": 0.3, "popularity": 0.2}
    manifest = manifest_of(release)
    assert manifest["blends"] == {"hybrid": {"weights": weights}}
    tuning = manifest["tuning"]
    assert isinstance(tuning, dict)
    assert "hybrid" not in tuning
    hybrid = load_release(release).recommenders["hybrid"]
    assert isinstance(hybrid, HybridRecommender)
    assert hybrid.weights == {**weights, "ease": 0.0}
    assert {*hybrid.parts} == {"als", "content", "popularity"}


def test_a_search_is_recorded_and_the_next_one_goes_on_from_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRAINING_ALGORITHMS = ["als", "ease", "ensemble"]
    settings.TUNING_BUDGET_S = 2
    ticks = count()  # the budget is of a clock that no busy machine changes
    clock = SimpleNamespace(monotonic=lambda: next(ticks) * 0.02)
    monkeypatch.setattr("recommendations.training.fitting.time", clock)
    make_audience(viewers_each=120)
    release = train_release()
    manifest = manifest_of(release)
    tuning, found = manifest["tuning"], manifest["settings"]
    assert isinstance(tuning, dict)
    assert isinstance(found, dict)
    assert tuning["als"]["trials"]
    assert {"settings", "ndcg", "seconds"} <= tuning["als"]["trials"][0].keys()
    assert found == release.tuned_settings
    assert tuning["ensemble"]["trials"][0]["settings"] == {"ease": 10.0}
    blends = manifest["blends"]
    assert isinstance(blends, dict)
    assert blends["ensemble"] == {"ease": 10.0} | found["ensemble"]

    settings.TUNING_BUDGET_S = 0
    change_something()
    again = train_release()
    assert again.tuned_settings == release.tuned_settings
    assert manifest_of(again)["tuning"] == {}


def test_settings_that_an_algorithm_no_longer_knows_do_not_end_the_training(
    settings: Settings,
) -> None:
    settings.TRAINING_ALGORITHMS = ["als", "ensemble"]
    make_audience(viewers_each=6)
    release = train_release()
    release.tuned_settings = {
        "als": {"fluency": 3},
        "crystal_ball": {"depth": 1},
        "ensemble": {"weights": {"als": 0.0, "slim": 1.0}},
    }
    release.save()
    change_something()
    assert train_release().tuned_settings == {}


@pytest.mark.parametrize("step", ["fit", "update"])
def test_an_algorithm_that_fails_leaves_viewers_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(self: Recommender, *data: object) -> None:
        raise MemoryError("no room for 20,000 films")

    broken = type("BrokenEase", (EaseRecommender,), {step: fail})
    monkeypatch.setitem(ALGORITHMS, "ease", broken)
    settings.TRAINING_ALGORITHMS = ["als", "ease", "ensemble"]
    make_audience()
    release = train_release()
    assert release.left_out["ease"] == "It failed: MemoryError: no room for 20,000 films."
    assert release.left_out["ensemble"] == "Of its parts the release has als."
    assert manifest_of(release)["algorithms"] == ["popularity", "als"]


def test_staff_see_what_is_left_out_and_why(staff: Client, settings: Settings) -> None:
    settings.TRAINING_ALGORITHMS = ["als"]
    make_audience(viewers_each=6)
    train()
    shown = {row["name"]: row for row in Client().get("/recommendations/algorithms").json()}
    assert shown["ease"]["available"] is False
    assert shown["ease"]["left_out"] == "TRAINING_ALGORITHMS does not name it."
    assert shown["als"]["left_out"] is None


def test_a_cinema_that_has_just_opened_can_train_everything(settings: Settings, home: Path) -> None:
    settings.TRAINING_ALGORITHMS = []
    settings.TUNING_BUDGET_S = 1
    make_user()
    assert train().state == "published"
