"""A folder that the trainer and the Spark workers see. This module runs on workers: no Django."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow.fs import FileSelector, FileSystem, FileType

from recommendations.engine.matrices import Array


@dataclass(frozen=True)
class SharedFolder:
    """A folder on a shared disk, or a prefix in a bucket.

    A file appears whole or not at all: a worker that is killed while it writes leaves no file that
    another one reads.
    """

    filesystem: FileSystem
    root: str

    def below(self, name: str) -> SharedFolder:
        return SharedFolder(self.filesystem, f"{self.root}/{name}")

    def names(self) -> set[str]:
        """The files of this folder, without those of folders below it."""
        found = self.filesystem.get_file_info(FileSelector(self.root, allow_not_found=True))
        return {info.base_name for info in found if info.type == FileType.File}

    def write_table(self, name: str, table: pa.Table) -> None:
        self._write(name, lambda file: pq.write_table(table, file, compression="zstd"))

    def read_table(self, name: str) -> pa.Table:
        with self.filesystem.open_input_file(f"{self.root}/{name}") as file:
            return pq.read_table(file)

    def write_array(self, name: str, array: Array) -> None:
        self._write(name, lambda file: np.save(file, array, allow_pickle=False))

    def read_array(self, name: str) -> NDArray[Any]:
        with self.filesystem.open_input_stream(f"{self.root}/{name}") as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            return array

    def remove(self, name: str) -> None:
        self.filesystem.delete_file(f"{self.root}/{name}")

    def remove_all(self) -> None:
        """Delete this folder and all below it."""
        if self.filesystem.get_file_info(self.root).type == FileType.Directory:
            self.filesystem.delete_dir(self.root)

    def _write(self, name: str, write: Callable[[Any], object]) -> None:
        unfinished = f"{self.root}/.{name}.{uuid4().hex}"
        if self.filesystem.type_name == "local":  # a bucket has no folders
            self.filesystem.create_dir(self.root, recursive=True)
        with self.filesystem.open_output_stream(unfinished) as file:
            write(file)
        self.filesystem.move(unfinished, f"{self.root}/{name}")
