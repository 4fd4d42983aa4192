"""Trainings and matches on Spark equal those of one machine. `make test-scale` runs these tests."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pytest_django.fixtures import Settings
from scipy.sparse import csr_matrix

from movies.models import Movie
from recommendations import similar_movies
from recommendations.dataset import load_dataset
from recommendations.engine import artifacts
from recommendations.engine.algorithms import ease
from recommendations.engine.recommender import FitInterrupted
from recommendations.engine.viewer_pairs import TILE_COLUMNS, matching_pairs
from recommendations.engine.viewer_similarity import MatchRule, deviations
from recommendations.matches import services as matches
from recommendations.models import Interaction, Neighbour, Release, SimilarMovies, TrainingRun
from recommendations.training.runs import run_training
from tests import bucket_server
from tests.audience import current, directories, make_audience, train_release
from tests.bucket_server import KEY, SECRET, Prefix
from tests.builders import interact, make_movie, make_user
from tests.running import command_of
from users.erasure import erase
from users.models import User

pytest.importorskip("pyspark", reason="PySpark is not installed: `make test-scale` installs it")
pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")

from pyspark import SparkContext  # noqa: E402

from recommendations.spark import extraction, model_fits  # noqa: E402
from recommendations.spark.cluster import spark_context  # noqa: E402
from recommendations.spark.extraction import extract_interactions, interactions_folder  # noqa: E402
from recommendations.spark.shared_folder import SharedFolder  # noqa: E402
from recommendations.spark.viewer_blocks import SharedInteractions, ViewerFile  # noqa: E402
from recommendations.spark.viewer_matches import matching_portions  # noqa: E402

pytestmark = [
    pytest.mark.scale,
    pytest.mark.django_db,
    pytest.mark.usefixtures("home"),
    # Py4J leaves the pipes of the Java process to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _small_files(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many files and slices although the viewers are few."""
    settings.SPARK_MASTER = "local[2]"
    # All workers of this process get the environment that the first of these tests has.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    settings.TUNING_BUDGET_S = 0
    monkeypatch.setattr(extraction, "IDS_EACH", 16)
    monkeypatch.setattr(model_fits, "PRODUCT_BYTES", 1000)


def arrays_of(release: Release) -> dict[str, Any]:
    arrays, _ = artifacts.load(release.path)
    return {name: np.array(array) for name, array in arrays.items()}


def assert_alike(release: Release, other: Release) -> None:
    """The same arrays except for the rounding of sums, and the same quality."""
    one, two = arrays_of(release), arrays_of(other)
    assert one.keys() == two.keys()
    for name, array in one.items():
        assert array.dtype == two[name].dtype, name
        np.testing.assert_allclose(two[name], array, rtol=2e-3, atol=2e-5, err_msg=name)
    assert other.metrics.keys() == release.metrics.keys()
    for name, quality in release.metrics.items():
        assert other.metrics[name]["users"] == quality["users"]
        assert other.metrics[name]["ndcg"] == pytest.approx(quality["ndcg"], abs=0.01), name
    counts = ("users", "items", "interactions", "fingerprint")
    assert [getattr(other, name) for name in counts] == [getattr(release, name) for name in counts]


# --- releases


@pytest.mark.parametrize("many_likes", [1, ease.MANY_LIKES])
def test_a_release_equals_that_of_one_machine(
    settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch, many_likes: int
) -> None:
    """The test runs with viewers weighted by their activity, and without."""
    monkeypatch.setattr(ease, "MANY_LIKES", many_likes)
    make_audience()
    interact(make_user(), Movie.objects.all()[0], "rating", half_stars=8)
    interact(make_user(is_active=False), Movie.objects.all()[0])
    local = train_release()
    settings.TRAINING_ENGINE = "spark"
    other = train_release(force=True)
    assert_alike(local, other)
    assert other.is_current
    assert {*directories(home)} == {local.directory, other.directory}
    assert not [*home.glob("spark"), *home.glob("interactions/work*")]


def test_algorithms_not_trained_on_spark_are_left_out_with_the_reason(settings: Settings) -> None:
    make_audience(viewers_each=4, movies_each=5)
    settings.TRAINING_ENGINE = "spark"
    settings.TRAINING_ALGORITHMS = []
    release = train_release()
    left = {name for name, reason in release.left_out.items() if "TRAINING_ENGINE" in reason}
    assert left == {"item_knn", "neural", "sequence", "user_knn"}


def test_a_cinema_without_viewers_or_movies_can_train(settings: Settings) -> None:
    settings.TRAINING_ENGINE = "spark"
    release = train_release()
    assert (release.users, release.items, release.interactions) == (0, 0, 0)
    make_user()
    interact(make_user(), make_audience(viewers_each=1, movies_each=4).all_movies[0])
    assert train_release().interactions == Interaction.objects.count()


def test_a_killed_executor_costs_time_and_not_the_run(settings: Settings) -> None:
    make_audience()
    local = train_release()
    settings.TRAINING_ENGINE, settings.SPARK_MASTER = "spark", "local-cluster[2,1,1024]"
    killed: list[int] = []

    def watch(phase: str, percent: int) -> None:
        # The first report may come before the executors have started.
        if phase == "fitting als" and not killed and (running := executors()):
            killed.append(running[0].pid)
            running[0].send_signal(signal.SIGKILL)

    run = run_training(TrainingRun.objects.create(), force=True, watch=watch)
    assert run.release is not None, run.message
    assert_alike(local, run.release)
    assert len(killed) == 1


def test_a_run_without_a_cluster_fails_and_the_release_stays(settings: Settings) -> None:
    make_audience(viewers_each=8, movies_each=5)
    local = train_release()
    settings.TRAINING_ENGINE, settings.SPARK_MASTER = "spark", "local-cluster[1,1,1024]"

    def watch(phase: str, percent: int) -> None:
        if phase == "fitting ease":
            SparkContext._active_spark_context._jsc.sc().stop()

    with pytest.raises(FitInterrupted, match="Spark"):
        run_training(TrainingRun.objects.create(), force=True, watch=watch)
    assert current() == local
    assert TrainingRun.objects.latest("pk").state == TrainingRun.State.FAILED


def executors() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [p for p in children if "CoarseGrainedExecutorBackend" in " ".join(command_of(p))]


# --- interactions in files


def assert_complete(folder: SharedFolder) -> SharedInteractions:
    """The files have what `load_dataset` reads."""
    dataset = load_dataset()
    found, _ = extract_interactions(folder)
    assert found.user_ids.tolist() == dataset.users.ids.tolist()
    assert found.items.tolist() == dataset.items.ids.tolist()
    assert folder.names() == {file.name for file in found.files}
    for file in found.files:
        block = found.read(file)
        rows = slice(file.first_row, file.first_row + len(file.users))
        for name in ("interactions", "times", "ratings"):
            whole, part = getattr(dataset, name)[rows], getattr(block, name)
            assert part.dtype == whole.dtype
            assert (part.toarray() == whole.toarray()).all(), name
    return found


def test_only_files_of_viewers_who_acted_are_written_again() -> None:
    audience = make_audience()
    viewer = audience.viewers[0][0]
    film = make_movie()
    folder = interactions_folder()
    before = {file.name for file in assert_complete(folder).files}
    assert len(before) > 3
    assert {file.name for file in assert_complete(folder).files} == before
    interact(viewer, film, "rating", half_stars=1)
    interact(viewer, film, "seen")
    after = {file.name for file in assert_complete(folder).files}
    assert len(after - before) == len(before - after) == 1


@pytest.mark.parametrize("way", ["withdrawn", "erased", "closed"])
def test_deleted_interactions_leave_the_files(way: str) -> None:
    audience = make_audience(viewers_each=10)
    viewer = audience.viewers[1][0]
    folder = interactions_folder()
    before = {file.name for file in assert_complete(folder).files}
    if way == "withdrawn":
        Interaction.objects.filter(user=viewer)[0].delete()
    elif way == "erased":
        erase(user_id=viewer.pk)
    else:
        User.objects.filter(pk=viewer.pk).update(is_active=False)
    after = {file.name for file in assert_complete(folder).files}
    assert len(before - after) == 1


def test_files_are_in_the_bucket_of_releases(settings: Settings, tmp_path: Path) -> None:
    make_audience(viewers_each=8, movies_each=5)
    local = train_release()
    with bucket_server.running(tmp_path / "bucket") as server:
        prefix = Prefix(server.client())
        settings.RELEASES_URL, settings.MEDIA_ENDPOINT_URL = prefix.url, server.url
        settings.TRAINING_ENGINE = "spark"
        other = train_release(force=True)
        assert_alike(local, other)
        assert_complete(interactions_folder())
        assert prefix.releases() == {"interactions", other.directory}


# --- matches and similar films


def test_matches_are_those_of_one_machine(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audience()
    monkeypatch.setattr(matches, "PORTION", 10)
    columns = ("user", "other", "similarity", "shared", "product_sum", "own_square_sum",
               "other_square_sum")  # fmt: skip
    settings.MATCH_THRESHOLD = 0.3
    n_local = matches.match_all()
    rows = Neighbour.objects.order_by("user", "other").values_list(*columns)
    local = [*rows]
    assert len(local) == n_local > 100
    Neighbour.objects.all().delete()
    settings.TRAINING_ENGINE = "spark"
    assert matches.match_all() == n_local
    assert [*rows.all()] == local


@pytest.fixture
def crowd(tmp_path: Path) -> tuple[SharedInteractions, csr_matrix]:
    """More viewers than a column of tiles has, in files of their own."""
    luck = np.random.default_rng(7)
    n_users, n_items = TILE_COLUMNS + 1500, 60
    weights = luck.choice(np.array([-2, 1, 2, 3], dtype=np.float32), (n_users, n_items))
    weights[luck.random(weights.shape) < np.linspace(0.6, 0.99, n_items)] = 0
    folder = SharedFolder(pa.fs.LocalFileSystem(), str(tmp_path / "crowd"))
    table = np.array([0, -2, 1, 2, 3], dtype=np.float32)
    files, users = [], np.arange(n_users, dtype=np.int64) + 5
    for start in range(0, n_users, 1000):
        own = weights[start : start + 1000]
        rows, columns = np.nonzero(own)
        codes = np.searchsorted(table[1:], own[rows, columns]) + 1
        files.append(ViewerFile(f"{start}.parquet", start, users[start : start + 1000]))
        folder.write_table(files[-1].name, pa.table({
            "user": files[-1].users[rows], "movie": columns.astype(np.int64),
            "code": codes.astype(np.uint8), "seconds": np.zeros(len(rows)),
            "counts": np.ones(len(rows), dtype=bool),
        }))  # fmt: skip
    items = np.arange(n_items, dtype=np.int64)
    return (
        SharedInteractions(folder, tuple(files), items, table, range(11, 21)),
        csr_matrix(weights),
    )


def test_pairs_of_several_tiles_are_exactly_equal(
    crowd: tuple[SharedInteractions, csr_matrix], tmp_path: Path
) -> None:
    interactions, weights = crowd
    rule, preferred = MatchRule(0.5, 5), np.arange(weights.shape[0]) % 3 == 0
    expected = matching_pairs(deviations(weights), rule, at_most=20, preferred=preferred)
    with spark_context() as context:
        portions = matching_portions(
            context,
            interactions,
            interactions.folder.below("work"),
            rule,
            at_most=20,
            preferred=preferred,
            portion=2000,
            own=tmp_path,
        )
        found = np.concatenate([*portions])
    assert len(found) > 20_000
    assert (found == expected).all()


def test_similar_films_are_those_of_one_machine(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audience()
    train_release()
    monkeypatch.setattr("recommendations.engine.ranking.similar_items.CELLS", 100)
    similar_movies.find_similar_movies()
    columns = ("movie", "others", "scores", "by_factors", "by_content")
    local = [*SimilarMovies.objects.order_by("movie").values_list(*columns)]
    assert len(local) == 24
    SimilarMovies.objects.all().delete()
    settings.TRAINING_ENGINE = "spark"
    similar_movies.find_similar_movies()
    assert [*SimilarMovies.objects.order_by("movie").values_list(*columns)] == local
