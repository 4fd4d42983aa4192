"""Which films are of one series: what somebody has said of them, or what their titles tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movies.importing.schemas import ImportedMovie
from movies.metadata import series_key, series_keys

SERIES = [
    ["Toy Story", "Toy Story 2", "Toy Story 3"],
    ["Alien", "Alien³ (a.k.a. Alien 3)", "Alien: Resurrection"],
    ["Rocky", "Rocky II", "Rocky IV", "ROCKY V"],
    ["Star Wars: Episode V - The Empire Strikes Back", "Star Wars: The Clone Wars"],
    ["The Godfather", "Godfather: Part II, The", "The Godfather: Part III"],
    ["Kill Bill: Vol. 1", "Kill Bill, Volume 2", "Kill Bill – Teil 2"],
    ["Che: Part One", "Che: Part Two"],
    ["Harry Potter and the Goblet of Fire", "Harry Potter and the Deathly Hallows: Part 1"],
    ["Raiders of the Lost Ark (Indiana Jones and the Raiders of the Lost Ark)",
     "Indiana Jones and the Temple of Doom"],
    ["The Fast and the Furious", "Fast & Furious 6",
     "2 Fast 2 Furious (The Fast and the Furious 2)"],
    ["Naked Gun 33 1/3: The Final Insult", "The Naked Gun: From the Files of Police Squad!"],
    ["Mission: Impossible", "Mission: Impossible II", "Mission: Impossible - Fallout"],
    ["Friday the 13th", "Friday the 13th Part VIII: Jason Takes Manhattan"],
    ["Airplane!", "Airplane II: The Sequel"],
    ["Ocean's Eleven", "Ocean’s Twelve"],
    ["Three Colors: Red (Trois couleurs: Rouge)", "Three Colors: White (Trzy kolory: Bialy)"],
    ["Der Pate", "Pate, Der - Teil II"],
    ["Mad Max", "Mad Max 2", "Mad Max Beyond Thunderdome"],
]  # fmt: skip
STRANGERS = [
    ["2001: A Space Odyssey", "2010: The Year We Make Contact", "2046"],
    ["Apollo", "Apollo 11", "Apollo 13", "Apollo 18"],
    ["Seven", "Se7en"],
    ["Monkeys", "Twelve Monkeys (a.k.a. 12 Monkeys)"],
    ["10", "Ten", "10 Items or Less"],
    ["8", "8½ (8 1/2)", "Super", "Super 8"],
    ["District", "District 9"],
    ["Malcolm", "Malcolm X"],
    ["Beauty", "Beauty and the Beast"],
    ["Big", "Big Fish"],
    ["The Deep End", "The Deep End of the Ocean"],
    ["300", "3", "30"],
    ["七人の侍", "七人"],
]


@pytest.mark.parametrize("names", SERIES, ids=lambda names: str(names[0]))
def test_films_of_a_series_are_told_by_their_titles(names: list[str]) -> None:
    keys = series_keys((pk, name, "") for pk, name in enumerate(names))
    assert len(set(keys.values())) == 1, keys
    assert all(keys.values())


@pytest.mark.parametrize("names", STRANGERS, ids=lambda names: str(names[0]))
def test_titles_that_look_alike_are_of_no_series(names: list[str]) -> None:
    keys = series_keys((pk, name, "") for pk, name in enumerate(names))
    assert len(set(keys.values())) == len(keys), keys


def test_different_series_have_different_keys() -> None:
    names = [name for names in SERIES for name in names]
    keys = series_keys((pk, name, "") for pk, name in enumerate(names))
    assert len(set(keys.values())) == len(SERIES)


def test_a_named_series_takes_precedence_over_the_title() -> None:
    assert series_key("Dr. No", "James Bond") == series_key("Skyfall", "james bond")
    assert series_key("Dr. No", "James Bond") != series_key("Dr. No")
    assert series_key("Toy Story 2", "Toy Story") == series_key("Toy Story")
    assert series_key("Fellowship", "The Lord of the Rings") == series_key("Lord of the Rings, The")
    assert series_key("Toy Story 2", "!") == series_key("Toy Story")


def test_a_title_without_letters_and_digits_tells_nothing() -> None:
    assert series_keys([(1, "!!!", ""), (2, "", ""), (3, "…", " ")]) == {1: "", 2: "", 3: ""}
    assert series_keys([]) == {}


@given(st.text(max_size=300), st.text(max_size=200))
def test_every_text_has_a_key(name: str, series: str) -> None:
    key = series_key(name, series)
    assert key == " ".join(key.split())
    assert series_keys([(1, name, series)]) == {1: key}


@pytest.mark.parametrize(
    "text", ["a (", "a: ", ", the", "a and the ", "x 2", " part 2", " - ", "1 1/1 "]
)
def test_a_key_of_a_hostile_title_is_computed_quickly(text: str) -> None:
    """A backtracking expression would not end."""
    assert isinstance(series_key(text * 20_000), str)


def test_an_import_folds_the_name_of_a_series() -> None:
    row = {
        "name": "A",
        "protagonists": ["B"],
        "start_date": "2026-12-03",
        "series": " Toy\n Story ",
    }
    assert ImportedMovie.model_validate(row).series == "Toy Story"
