"""Trained models on disk: a directory of `.npy` files and a manifest with their checksums.

Arrays are mapped into memory and never unpickled, so a release cannot contain code.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from recommendations.engine.matrices import Array

FORMAT = 1
MANIFEST = "manifest.json"


class ArtifactError(Exception):
    """The directory of a release is missing, incomplete, changed, or of an unknown format."""


def save(directory: Path, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    """Write the arrays and the manifest; the directory appears with all of them.

    An array with several names is written once.

    Args:
        arrays: By file name without suffix, such as `als.item_factors`.
        facts: Further entries of the manifest, JSON.

    Raises:
        OSError: The disk is full, or the directory cannot be written. No file is left behind.
    """
    with filled_at_once(directory) as unfinished:
        _write(unfinished, arrays, facts)


@contextmanager
def filled_at_once(directory: Path) -> Iterator[Path]:
    """Yield a temporary directory. It becomes `directory` after the block; an error deletes it."""
    unfinished = directory.with_name(f".{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        unfinished.rename(directory)
    except Exception:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _write(directory: Path, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    checksums: dict[str, str] = {}
    same_as: dict[str, str] = {}
    written: dict[int, str] = {}
    for name, array in arrays.items():
        if id(array) in written:
            same_as[name] = written[id(array)]
            continue
        written[id(array)] = name
        path = directory / f"{name}.npy"
        _write_array(path, np.asarray(array, order="C"))
        checksums[name] = _checksum(path)
    manifest = {"format": FORMAT, "sha256": checksums, "same_as": same_as, **facts}
    with (directory / MANIFEST).open("wb") as file:
        file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())


def _write_array(path: Path, array: Array) -> None:
    with path.open("wb") as file:
        try:
            np.save(file, array, allow_pickle=False)
        except OSError as error:
            if error.errno is None:  # NumPy reports a short write without its reason.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
            raise
        file.flush()
        os.fsync(file.fileno())


def load(directory: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays, mapped read-only, and the manifest.

    Raises:
        ArtifactError: A file is missing, does not match its checksum, or has another format.
    """
    try:
        manifest = read_manifest((directory / MANIFEST).read_bytes())
        arrays: dict[str, Array] = {}
        for name, checksum in manifest["sha256"].items():
            path = directory / f"{name}.npy"
            if _checksum(path) != checksum:
                raise ArtifactError(f"{path} does not match its checksum")
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        for name, other in manifest.get("same_as", {}).items():
            arrays[name] = arrays[other]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{directory} cannot be read: {error}") from error
    return arrays, manifest


def read_manifest(content: bytes) -> dict[str, Any]:
    """Raises ArtifactError: It is damaged, of an unknown format, or names files elsewhere."""
    try:
        manifest: dict[str, Any] = orjson.loads(content)
        if manifest["format"] != FORMAT:
            raise ArtifactError(f"The release has format {manifest['format']}, not {FORMAT}")
        if wrong := [name for name in manifest["sha256"] if not _is_plain(name)]:
            raise ArtifactError(f"The manifest names files that no release has: {wrong[:3]}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"The manifest cannot be read: {error}") from error
    return manifest


def _is_plain(name: str) -> bool:
    """Whether it is like `als.item_factors`. Another name could lead out of the directory."""
    return name.replace(".", "_").replace("-", "_").isidentifier()


def model_arrays(arrays: Mapping[str, Array], model: str) -> dict[str, Array]:
    """The arrays of one model, without the prefix of its name."""
    start = f"{model}."
    return {k.removeprefix(start): array for k, array in arrays.items() if k.startswith(start)}


def remove(directory: Path) -> None:
    """Delete a release. A process that has mapped it can go on reading."""
    shutil.rmtree(directory, ignore_errors=True)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
