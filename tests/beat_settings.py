"""The product's settings for the beats of tests/test_beats.py: a lock that is lost in seconds."""

import os

from cinema import beat, leadership
from cinema.settings import *  # noqa: F403

leadership.LEASE_S = int(os.environ["TEST_LEASE_S"])
beat.RENEW_EVERY_S = 0.5
CELERY_RESULT_EXPIRES = 0  # no entry of Celery's own
CELERY_BEAT_SCHEDULE = {
    "often": {"task": "often", "schedule": 1},
    "daily": {"task": "daily", "schedule": 86_400},
}
