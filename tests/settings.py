"""The product's settings, with what only the tests need.

A run names everything that it puts on a server after its home, so that servers which it shares
with other programs, and with other runs, keep what is theirs.
"""

from kombu import Exchange, Queue

from cinema import settings as product
from cinema.settings import *  # noqa: F403

RUN = product.CINEMA_HOME.name
IS_AMQP = product.CELERY_BROKER_URL.startswith("amqp")

PASSWORD_HASHERS = [
    "tests.hashers.CheapArgon2",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
# Each test client loads the middleware. WhiteNoise would list all static files: 40 ms each time.
WHITENOISE_AUTOREFRESH = True
FRESHNESS = 0.0
THROTTLE_STAFF = THROTTLE_REFRESH = THROTTLE_UPLOAD = THROTTLE_GRAPHQL = None
CACHES = {"default": {**product.CACHES["default"], "KEY_PREFIX": RUN}}
# A cache that is slow on a busy machine must not count as away: cached values would be lost.
CACHES["default"]["OPTIONS"] |= {"socket_timeout": 20, "socket_connect_timeout": 20}
DATABASES = {"default": {**product.DATABASES["default"], "TEST": {"NAME": RUN}}}
# Threads of a test keep their connection until they end, so others wait for one.
DATABASES["default"]["OPTIONS"]["pool"]["timeout"] = 60
CELERY_CONTROL_EXCHANGE = CELERY_EVENT_EXCHANGE = RUN
if IS_AMQP:
    CELERY_TASK_QUEUES = [
        Queue(name := f"{RUN}.{alias}", Exchange(name), routing_key=name)
        for alias in ("cinema", "training")
    ]
    CELERY_TASK_DEFAULT_QUEUE = f"{RUN}.{product.CELERY_TASK_DEFAULT_QUEUE}"
    CELERY_TASK_ROUTES = {
        task: {"queue": f"{RUN}.{route['queue']}"}
        for task, route in product.CELERY_TASK_ROUTES.items()
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        **product.CELERY_BROKER_TRANSPORT_OPTIONS,
        "global_keyprefix": f"{RUN}:",
    }
