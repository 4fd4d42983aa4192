"""Fold words, so that accents, case and spelling do not matter.

Postgres compares these lexemes without parsing any text. They contain letters and digits only, so
locales have no influence, and no input can be mistaken for an operator.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

from django.db.models import Func

#: Characters of a word that count. Postgres allows 2,046 bytes.
MAX_WORD_LENGTH = 64

#: Letters that Unicode does not decompose. `SortKey` has some of them too.
LETTERS = {
    "æ": "ae", "ð": "d", "đ": "d", "ə": "e", "ħ": "h", "ı": "i", "ł": "l", "ŋ": "n", "ø": "o",
    "œ": "oe", "þ": "th", "ŧ": "t", "ґ": "г", "ـ": "",
}  # fmt: skip
#: German and Danish also write these with two letters.
SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
#: が is another letter than か, not one with an accent.
VOICED = "\u3099\u309a"

#: Scripts without spaces between words: Thai to Burmese, Hangul, Khmer, Kana and Han.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
IS_UNSPACED = re.compile(f"[{UNSPACED}]")
#: A run of letters and digits of either kind of script.
RUN = re.compile(rf"(?:(?=[{UNSPACED}])[^\W_])+|(?:(?![{UNSPACED}])[^\W_])+")


class _Folding(dict[int, str]):
    """A table for `str.translate` that is filled as characters appear."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold_character(chr(code))
        return folded


def _fold_character(character: str) -> str:
    if character.isspace():
        return " "
    if unicodedata.category(character) in ("Cc", "Cf", "Cs"):
        return ""
    if (digit := unicodedata.decimal(character, None)) is not None:
        return str(digit)
    bare = _without_marks(_without_marks(character).casefold())
    return "".join(LETTERS.get(letter, letter) for letter in bare)


def _without_marks(text: str) -> str:
    letters = (
        c
        for c in unicodedata.normalize("NFKD", text)
        if c in VOICED or unicodedata.category(c)[0] != "M"
    )
    return unicodedata.normalize("NFKC", "".join(letters))


_folding = _Folding()


def fold(text: str) -> str:
    """Fold the text for comparison: Cléo to cleo, Straße to strasse. Punctuation stays."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).translate(_folding))


def spellings(text: str) -> Sequence[str]:
    """The folded spellings of the text: Müller is muller and mueller."""
    if text.isascii():
        return (fold(text),)
    spelled_out = unicodedata.normalize("NFC", text).casefold().translate(SPELLED_OUT)
    return tuple(dict.fromkeys((fold(text), fold(spelled_out))))


def letters_of(text: str) -> str:
    """The letters and digits of the folded text."""
    return "".join(RUN.findall(fold(text)))


def lexemes_of(run: str) -> Iterator[str]:
    """The lexemes of a run. In scripts without spaces, each letter begins a pair with the next."""
    if not IS_UNSPACED.match(run):
        yield run[:MAX_WORD_LENGTH]
    else:
        yield from map("".join, pairwise(run))
        yield run[-1]


def joined(runs: Sequence[str]) -> str:
    """The runs as one word, as in spiderman for Spider-Man; empty if there is only one."""
    if len(runs) < 2 or any(map(IS_UNSPACED.match, runs)):
        return ""
    return "".join(runs)[:MAX_WORD_LENGTH]


class SortKey(Func):
    """The sort key of a name: without accents, case and punctuation at its beginning.

    It is SQL for a generated column, as the embedded PostgreSQL has no collation but C. It has at
    most a hundred characters: an index entry holds 2,704 bytes, and one character may decompose
    into eighteen. A change of this expression needs a migration that rebuilds the column.
    """

    arity = 1
    template = (
        "left(replace(replace(replace(replace(translate(lower(regexp_replace(regexp_replace("
        r"normalize(%(expressions)s, NFKD), '[\u0300-\u036f]', '', 'g'), "
        r"'^[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u2000-\u206f\u3000-\u303f]+', "
        r"'')), "
        "'øłđðıħŧØŁĐÐĦŦÆŒÞẞ', 'olddihtolddhtæœþß'), "
        "'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'), 100)"
    )
