from __future__ import annotations

from django.db.models import Func


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
