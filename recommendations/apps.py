from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from movies.similarity_scores import SimilarityScores


class RecommendationsConfig(AppConfig):
    name = "recommendations"

    def ready(self) -> None:
        from movies.similarity_scores import register_provider

        register_provider(_scores_for)


def _scores_for(viewer: AbstractBaseUser) -> SimilarityScores:
    # Imported late: processes that never ask for scores do not load NumPy.
    from recommendations.similarity_scores import scores_for

    return scores_for(viewer)
