"""Every setting of Cinema, read from the environment or from `.env`.

A value that cannot be used stops the start with the name of its variable. `.env.example`
documents each one.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from kombu import Exchange, Queue

from cinema import beat, bucket, home
from cinema.database import BoundedConnection
from cinema.development import embedded_servers
from cinema.throttling.counters import rate
from cinema.variables import (
    boolean,
    fraction,
    host_name,
    in_url,
    local_url,
    mail_sender,
    mail_server,
    matching,
    networks,
    one_of,
    origins,
    page_url,
    positive,
    read,
    server_url,
    shares_of,
    site_url,
    some_of,
    time_of_day,
    url_of,
    weight_table,
    whole,
    with_password,
    words,
)

BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(str(BASE_DIR / ".env"))

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
CSRF_TRUSTED_ORIGINS = read("CSRF_TRUSTED_ORIGINS", words, "")
CORS_ALLOWED_ORIGINS = read("CORS_ALLOWED_ORIGINS", origins, "*")
WEB_WORKERS = read("WEB_WORKERS", whole(1, 64), "2")
WEB_THREADS = read("WEB_THREADS", whole(1, 128), "8")
ENABLE_BACKGROUND_JOBS = read("ENABLE_BACKGROUND_JOBS", boolean, "true")
CACHE_SIZE = read("CACHE_SIZE", whole(0, 65_536), "64")
LOG_LEVEL = read("LOG_LEVEL", one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")

# --- servers: an address, or the embedded server when there is none

_encoded = "in the password, the characters %/?#@: as %25 %2F %3F %23 %40 %3A"
_database_url = with_password(
    read(
        "DATABASE_URL",
        server_url("postgres", "postgresql"),
        "",
        form=f"postgres://user:password@host:5432/name; {_encoded}, "
        "or in POSTGRES_PASSWORD as it is",
    ),
    read("POSTGRES_PASSWORD", str, ""),
)
_redis_url = with_password(
    read(
        "REDIS_URL",
        server_url("redis", "rediss", "unix"),
        "",
        form=f"redis://:password@host:6379/0; {_encoded}, or in REDIS_PASSWORD as it is",
    ),
    read("REDIS_PASSWORD", str, ""),
)
EMBEDDED_POSTGRES = not _database_url
EMBEDDED_VALKEY = not _redis_url
_sockets = home.socket_paths(CINEMA_HOME)

_database = (
    embedded_servers.postgres_settings(_sockets)
    if EMBEDDED_POSTGRES
    else environ.Env.db_url_config(_database_url)
)
# The web's statements are short, those of a task or a command may take as long as itself.
WEB_STATEMENT_TIMEOUT_S = read("WEB_STATEMENT_TIMEOUT_S", whole(1, 3600), "15")
_is_web = not {"cinema.web.application", "cinema.wsgi"}.isdisjoint(sys.modules)
STATEMENT_TIMEOUT_S = WEB_STATEMENT_TIMEOUT_S if _is_web else 3600
_database_options = {
    "connect_timeout": 5,
    # A server that has gone without a word is noticed after a minute.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    **_database.get("OPTIONS", {}),  # such as sslmode, from the address
}
_database_options["options"] = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_S}s {_database_options.get('options', '')}".strip()
)
DATABASES = {
    "default": {
        **_database,
        "ENGINE": "django.db.backends.postgresql",
        # A request takes a connection from the pool and puts it back. Under threads and gevent,
        # CONN_MAX_AGE would leak connections instead.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **_database_options,
            "pool": {
                "connection_class": BoundedConnection,
                "min_size": 1,
                # A connection costs Postgres about 3 MB, and what came with a rush goes soon.
                "max_idle": 60,
                "max_size": read("DATABASE_POOL_SIZE", whole(1, 200), str(WEB_THREADS + 4)),
                # A request waits so long for a connection, and while the database is away.
                "timeout": read("DATABASE_TIMEOUT_S", positive, "2"),
                # Attempts come less and less often within this time, and the next request begins
                # anew: with the default of five minutes a short absence lasted two more.
                "reconnect_timeout": 5,
            },
        },
    }
}
CACHE_TIMEOUT_S = read("CACHE_TIMEOUT_S", positive, "0.5")
REDIS_URL = _redis_url or f"unix://{_sockets.valkey}?db=0"
CELERY_BROKER_URL = with_password(
    read(
        "CELERY_BROKER_URL",
        server_url("redis", "rediss", "redis+socket", "amqp", "amqps"),
        "",
        form=f"amqp://user:password@host:5672// or redis://:password@host:6379/1; {_encoded}, "
        "or in CELERY_BROKER_PASSWORD as it is",
    ),
    read("CELERY_BROKER_PASSWORD", str, ""),
)
if os.environ.get("CELERY_BROKER_URL"):
    # Celery reads this variable itself, before its settings: it would miss the password.
    os.environ["CELERY_BROKER_URL"] = CELERY_BROKER_URL
CELERY_BROKER_URL = CELERY_BROKER_URL or (
    _redis_url.replace("unix://", "redis+socket://")
    or f"redis+socket://{_sockets.valkey}?virtual_host=1"
)

# --- secrets


def _secret_key() -> str:
    if key := read("SECRET_KEY", str, ""):
        return key
    if not EMBEDDED_POSTGRES:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set. Outside the embedded mode it must be: make one with "
            "`python -c 'import secrets; print(secrets.token_urlsafe(50))'`."
        )
    path = CINEMA_HOME / "secret-key"
    CINEMA_HOME.mkdir(mode=home.home_mode(), parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(50))
    if not (key := path.read_text()):
        raise ImproperlyConfigured(f"{path} is empty. Delete it: a new secret is then made.")
    return key


SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = read("SECRET_KEY_FALLBACKS", words, "")
ACCESS_TOKEN_LIFETIME_S = read("ACCESS_TOKEN_LIFETIME_S", whole(1), "900")
REFRESH_TOKEN_LIFETIME_S = read("REFRESH_TOKEN_LIFETIME_S", whole(1), "1209600")
REFRESH_GRACE_S = read("REFRESH_GRACE_S", whole(0, 300), "10")
SESSION_LIFETIME_DAYS = read("SESSION_LIFETIME_DAYS", whole(1, 3650), "90")
MAX_SESSIONS = read("MAX_SESSIONS", whole(1, 10_000), "50")
SESSIONS_KEPT_DAYS = read("SESSIONS_KEPT_DAYS", whole(1, 3650), "30")

# --- accounts

REGISTRATION_OPEN = read("REGISTRATION_OPEN", boolean, "true")
VERIFY_EMAIL_LIFETIME_S = read("VERIFY_EMAIL_LIFETIME_S", whole(60, 30 * 86400), "259200")
RESET_PASSWORD_LIFETIME_S = read("RESET_PASSWORD_LIFETIME_S", whole(60, 86400), "3600")
_own_page = f"{PUBLIC_URL}/account"
VERIFY_EMAIL_URL = read("VERIFY_EMAIL_URL", page_url, f"{_own_page}/verify-email")
RESET_PASSWORD_URL = read("RESET_PASSWORD_URL", page_url, f"{_own_page}/reset-password")

# --- mail: to a server, else into files in the embedded mode, else nowhere

_mail = read(
    "EMAIL_URL",
    mail_server,
    "",
    form=f"smtp+tls://user:password@host:587; {_encoded}",
)
EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, EMAIL_USE_TLS, EMAIL_USE_SSL = _mail
_mails_to = "smtp" if EMAIL_HOST else "filebased" if EMBEDDED_POSTGRES else "dummy"
EMAIL_BACKEND = f"django.core.mail.backends.{_mails_to}.EmailBackend"
EMAIL_FILE_PATH = CINEMA_HOME / "mails"
EMAIL_TIMEOUT = read("EMAIL_TIMEOUT_S", positive, "10")
DEFAULT_FROM_EMAIL = read(
    "DEFAULT_FROM_EMAIL",
    mail_sender,
    f"no-reply@{'localhost' if ':' in _public_host else _public_host}",
)

# Who keeps something of a viewer where no foreign key shows it: users/personal_data.py.
PERSONAL_DATA_KEEPERS = [
    "users.personal_data.MailsWithoutAccount",
    "users.personal_data.AdminSessions",
    "users.personal_data.TaskResults",
    "cinema.audit.models.AuditEntryKeeper",
    "recommendations.personal_data.RecommendationListKeeper",
    "recommendations.personal_data.WaitingImpressionKeeper",
    "recommendations.personal_data.StatisticsSummaryKeeper",
]

# --- throttling

# Django Ninja's own throttles, which we do not use, would believe all of X-Forwarded-For.
NUM_PROXIES = NINJA_NUM_PROXIES = read("NUM_PROXIES", whole(0, 10), "0")
THROTTLE_EXEMPT = read("THROTTLE_EXEMPT", networks, "127.0.0.0/8,::1")
THROTTLE_ANONYMOUS = read("THROTTLE_ANONYMOUS", rate, "1200/min")
THROTTLE_VIEWER = read("THROTTLE_VIEWER", rate, "600/min")
THROTTLE_STAFF = read("THROTTLE_STAFF", rate, "2400/min")
THROTTLE_LOGIN = read("THROTTLE_LOGIN", rate, "60/min")
THROTTLE_REFRESH = read("THROTTLE_REFRESH", rate, "120/min")
THROTTLE_REGISTER = read("THROTTLE_REGISTER", rate, "60/h")
THROTTLE_MAIL = read("THROTTLE_MAIL", rate, "20/h")
THROTTLE_HEAVY = read("THROTTLE_HEAVY", rate, "30/min")
THROTTLE_UPLOAD = read("THROTTLE_UPLOAD", rate, "120/min")
THROTTLE_GRAPHQL = read("THROTTLE_GRAPHQL", rate, "300/min")
LOCKOUT_ATTEMPTS = read("LOCKOUT_ATTEMPTS", whole(1), "10")
LOCKOUT_FIRST_PAUSE_S = read("LOCKOUT_FIRST_PAUSE_S", whole(1, 3600), "1")
LOCKOUT_LONGEST_PAUSE_S = read("LOCKOUT_LONGEST_PAUSE_S", whole(1, 3600), "60")
LOCKOUT_FORGET_S = read("LOCKOUT_FORGET_S", whole(1, 86_400), "900")

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
RATING_PRIOR_COUNT = read("RATING_PRIOR_COUNT", whole(0, 100_000), "10")
CATALOGUE_CHECK_INTERVAL_S = read("CATALOGUE_CHECK_INTERVAL_S", positive, "0.5")
CATALOGUE_MAX_AGE_S = read("CATALOGUE_MAX_AGE_S", positive, "300")
# Any change of the catalogue ends them all the same.
TRENDING_LIFETIME_S = read("TRENDING_LIFETIME_S", whole(0), "1800")
POPULAR_LIFETIME_S = read("POPULAR_LIFETIME_S", whole(0), "3600")
SIMILAR_LIFETIME_S = read("SIMILAR_LIFETIME_S", whole(0), "3600")
DETAILS_LIFETIME_S = read("DETAILS_LIFETIME_S", whole(0), "86400")
GENRES_LIFETIME_S = read("GENRES_LIFETIME_S", whole(0), "86400")
SEARCH_LIFETIME_S = read("SEARCH_LIFETIME_S", whole(0), "300")

# --- the office

AUDIT_KEEP_DAYS = read("AUDIT_KEEP_DAYS", whole(1, 36_500), "180")
UNFOLD = {
    # Not the text itself: Unfold looks for a module where one has a point in it.
    "SITE_TITLE": lambda request: CINEMA_NAME,
    "SITE_HEADER": lambda request: CINEMA_NAME,
    "SITE_SYMBOL": "theaters",
    "SITE_FAVICONS": [{"rel": "icon", "href": lambda request: static("cinema/icon.svg")}],
    "STYLES": [lambda request: static("office/office.css")],
    "LOGIN": {"form": "users.admin_sign_in.AdminSignInForm"},
    "SIDEBAR": {"navigation": "cinema.admin_site.sidebar_navigation"},
}

# --- uploads

FILE_UPLOAD_PERMISSIONS = home.FILE_MODE
FILE_UPLOAD_DIRECTORY_PERMISSIONS = home.DIRECTORY_MODE

POSTER_MAX_MB = read("POSTER_MAX_MB", whole(1, 1024), "10")
POSTER_MAX_MEGAPIXELS = read("POSTER_MAX_MEGAPIXELS", whole(1, 80), "40")
VIEWER_IMPORT_MAX_MB = read("VIEWER_IMPORT_MAX_MB", whole(1, 100), "10")
TRAILER_MAX_MB = read("TRAILER_MAX_MB", whole(1, 100_000), "200")
MEDIA_KEPT_S = read("MEDIA_KEPT_S", whole(60), "3600")
MEDIA_ROOT = CINEMA_HOME / "media"
MEDIA_BUCKET = read("MEDIA_BUCKET", str, "")
_endpoint = read("MEDIA_ENDPOINT_URL", url_of("http", "https"), "")
_region = read("MEDIA_REGION", str, "us-east-1")
_bucket_keys = {
    "access_key": read("AWS_ACCESS_KEY_ID", str, "") or None,
    "secret_key": read("AWS_SECRET_ACCESS_KEY", str, "") or None,
}
_own_url = bucket.bucket_url(MEDIA_BUCKET, _endpoint, _region) if MEDIA_BUCKET else "/media"
MEDIA_URL = read("MEDIA_PUBLIC_URL", url_of("http", "https"), "").rstrip("/") or _own_url
MEDIA_URL += "/"
STORAGES = {
    "default": bucket.bucket_storage(
        bucket_name=MEDIA_BUCKET,
        public_url=MEDIA_URL,
        endpoint_url=_endpoint or None,
        # Names of buckets as subdomains are for Amazon's own.
        addressing_style="path" if _endpoint else None,
        region_name=_region,
        **_bucket_keys,
    )
    if MEDIA_BUCKET
    else {"BACKEND": "movies.media.files.MediaFiles", "OPTIONS": {"allow_overwrite": True}},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage",
        # Another web server may read them.
        "OPTIONS": {"file_permissions_mode": 0o644, "directory_permissions_mode": 0o755},
    },
}
# `movies.media.uploads` has forms read once it is known who sends them.
NINJA_FIX_REQUEST_FILES_METHODS: set[str] = set()

# --- TMDb

TMDB_ACCESS_TOKEN = read("TMDB_ACCESS_TOKEN", str, "")
TMDB_BASE_URL = read("TMDB_BASE_URL", url_of("https", "http"), "https://api.themoviedb.org/3")
TMDB_IMAGE_URL = read("TMDB_IMAGE_URL", url_of("https", "http"), "https://image.tmdb.org/t/p")
TMDB_POSTER_SIZE = read("TMDB_POSTER_SIZE", one_of("w342", "w500", "w780", "original"), "w500")
TMDB_LANGUAGE = read("TMDB_LANGUAGE", matching(r"[a-z]{2}(-[A-Z]{2})?", "de-DE"), "en-US")
TMDB_REGION = read("TMDB_REGION", matching(r"([A-Z]{2})?", "DE"), "")
TMDB_MAX_AGE_DAYS = read("TMDB_MAX_AGE_DAYS", whole(0, 180), "180")
TMDB_USE_FOR_TRAINING = read("TMDB_USE_FOR_TRAINING", boolean, "false")

# --- GraphQL

GRAPHQL_INTROSPECTION = read("GRAPHQL_INTROSPECTION", boolean, "true")
GRAPHQL_MAX_DEPTH = read("GRAPHQL_MAX_DEPTH", whole(1), "12")
GRAPHQL_MAX_ALIASES = read("GRAPHQL_MAX_ALIASES", whole(0), "20")
GRAPHQL_MAX_TOKENS = read("GRAPHQL_MAX_TOKENS", whole(1), "2000")
GRAPHQL_MAX_COST = read("GRAPHQL_MAX_COST", whole(1), "30000")

# --- recommendations

INTERACTION_WEIGHTS = read(
    "INTERACTION_WEIGHTS",
    weight_table,
    "check-in=4,favourite=3,superlike=3,like=2,seen=0.5,dislike=-2,hide=-3,5=3,4=2,3=1,2=-1,1=-2",
)
RECOMMENDATIONS_PER_REQUEST = read("RECOMMENDATIONS_PER_REQUEST", whole(1, 40), "20")
RELEASE_CHECK_INTERVAL_S = read("RELEASE_CHECK_INTERVAL_S", positive, "1")
RELEASES_KEPT = read("RELEASES_KEPT", whole(1, 1000), "3")
POPULAR_HALF_LIFE_DAYS = read("POPULAR_HALF_LIFE_DAYS", whole(1, 3650), "14")
TRAINING_INTERVAL_S = read("TRAINING_INTERVAL_S", whole(10), "3600")
TRAINING_TIME_LIMIT_S = read("TRAINING_TIME_LIMIT_S", whole(10, 3300), "1500")
TRAINING_GATE_MARGIN = read("TRAINING_GATE_MARGIN", fraction, "0.1")
TRAINING_FACTORS = read("TRAINING_FACTORS", whole(0, 1024), "0")
# Each algorithm is a file, and bears its name.
_algorithms = sorted((BASE_DIR / "recommendations/engine/algorithms").glob("[a-z]*.py"))
TRAINING_ALGORITHMS = read("TRAINING_ALGORITHMS", some_of(*(file.stem for file in _algorithms)), "")
TUNING_BUDGET_S = read("TUNING_BUDGET_S", whole(0, 3300), "60")
EASE_MAX_ITEMS = read("EASE_MAX_ITEMS", whole(0, 100_000), "10000")
ITEM_KNN_WEIGHTING = read("ITEM_KNN_WEIGHTING", one_of("bm25", "cosine", "tfidf"), "cosine")
HYBRID_WEIGHTS = read(
    "HYBRID_WEIGHTS",
    shares_of("collaborative", "content", "popularity"),
    "collaborative=0.5,content=0.3,popularity=0.2",
)
EXPLORATION_SHARE = read("EXPLORATION_SHARE", fraction, "0.1")
DIVERSITY = read("DIVERSITY", fraction, "0.3")
FRESHNESS = read("FRESHNESS", fraction, "0.1")
MATCH_THRESHOLD = read("MATCH_THRESHOLD", fraction, "0.8")
MATCH_SHRINKAGE = read("MATCH_SHRINKAGE", whole(0, 1000), "5")
SIMILAR_CONTENT_SHARE = read("SIMILAR_CONTENT_SHARE", fraction, "0.1")
IMPRESSIONS_KEPT_DAYS = read("IMPRESSIONS_KEPT_DAYS", whole(1, 3650), "90")

# --- health

_components = ("database", "cache", "broker", "migrations", "workers", "training", "release")
HEALTH_REQUIRED = read(
    "HEALTH_REQUIRED", some_of(*_components), "database,cache,broker,migrations,workers,training"
)
if not ENABLE_BACKGROUND_JOBS:
    HEALTH_REQUIRED = [name for name in HEALTH_REQUIRED if name not in ("workers", "training")]

# --- Django

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
    "ninja",
    "cinema.apps.CinemaConfig",
    "cinema.audit",
    "users",
    "movies",
    "movies.tmdb",
    "recommendations",
]
MIDDLEWARE = [
    "cinema.middleware.request_id",
    "django.middleware.security.SecurityMiddleware",
    "cinema.middleware.content_security",
    "cinema.middleware.one_path",
    "cinema.middleware.cors",
    "cinema.middleware.methods",
    "cinema.compression.compress",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "cinema.middleware.cache_headers",
    "cinema.middleware.problems",
    "cinema.throttling.limits.throttle",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "movies.catalogue.read_your_writes",
    "cinema.audit.recording.audit_middleware",
]
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
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
FORMAT_MODULE_PATH = "cinema.formats"
TIME_ZONE = CINEMA_TIME_ZONE
DATA_UPLOAD_MAX_MEMORY_SIZE = read("MAX_BODY_MB", whole(1, 1024), "5") * 1024 * 1024
FILE_UPLOAD_HANDLERS = [
    "cinema.http.LimitedUpload",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

STATIC_URL = "/static/"
# Without a directory of collected files the packages' own are served from where they lie.
STATIC_ROOT = read("STATIC_ROOT", str, "") or None
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
WHITENOISE_AUTOREFRESH = DEBUG

AUTH_USER_MODEL = "users.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "users.auth.AccessTokenBackend",
]
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
# Sent with answers over TLS. Browsers then use TLS alone for a year.
SECURE_HSTS_SECONDS = 365 * 86_400 if SECURE_PROXY_SSL_HEADER else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_PROXY_SSL_HEADER is not None

CACHES = {
    "default": {
        "BACKEND": "cinema.cache.ForgivingRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cinema",
        "OPTIONS": {
            "serializer": "cinema.cache.JsonSerializer",
            "socket_timeout": CACHE_TIMEOUT_S,
            "socket_connect_timeout": CACHE_TIMEOUT_S,
        },
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "cinema.logs.RequestIdFilter"}},
    "formatters": {
        "line": {
            "()": "cinema.logs.LineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
        }
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "filters": ["request_id"],
            "formatter": "line",
            "stream": sys.stderr,
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # A line for each request to TMDb, with what staff search for.
    "loggers": {name: {"level": "WARNING"} for name in ("httpx2", "httpcore2")},
}

# --- Celery: docs/answers.md explains how these make it reliable

CELERY_TIMEZONE = CINEMA_TIME_ZONE
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_TRACK_STARTED = True
CELERY_TASK_DEFAULT_QUEUE = "cinema"
# A worker that is started without --queues serves both.
CELERY_TASK_QUEUES = [
    Queue(name, Exchange(name), routing_key=name) for name in ("cinema", "training")
]
_by_the_trainer = ("train", "match_viewers", "relate_films")
CELERY_TASK_ROUTES = {f"recommendations.{name}": {"queue": "training"} for name in _by_the_trainer}
CELERY_RESULT_BACKEND = "cinema.results:ForgivingDatabaseBackend"
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_EXPIRES = 30 * 24 * 3600
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2}
# A time limit of any task must stay below the visibility timeout, or Redis hands it out twice.
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"visibility_timeout": 3600, "socket_timeout": 10, "socket_connect_timeout": 2}
    if "redis" in CELERY_BROKER_URL.partition("://")[0]
    else {}
)
# Django forked after OpenMP has run would hang in training.
CELERY_WORKER_POOL_START_METHOD = "spawn"
CELERY_BEAT_SCHEDULER = "cinema.beat:ClockStepScheduler"
# A spawned child imports everything first. On a busy machine that took 51 s, and Celery kills a
# child that has not reported after 4 s by default.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 600
CELERY_BEAT_SCHEDULE_FILENAME = str(CINEMA_HOME / "beat-schedule")
CELERY_BEAT_SCHEDULE = (
    beat.beat_schedule(
        ranking_interval_s=RANKING_INTERVAL_S, training_interval_s=TRAINING_INTERVAL_S
    )
    if ENABLE_BACKGROUND_JOBS
    else {}
)
