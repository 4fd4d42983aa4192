"""Lists for all viewers at once: the same as each would be given, in a file for its owner alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from recommendations.dataset import load_histories, load_history
from recommendations.lists import list_builder
from tests.audience import Audience, listed, make_audience, rate, say, train_release
from tests.builders import Client, make_movie, make_screening, make_user
from users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


@pytest.fixture
def audience(db: None) -> Audience:
    """An audience with a programme of a dozen films, and viewers of all kinds."""
    audience = make_audience()
    for camp in audience.movies:
        for movie in camp[4:]:
            make_screening(movie)
    train_release()
    make_screening(make_movie())
    newcomer, hater, fan, lover = (Client(make_user()) for _ in range(4))
    newcomer.put("/users/me/preferences", {"genres": [], "languages": ["fr"]})
    say(hater, audience.movies[0][0], "dislike")
    rate(fan, audience.movies[1][5], 5)
    lover.put(f"/users/me/favourites/{audience.movies[2][1].pk}")
    make_user()
    return audience


def export(path: Path, **options: Any) -> list[dict[str, Any]]:
    call_command("export_recommendations", output=str(path), verbosity=0, **options)
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("scope", ["programme", "catalogue"])
def test_each_line_is_the_list_that_the_viewer_would_get(
    audience: Audience, tmp_path: Path, scope: str
) -> None:
    lines = export(tmp_path / "lists.jsonl", scope=scope, reasons=True)
    assert [line["viewer_id"] for line in lines] == sorted(
        User.objects.values_list("pk", flat=True)
    )
    for line in lines[-12:]:
        viewer = Client(User.objects.get(pk=line["viewer_id"]))
        items = listed(viewer, scope=scope, limit=10)["items"]
        assert line["items"] == [
            {
                "movie_id": item["movie"]["id"],
                "name": item["movie"]["name"],
                "score": pytest.approx(item["score"], abs=1e-4),
                "source": item["source"],
                "reasons": [reason["text"] for reason in item["reasons"]],
            }
            for item in items
        ]


def test_limit_days_and_algorithm_can_be_asked_for(audience: Audience, tmp_path: Path) -> None:
    lines = export(tmp_path / "lists.jsonl", limit=3, algorithm="popularity", days=7)
    assert {len(line["items"]) for line in lines} == {3}
    assert {item["source"] for line in lines for item in line["items"]} == {"popularity"}
    assert all("reasons" not in item for line in lines for item in line["items"])


def test_an_inactive_viewer_gets_no_list(audience: Audience, tmp_path: Path) -> None:
    gone = audience.viewers[0][0]
    User.objects.filter(pk=gone.pk).update(is_active=False)
    assert gone.pk not in {line["viewer_id"] for line in export(tmp_path / "lists.jsonl")}


def test_the_file_is_for_its_owner_alone_and_holds_no_more_than_ids(
    audience: Audience, tmp_path: Path
) -> None:
    path = tmp_path / "lists.jsonl"
    path.write_text("of yesterday")
    path.chmod(0o644)
    export(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob("*.part")) == []
    assert "@" not in path.read_text()


def test_standard_output_is_the_default(
    audience: Audience, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    call_command("export_recommendations", verbosity=0)
    lines = capfdbinary.readouterr().out.splitlines()
    assert len(lines) == User.objects.count()
    assert json.loads(lines[0]).keys() == {"viewer_id", "items"}


def test_a_place_that_cannot_be_written_is_an_error(audience: Audience, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written"):
        export(tmp_path / "nowhere" / "lists.jsonl")


@pytest.mark.parametrize("options", [["--limit=0"], ["--limit=41"], ["--days=93"], ["--days=x"]])
def test_an_invalid_number_is_refused(options: list[str]) -> None:
    with pytest.raises(CommandError, match="whole number"):
        call_command("export_recommendations", *options)


def test_queries_grow_with_blocks_and_not_with_viewers(
    audience: Audience, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(tmp_path / "lists.jsonl")

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            export(tmp_path / "lists.jsonl")
        return sum("FROM recommendations_evidence" in query["sql"] for query in queries)

    assert cost() == 1
    monkeypatch.setattr(list_builder, "MAX_VIEWERS", 20)
    assert cost() == -(-User.objects.count() // 20)


def test_histories_of_many_are_those_of_each(audience: Audience) -> None:
    user_ids = [*User.objects.values_list("pk", flat=True), 10**12]
    for user_id, history in zip(user_ids, load_histories(user_ids), strict=True):
        alone = load_history(user_id)
        assert history.movie_ids.tolist() == alone.movie_ids.tolist()
        assert history.weights.tolist() == alone.weights.tolist()
        assert history.seconds.tolist() == alone.seconds.tolist()
        assert history.kinds.tolist() == alone.kinds.tolist()
        assert history.is_of_favourites == alone.is_of_favourites
