"""The data sets: each fills a home once for a run, and is then there for every benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.homes import REPOSITORY, Home

MOVIELENS_FOLDER = REPOSITORY.parent / "shared" / "data" / "ml-latest-small"

PROGRAMME = "programme"
CATALOGUE = "catalogue"
MOVIELENS = "ml-latest-small"
SYNTHETIC = "synthetic"
#: The data sets with ratings, the small one first.
RATINGS = (MOVIELENS, SYNTHETIC)


@dataclass(frozen=True)
class DataSets:
    """Homes below `root`, filled when they are first opened.

    Attributes:
        rated: The data sets with ratings that are measured, of `RATINGS`.
    """

    root: Path
    scale: Scale
    rated: Sequence[str] = RATINGS

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
            home.call("catalogue.fill_programme")
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


@dataclass(frozen=True)
class Scale:
    """Sizes of one run.

    Attributes:
        folder: The folder of the results, below bench/results.
        seconds: The time of each measurement of a web server.
        rounds: The number of rounds in which things are measured in turn.
        long_rounds: The same for measurements that take minutes on the synthetic data.
        catalogue_films, catalogue_screenings: The size of the large catalogue.
        list_rounds: The number of requests for each list.
        tokens: The number of viewers who ask for recommendations.
        cpu_viewers: The number of viewers of whose requests the CPU time is measured.
        peer_sizes: Name, viewers, films and likes of the matrices for other libraries.
        orm_rows: The most rows that the ORM loads.
        growing_crowds, growing_films: The sizes in the figure of growth, with `growing_ratings`.
            Each crowd arrives within `growing_arriving_s` and is measured for `growing_s`.
        crowds: Numbers of viewers who arrive within `crowd_arriving_s`, for `crowd_seconds`.
        impressions: The sizes of the table of impressions.
    """

    folder: str
    seconds: float
    rounds: int
    long_rounds: int
    viewers: int
    films: int
    ratings: int
    catalogue_films: int
    catalogue_screenings: int
    list_rounds: int
    tokens: int
    cpu_viewers: int
    peer_sizes: tuple[tuple[str, int, int, int], ...]
    orm_rows: int
    growing_crowds: tuple[int, ...]
    growing_films: tuple[int, ...]
    growing_ratings: int
    growing_arriving_s: float
    growing_s: float
    crowds: tuple[int, ...]
    crowd_arriving_s: float
    crowd_seconds: float
    impressions: tuple[int, ...]


FULL = Scale(
    folder=".",
    seconds=4,
    rounds=5,
    long_rounds=2,
    viewers=100_000,
    films=20_000,
    ratings=10_000_000,
    catalogue_films=100_000,
    catalogue_screenings=1_000_000,
    list_rounds=7,
    tokens=1000,
    cpu_viewers=200,
    peer_sizes=(
        ("1 million", 6_040, 3_706, 1_000_000),
        ("20 million", 138_000, 27_000, 20_000_000),
    ),
    orm_rows=500_000,
    growing_crowds=(50, 100, 200, 400, 800, 1600),
    growing_films=(1_000, 10_000, 30_000, 100_000),
    growing_ratings=300_000,
    growing_arriving_s=5,
    growing_s=25,
    crowds=(300, 1000),
    crowd_arriving_s=20,
    crowd_seconds=60,
    impressions=(1_000_000, 3_000_000, 10_000_000),
)
#: Whether the benchmarks work, in about a minute; its figures mean little.
SMALL = Scale(
    folder="small",
    seconds=0.5,
    rounds=2,
    long_rounds=1,
    viewers=5000,
    films=5000,
    ratings=200_000,
    catalogue_films=2_000,
    catalogue_screenings=20_000,
    list_rounds=2,
    tokens=100,
    cpu_viewers=30,
    peer_sizes=(("100 thousand", 1000, 1700, 100_000),),
    orm_rows=50_000,
    growing_crowds=(10, 40),
    growing_films=(500, 2000),
    growing_ratings=20_000,
    growing_arriving_s=2,
    growing_s=8,
    crowds=(20, 50),
    crowd_arriving_s=2,
    crowd_seconds=3,
    impressions=(100_000,),
)
