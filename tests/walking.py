"""A cinema in which anything may happen next: viewers act, staff edit, time passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from django.utils import timezone

from movies.models import Movie, Screening
from recommendations.impressions.storage import store_waiting
from recommendations.matches.services import renew_waiting
from recommendations.models import Experiment, Interaction, Promotion, Release
from tests.builders import Client, at, make_movie, make_screening
from tests.small_cinema import SERIES, WORDS, SmallCinema
from users.models import Favourite, Viewing

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response


class Walk(SmallCinema):
    """Steps at random; `said` tells them. What came of each is asked of the database."""

    # --- what is there

    @property
    def film(self) -> Movie:
        """Mostly one that a viewer was shown a moment ago: there is most to go wrong."""
        shown = Movie.objects.filter(pk__in=self.shown)
        found = self._one_of(shown) if self.luck.random() < 0.7 else None
        return cast("Movie", found or self.luck.choice(self.films))

    def _one_of(self, rows: Any) -> Any:
        found = list(rows.order_by("pk"))
        return self.luck.choice(found) if found else None

    def _screening(self) -> Screening:
        """The same of a screening."""
        shown = Screening.objects.filter(movie__in=self.shown, starts_at__gt=timezone.now())
        found = self._one_of(shown) if self.luck.random() < 0.7 else None
        return cast("Screening", found or self._one_of(Screening.objects.all()))

    # --- a step

    def steps(self) -> Iterator[None]:
        """All of `STEPS` in any order, each as often as it is done."""
        names = [name for name, times in STEPS.items() for _ in range(times)]
        for name in self.luck.sample(names, len(names)):
            self._step(name)
            yield

    def _step(self, name: str) -> None:
        """A refusal by the rules is an outcome too, and nothing else is."""
        viewer = self.luck.randrange(len(self.viewers))
        self.said.append(f"{name} (viewer {viewer})")
        with self.commits(execute=True):
            answer: Response | None = getattr(self, name)(self.viewers[viewer])
        if answer is not None:
            self.said[-1] += f" -> {answer.status_code}"
            assert answer.status_code in (200, 201, 204, 404, 409), answer.content
        self.clock.shift(1)

    def _note(self, words: object) -> None:
        self.said[-1] += f" {words}"

    # what viewers do

    def act(self, viewer: Client) -> Response:
        kind = self.luck.choice(["like", "superlike", "dislike", "seen", "hide"])
        film = self.film
        self._note(f"{kind} {film.pk}")
        return viewer.post("/interactions", {"movie_id": film.pk, "kind": kind})

    def rate(self, viewer: Client) -> Response:
        film, stars = self.film, self.luck.randint(1, 10) / 2
        self._note(f"{film.pk}: {stars}")
        return viewer.put(f"/movies/{film.pk}/rating", {"stars": stars})

    def take_back(self, viewer: Client) -> Response | None:
        row = self._one_of(Interaction.objects.filter(user=viewer.user))
        return viewer.delete(f"/interactions/{row.pk}") if row else None

    def unrate(self, viewer: Client) -> Response | None:
        row = self._one_of(Interaction.objects.filter(user=viewer.user, kind=1))
        return viewer.delete(f"/movies/{row.movie_id}/rating") if row else None

    def love(self, viewer: Client) -> Response:
        return viewer.put(f"/users/me/favourites/{self.film.pk}")

    def love_no_longer(self, viewer: Client) -> Response | None:
        row = self._one_of(Favourite.objects.filter(user=viewer.user))
        return viewer.delete(f"/users/me/favourites/{row.movie_id}") if row else None

    def watch(self, viewer: Client) -> Response:
        return viewer.post("/users/me/history", {"movie_id": self.film.pk})

    def check_in(self, viewer: Client) -> Response | None:
        row = self._one_of(Screening.objects.filter(starts_at__lt=timezone.now()))
        payload = row and {"movie_id": row.movie_id, "screening_id": row.pk}
        return viewer.post("/users/me/history", payload) if row else None

    def strike(self, viewer: Client) -> Response | None:
        row = self._one_of(Viewing.objects.filter(user=viewer.user))
        return viewer.delete(f"/users/me/history/{row.pk}") if row else None

    def prefer(self, viewer: Client) -> Response:
        return viewer.put(
            "/users/me/preferences",
            {
                "genres": [],
                "languages": ["fr"],
                "match_visible": True,
            },
        )

    def agree_or_not(self, viewer: Client) -> Response:
        """The fan whose taste the first viewer has."""
        visible = self.luck.random() < 0.5
        self._note(visible)
        return self.fan.put(
            "/users/me/preferences", {"genres": [], "languages": [], "match_visible": visible}
        )

    # what staff do

    def withdraw(self, viewer: Client) -> Response:
        film = self.film
        self._note(film.pk)
        return self.staff.delete(f"/movies/{film.pk}", force=self.luck.random() < 0.7)

    def post_film(self, viewer: Client) -> None:
        movie = make_movie(name=f"Alone {self.said[-1]}")
        self.films.append(movie)
        make_screening(movie, starts_at=timezone.now() + timedelta(hours=30))

    def rename(self, viewer: Client) -> Response:
        """To the next film of a series."""
        film, of = self.film, self.luck.randrange(SERIES)
        number = len(self.said)
        answer = self.staff.patch(f"/movies/{film.pk}", {"name": f"Saga {WORDS[of]}: No. {number}"})
        if answer.status_code == 200 and not Movie.objects.get(pk=film.pk).series:
            self.series[film.pk] = of
        return answer

    def schedule(self, viewer: Client) -> Response:
        payload = {
            "movie_id": self.film.pk,
            "hall": f"Hall {len(self.said)}",
            "starts_at": (timezone.now() + timedelta(hours=self.luck.uniform(1, 200))).isoformat(),
        }
        return self.staff.post("/screenings", payload)

    def change_screening(self, viewer: Client) -> Response | None:
        row = self._screening()
        states = ["scheduled", "sold-out", "cancelled", "hidden"]
        change: Mapping[str, Any] = self.luck.choice(
            [
                {"state": self.luck.choice(states)},
                {"starts_at": (timezone.now() + timedelta(days=20)).isoformat()},
                {"starts_at": (timezone.now() + timedelta(hours=5)).isoformat()},
                {"movie_id": self.film.pk},
            ]
        )
        self._note(f"{row.pk} {change}")
        return self.staff.patch(f"/screenings/{row.pk}", {**change})

    def delete_screening(self, viewer: Client) -> Response | None:
        row = self._screening()
        self._note(row.pk)
        return self.staff.delete(f"/screenings/{row.pk}")

    def promote(self, viewer: Client) -> Response:
        is_pin = self.luck.random() < 0.75
        how = {"place": self.luck.randint(1, 10)} if is_pin else {"strength": self.luck.random()}
        payload = {
            "movie_id": self._to_promote(viewer).pk,
            "kind": "pin" if is_pin else "boost",
            **how,
            "scope": self.luck.choice([None, "catalogue", "programme"]),
            "ends_at": (timezone.now() + timedelta(hours=self.luck.uniform(1, 72))).isoformat(),
        }
        self._note(payload)
        return self.staff.post("/promotions", payload)

    def _to_promote(self, viewer: Client) -> Movie:
        """A movie to promote, at times one that must not be shown to the viewer."""
        row = self._one_of(Interaction.objects.filter(user=viewer.user))
        return row.movie if row and self.luck.random() < 0.5 else self.film

    def end_promotion(self, viewer: Client) -> Response | None:
        row = self._one_of(Promotion.objects.all())
        return self.staff.delete(f"/promotions/{row.pk}") if row else None

    def experiment(self, viewer: Client) -> Response:
        payload = {
            "name": f"Walk {len(self.said)}",
            "algorithm_a": "hybrid",
            "algorithm_b": self.luck.choice(["als", "popularity", "content"]),
            "ends_at": (timezone.now() + timedelta(hours=self.luck.uniform(1, 48))).isoformat(),
        }
        return self.staff.post("/experiments", payload)

    def end_experiment(self, viewer: Client) -> Response | None:
        now = timezone.now()
        row = self._one_of(Experiment.objects.filter(starts_at__lt=now, ends_at__gt=now))
        change = {"ends_at": now.isoformat()}
        return self.staff.patch(f"/experiments/{row.pk}", change) if row else None

    def roll(self, viewer: Client) -> Response:
        """Back, or forward again."""
        release = self._one_of(Release.objects.exclude(is_current=True).exclude(directory=""))
        return self.staff.post(f"/releases/{release.pk}/activate")

    # what workers do

    def renew_matches(self, viewer: Client) -> None:
        renew_waiting()

    def store_impressions(self, viewer: Client) -> None:
        store_waiting()

    # what the clock does

    def wait(self, viewer: Client) -> None:
        self._shift(timedelta(minutes=self.luck.choice([5, 50, 300])))

    def sleep(self, viewer: Client) -> None:
        """Past midnight."""
        tomorrow = timezone.localdate() + timedelta(days=1)
        self._shift(at(tomorrow, 0) - timezone.now() + timedelta(seconds=5))

    def _shift(self, by: timedelta) -> None:
        self.clock.shift(by)
        self.sign_in()
        self._note(f"to {timezone.localtime():%d %H:%M:%S}")


#: The number of times that each is done in a walk.
STEPS: dict[str, int] = {
    "act": 5, "rate": 3, "take_back": 1, "unrate": 1, "love": 1, "love_no_longer": 1, "watch": 1,
    "check_in": 1, "strike": 1, "prefer": 1, "agree_or_not": 2, "withdraw": 3, "post_film": 1,
    "rename": 1, "schedule": 1, "change_screening": 3, "delete_screening": 1, "promote": 4,
    "end_promotion": 1, "experiment": 1, "end_experiment": 1, "roll": 1, "renew_matches": 3,
    "store_impressions": 1, "wait": 3, "sleep": 2,
}  # fmt: skip
