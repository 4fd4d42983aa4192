"""Triggers that run when films, genres, halls and screenings are written.

Each class or constant says why Python does not do it. The models declare them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pgtrigger

from cinema.triggers import IS_RECORDED, Audit, Trigger

RAISE_CATALOGUE_VERSION = """
    INSERT INTO movies_catalogueversion AS current (id, version) VALUES (1, 1)
    ON CONFLICT (id) DO UPDATE SET version = current.version + 1;
"""
#: The version follows these columns of a film. Ratings are not among them: each would otherwise
#: have all processes render the programme again.
PROGRAMME_COLUMNS = [
    "name", "slug", "protagonists", "overview", "poster", "trailer", "poster_upload",
    "poster_widths", "trailer_upload", "start_date", "end_date", "status", "ranking",
    "original_language", "release_year", "runtime_minutes", "tmdb_id", "withdrawn_at",
    "updated_at", "directors", "genre_ids",
]  # fmt: skip


class RaiseCatalogueVersion(Trigger):
    """Raise the catalogue's version with each statement that changes what viewers see.

    A trigger does this and not Python, because the version must rise in the transaction of every
    write, also of imports, cascades and raw SQL: cached answers are valid as long as it stands.
    """

    name = "catalogue_version"
    level = pgtrigger.Statement
    when = pgtrigger.After
    func = f"{RAISE_CATALOGUE_VERSION} RETURN NULL;"

    def __init__(self, *columns: str) -> None:
        update = pgtrigger.UpdateOf(*columns) if columns else pgtrigger.Update
        super().__init__(operation=pgtrigger.Insert | update | pgtrigger.Delete)


def staff_audit(model: str, columns: Sequence[str], *, movie_column: str = "") -> Audit:
    """Raise the catalogue's version and record the change, for a small table that staff write."""
    prelude = f"{RAISE_CATALOGUE_VERSION} IF ({IS_RECORDED}) IS NOT TRUE THEN RETURN NULL; END IF;"
    return Audit(
        model,
        columns,
        name="audit_and_catalogue_version",
        movie_column=movie_column,
        prelude=prelude,
        always=True,
    )


# --- films

AUDITED_COLUMNS = [
    "name", "slug", "protagonists", "overview", "keywords", "poster", "trailer", "poster_upload",
    "trailer_upload", "start_date", "end_date", "status", "status_is_manual",
    "original_language", "release_year", "runtime_minutes", "tmdb_id", "withdrawn_at",
    "directors", "series",
]  # fmt: skip
SLUGS = """
    jsonb_build_object('genres', (
        SELECT COALESCE(jsonb_agg(slug ORDER BY slug), '[]')
        FROM movies_genre WHERE id = ANY ({ids})
    ))
"""
#: The log shows the slugs of a film's genres where they change.
MOVIE_AUDIT = Audit(
    "movie",
    [*AUDITED_COLUMNS, "genres"],
    update_of=[*AUDITED_COLUMNS, "genre_ids"],
    movie_column="id",
    prelude=f"""
    IF TG_OP = 'UPDATE' AND OLD.genre_ids <> NEW.genre_ids THEN
        old_row := old_row || {SLUGS.format(ids="OLD.genre_ids")};
        new_row := new_row || {SLUGS.format(ids="NEW.genre_ids")};
    END IF;
    """,
)

#: The columns that TMDb fills and staff edit. `tmdb_fields` has `genres` for `genre_ids`.
TMDB_COLUMNS = [
    "name", "protagonists", "overview", "keywords", "poster", "trailer", "original_language",
    "release_year", "runtime_minutes", "directors", "series", "genre_ids",
]  # fmt: skip


def _changed(columns: Sequence[str]) -> str:
    old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("OLD", "NEW"))
    return f"(({old}) IS DISTINCT FROM ({new}))"


#: Keep the two columns of a film that follow from its others. A trigger does this and not Python,
#: because ratings and imports write films by SQL, and both columns must be right in each of their
#: statements.
#:
#: - `community_score` follows the count and the sum of the ratings, and the prior. The prior is
#:   read by a statement of its own: a writer who waited for the row while
#:   `movies.scheduled_updates.renew_community_scores` held it then sees the new prior.
#: - `tmdb_fields` loses each field that changes. What writes TMDb's data sets `tmdb_fields` last.
DERIVED_COLUMNS = Trigger(
    name="derived_columns",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert
    | pgtrigger.UpdateOf("rating_count", "rating_sum", "community_score", *TMDB_COLUMNS),
    condition=pgtrigger.Condition(
        "NEW.rating_count > 0 OR NEW.community_score IS NOT NULL OR NEW.tmdb_fields <> '{}'"
    ),
    declare=[("prior", "movies_ratingprior")],
    func=f"""
    NEW.community_score := NULL;
    IF NEW.rating_count > 0 THEN
        SELECT * INTO prior FROM movies_ratingprior;
        prior.mean := COALESCE(prior.mean, 3.5);
        prior.weight := COALESCE(prior.weight, 10);
        NEW.community_score := (NEW.rating_sum + prior.weight * prior.mean)
            / (NEW.rating_count + prior.weight);
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.tmdb_fields <> '{{}}' AND {_changed(TMDB_COLUMNS)} THEN
        NEW.tmdb_fields := ARRAY(
            SELECT field
            FROM unnest(NEW.tmdb_fields) AS field,
                 replace(field, 'genres', 'genre_ids') AS name,
                 to_jsonb(OLD) AS old_row, to_jsonb(NEW) AS new_row
            WHERE old_row -> name IS NOT DISTINCT FROM new_row -> name
        );
    END IF;
    RETURN NEW;
    """,
)

SEARCHED_COLUMNS = [
    "name", "protagonists", "overview", "keywords", "genre_ids", "status", "original_language",
    "release_year", "withdrawn_at", "directors", "series",
]  # fmt: skip
#: Mark the film's search document as out of date. A trigger does this and not Python, because the
#: clock, the admin site and imports change films past the services; a task then writes it.
MARK_DOCUMENT_STALE = Trigger(
    name="search_document",
    when=pgtrigger.After,
    operation=pgtrigger.UpdateOf(*SEARCHED_COLUMNS),
    condition=pgtrigger.Condition(_changed(SEARCHED_COLUMNS)),
    func="""
    UPDATE movies_moviesearch SET is_stale = true WHERE movie_id = NEW.id;
    RETURN NULL;
    """,
)


class FollowGenres(Trigger):
    """Copy the ids of a film's genres into `Movie.genre_ids`, which the indexes of lists hold.

    A trigger does this and not Python, because genres are set by the ORM's relations, deleted in
    cascades and imported by SQL.
    """

    level = pgtrigger.Statement
    when = pgtrigger.After

    def __init__(self, operation: pgtrigger.Operation) -> None:
        transition = {
            pgtrigger.Insert: pgtrigger.Referencing(new="added"),
            pgtrigger.Delete: pgtrigger.Referencing(old="removed"),
            pgtrigger.Update: pgtrigger.Referencing(old="removed", new="added"),
        }[operation]
        tables = [table for table in (transition.old, transition.new) if table]
        changed = " UNION ".join(f"SELECT movie_id FROM {table}" for table in tables)
        # Locked in the order of ids: two statements that change several films cannot deadlock.
        super().__init__(
            name=f"genre_ids_{str(operation).lower()}",
            operation=operation,
            referencing=transition,
            func=f"""
            PERFORM FROM movies_movie WHERE id IN ({changed}) ORDER BY id FOR NO KEY UPDATE;
            UPDATE movies_movie AS film
            SET genre_ids = ARRAY(
                SELECT genre_id FROM movies_movie_genres WHERE movie_id = film.id ORDER BY genre_id
            )
            WHERE id IN ({changed});
            RETURN NULL;
            """,
        )


# --- screenings

SCREENING_COLUMNS = [
    "movie_id", "hall_id", "starts_at", "ends_at", "version", "language", "subtitles", "tags",
    "booking_url", "state",
]  # fmt: skip
#: Raise the sequence number of a changed screening, without which calendars ignore the change
#: (RFC 5545, 3.8.7.4), and mark the search documents of films whose tags change. A trigger does
#: this and not Python, because the services, the admin site's forms and its actions all write
#: screenings, and a film that is withdrawn cancels them.
SCREENING_FOLLOWERS = Trigger(
    name="sequence_and_search_document",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
    declare=[("was_found", "text[]"), ("is_found", "text[]")],
    func=f"""
    IF TG_OP = 'UPDATE' AND {_changed(SCREENING_COLUMNS)} THEN
        NEW.sequence := OLD.sequence + 1;
    END IF;
    IF TG_OP <> 'INSERT' AND OLD.state <> 'hidden' THEN
        was_found := array_prepend(OLD.movie_id::text, OLD.tags::text[]);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.state <> 'hidden' THEN
        is_found := array_prepend(NEW.movie_id::text, NEW.tags::text[]);
    END IF;
    IF was_found IS DISTINCT FROM is_found
       AND (cardinality(was_found) > 1 OR cardinality(is_found) > 1) THEN
        UPDATE movies_moviesearch SET is_stale = true
        WHERE movie_id IN (OLD.movie_id, NEW.movie_id);
    END IF;
    RETURN COALESCE(NEW, OLD);
    """,
)
