"""Trained models on disk: a directory of `.npy` files and a manifest with their checksums.

Arrays are mapped into memory and never unpickled, so a release cannot contain code.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Mapping
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
    """Write the arrays and the manifest to a temporary directory, then rename it.

    An array with several names is written once.

    Args:
        arrays: By file name without suffix, such as `als.item_factors`.
        facts: Further entries of the manifest, JSON.

    Raises:
        OSError: The disk is full, or the directory cannot be written. No file is left behind.
    """
    unfinished = directory.with_name(f".{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        _write(unfinished, arrays, facts)
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
        manifest = orjson.loads((directory / MANIFEST).read_bytes())
        if manifest["format"] != FORMAT:
            raise ArtifactError(f"{directory} has format {manifest['format']}, not {FORMAT}")
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
