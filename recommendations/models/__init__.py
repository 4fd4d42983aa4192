"""The tables of opinions (`feedback`) and of releases and lists (`serving`)."""

from recommendations.models.feedback import Interaction, PendingImport
from recommendations.models.serving import (
    Experiment,
    Impression,
    Neighbour,
    Promotion,
    Release,
    SimilarMovies,
    TimeRange,
    TrainingRun,
)

__all__ = [
    "Experiment",
    "Impression",
    "Interaction",
    "Neighbour",
    "PendingImport",
    "Promotion",
    "Release",
    "SimilarMovies",
    "TimeRange",
    "TrainingRun",
]
