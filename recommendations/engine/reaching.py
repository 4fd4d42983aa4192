"""Whom a programme of films reaches, by what models say to each member."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recommendations.engine.protocol import Scores

Counts = NDArray[np.int64]
Places = NDArray[np.integer]


def among_best(scores: Scores, share: float) -> NDArray[np.bool_]:
    """Which items are among the best `share` of those that there is an opinion on, rounded up.

    Where others are as good as the last of them, all of these are left out: what a model cannot
    tell apart is not what it recommends.

    Args:
        scores: (n_items,) NaN for no opinion.
    """
    known = scores[~np.isnan(scores)]
    places = math.ceil(len(known) * share)
    if places >= len(known):
        return ~np.isnan(scores)
    best_of_the_rest = np.partition(known, len(known) - places - 1)[len(known) - places - 1]
    found: NDArray[np.bool_] = scores > best_of_the_rest
    return found


@dataclass(eq=False)
class Tally:
    """Of the members who were asked about the films of a catalogue.

    Attributes:
        showing: (n_films,) what is in the programme.
        share: Of a member's catalogue, the best of which suits.
        asked, known, reached: Members: all, those of whom the models know something, and those to
            whom a film that is showing suits.
        suited: (n_films,) members to whom each suits.
        had: (n_films,) members who have had it.
        added: (n_films,) those to whom it suits while nothing that is showing does.
    """

    showing: NDArray[np.bool_]
    share: float
    asked: int = 0
    known: int = 0
    reached: int = 0
    suited: Counts = field(init=False)
    had: Counts = field(init=False)
    added: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.suited, self.had, self.added = np.zeros((3, len(self.showing)), dtype=np.int64)

    def ask(self, scores: Scores, *, past: Places, had: Places) -> None:
        """Count a member in.

        Args:
            scores: (n_films,) NaN for no opinion. Overwritten.
            past: Films that the member is not to be asked about.
            had: Those of them that the member has had; none twice.
        """
        self.asked += 1
        self.had[had] += 1
        if np.isnan(scores).all():
            return
        self.known += 1
        scores[past] = np.nan
        suits = among_best(scores, self.share)
        self.suited += suits
        if (suits & self.showing).any():
            self.reached += 1
        else:
            self.added += suits
