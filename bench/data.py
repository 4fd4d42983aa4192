"""The data sets: each fills a home once for a run, and is then there for every benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.homes import REPOSITORY, Home
from bench.scale import Scale

MOVIELENS_FOLDER = REPOSITORY.parent / "shared" / "data" / "ml-latest-small"

PROGRAMME = "programme"
CATALOGUE = "catalogue"
MOVIELENS = "ml-latest-small"
SYNTHETIC = "synthetic"
#: Those with ratings, the small one first.
RATINGS = (MOVIELENS, SYNTHETIC)


@dataclass(frozen=True)
class DataSets:
    """Homes below `root`, filled when they are first opened."""

    root: Path
    scale: Scale

    @contextmanager
    def opened(self, name: str) -> Iterator[Home]:
        """The home of the data set, with its servers running."""
        home = Home(self.root / name)
        filled = home.path / "filled"
        with home.running():
            if not filled.exists():
                print(f"Filling {name} ...", flush=True)
                self._fill(name, home)
                filled.touch()
            yield home

    def remove(self) -> None:
        for path in self.root.iterdir():
            Home(path).remove()
        self.root.rmdir()

    def _fill(self, name: str, home: Home) -> None:
        home.manage("migrate", "--verbosity=0")
        if name == PROGRAMME:
            home.call("programme.fill_programme")
        elif name == CATALOGUE:
            home.call(
                "catalogue.fill_catalogue",
                films=self.scale.catalogue_films,
                screenings=self.scale.catalogue_screenings,
            )
        elif name == MOVIELENS:
            home.manage("import_movielens", str(MOVIELENS_FOLDER), "--verbosity=0")
        else:
            scale = self.scale
            home.call(
                "filling.fill_synthetic",
                viewers=scale.viewers,
                films=scale.films,
                ratings=scale.ratings,
            )
