"""Lists read off covering indexes, and what films are found by in a table of its own."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.db import migrations, models

import movies.sorting

# The ids are read again once the films are locked: another writer may have been faster.
FOLLOW_GENRES = """
CREATE FUNCTION movies_follow_genres() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM movies_movie WHERE id IN (SELECT movie_id FROM changed)
    ORDER BY id FOR NO KEY UPDATE;
    UPDATE movies_movie AS film
    SET genre_ids = ARRAY(
        SELECT genre_id FROM movies_movie_genres WHERE movie_id = film.id ORDER BY genre_id
    )
    WHERE id IN (SELECT movie_id FROM changed);
    RETURN NULL;
END $$;

CREATE TRIGGER movies_movie_genres_followed_insert AFTER INSERT ON movies_movie_genres
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION movies_follow_genres();
CREATE TRIGGER movies_movie_genres_followed_delete AFTER DELETE ON movies_movie_genres
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION movies_follow_genres();
CREATE TRIGGER movies_movie_genres_followed_new AFTER UPDATE ON movies_movie_genres
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION movies_follow_genres();
CREATE TRIGGER movies_movie_genres_followed_old AFTER UPDATE ON movies_movie_genres
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION movies_follow_genres();

UPDATE movies_movie AS film
SET genre_ids = ARRAY(
    SELECT genre_id FROM movies_movie_genres WHERE movie_id = film.id ORDER BY genre_id
);
"""
UNFOLLOW_GENRES = """
DROP TRIGGER movies_movie_genres_followed_insert ON movies_movie_genres;
DROP TRIGGER movies_movie_genres_followed_delete ON movies_movie_genres;
DROP TRIGGER movies_movie_genres_followed_new ON movies_movie_genres;
DROP TRIGGER movies_movie_genres_followed_old ON movies_movie_genres;
DROP FUNCTION movies_follow_genres();
"""

# A row that is stale is written all the same: so it is locked, and whoever makes its document waits
# for what is about to be committed. Space is left in its page, as the indexes need not learn of it.
MARK_STALE = """
ALTER TABLE movies_moviesearch SET (fillfactor = 85);
ALTER TABLE movies_moviesearch ADD CONSTRAINT movies_moviesearch_movie_id_fkey
    FOREIGN KEY (movie_id) REFERENCES movies_movie ON DELETE CASCADE;
INSERT INTO movies_moviesearch (movie_id) SELECT id FROM movies_movie;

CREATE FUNCTION movies_begin_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO movies_moviesearch (movie_id) SELECT id FROM added;
    RETURN NULL;
END $$;

CREATE FUNCTION movies_mark_search_stale() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE movies_moviesearch SET is_stale = true WHERE movie_id = NEW.id;
    RETURN NULL;
END $$;

CREATE FUNCTION movies_mark_search_of_tags_stale() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE movies_moviesearch SET is_stale = true
    WHERE (TG_OP <> 'DELETE' AND movie_id = NEW.movie_id)
       OR (TG_OP <> 'INSERT' AND movie_id = OLD.movie_id);
    RETURN NULL;
END $$;

CREATE TRIGGER movies_movie_added AFTER INSERT ON movies_movie
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION movies_begin_search();
CREATE TRIGGER movies_movie_search_stale
AFTER UPDATE OF name, protagonists, overview, keywords, genre_ids, status, original_language,
    release_year, withdrawn_at
ON movies_movie FOR EACH ROW
WHEN ((OLD.name, OLD.protagonists, OLD.overview, OLD.keywords, OLD.genre_ids, OLD.status,
       OLD.original_language, OLD.release_year, OLD.withdrawn_at)
      IS DISTINCT FROM
      (NEW.name, NEW.protagonists, NEW.overview, NEW.keywords, NEW.genre_ids, NEW.status,
       NEW.original_language, NEW.release_year, NEW.withdrawn_at))
EXECUTE FUNCTION movies_mark_search_stale();

CREATE TRIGGER movies_screening_tagged AFTER INSERT ON movies_screening FOR EACH ROW
WHEN (cardinality(NEW.tags) > 0 AND NEW.state <> 'hidden')
EXECUTE FUNCTION movies_mark_search_of_tags_stale();
CREATE TRIGGER movies_screening_retagged AFTER UPDATE OF tags, movie_id, state ON movies_screening
FOR EACH ROW
WHEN ((OLD.tags, OLD.movie_id, OLD.state = 'hidden')
      IS DISTINCT FROM (NEW.tags, NEW.movie_id, NEW.state = 'hidden')
      AND cardinality(OLD.tags || NEW.tags) > 0)
EXECUTE FUNCTION movies_mark_search_of_tags_stale();
CREATE TRIGGER movies_screening_untagged AFTER DELETE ON movies_screening FOR EACH ROW
WHEN (cardinality(OLD.tags) > 0 AND OLD.state <> 'hidden')
EXECUTE FUNCTION movies_mark_search_of_tags_stale();

-- Answers to searches are kept for as long as the catalogue's version stands.
CREATE TRIGGER movies_moviesearch_version AFTER UPDATE OF document ON movies_moviesearch
FOR EACH STATEMENT EXECUTE FUNCTION movies_raise_catalogue_version();
"""
MARK_NO_MORE = """
DROP TRIGGER movies_moviesearch_version ON movies_moviesearch;
DROP TRIGGER movies_movie_added ON movies_movie;
DROP TRIGGER movies_movie_search_stale ON movies_movie;
DROP TRIGGER movies_screening_tagged ON movies_screening;
DROP TRIGGER movies_screening_retagged ON movies_screening;
DROP TRIGGER movies_screening_untagged ON movies_screening;
DROP FUNCTION movies_begin_search();
DROP FUNCTION movies_mark_search_stale();
DROP FUNCTION movies_mark_search_of_tags_stale();
"""

# An index alone answers only for pages without new rows, and ratings make new ones all the time.
VACUUM_EARLY = "ALTER TABLE movies_movie SET (autovacuum_vacuum_scale_factor = 0.02)"
VACUUM_AS_USUAL = "ALTER TABLE movies_movie RESET (autovacuum_vacuum_scale_factor)"

LISTED = {
    "include": ("status", "original_language", "release_year", "genre_ids"),
    "condition": models.Q(("withdrawn_at", None)),
}


class Migration(migrations.Migration):
    dependencies = [("movies", "0004_audit")]

    operations = [
        migrations.RemoveIndex(model_name="movie", name="movie_by_name"),
        migrations.RemoveIndex(model_name="movie", name="movie_by_ranking"),
        migrations.RemoveIndex(model_name="movie", name="movie_by_start_date"),
        migrations.RemoveIndex(model_name="movie", name="movie_by_rating"),
        migrations.RemoveIndex(model_name="movie", name="movie_by_protagonist"),
        migrations.AddField(
            model_name="movie",
            name="genre_ids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                db_default=models.Value("{}"),
                default=list,
                editable=False,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="movie",
            name="name_key",
            field=models.GeneratedField(
                db_persist=True,
                expression=movies.sorting.SortKey("name"),
                output_field=models.TextField(db_collation="C"),
            ),
        ),
        migrations.RunSQL(FOLLOW_GENRES, UNFOLLOW_GENRES),
        migrations.AddIndex(
            model_name="movie",
            index=models.Index(
                models.F("name_key"), models.F("id"), name="movie_by_name", **LISTED
            ),
        ),
        migrations.AddIndex(
            model_name="movie",
            index=models.Index(
                models.OrderBy(models.F("ranking"), descending=True),
                models.F("id"),
                name="movie_by_ranking",
                **LISTED,
            ),
        ),
        migrations.AddIndex(
            model_name="movie",
            index=models.Index(
                models.F("start_date"), models.F("id"), name="movie_by_start_date", **LISTED
            ),
        ),
        migrations.AddIndex(
            model_name="movie",
            index=models.Index(
                models.OrderBy(models.F("rating_average"), descending=True, nulls_last=True),
                models.OrderBy(models.F("rating_count"), descending=True),
                models.F("id"),
                name="movie_by_rating",
                **LISTED,
            ),
        ),
        migrations.AddIndex(
            model_name="movie",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["genre_ids"], name="movie_by_genre"
            ),
        ),
        migrations.CreateModel(
            name="MovieSearch",
            fields=[
                (
                    "movie",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="search",
                        serialize=False,
                        to="movies.movie",
                    ),
                ),
                ("document", django.contrib.postgres.search.SearchVectorField(null=True)),
                ("is_stale", models.BooleanField(db_default=True, default=True)),
            ],
        ),
        migrations.AddIndex(
            model_name="moviesearch",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["document"], gin_pending_list_limit=1024, name="movie_by_words"
            ),
        ),
        migrations.RunSQL(MARK_STALE, MARK_NO_MORE),
        migrations.RunSQL(VACUUM_EARLY, VACUUM_AS_USUAL),
    ]
