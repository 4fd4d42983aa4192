"""The WSGI entry point of `runserver`. The web process runs `cinema.web.application`."""

import os

from django.core.wsgi import get_wsgi_application

from cinema.home import keep_private

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cinema.settings")
keep_private()

application = get_wsgi_application()
