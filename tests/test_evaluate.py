"""`manage.py evaluate`: what it measures, what it prints and writes, and what it refuses."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from django.core.management import CommandError, call_command

from recommendations import evaluation
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.algorithms.ease import EaseRecommender
from recommendations.engine.algorithms.hybrid import Composite
from recommendations.engine.evaluation.quality import EvaluatedLists
from recommendations.evaluation import (
    SPLITS,
    AlgorithmResult,
    CannotEvaluate,
    EvaluationData,
)
from tests.audience import make_audience
from tests.builders import make_movie
from tests.movielens import write_csv

CAMPS, VIEWERS, FILMS = 2, 60, 24


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two camps of thirty viewers, each with twelve films, which they come to rate over a year in
    an order of their own: eight with five stars, and two of the other camp with one."""
    random = np.random.default_rng(3)
    movies = [f"{film},Film {film} ({1990 + film}),{'Drama' if film <= 12 else 'War'}"
              for film in range(1, FILMS + 1)]  # fmt: skip
    ratings = []
    for viewer in range(1, VIEWERS + 1):
        camp = viewer % CAMPS
        own = 1 + camp * 12 + random.permutation(12)[:8]
        others = 1 + (1 - camp) * 12 + random.permutation(12)[:2]
        stars = {int(film): 5 for film in own} | {int(film): 1 for film in others}
        for film in sorted(stars):
            ratings.append(f"{viewer},{film},{stars[film]},{random.integers(1_000_000)}")
    return write_csv(tmp_path, *ratings, movies=tuple(movies))


def evaluate(*options: str | Path) -> str:
    """The printed text."""
    out, err = io.StringIO(), io.StringIO()
    call_command("evaluate", *map(str, options), stdout=out, stderr=err, verbosity=0)
    assert err.getvalue() == ""
    return out.getvalue()


def as_json(*options: str | Path, to: Path) -> dict[str, Any]:
    evaluate(*options, "--json", to)
    document: dict[str, Any] = orjson.loads(to.read_bytes())
    return document


def material(folder: Path) -> EvaluationData:
    return evaluation.from_folder(folder, pytest.fail)


# --- what is measured


@pytest.mark.parametrize("split", sorted(SPLITS))
def test_each_split_is_measured(folder: Path, split: str) -> None:
    text = evaluate("--data", folder, "--split", split, "--algorithms", "ease,popularity")
    heading, _, titles, *rows = text.splitlines()
    assert heading.startswith("600 interactions of 60 viewers with 24 movies, split by " + split)
    assert titles.split()[:2] == ["NDCG@10", "95"]
    assert [row.split()[0] for row in rows[:2]] == ["ease", "popularity"]


def test_an_algorithm_that_knows_the_camps_is_significantly_better(
    folder: Path, tmp_path: Path
) -> None:
    """Popularity finds six of the twelve in the viewer's own camp by chance."""
    document = as_json(
        "--data", folder, "--split", "leave-last-out", "--algorithms", "popularity,ease",
        to=tmp_path / "found.json",
    )  # fmt: skip
    assert document["baseline"] == "ease"
    assert (document["split"], document["seed"]) == ("leave-last-out", 1895)
    quality = document["algorithms"]["ease"]["quality"]
    assert quality["hit_rate"] == 1
    assert quality["users"] == VIEWERS
    assert document["algorithms"]["popularity"]["quality"]["ndcg"] < quality["ndcg"]
    low, high = document["algorithms"]["ease"]["intervals"]["ndcg"]
    assert (low, high) == (quality["ndcg_low"], quality["ndcg_high"])
    assert low < quality["ndcg"] < high
    beside = document["beside_baseline"]["popularity"]
    assert beside["users"] == VIEWERS
    assert beside["high"] < 0
    assert beside["p_value"] < 0.01


def test_viewers_who_come_back_after_an_hour_have_rows_of_their_own(
    folder: Path, tmp_path: Path
) -> None:
    options = ("--data", folder, "--algorithms", "ease,popularity", "--split")
    found = material(folder)
    split = evaluation.split_data(found, "leave-last-out", seed=1895)
    assert split.now is not None
    last = split.history_times.max(axis=1).toarray().ravel()
    later = int((split.now - last > 3600).sum())
    assert 0 < later < VIEWERS
    text = evaluate(*options, "leave-last-out")
    titles, ease, popularity = text[text.index("after an hour") :].splitlines()
    assert titles.split()[3:6] == ["viewers", "NDCG", "95"]
    assert ease.split()[:2] == ["ease", str(later)]
    assert popularity.split()[:2] == ["popularity", str(later)]
    document = as_json(*options, "leave-last-out", to=tmp_path / "found.json")
    row = document["algorithms"]["ease"]["after_an_hour"]
    assert (row["users"], row["hit_rate"]) == (later, 1)
    # The drawn tests of strong generalisation are not later than the histories.
    assert "after an hour" not in evaluate(*options, "strong")


def test_the_baseline_can_be_named(folder: Path, tmp_path: Path) -> None:
    options = ("--data", folder, "--split", "leave-last-out", "--baseline", "popularity")
    document = as_json(*options, "--algorithms", "ease", to=tmp_path / "found.json")
    assert document["algorithms"].keys() == {"ease", "popularity"}
    assert document["beside_baseline"]["ease"]["low"] > 0
    assert "beside popularity" in evaluate(*options, "--algorithms", "ease")


def test_the_same_is_measured_each_time(folder: Path, tmp_path: Path) -> None:
    options = ("--data", folder, "--algorithms", "ease", "--split", "strong", "--k", "3")
    first, again, other = (
        as_json(*options, "--seed", seed, to=tmp_path / "found.json")["algorithms"]["ease"]
        for seed in ("1", "1", "2")
    )
    assert first["quality"]["k"] == 3
    assert first["quality"] == again["quality"] != other["quality"]


def test_viewers_judged_can_be_limited(folder: Path, tmp_path: Path) -> None:
    options = ("--data", folder, "--algorithms", "ease", "--split", "leave-last-out")
    document = as_json(*options, "--max-users", "7", to=tmp_path / "found.json")
    assert document["algorithms"]["ease"]["quality"]["users"] == 7


def test_unknown_figures_are_null(folder: Path, tmp_path: Path) -> None:
    """Popularity has no opinion on films that nobody has touched, and shows none."""
    options = ("--data", folder, "--algorithms", "popularity", "--split", "cold")
    document = as_json(*options, to=tmp_path / "found.json")
    quality = document["algorithms"]["popularity"]["quality"]
    assert (quality["ndcg"], quality["coverage"], quality["novelty"]) == (0, 0, None)


def test_the_newest_films_are_the_cold_ones(folder: Path) -> None:
    split = evaluation.split_data(material(folder), "cold", seed=1)
    assert split.candidates is not None
    assert np.flatnonzero(split.candidates).tolist() == [19, 20, 21, 22, 23]


@pytest.mark.django_db
def test_the_database_is_measured_where_no_folder_is_named() -> None:
    make_audience()
    text = evaluate("--algorithms", "ease,popularity")
    assert text.startswith("576 interactions of 72 viewers with 24 movies, split by time")


@pytest.mark.django_db
def test_a_film_of_the_cinema_is_as_new_as_its_start() -> None:
    audience = make_audience()
    newest = max(audience.all_movies, key=lambda movie: (movie.start_date, movie.pk))
    found = evaluation.from_database()
    assert found.age[audience.all_movies.index(newest)] == found.age.max()
    assert found.age[0] == audience.all_movies[0].start_date.toordinal()


# --- by how lists are arranged


def test_diversity_is_compared_with_the_order_by_relevance(folder: Path, tmp_path: Path) -> None:
    options = ("--data", folder, "--split", "leave-last-out", "--diversity", "--k", "5")
    document = as_json(*options, "--algorithms", "ease", to=tmp_path / "found.json")
    assert list(document["algorithms"]) == [str(tenth / 10) for tenth in range(11)]
    assert document["baseline"] == "0.0"
    plain = as_json(*options[:4], "--k", "5", "--algorithms", "ease", to=tmp_path / "plain.json")
    by_relevance = document["algorithms"]["0.0"]["quality"]
    assert by_relevance == plain["algorithms"]["ease"]["quality"]
    by_difference = document["algorithms"]["1.0"]["quality"]
    assert by_difference["diversity"] > by_relevance["diversity"]
    assert by_difference["ndcg"] < by_relevance["ndcg"]


def test_calibration_is_held_against_the_order_by_relevance(folder: Path, tmp_path: Path) -> None:
    options = ("--data", folder, "--split", "leave-last-out", "--calibration", "--k", "5")
    document = as_json(*options, "--algorithms", "popularity", to=tmp_path / "found.json")
    assert list(document["algorithms"]) == [str(tenth / 10) for tenth in range(10)]
    by_relevance = document["algorithms"]["0.0"]["quality"]
    by_genres = document["algorithms"]["0.9"]["quality"]
    assert by_genres["miscalibration"] < by_relevance["miscalibration"]


def test_settings_are_chosen_on_the_past_of_a_split(folder: Path) -> None:
    options = ("--data", folder, "--split", "time", "--algorithms", "ease", "--diversity")
    n_learned = re.compile(r"([\d,]+) interactions of .*: ([\d,]+) learned from")
    whole, past = (
        n_learned.search(evaluate(*options)),
        n_learned.search(text := evaluate(*options, "--validation")),
    )
    assert whole
    assert past
    assert past[1] == whole[2]
    assert re.search(r"\nChosen value: [01]\.\d\n", text)


def test_the_rule_takes_the_largest_weight_that_costs_little() -> None:
    """It costs at most 2% of the best NDCG, and not significantly; so do all smaller ones."""

    def measured(*gains: float, spread: float = 0.0) -> dict[str, AlgorithmResult]:
        luck = np.random.default_rng(1)
        users = np.arange(100)
        found = {}
        for weight, gain in enumerate(gains):
            by_user = gain + spread * luck.standard_normal(100)
            lists = EvaluatedLists(
                10,
                users,
                np.zeros((100, 10), np.intp),
                np.zeros(100),
                dict.fromkeys(("ndcg", "recall", "hit_rate"), by_user),
                0.0,
                0.0,
            )
            found[str(weight)] = AlgorithmResult(lists, 0.0, 0.0)
        return found

    choose_weight = evaluation.choose_weight
    assert choose_weight(measured(0.5, 0.5, 0.5)) == "2"
    assert choose_weight(measured(0.5, 0.48, 0.47)) == "0"  # 4%
    assert choose_weight(measured(0.5, 0.495, 0.47)) == "0"  # 1%, but of each user
    assert choose_weight(measured(0.5, 0.5, 0.47, 0.5)) == "1"
    assert choose_weight(measured(0.5, 0.495, 0.44, spread=0.1)) == "1"
    assert choose_weight(measured(0.49, 0.5, 0.4)) == "1"


def test_diversity_without_a_name_reranks_the_default(folder: Path) -> None:
    text = evaluate("--data", folder, "--split", "leave-last-out", "--diversity")
    assert "\nbeside 0.0" in text
    assert "\n1.0 " in text


@pytest.mark.parametrize(
    "options", [["--algorithms", "ease,popularity"], ["--baseline", "popularity"]]
)
def test_one_algorithm_is_arranged(folder: Path, options: list[str]) -> None:
    with pytest.raises(CommandError, match="--diversity takes one algorithm"):
        evaluate("--data", folder, "--diversity", *options)


# --- what is left out, and what composites stand on


def test_an_algorithm_with_an_obstacle_is_left_out_with_the_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EaseRecommender, "obstacle", lambda *_: "Too many films.")
    monkeypatch.setattr(
        evaluation, "ALGORITHMS", {n: ALGORITHMS[n] for n in ("ease", "popularity")}
    )
    text = evaluate("--data", folder)
    assert "Without ease: Too many films." in text
    assert "\nease" not in text
    # Named, it is measured all the same.
    assert "\nease" in evaluate("--data", folder, "--algorithms", "ease")
    with pytest.raises(CommandError, match="The baseline ease cannot be used: Too many films"):
        evaluate("--data", folder, "--baseline", "ease")


def test_a_composite_uses_the_parts_that_are_fitted_for_measuring(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Both(Composite):
        name = "both"
        description = "For tests."
        part_types = {name: ALGORITHMS[name] for name in ("ease", "popularity")}

    monkeypatch.setitem(ALGORITHMS, "both", Both)
    found = material(folder)
    split = evaluation.split_data(found, "leave-last-out", seed=1)
    names, _ = evaluation.choose_algorithms(
        ["both", "ease", "popularity", "both"], split, found.items
    )
    assert names == ["ease", "popularity", "both"]
    at_hand = evaluation.measure(names, split, found.items, k=5, max_users=None, seed=1)
    alone = evaluation.measure(["both"], split, found.items, k=5, max_users=None, seed=1)
    np.testing.assert_array_equal(at_hand["both"].lists.lists, alone["both"].lists.lists)
    # Its time includes that of its parts.
    assert at_hand["both"].fit_s > at_hand["ease"].fit_s


def test_progress_rises_to_the_whole(folder: Path) -> None:
    found = material(folder)
    split = evaluation.split_data(found, "time", seed=1)
    told: list[tuple[str, float]] = []
    evaluation.measure(
        ["als", "popularity"], split, found.items, k=5, max_users=None, seed=1,
        report=lambda what, share: told.append((what, share)),
    )  # fmt: skip
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    whats = list(dict.fromkeys(what for what, _ in told))
    assert whats == [
        "fitting als",
        "judging als",
        "fitting popularity",
        "judging popularity",
        "done",
    ]


# --- what is refused


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--algorithms", "ease,guess"], "There is no guess. There are als, "),
        (["--baseline", "guess"], "There is no guess."),
        (["--split", "random"], "invalid choice: 'random'"),
        (["--k", "0"], "'0' is not a number above 0"),
        (["--max-users", "-1"], "'-1' is not a number above 0"),
        (["--data", "/nowhere"], "/nowhere is not a folder"),
        (["--seed", "-1"], "'-1' is not a number from 0 to 4294967295"),
        (["--seed", "4294967296"], "'4294967296' is not a number from 0"),
        (["--json", "/nowhere/found.json"], "There is no folder /nowhere to write to"),
        (["--json", "/proc/found.json"], "/proc/found.json cannot be written: "),
    ],
)
def test_nonsense_is_refused_by_name(options: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        evaluate(*options)


def test_a_place_that_cannot_be_written_is_refused_before_the_measurement(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "measure", pytest.fail)
    (tmp_path / "figures").mkdir()
    with pytest.raises(CommandError, match="figures cannot be written: Is a directory"):
        evaluate("--data", folder, "--json", tmp_path / "figures")


def test_a_measurement_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    write_csv(tmp_path, "1,1,5,10")
    (tmp_path / "figures.json").write_text("{}")
    for name in ("figures.json", "new.json"):
        with pytest.raises(CommandError, match="There is too little"):
            evaluate("--data", tmp_path, "--json", tmp_path / name)
    assert (tmp_path / "figures.json").read_text() == "{}"
    assert not (tmp_path / "new.json").exists()


def test_a_folder_without_ratings_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path)
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n")
    with pytest.raises(CommandError, match="There are no interactions to measure on"):
        evaluate("--data", tmp_path)


@pytest.mark.parametrize("split", sorted(SPLITS))
def test_too_little_is_refused(tmp_path: Path, split: str) -> None:
    write_csv(tmp_path, "1,1,5,10")
    with pytest.raises(CommandError, match=f"There is too little for the split '{split}'"):
        evaluate("--data", tmp_path, "--split", split)


@pytest.mark.django_db
def test_an_empty_database_is_refused() -> None:
    make_movie()
    with pytest.raises(CommandError, match="There are no interactions to measure on"):
        evaluate()


def test_an_evaluation_without_users_to_judge_is_refused(tmp_path: Path) -> None:
    """Though there is something to learn from: who disliked all films has no last liked one."""
    write_csv(tmp_path, "1,1,1,10", "1,2,1,20", "1,3,1,30")
    with pytest.raises(CannotEvaluate, match="3 to learn from, and 0 viewers to judge by"):
        evaluation.split_data(material(tmp_path), "leave-last-out", seed=1)
