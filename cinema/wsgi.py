"""The WSGI entry point of `runserver`. The web process runs `cinema.web.application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cinema.settings")

application = get_wsgi_application()
