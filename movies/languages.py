"""Languages as BCP 47 tags, with the aliases and English names of Unicode's CLDR."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from django.db.models import Q

if TYPE_CHECKING:
    from babel import Locale

#: The longest tag of language, script and region; the columns are as long.
MAX_LENGTH = 12
#: TMDb's codes that are not in BCP 47. CLDR maps outdated ones, such as `mo`, `sh` and `iw`.
TMDB_CODES = {"cn": "yue", "xx": "zxx"}
#: Norwegian has a code beside those of its two written forms, and all three are in use.
WRITTEN_FORMS = {"nb": "no", "nn": "no"}
#: The code of a film without words.
NO_WORDS = "zxx"

# RFC 5646, 2.1, without extensions and private use.
WELL_FORMED = re.compile(
    # `zh-yue` is an older form of `yue`.
    r"(?:(?:ar|kok|lv|ms|sgn|sw|uz|zh)-(?=[a-z]{3}(?:-|$)))?(?P<language>[a-z]{2,3})"
    r"(?:-(?P<script>[a-z]{4}))?(?:-(?P<region>[a-z]{2}|[0-9]{3}))?"
    r"(?P<variants>(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)",
    re.ASCII,
)
#: ISO 639-2 reserves these for private languages.
LOCAL_USE = re.compile(r"q[a-t][a-z]")


@cache
def _english() -> Locale:
    # Imported late: most processes never need these 12 MB of tables.
    from babel import Locale

    return Locale("en")


def _cldr_data(name: str) -> Mapping[str, Any]:
    from babel.core import get_global

    return get_global(name)  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def canonical_tag(text: str) -> str:
    """The tag as CLDR writes it: `fr` for `FRA`, `zh-Hant` for `zh_hant`, `yue` for TMDb's `cn`.

    Raises:
        ValueError: The text is not a BCP 47 tag, or CLDR does not know a part of it.
    """
    text = text.replace("_", "-").lower()
    found = WELL_FORMED.fullmatch(TMDB_CODES.get(text, text))
    if found is None:
        raise ValueError("expected a language tag of BCP 47, as in fr, pt-BR or zh-Hant")
    english, code = _english(), found["language"]
    language, _, implied_script = _cldr_data("language_aliases").get(code, code).partition("_")
    script = (found["script"] or "").title() or implied_script
    region = _region((found["region"] or "").upper())
    variants = found["variants"].split("-")[1:]
    is_language = language in english.languages or language in _cldr_data("likely_subtags")
    is_language |= LOCAL_USE.fullmatch(language) is not None
    _check_known("language", language, is_language)
    _check_known("script", script, script in english.scripts)
    _check_known("region", region, region in english.territories)
    for variant in variants:
        _check_known("variant", variant, variant.upper() in english.variants)
    tag = "-".join(filter(None, [language, script, region, *variants]))
    if len(tag) > MAX_LENGTH:
        raise ValueError(f"expected a language tag of at most {MAX_LENGTH} characters")
    return tag


def _region(code: str) -> str:
    replacements = _cldr_data("territory_aliases").get(code, [code])
    return replacements[0] if len(replacements) == 1 else code


def _check_known(kind: str, code: str, is_known: bool) -> None:
    if code and not is_known:
        raise ValueError(f"there is no {kind} {code!r}; expected a tag as in fr, pt-BR or zh-Hant")


def canonical_tag_or_none(text: str | None) -> str | None:
    """The canonical tag; None if the text is not a tag."""
    try:
        return canonical_tag(text) if text else None
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def language_name(tag: str) -> str:
    """The English name, such as "Traditional Chinese"; text that is not a tag is returned."""
    if (standard := canonical_tag_or_none(tag)) is None:
        return tag
    english, parts = _english(), standard.split("-")
    # The longest part with a name; the rest follows in parentheses.
    for count in range(len(parts), 0, -1):
        if name := english.languages.get("_".join(parts[:count])):
            break
    else:
        name, count = parts[0], 1
    tables = (english.scripts, english.territories, english.variants)
    rest = [
        next((table[key] for table in tables for key in (part, part.upper()) if key in table), part)
        for part in parts[count:]
    ]
    return f"{name} ({', '.join(rest)})" if rest else name


def primary_language(tag: str) -> str:
    """The language without script, region and variant; `no` for both forms of Norwegian."""
    language = tag.partition("-")[0]
    return WRITTEN_FORMS.get(language, language)


def is_in_range(tag: str, wanted: str) -> bool:
    """Whether the range contains the tag: `zh` contains `zh-Hant`, but not the reverse.

    This is basic filtering (RFC 4647, 3.3.1); in addition `no` contains `nb` and `nn`.
    """
    return f"{tag}-".startswith(f"{wanted}-") or primary_language(tag) == wanted


def language_filter(field: str, *wanted: str) -> Q:
    """A condition: one of the ranges contains the column's tag. The SQL form of `is_in_range`."""
    forms = [form for form, language in WRITTEN_FORMS.items() if language in wanted]
    found = Q()
    for tag in (*wanted, *forms):
        found |= Q(**{field: tag}) | Q(**{f"{field}__startswith": f"{tag}-"})
    return found


def language_ranges(tag: str) -> Iterable[str]:
    """All ranges that contain the tag: `zh` and `zh-Hant` for `zh-Hant`."""
    parts = tag.split("-")
    ranges = ["-".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return dict.fromkeys([*ranges, primary_language(tag)])
