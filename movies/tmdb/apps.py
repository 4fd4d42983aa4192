from django.apps import AppConfig


class TmdbConfig(AppConfig):
    name = "movies.tmdb"
    label = "tmdb"
