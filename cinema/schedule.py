"""What beat sends, and when: seconds, or a time by the cinema's clock."""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab


def of_beat(*, ranking_interval_s: int, training_interval_s: int) -> dict[str, dict[str, Any]]:
    """By name the task, its arguments, and when it is due; `cinema.settings` asks for it."""
    return {
        "movies.tick_ranking": {"task": "movies.tick_ranking", "schedule": ranking_interval_s},
        "movies.advance_statuses": {"task": "movies.advance_statuses", "schedule": 60},
        "movies.index_for_search": {"task": "movies.index_for_search", "schedule": 60},
        "movies.clean_media": {"task": "movies.clean_media", "schedule": 3600},
        "movies.renew_community_scores": {
            "task": "movies.renew_community_scores",
            "schedule": 3600,
        },
        "audit.prune": {"task": "audit.prune", "schedule": 24 * 3600},
        "users.send_waiting_mails": {"task": "users.send_waiting_mails", "schedule": 60},
        "users.forget_mailed_tokens": {"task": "users.forget_mailed_tokens", "schedule": 3600},
        "users.prune_sessions": {"task": "users.prune_sessions", "schedule": 24 * 3600},
        # The three times after the first find something to do only if the first one was cut short.
        "tmdb.sync_films": {
            "task": "tmdb.start_sync",
            "schedule": crontab(minute="30", hour="3-6"),
            "args": ["films"],
        },
        "tmdb.sync_lists": {"task": "tmdb.start_sync", "schedule": 3600, "args": ["lists"]},
        "tmdb.sync_genres": {
            "task": "tmdb.start_sync",
            "schedule": 7 * 24 * 3600,
            "args": ["genres"],
        },
        "tmdb.resume_syncs": {"task": "tmdb.resume_syncs", "schedule": 60},
        "recommendations.request_training": {
            "task": "recommendations.request_training",
            "schedule": training_interval_s,
        },
        "recommendations.resume_training": {
            "task": "recommendations.resume_training",
            "schedule": 30,
        },
        "recommendations.store_impressions": {
            "task": "recommendations.store_impressions",
            "schedule": 10,
            "options": {"expires": 60},
        },
        "recommendations.match_pending_imports": {
            "task": "recommendations.match_pending_imports",
            "schedule": 60,
        },
        "recommendations.match_all_pending_imports": {
            "task": "recommendations.match_pending_imports",
            "schedule": crontab(minute="50"),
            "kwargs": {"all_films": True},
        },
        "recommendations.match_viewers": {
            "task": "recommendations.match_viewers",
            "schedule": crontab(hour="0", minute="0"),
        },
        "recommendations.relate_films": {
            "task": "recommendations.relate_films",
            "schedule": crontab(hour="1", minute="0"),
        },
        "recommendations.refresh_summary": {
            "task": "recommendations.refresh_summary",
            "schedule": crontab(hour="*/6", minute="0"),
        },
        "recommendations.clean_up": {
            "task": "recommendations.clean_up",
            "schedule": crontab(minute="15"),
        },
    }
