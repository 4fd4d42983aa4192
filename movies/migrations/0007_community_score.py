"""The community score: a Bayesian average, kept by the database with each film's ratings.

A row trigger, as its writer holds the film's row already: it adds no lock and no statement, and
sees every way to write the count and the sum. What is written to the score itself is put right.
"""

from django.db import migrations, models

# The prior is read anew for each film (VOLATILE): whoever has waited for a row that a renewal was
# writing then sees the prior that the renewal goes by. Without its row the prior is that of an
# empty cinema, as in movies.scheduled_updates.
SCORE = """
CREATE FUNCTION movies_community_score(ratings bigint, stars float8) RETURNS float8
LANGUAGE plpgsql VOLATILE AS $$
DECLARE prior movies_ratingprior;
BEGIN
    IF ratings < 1 THEN
        RETURN NULL;
    END IF;
    SELECT * INTO prior FROM movies_ratingprior;
    RETURN (stars + COALESCE(prior.weight, 10) * COALESCE(prior.mean, 3.5))
        / (ratings + COALESCE(prior.weight, 10));
END $$;

CREATE FUNCTION movies_keep_community_score() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.community_score := movies_community_score(NEW.rating_count, NEW.rating_sum);
    RETURN NEW;
END $$;

CREATE TRIGGER movies_movie_scored BEFORE INSERT OR UPDATE OF
    rating_count, rating_sum, community_score
ON movies_movie FOR EACH ROW EXECUTE FUNCTION movies_keep_community_score();

INSERT INTO movies_ratingprior (id, mean, weight)
SELECT 1, sum(rating_sum) / sum(rating_count), 10 FROM movies_movie HAVING sum(rating_count) > 0;
UPDATE movies_movie SET community_score = NULL WHERE rating_count > 0;
"""
SCORE_NO_MORE = """
DROP TRIGGER movies_movie_scored ON movies_movie;
DROP FUNCTION movies_keep_community_score();
DROP FUNCTION movies_community_score(bigint, float8);
"""

LISTED = {
    "include": ("status", "original_language", "release_year", "genre_ids"),
    "condition": models.Q(("withdrawn_at", None)),
}


class Migration(migrations.Migration):
    dependencies = [("movies", "0006_kept_answers")]

    operations = [
        migrations.RemoveIndex(model_name="movie", name="movie_by_rating"),
        migrations.AddField(
            model_name="movie",
            name="community_score",
            field=models.FloatField(editable=False, null=True),
        ),
        migrations.CreateModel(
            name="RatingPrior",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("mean", models.FloatField()),
                ("weight", models.FloatField()),
            ],
        ),
        migrations.AddConstraint(
            model_name="ratingprior",
            constraint=models.CheckConstraint(
                condition=models.Q(("id", 1)), name="rating_prior_one_row"
            ),
        ),
        migrations.AddConstraint(
            model_name="ratingprior",
            constraint=models.CheckConstraint(
                condition=models.Q(("weight__gte", 0)), name="rating_prior_weight"
            ),
        ),
        migrations.RunSQL(SCORE, SCORE_NO_MORE),
        migrations.AddIndex(
            model_name="movie",
            index=models.Index(
                models.OrderBy(models.F("community_score"), descending=True, nulls_last=True),
                models.OrderBy(models.F("rating_count"), descending=True),
                models.F("id"),
                name="movie_by_rating",
                **LISTED,
            ),
        ),
    ]
