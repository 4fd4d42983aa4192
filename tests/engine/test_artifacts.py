"""A release on disk is whole, as it was written, and numbers only, or it is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommendations.engine import artifacts
from recommendations.engine.artifacts import ArtifactError
from recommendations.engine.matrices import Array

ROOT = Path(__file__).resolve().parent.parent.parent
ARRAYS: dict[str, Array] = {
    "als.factors": np.arange(12, dtype=np.float32).reshape(3, 4),
    "als.known": np.array([True, False, True]),
    "ids": np.array([], dtype=np.int64),
    "scale": np.array(2.5),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
}


@pytest.fixture
def release(tmp_path: Path) -> Path:
    artifacts.save(tmp_path / "release", ARRAYS, {"algorithms": ["als"], "users": 3})
    return tmp_path / "release"


def test_a_saved_release_loads_with_the_same_arrays_and_manifest(release: Path) -> None:
    arrays, manifest = artifacts.load(release)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)
    assert manifest["algorithms"] == ["als"]
    assert manifest["users"] == 3


def test_arrays_are_mapped_and_cannot_be_written(release: Path) -> None:
    factors = artifacts.load(release)[0]["als.factors"]
    assert isinstance(factors, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        factors[0, 0] = 1


def test_nothing_is_left_beside_a_release(release: Path) -> None:
    assert [path.name for path in release.parent.iterdir()] == ["release"]


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_array_with_a_flipped_bit_is_refused(release: Path, place: int, bit: int) -> None:
    path = release / "als.factors.npy"
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[place % len(whole)] ^= 1 << bit
    path.write_bytes(changed)
    with pytest.raises(ArtifactError, match="checksum"):
        artifacts.load(release)
    path.write_bytes(whole)
    artifacts.load(release)


@pytest.mark.parametrize("name", ["als.factors.npy", artifacts.MANIFEST])
def test_a_missing_file_is_refused(release: Path, name: str) -> None:
    (release / name).unlink()
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifacts.load(release)


@pytest.mark.parametrize("name", ["als.factors.npy", artifacts.MANIFEST])
@pytest.mark.parametrize("size", [0, 1, 40])
def test_a_truncated_file_is_refused(release: Path, name: str, size: int) -> None:
    path = release / name
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ArtifactError):
        artifacts.load(release)


@pytest.mark.parametrize(
    "manifest",
    [
        {"format": artifacts.FORMAT + 1, "sha256": {}},
        {"format": str(artifacts.FORMAT), "sha256": {}},
        {"sha256": {}},
        {"format": artifacts.FORMAT},
        {"format": artifacts.FORMAT, "sha256": ["ids"]},
        {"format": artifacts.FORMAT, "sha256": None},
        [],
        None,
    ],
    ids=str,
)
def test_another_format_is_refused(release: Path, manifest: object) -> None:
    (release / artifacts.MANIFEST).write_bytes(orjson.dumps(manifest))
    with pytest.raises(ArtifactError):
        artifacts.load(release)


def test_objects_are_not_saved(tmp_path: Path) -> None:
    objects = np.array([{"code": "runs"}], dtype=object)
    with pytest.raises(ValueError, match="Object arrays"):
        artifacts.save(tmp_path / "release", {"objects": objects}, {})
    assert not (tmp_path / "release").exists()


def test_objects_are_not_loaded_though_their_checksum_fits(release: Path) -> None:
    """A pickle is code, whoever wrote it."""
    path = release / "ids.npy"
    np.save(path, np.array([{"code": "runs"}], dtype=object), allow_pickle=True)
    manifest = orjson.loads((release / artifacts.MANIFEST).read_bytes())
    manifest["sha256"]["ids"] = artifacts._checksum(path)
    (release / artifacts.MANIFEST).write_bytes(orjson.dumps(manifest))
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifacts.load(release)


def test_an_unfinished_directory_is_no_release_and_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the arrays, before the manifest; then run again."""

    def killed(value: object, option: int) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(orjson, "dumps", killed)
        with pytest.raises(KeyboardInterrupt):
            artifacts.save(tmp_path / "release", ARRAYS, {})
    [unfinished] = tmp_path.iterdir()
    assert (unfinished / "ids.npy").exists()
    for directory in (unfinished, tmp_path / "release"):
        with pytest.raises(ArtifactError):
            artifacts.load(directory)
    artifacts.save(tmp_path / "release", ARRAYS, {})
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


LIMITED_SAVE = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from recommendations.engine import artifacts

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
arrays = {"small": np.arange(10), "large": np.arange(100_000)}
try:
    artifacts.save(Path(sys.argv[1]), arrays, {})
except OSError as error:
    print(error.strerror)
"""


def test_a_disk_without_room_leaves_nothing_behind(tmp_path: Path) -> None:
    root = tmp_path / "releases"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED_SAVE, str(root / "release")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == "No space left on device\n"
    assert list(root.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "releases").write_text("a file where the directory should be")
    with pytest.raises(OSError, match="Not a directory"):
        artifacts.save(tmp_path / "releases" / "release", ARRAYS, {})


def test_a_removed_release_stays_readable_where_it_is_mapped(release: Path) -> None:
    arrays, _ = artifacts.load(release)
    artifacts.remove(release)
    artifacts.remove(release)
    assert not release.exists()
    np.testing.assert_array_equal(arrays["als.factors"], ARRAYS["als.factors"])
