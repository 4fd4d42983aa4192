"""Cinema's web application without metrics and lines of requests.

Statements are counted all the same, which takes less than a microsecond each.
"""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cinema.settings")

from django.conf import settings

settings.MIDDLEWARE.remove("cinema.observation.observe")

from cinema import observation  # noqa: E402

observation.keep = lambda *args: None

# The application reads these settings when it is imported.
from cinema.web.application import application  # noqa: E402

__all__ = ["application"]
