"""The settings of Cinema, read from the environment or from `.env`.

If a value is invalid, Cinema does not start, and the error names the variable. `.env.example`
documents each variable. Constants that tests and benchmarks change are here too; all others are
beside the code that uses them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

from cinema import broker, bucket, home
from cinema.beat import beat_schedule
from cinema.database import BoundedConnection, ReplicaConnection, database_settings
from cinema.home import EMBEDDED_DATABASE as EMBEDDED
from cinema.throttling.counters import rate
from cinema.variables import (
    BROKER,
    ENCODED,
    POSTGRES,
    REDIS,
    all_of,
    boolean,
    fraction,
    host_name,
    in_url,
    local_url,
    mail_sender,
    mail_server,
    matching,
    networks,
    origins,
    page_url,
    read,
    read_address,
    server_url,
    shares_of,
    site_url,
    some_of,
    time_of_day,
    url_of,
    warn_of_former_variables,
    weight_table,
    whole,
    with_password,
    words,
)

BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(str(BASE_DIR / ".env"))
warn_of_former_variables()

# --- where it runs

CINEMA_HOME = Path(read("CINEMA_HOME", str, str(BASE_DIR / ".cinema"))).expanduser().absolute()
DEBUG = read("DEBUG", boolean, "false")
HOST = read("HOST", host_name, "127.0.0.1")
PORT = read("PORT", whole(1, 65535), "8000")
LOCAL_URL = local_url(HOST, PORT)
PUBLIC_URL = read("PUBLIC_URL", site_url, LOCAL_URL)
_public_host = urlsplit(PUBLIC_URL).hostname or ""
ALLOWED_HOSTS = read(
    "ALLOWED_HOSTS", words, f"localhost,127.0.0.1,[::1],{in_url(HOST)},{in_url(_public_host)}"
)
# A proxy may change the host or the scheme that the admin's forms are sent to.
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
CORS_ALLOWED_ORIGINS = read("CORS_ALLOWED_ORIGINS", origins, "*")
# Each process takes about 150 MB and WEB_THREADS + 10 connections; Postgres allows 100 by default.
_cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
WEB_WORKERS = read("WEB_WORKERS", whole(1, 64), str(min(max(2, _cores), 4)))
# More threads only compete for the interpreter: one that waits gets a successor.
WEB_THREADS = read("WEB_THREADS", whole(1, 128), "2")
ENABLE_BACKGROUND_JOBS = read("ENABLE_BACKGROUND_JOBS", boolean, "true")
CACHE_SIZE = read("CACHE_SIZE", whole(0, 65_536), "64")
LOG_LEVEL = read(
    "LOG_LEVEL", matching("DEBUG|INFO|WARNING|ERROR", "DEBUG, INFO, WARNING or ERROR"), "INFO"
)
REQUEST_LOG = read("REQUEST_LOG", boolean, "true")
SENTRY_DSN = read("SENTRY_DSN", str, "")

# --- servers: an address, or the embedded server when there is none

_database_url = read_address("DATABASE_URL", POSTGRES, "POSTGRES_PASSWORD")
_redis_url = read_address("REDIS_URL", REDIS, "REDIS_PASSWORD")
EMBEDDED_POSTGRES = not _database_url
EMBEDDED_VALKEY = not _redis_url
_sockets = home.socket_paths(CINEMA_HOME)
# The web's statements are short. A statement of a task or a command may take an hour.
_is_web = not {"cinema.web.application", "cinema.wsgi"}.isdisjoint(sys.modules)
STATEMENT_TIMEOUT_S = 15 if _is_web else 3600
DATABASES = {
    "default": database_settings(
        environ.Env.db_url_config(_database_url)
        if _database_url
        else {"NAME": EMBEDDED, "USER": EMBEDDED, "HOST": str(_sockets.postgres)},
        name="cinema web" if _is_web else "cinema",
        statement_timeout_s=STATEMENT_TIMEOUT_S,
        pool_size=WEB_THREADS + 10,
    )
}
_replica_urls = read(
    "DATABASE_REPLICA_URLS",
    all_of(server_url(*POSTGRES.schemes)),
    "",
    form=f"{POSTGRES.example}, several divided by commas; {ENCODED}, and , as %2C",
)
for _number, _url in enumerate(_replica_urls, start=1):
    DATABASES[f"replica {_number}"] = database_settings(
        environ.Env.db_url_config(with_password(_url, read("POSTGRES_PASSWORD", str, ""))),
        name="cinema web" if _is_web else "cinema",
        statement_timeout_s=STATEMENT_TIMEOUT_S,
        pool_size=WEB_THREADS + 10,
        connection_class=ReplicaConnection if _is_web else BoundedConnection,
    )
DATABASE_ROUTERS = ["cinema.replicas.Router"] if _replica_urls else []
REDIS_URL = _redis_url or f"unix://{_sockets.valkey}?db=0"
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "cinema.cache.ForgivingRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cinema",
        "OPTIONS": {
            "serializer": "cinema.cache.JsonSerializer",
            # A slower cache counts as away.
            "socket_timeout": 0.5,
            "socket_connect_timeout": 0.5,
        },
    }
}
_broker_url = (
    read_address("CELERY_BROKER_URL", BROKER, "CELERY_BROKER_PASSWORD")
    or _redis_url.replace("unix://", "redis+socket://")
    or f"redis+socket://{_sockets.valkey}?virtual_host=1"
)
CELERY_BROKER_URL, CELERY_BROKER_TRANSPORT_OPTIONS = broker.celery_address(_broker_url)
if broker.is_amqp(CELERY_BROKER_URL):
    # A worker reads this variable itself when it makes the queues of delayed tasks.
    os.environ["CELERY_BROKER_URL"] = CELERY_BROKER_URL

# --- secrets and accounts

SECRET_KEY = read("SECRET_KEY", str, "")
if not SECRET_KEY and not EMBEDDED_POSTGRES:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set. Outside the embedded mode it must be: make one with "
        "`python -c 'import secrets; print(secrets.token_urlsafe(50))'`."
    )
SECRET_KEY = SECRET_KEY or home.secret_key_of(CINEMA_HOME)
SECRET_KEY_FALLBACKS = read("SECRET_KEY_FALLBACKS", words, "")
ACCESS_TOKEN_LIFETIME_S = 900
REGISTRATION_OPEN = read("REGISTRATION_OPEN", boolean, "true")
_account_pages = f"{PUBLIC_URL}/account"
VERIFY_EMAIL_URL = read("VERIFY_EMAIL_URL", page_url, f"{_account_pages}/verify-email")
RESET_PASSWORD_URL = read("RESET_PASSWORD_URL", page_url, f"{_account_pages}/reset-password")
AUTH_USER_MODEL = "users.User"
PASSWORD_HASHERS = [
    "users.passwords.Argon2",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
_validation = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": f"{_validation}.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "name")},
    },
    {"NAME": "users.passwords.NotTheCinemasName"},
    {"NAME": f"{_validation}.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": f"{_validation}.CommonPasswordValidator"},
    {"NAME": f"{_validation}.NumericPasswordValidator"},
]
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if read("BEHIND_TLS_PROXY", boolean, "false") else None
)
# Sent over TLS alone. Browsers then use only TLS for a year.
SECURE_HSTS_SECONDS = 365 * 86_400 if SECURE_PROXY_SSL_HEADER else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_PROXY_SSL_HEADER is not None

# --- mail: to a server, else into files in the embedded mode, else nowhere

_mail = read("EMAIL_URL", mail_server, "", form=f"smtp+tls://user:password@host:587; {ENCODED}")
EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, EMAIL_USE_TLS, EMAIL_USE_SSL = _mail
_mail_backend = "smtp" if EMAIL_HOST else "filebased" if EMBEDDED_POSTGRES else "dummy"
EMAIL_BACKEND = f"django.core.mail.backends.{_mail_backend}.EmailBackend"
EMAIL_FILE_PATH = CINEMA_HOME / "mails"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = read(
    "DEFAULT_FROM_EMAIL",
    mail_sender,
    f"no-reply@{'localhost' if ':' in _public_host else _public_host}",
)

# --- rate limits

# Django Ninja's own throttles, which are not used, would believe all of X-Forwarded-For.
NUM_PROXIES = NINJA_NUM_PROXIES = read("NUM_PROXIES", whole(0, 10), "0")
THROTTLE_EXEMPT = read("THROTTLE_EXEMPT", networks, "127.0.0.0/8,::1")
THROTTLE_ANONYMOUS = read("THROTTLE_ANONYMOUS", rate, "1200/min")
THROTTLE_VIEWER = read("THROTTLE_VIEWER", rate, "600/min")
THROTTLE_STAFF = rate("2400/min")
THROTTLE_LOGIN = read("THROTTLE_LOGIN", rate, "60/min")
THROTTLE_REFRESH = rate("120/min")
THROTTLE_REGISTER = read("THROTTLE_REGISTER", rate, "60/h")
THROTTLE_MAIL = read("THROTTLE_MAIL", rate, "20/h")
THROTTLE_HEAVY = read("THROTTLE_HEAVY", rate, "30/min")
THROTTLE_UPLOAD = rate("120/min")
THROTTLE_GRAPHQL = rate("300/min")
# Wrong passwords before the pauses of `cinema.throttling.lockout`, which the API's fuzz test lifts.
LOCKOUT_ATTEMPTS = 10

# --- the cinema

CINEMA_NAME = read("CINEMA_NAME", str, "Cinema")
CINEMA_STREET = read("CINEMA_STREET", str, "")
CINEMA_POSTAL_CODE = read("CINEMA_POSTAL_CODE", str, "")
CINEMA_CITY = read("CINEMA_CITY", str, "")
CINEMA_COUNTRY = read("CINEMA_COUNTRY", str, "")
CINEMA_PHONE = read("CINEMA_PHONE", str, "")
CINEMA_WEBSITE = read("CINEMA_WEBSITE", url_of("http", "https"), "")
CINEMA_TIME_ZONE = read("CINEMA_TIME_ZONE", ZoneInfo, "Europe/Berlin").key
CINEMA_DAY_STARTS_AT = read("CINEMA_DAY_STARTS_AT", time_of_day, "06:00")
RANKING_STEP = read("RANKING_STEP", whole(0, 1_000_000), "10")
RANKING_INTERVAL_S = read("RANKING_INTERVAL_S", whole(1), "300")
STARTING_DAYS = read("STARTING_DAYS", whole(0, 3650), "7")
# The interval at which a process looks for a new version of the catalogue.
CATALOGUE_CHECK_INTERVAL_S = 0.5
AUDIT_KEEP_DAYS = read("AUDIT_KEEP_DAYS", whole(1, 36_500), "150")
GRAPHQL_INTROSPECTION = read("GRAPHQL_INTROSPECTION", boolean, "true")

# --- uploads

FILE_UPLOAD_PERMISSIONS = home.FILE_MODE
FILE_UPLOAD_DIRECTORY_PERMISSIONS = home.DIRECTORY_MODE
FILE_UPLOAD_HANDLERS = [
    "movies.media.uploads.LimitedUpload",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
DATA_UPLOAD_MAX_MEMORY_SIZE = read("MAX_BODY_MB", whole(1, 1024), "5") * 1024 * 1024
POSTER_MAX_MB = VIEWER_IMPORT_MAX_MB = 10
TRAILER_MAX_MB = read("TRAILER_MAX_MB", whole(1, 100_000), "200")
MEDIA_ROOT = CINEMA_HOME / "media"
MEDIA_BUCKET = read("MEDIA_BUCKET", str, "")
MEDIA_ENDPOINT_URL = read("MEDIA_ENDPOINT_URL", url_of("http", "https"), "").rstrip("/")
_media_url = read("MEDIA_PUBLIC_URL", url_of("http", "https"), "").rstrip("/")
MEDIA_URL = _media_url or (
    bucket.bucket_url(MEDIA_BUCKET, MEDIA_ENDPOINT_URL, bucket.region())
    if MEDIA_BUCKET
    else "/media"
)
MEDIA_URL += "/"
STORAGES = {
    "default": bucket.bucket_storage(MEDIA_BUCKET, MEDIA_URL, MEDIA_ENDPOINT_URL, bucket.region())
    if MEDIA_BUCKET
    else {"BACKEND": "movies.media.files.MediaFiles", "OPTIONS": {"allow_overwrite": True}},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage",
        # Another web server may read them.
        "OPTIONS": {"file_permissions_mode": 0o644, "directory_permissions_mode": 0o755},
    },
}
# `movies.media` has forms read after it has found out who sends them.
NINJA_FIX_REQUEST_FILES_METHODS: set[str] = set()
STATIC_URL = "/static/"
# The packages' own files are served if there is no directory of collected files.
STATIC_ROOT = read("STATIC_ROOT", str, "") or None
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
WHITENOISE_AUTOREFRESH = DEBUG

# --- TMDb

TMDB_ACCESS_TOKEN = read("TMDB_ACCESS_TOKEN", str, "")
TMDB_BASE_URL = "https://api.themoviedb.org/3"
TMDB_LANGUAGE = read("TMDB_LANGUAGE", matching(r"[a-z]{2}(-[A-Z]{2})?", "such as de-DE"), "en-US")
TMDB_REGION = read("TMDB_REGION", matching(r"([A-Z]{2})?", "such as DE"), "")
TMDB_MAX_AGE_DAYS = read("TMDB_MAX_AGE_DAYS", whole(0, 180), "180")
TMDB_USE_FOR_TRAINING = read("TMDB_USE_FOR_TRAINING", boolean, "false")

# --- recommendations

INTERACTION_WEIGHTS = read(
    "INTERACTION_WEIGHTS",
    weight_table(
        *("check-in", "favourite", "superlike", "like", "seen", "dislike", "hide"),
        *("5", "4", "3", "2", "1"),
    ),
    "check-in=4,favourite=3,superlike=3,like=2,seen=0.5,dislike=-2,hide=-3,5=3,4=2,3=1,2=-1,1=-2",
)
HYBRID_WEIGHTS = read("HYBRID_WEIGHTS", shares_of("collaborative", "content", "popularity"), "")
RECOMMENDATIONS_PER_REQUEST = read("RECOMMENDATIONS_PER_REQUEST", whole(1, 40), "20")
TRAINING_INTERVAL_S = read("TRAINING_INTERVAL_S", whole(10), "3600")
TRAINING_TIME_LIMIT_S = read("TRAINING_TIME_LIMIT_S", whole(10, 3300), "1500")
# Each algorithm is a file, and has its name.
_algorithms = sorted((BASE_DIR / "recommendations/engine/algorithms").glob("[a-z]*.py"))
TRAINING_ALGORITHMS = read("TRAINING_ALGORITHMS", some_of(*(file.stem for file in _algorithms)), "")
TRAINING_ENGINE = read("TRAINING_ENGINE", matching("local|spark", "local or spark"), "local")
SPARK_MASTER = read(
    "SPARK_MASTER",
    matching(r"(spark|k8s)://\S+|yarn|local.*", "an address such as spark://host:7077"),
    "local[*]",
)
TUNING_BUDGET_S = read("TUNING_BUDGET_S", whole(0, 3300), "20")
EXPLORATION_SHARE = read("EXPLORATION_SHARE", fraction, "0.1")
DIVERSITY = read("DIVERSITY", fraction, "0.2")
# Films that start about now move up by this, and films that a viewer was shown often and never
# opened move down by it; 0 for not at all.
FRESHNESS = 0.1
MATCH_THRESHOLD = read("MATCH_THRESHOLD", fraction, "0.8")
# The number of shared films at which the trust in a match is halved.
MATCH_SHRINKAGE = 5
# The interval at which a process looks for a new release.
RELEASE_CHECK_INTERVAL_S = 1.0
RELEASES_URL = read(
    "RELEASES_URL",
    matching(
        r"(s3://[a-z0-9][a-z0-9.-]+(/[\w.-]+)*/?)?", "an address such as s3://bucket/releases"
    ),
    "",
).rstrip("/")
if RELEASES_URL:
    bucket.require_packages("RELEASES_URL")
    if urlsplit(RELEASES_URL).netloc == MEDIA_BUCKET:
        raise ImproperlyConfigured(
            "RELEASES_URL has the bucket of MEDIA_BUCKET, which everyone may read. Releases contain"
            " ratings: use another one."
        )
# A process without any release waits this long for the first one from the bucket. Requests do not.
FIRST_RELEASE_PATIENCE_S = 0 if _is_web else 120

# --- Django

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = CINEMA_TIME_ZONE
FORMAT_MODULE_PATH = "cinema.formats"
INSTALLED_APPS = [
    "cinema.apps.UnfoldConfig",
    "unfold.contrib.filters",
    "cinema.apps.CinemaAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_celery_results",
    "pgtrigger",
    "ninja",
    "cinema.apps.CinemaConfig",
    "cinema.audit",
    "users",
    "movies",
    "movies.tmdb",
    "recommendations",
]
MIDDLEWARE = [
    # The outermost: it sets the count of statements to zero.
    "cinema.observation.observe",
    "cinema.tracing.trace_requests",  # only if a collector is named
    "cinema.middleware.http",
    # The API does not get here.
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "cinema.middleware.record_writes",
]
# `cinema.middleware.http` sets the headers that these checks ask for.
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
ROOT_URLCONF = "cinema.urls"
WSGI_APPLICATION = "cinema.wsgi.application"
APPEND_SLASH = False  # cinema.middleware.one_path does it without losing a body
LOGIN_REDIRECT_URL = "admin:index"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
UNFOLD = {
    # A function, because Unfold takes a text with a point in it for the path of a module.
    "SITE_TITLE": lambda request: CINEMA_NAME,
    "SITE_HEADER": lambda request: CINEMA_NAME,
    "SITE_SYMBOL": "theaters",
    "SITE_FAVICONS": [{"rel": "icon", "href": lambda request: static("cinema/icon.svg")}],
    "STYLES": [lambda request: static("cinema/admin.css")],
    "LOGIN": {"form": "users.admin_sign_in.AdminSignInForm"},
    "SIDEBAR": {"navigation": "cinema.admin_site.sidebar_navigation"},
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "cinema.logs.log_formatter"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "stream": sys.stderr,
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # A line for each request to TMDb, with what staff search for; one for each use of a bucket.
    "loggers": {name: {"level": "WARNING"} for name in ("httpx2", "httpcore2", "botocore", "py4j")},
}

# --- health and Celery

_components = ("database", "cache", "broker", "migrations", "workers", "training", "release")
HEALTH_REQUIRED = read(
    "HEALTH_REQUIRED", some_of(*_components), "database,cache,broker,migrations,workers,training"
)
if not ENABLE_BACKGROUND_JOBS:
    HEALTH_REQUIRED = [name for name in HEALTH_REQUIRED if name not in ("workers", "training")]
# docs/answers.md explains how these make tasks reliable.
CELERY_TIMEZONE = CINEMA_TIME_ZONE
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_TRACK_STARTED = True
CELERY_TASK_DEFAULT_QUEUE = "cinema"
# A worker that is started without --queues serves both.
CELERY_TASK_QUEUES = broker.task_queues("cinema", "training", url=CELERY_BROKER_URL)
_by_the_trainer = ("train", "match_viewers", "find_similar_movies")
CELERY_TASK_ROUTES = {f"recommendations.{name}": {"queue": "training"} for name in _by_the_trainer}
CELERY_RESULT_BACKEND = "cinema.results:ForgivingDatabaseBackend"
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_EXPIRES = 30 * 24 * 3600
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# RabbitMQ's own default is 60: a worker would notice after two minutes that its node has gone.
CELERY_BROKER_HEARTBEAT = 30
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2}
# Django forked after OpenMP has run would hang in training.
CELERY_WORKER_POOL_START_METHOD = "spawn"
CELERY_BEAT_SCHEDULER = "cinema.beat:LeaderScheduler"
# A spawned child imports everything first. On a busy machine that took 51 s, and Celery kills a
# child that has not reported after 4 s by default.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 600
CELERY_BEAT_SCHEDULE_FILENAME = str(CINEMA_HOME / "beat-schedule")
CELERY_BEAT_SCHEDULE = (
    beat_schedule(ranking_interval_s=RANKING_INTERVAL_S, training_interval_s=TRAINING_INTERVAL_S)
    if ENABLE_BACKGROUND_JOBS
    else {}
)
