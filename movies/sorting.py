from __future__ import annotations

from django.db.models import Func


class SortKey(Func):
    """A name as a list has it: without accents, case, and punctuation at its beginning.

    In SQL, so that it is a generated column, right whoever writes: the embedded PostgreSQL has no
    collations but C. Of a hundred characters, as an entry of an index takes 2,704 bytes and there
    are characters that decompose into eighteen. A column keeps what was true when it was made: to
    change this takes a migration that makes it anew.
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
