"""The tables, by what they are about."""

from recommendations.models.feedback import Interaction
from recommendations.models.likeness import Neighbour, SimilarMovies
from recommendations.models.lists import Experiment, Impression, Promotion, TimeRange
from recommendations.models.pending import PendingImport
from recommendations.models.releases import Release, TrainingRun

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
