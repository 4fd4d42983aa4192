"""A request for an algorithm that the release does not have is refused, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from recommendations.engine.algorithms import ALGORITHMS
from recommendations.models import Release
from tests.audience import listed, make_audience, rate, train_release
from tests.builders import Client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

OTHERS = sorted(ALGORITHMS.keys() - {"als", "popularity", "hybrid"})


@pytest.fixture
def fan(viewer: Client, settings: Settings) -> Client:
    """A viewer with a rating, of a cinema whose release has als and popularity."""
    settings.TRAINING_ALGORITHMS = ["als"]
    audience = make_audience()
    train_release()
    rate(viewer, audience.movies[0][0], 5)
    return viewer


def test_each_algorithm_is_listed_as_available_or_refused(fan: Client) -> None:
    described = {row["name"]: row for row in fan.get("/recommendations/algorithms").json()}
    for name in OTHERS:
        answer = fan.get(f"/recommendations?algorithm={name}")
        assert (answer.status_code, described[name]["available"]) == (409, False)
        detail = answer.json()["detail"]
        assert f"has no {name}." in detail
        assert described[name]["left_out"] in detail
        assert "GET /recommendations/algorithms" in detail
    for name in ("als", "popularity"):
        assert described[name]["available"]
        assert listed(fan, algorithm=name)["algorithm"] == name


def test_the_reason_may_be_unknown_and_there_may_be_no_release(fan: Client) -> None:
    Release.objects.update(left_out={})
    answer = fan.get("/recommendations?algorithm=ease")
    assert answer.status_code == 409
    Release.objects.all().delete()
    for name in ALGORITHMS.keys() - {"hybrid"}:
        answer = fan.get(f"/recommendations?algorithm={name}")
        assert answer.status_code == 409
        assert "Nothing has been trained yet." in answer.json()["detail"]
    assert listed(fan)["release"] is None


def test_a_list_made_before_is_not_served_once_the_release_lacks_its_algorithm(
    fan: Client, settings: Settings
) -> None:
    assert listed(fan, algorithm="als")["algorithm"] == "als"
    settings.TRAINING_ALGORITHMS = ["popularity"]
    Release.objects.all().delete()  # the gate would keep a better one
    train_release()
    assert fan.get("/recommendations?algorithm=als").status_code == 409


def test_graphql_gives_the_same_refusal(fan: Client) -> None:
    for name in OTHERS:
        query = "query($name: String!) { recommendations(algorithm: $name) { listId } }"
        answer = fan.post("/graphql", {"query": query, "variables": {"name": name}}).json()
        assert answer["data"]["recommendations"] is None
        refused = fan.get(f"/recommendations?algorithm={name}").json()["detail"]
        assert [error["message"] for error in answer["errors"]] == [refused]


def test_the_export_of_all_lists_refuses_it(fan: Client, tmp_path: Path) -> None:
    output = tmp_path / "lists.jsonl"
    with pytest.raises(CommandError, match="has no ease"):
        call_command("export_recommendations", "--algorithm=ease", f"--output={output}")
    assert not output.exists()
