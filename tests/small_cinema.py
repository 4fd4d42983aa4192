"""A cinema with a few series, viewers whose tastes are alike, and two releases."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import time_machine
from django.utils import timezone

from movies.models import Hall, Movie, Screening
from recommendations.matches.services import match_all
from recommendations.models import Interaction
from tests.audience import train_release
from tests.builders import Client, access_token, make_user
from users.models import Preferences, User

if TYPE_CHECKING:
    from pytest_django import DjangoCaptureOnCommitCallbacks

SERIES, FILMS_OF_EACH, OTHERS = 4, 4, 28
FANS = 24
WORDS = (
    "Amber", "Birch", "Cedar", "Dahlia", "Elder", "Fern", "Gorse", "Hazel", "Iris", "Juniper"
)  # fmt: skip
#: Titles of films of a series, and fields that name the series.
TITLES = (
    lambda n: f"Saga {WORDS[n]}",
    lambda n: f"Saga {WORDS[n]} 2",
    lambda n: f"Saga {WORDS[n]}: Part III",
    lambda n: f"{WORDS[n]} comes home",
)


class SmallCinema:
    """Made at random, and told what happens in it: `said`."""

    def __init__(
        self, seed: int, clock: time_machine.Traveller, commits: DjangoCaptureOnCommitCallbacks
    ) -> None:
        self.luck = random.Random(seed)
        self.clock, self.commits = clock, commits
        self.said: list[str] = []
        #: The number of the series by film; other films are missing.
        self.series: dict[int, int] = {}
        #: The films that a viewer was shown last: the first five.
        self.shown: list[int] = []
        numbers = range(SERIES * FILMS_OF_EACH + OTHERS)
        self.films = Movie.objects.bulk_create(map(self._film, numbers))
        in_series = self.films[: SERIES * FILMS_OF_EACH]
        self.series |= {movie.pk: n // FILMS_OF_EACH for n, movie in enumerate(in_series)}
        self._programme()
        self.fans = [make_user(name=f"Fan {n}") for n in range(FANS)]
        Preferences.objects.bulk_create(
            Preferences(user=fan, match_visible=True) for fan in self.fans[::2]
        )
        self._past()
        for _ in range(2):
            train_release(force=True)
        self.staff = Client(make_user(is_staff=True))
        self.viewers = [Client(make_user(name=name)) for name in ("Walker", "Runner")]
        self.fan = Client(self.fans[0])
        self._copy_taste(self.viewers[0].user, self.fans[0])
        match_all()

    def _film(self, number: int) -> Movie:
        """A film that is not saved yet."""
        of, which = divmod(number, FILMS_OF_EACH)
        # Letters, as numbers count a series.
        name = "Alone " + "".join(WORDS[int(digit)] for digit in str(number))
        if is_of_series := of < SERIES:
            name = TITLES[which](of)
        return Movie(
            name=name,
            slug=f"film-{number}",
            series=f"Saga {WORDS[of]}" if is_of_series and which == 3 else "",
            protagonists=[WORDS[number % 7]],
            start_date=timezone.localdate() - timedelta(days=number),
            status="running",
            runtime_minutes=90,
        )

    def _programme(self) -> None:
        """Half of the films are shown within ten days."""
        hours = [(movie, self.luck.uniform(1, 240)) for movie in self.films[::2]]
        starts = [(movie, timezone.now() + timedelta(hours=count)) for movie, count in hours]
        Screening.objects.bulk_create(
            Screening(
                movie=movie,
                hall=Hall.objects.create(name=f"Hall of {movie.pk}"),
                starts_at=start,
                ends_at=start + timedelta(hours=2),
                state=self.luck.choice([*["scheduled"] * 4, "sold-out", "cancelled", "hidden"]),
            )
            for movie, start in starts
        )

    def _past(self) -> None:
        """Fans of the even films and of the odd ones, so that tastes are alike."""
        rows = [
            Interaction(user=fan, movie=movie, kind=1, half_stars=10 if (n + k) % 2 == 0 else 3)
            for n, fan in enumerate(self.fans)
            for k, movie in enumerate(self.films)
            if self.luck.random() < 0.4
        ]
        Interaction.objects.bulk_create(rows)

    def _copy_taste(self, user: User, like: User) -> None:
        for row in Interaction.objects.filter(user=like)[:8]:
            Interaction.objects.create(
                user=user, movie=row.movie, kind=1, half_stars=row.half_stars
            )

    def sign_in(self) -> None:
        """Again, as time ends sessions."""
        for client in (self.staff, self.fan, *self.viewers):
            client.headers = {"Authorization": f"Bearer {access_token(client.user)}"}
