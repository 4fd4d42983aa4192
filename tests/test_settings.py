"""A bad value ends the start with the name of its variable, and every variable is documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cinema.variables import FORMER_VARIABLES, host_name, local_url, site_url, words
from tests import settings_process
from tests.running import ROOT

pytestmark = pytest.mark.every_python

SETTINGS = (ROOT / "cinema/settings.py").read_text()
ADDRESSES = re.findall(r'read_address\("([A-Z_]+)", \w+, "([A-Z_]+)"\)', SETTINGS)
VARIABLES = {*re.findall(r'read\(\s*"([A-Z_]+)"', SETTINGS), *chain.from_iterable(ADDRESSES)}
POSTGRES = "postgres://cinema@127.0.0.1/cinema"


def start(
    tmp_path: Path, shown: str = "s.CELERY_BROKER_URL", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Read the settings with these variables, and print one of them."""
    # An empty variable takes precedence over `.env`.
    clean = {**os.environ, **dict.fromkeys(VARIABLES, "")}
    return settings_process.run(shown, {**clean, "CINEMA_HOME": str(tmp_path), **variables})


def test_releases_are_not_put_where_everyone_may_read(tmp_path: Path) -> None:
    found = start(tmp_path, MEDIA_BUCKET="films", RELEASES_URL="s3://films/releases")
    assert found.returncode != 0
    assert "RELEASES_URL has the bucket of MEDIA_BUCKET" in found.stderr


def test_every_variable_is_in_the_example() -> None:
    assert 25 < len(VARIABLES) <= 76
    example = (ROOT / ".env.example").read_text()
    documented = set(re.findall(r"^#?([A-Z_]+)=", example, flags=re.MULTILINE))
    assert documented == VARIABLES


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("DEBUG", "maybe"),
        ("CINEMA_TIME_ZONE", "Mars/Olympus"),
        ("CINEMA_DAY_STARTS_AT", "25:00"),
        ("CINEMA_DAY_STARTS_AT", "06:00+01:00"),
        ("RANKING_INTERVAL_S", "0"),
        ("DIVERSITY", "1.5"),
        ("TRAINING_TIME_LIMIT_S", "3600"),
        ("TRAINING_ALGORITHMS", "popularity,crystal_ball"),
        ("TRAINING_ENGINE", "flink"),
        ("SPARK_MASTER", "host:7077"),
        ("TUNING_BUDGET_S", "-1"),
        ("EXPLORATION_SHARE", "1.1"),
        ("HYBRID_WEIGHTS", "collaborative=0.5"),
        ("HYBRID_WEIGHTS", "collaborative=0.5,content=0.7,popularity=-0.2"),
        ("HYBRID_WEIGHTS", "collaborative=0,content=0,popularity=0"),
        ("HYBRID_WEIGHTS", "collaborative=0.5,content=nan,popularity=0.2"),
        ("INTERACTION_WEIGHTS", "like=2"),
        ("INTERACTION_WEIGHTS", "like=much"),
        ("DATABASE_URL", "mysql://127.0.0.1/cinema"),
        ("DATABASE_REPLICA_URLS", "mysql://127.0.0.1/cinema"),
        ("REDIS_URL", "localhost"),
        ("CELERY_BROKER_URL", "kafka://127.0.0.1"),
        ("LOG_LEVEL", "LOUD"),
        ("TRAILER_MAX_MB", "0"),
        ("MEDIA_ENDPOINT_URL", "s3.example.org"),
        ("RELEASES_URL", "https://s3.example.org/releases"),
        ("RELEASES_URL", "s3://key:secret@releases"),
        ("RELEASES_URL", "s3:///releases"),
        ("HEALTH_REQUIRED", "database,datacase"),
        ("TMDB_LANGUAGE", "german"),
        ("TMDB_REGION", "Germany"),
        ("TMDB_MAX_AGE_DAYS", "365"),
        ("EMAIL_URL", "mail.example.org"),
        ("EMAIL_URL", "smtp://"),
        ("EMAIL_URL", "smtp://mail.example.org:mail"),
        ("DEFAULT_FROM_EMAIL", "Cinema"),
        ("VERIFY_EMAIL_URL", "https://films.example/#/verify"),
        ("RESET_PASSWORD_URL", "films.example"),
        ("REGISTRATION_OPEN", "perhaps"),
        ("NUM_PROXIES", "-1"),
        ("THROTTLE_EXEMPT", "127.0.0.1/8"),
        ("THROTTLE_LOGIN", "30"),
        ("THROTTLE_LOGIN", "0/min"),
        ("THROTTLE_LOGIN", "30/fortnight"),
        ("HOST", "http://127.0.0.1"),
        ("PUBLIC_URL", "https://x.org/cinema"),
        ("RECOMMENDATIONS_PER_REQUEST", "41"),
        ("CACHE_SIZE", "64MB"),
        ("ENABLE_BACKGROUND_JOBS", "sometimes"),
    ],
)
def test_a_bad_value_stops_the_start_with_its_name(
    tmp_path: Path, variable: str, value: str
) -> None:
    done = start(tmp_path, **{variable: value})
    assert done.returncode != 0
    assert f"{variable}=" in done.stderr.splitlines()[-1]


def test_a_variable_of_an_earlier_version_is_not_ignored_silently(tmp_path: Path) -> None:
    done = start(tmp_path, MAX_SESSIONS="3", EASE_MAX_ITEMS="")
    assert done.returncode == 0
    assert "MAX_SESSIONS" in done.stderr
    assert "EASE_MAX_ITEMS" not in done.stderr
    assert not VARIABLES & {*words(FORMER_VARIABLES)}


def test_outside_the_embedded_mode_there_is_no_default_secret(tmp_path: Path) -> None:
    done = start(tmp_path, DATABASE_URL=POSTGRES)
    assert done.returncode != 0
    assert "SECRET_KEY is not set" in done.stderr
    assert start(tmp_path, DATABASE_URL=POSTGRES, SECRET_KEY="known").returncode == 0


def test_options_of_the_database_address_are_kept(tmp_path: Path) -> None:
    done = start(
        tmp_path,
        "s.DATABASES['default']['OPTIONS']['sslmode']",
        DATABASE_URL=f"{POSTGRES}?sslmode=require",
        SECRET_KEY="known",
    )
    assert done.stdout.strip() == "require"


def test_the_embedded_secret_is_made_once(tmp_path: Path) -> None:
    assert start(tmp_path).returncode == 0
    secret = (tmp_path / "secret-key").read_text()
    assert start(tmp_path).returncode == 0
    assert (tmp_path / "secret-key").read_text() == secret


def test_the_broker_is_the_cache_server_unless_it_is_named(tmp_path: Path) -> None:
    redis = "redis://127.0.0.1:6379/5"
    assert start(tmp_path, REDIS_URL=redis).stdout.strip() == redis
    amqp = "amqp://guest@127.0.0.1//"
    assert start(tmp_path, REDIS_URL=redis, CELERY_BROKER_URL=amqp).stdout.strip() == amqp


def test_debug_is_off_by_default(tmp_path: Path) -> None:
    assert 'read("DEBUG", boolean, "false")' in SETTINGS


def test_mails_go_to_the_server_that_is_named(tmp_path: Path) -> None:
    shown = "s.EMAIL_BACKEND, *s._mail"
    to_server = start(
        tmp_path, shown, EMAIL_URL="smtp+tls://post%40kino.example:a%2Fb@mail.example"
    )
    assert "smtp.EmailBackend" in to_server.stdout
    assert "mail.example 587 post@kino.example a/b True False" in to_server.stdout
    encrypted = start(tmp_path, shown, EMAIL_URL="smtp+ssl://mail.example:4650")
    assert "mail.example 4650   False True" in encrypted.stdout


def test_without_a_mail_server_mails_are_files_in_the_embedded_mode_alone(tmp_path: Path) -> None:
    shown = "s.EMAIL_BACKEND"
    assert "filebased" in start(tmp_path, shown).stdout
    outside = start(tmp_path, shown, DATABASE_URL=POSTGRES, SECRET_KEY="known")
    assert "dummy" in outside.stdout


def test_links_lead_to_this_server_unless_the_site_has_pages_of_its_own(tmp_path: Path) -> None:
    shown = "s.VERIFY_EMAIL_URL, s.RESET_PASSWORD_URL, s.DEFAULT_FROM_EMAIL"
    reset = "https://films.example/reset"
    done = start(tmp_path, shown, PUBLIC_URL="https://kino.example/", RESET_PASSWORD_URL=reset)
    own = "https://kino.example/account/verify-email"
    assert done.stdout.strip() == f"{own} {reset} no-reply@kino.example"


@pytest.mark.parametrize(
    ("variables", "link"),
    [
        ({"HOST": "::1"}, "http://[::1]:8000"),
        ({"HOST": "192.168.1.5", "PORT": "9000"}, "http://192.168.1.5:9000"),
        ({"HOST": "::", "PUBLIC_URL": "https://Cinema.example/"}, "https://cinema.example"),
    ],
)
def test_links_are_addresses_to_which_this_server_answers(
    tmp_path: Path, variables: dict[str, str], link: str
) -> None:
    shown = "s.PUBLIC_URL, s.VERIFY_EMAIL_URL, ','.join(s.ALLOWED_HOSTS), s.DEFAULT_FROM_EMAIL"
    public, page, hosts, sender = start(tmp_path, shown, **variables).stdout.split()
    assert (public, page) == (link, f"{link}/account/verify-email")
    host = re.sub(r":[0-9]+$", "", urlsplit(link).netloc)
    assert host in hosts.split(",")
    assert sender == f"no-reply@{'localhost' if ':' in host else host}"


@pytest.mark.parametrize(
    ("host", "link"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("[::1]", "http://[::1]:8000"),
        ("2001:db8::7", "http://[2001:db8::7]:8000"),
        ("0.0.0.0", "http://localhost:8000"),  # noqa: S104
        ("::", "http://localhost:8000"),
        ("cinema.local", "http://cinema.local:8000"),
    ],
)
def test_a_server_is_reached_where_it_listens(host: str, link: str) -> None:
    assert local_url(host_name(host), 8000) == link


@pytest.mark.parametrize("host", ["", "http://127.0.0.1", "127.0.0.1/cinema", "a b", "me@host"])
def test_a_host_is_a_name_or_an_address_alone(host: str) -> None:
    with pytest.raises(ValueError, match="a name or an address alone"):
        host_name(host)


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://cinema.example/", "https://cinema.example"),
        ("https://cinema.example:", "https://cinema.example"),
        ("http://[2001:DB8::7]:8080", "http://[2001:db8::7]:8080"),
        ("https://kinö.example", "https://xn--kin-una.example"),
    ],
)
def test_a_public_url_is_a_scheme_and_a_host(url: str, site: str) -> None:
    assert site_url(url) == site


@pytest.mark.parametrize(
    "url",
    [
        "cinema.example",
        "ftp://cinema.example",
        "https://",
        "https:///cinema",
        "https://cinema.example//",
        "https://cinema.example/cinema/",
        "https://cinema.example?lang=de",
        "https://cinema.example/?",
        "https://cinema.example#top",
        "https://boss:secret@cinema.example",
        "https://@cinema.example",
        "https://cinema.example:0",
        "https://cinema.example:99999",
        "https://cinema.example:port",
        "https://[::1",
        "https://cinema example",
        "https://cinema.example\\evil",
        "https://cinema.example<script>",
        "https://..",
    ],
)
def test_any_other_public_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - urllib and the codec have words of their own
        site_url(url)


def test_a_public_url_with_a_path_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="cannot be served below a path such as /cinema"):
        site_url("https://x.org/cinema")


def test_how_many_recommendations_a_request_gets_is_a_setting(tmp_path: Path) -> None:
    shown = (
        "s.RECOMMENDATIONS_PER_REQUEST, __import__('django').setup(), "
        "__import__('recommendations.schemas').schemas.RecommendationFilters().limit"
    )
    done = start(
        tmp_path,
        shown,
        RECOMMENDATIONS_PER_REQUEST="7",
        DJANGO_SETTINGS_MODULE="cinema.settings",
    )
    assert done.stdout.split() == ["7", "None", "7"], done.stderr


def test_without_background_jobs_beat_has_nothing_to_send(tmp_path: Path) -> None:
    shown = "len(s.CELERY_BEAT_SCHEDULE), ','.join(s.HEALTH_REQUIRED)"
    assert int(start(tmp_path, shown).stdout.split()[0]) > 10
    without = start(tmp_path, shown, ENABLE_BACKGROUND_JOBS="false")
    assert without.stdout.split() == ["0", "database,cache,broker,migrations"]


# --- secrets: tests/test_variables.py has the many cases


@pytest.mark.parametrize(
    ("variable", "scheme"),
    [
        ("DATABASE_URL", "postgres"),
        ("DATABASE_REPLICA_URLS", "postgres"),
        ("REDIS_URL", "redis"),
        ("CELERY_BROKER_URL", "amqp"),
        ("EMAIL_URL", "smtp"),
    ],
)
def test_a_broken_address_names_its_variable_and_shows_no_part_of_it(
    tmp_path: Path, variable: str, scheme: str
) -> None:
    done = start(tmp_path, **{variable: f"{scheme}://cinema:Zk3/9w=@secret-host:5432/0"})
    assert done.returncode != 0
    assert f"{variable}=… cannot be used: expected {scheme}" in done.stderr.splitlines()[-1]
    for part in ("Zk3", "9w", "secret-host"):
        assert part not in done.stderr


def test_passwords_stand_beside_the_addresses_as_they_are(tmp_path: Path) -> None:
    """One of them in a file."""
    password = "Zk3/9w=$'#@:% x"
    file = tmp_path / "secret"
    file.write_text(f"{password}\n")
    done = start(
        tmp_path,
        "s.DATABASES['default']['PASSWORD'], s.REDIS_URL, s.CELERY_BROKER_URL, sep='\\n'",
        DATABASE_URL=POSTGRES,
        REDIS_URL="redis://127.0.0.1:6379/0",
        CELERY_BROKER_URL="amqp://cinema@127.0.0.1//",
        POSTGRES_PASSWORD_FILE=str(file),
        REDIS_PASSWORD=password,
        CELERY_BROKER_PASSWORD=password,
        SECRET_KEY="known",
    )
    encoded = "Zk3%2F9w%3D%24%27%23%40%3A%25%20x"
    assert done.stdout.splitlines() == [
        password,
        f"redis://:{encoded}@127.0.0.1:6379/0",
        f"amqp://cinema:{encoded}@127.0.0.1//",
    ]


def test_replicas_are_databases_with_the_password_of_the_primary(tmp_path: Path) -> None:
    done = start(
        tmp_path,
        "*((n, d['HOST'], d['PASSWORD']) for n, d in s.DATABASES.items()), s.DATABASE_ROUTERS",
        DATABASE_URL=POSTGRES,
        DATABASE_REPLICA_URLS="postgres://cinema@one/cinema, postgres://cinema:own@two/cinema",
        POSTGRES_PASSWORD="a,b",
        SECRET_KEY="known",
    )
    assert done.stdout.strip() == (
        "('default', '127.0.0.1', 'a,b') ('replica 1', 'one', 'a,b') ('replica 2', 'two', 'own') "
        "['cinema.replicas.Router']"
    )
    assert start(tmp_path, "[*s.DATABASES], s.DATABASE_ROUTERS").stdout.strip() == "['default'] []"


def test_celery_too_gets_the_password_of_the_broker(tmp_path: Path) -> None:
    """It reads CELERY_BROKER_URL from the environment by itself."""
    done = subprocess.run(
        [sys.executable, "-c", "from cinema.celery import app; "
         "print(app.connection_for_write().password)"],
        cwd=ROOT,
        env={**os.environ, "CINEMA_HOME": str(tmp_path), "CELERY_BROKER_PASSWORD": "a/b",
             "CELERY_BROKER_URL": "amqp://cinema@127.0.0.1//"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.strip() == "a/b"


def test_a_database_that_refuses_is_told_without_its_address(tmp_path: Path) -> None:
    """`manage.py` shows neither a traceback nor a part of DATABASE_URL."""
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate"],
        cwd=ROOT,
        env={**os.environ, "CINEMA_HOME": str(tmp_path), "SECRET_KEY": "known",
             "DJANGO_SETTINGS_MODULE": "cinema.settings",  # the tests' own wait a minute
             "DATABASE_URL": "postgres://secret-user:secret@127.0.0.1:9/secret-name",
             "REDIS_URL": "redis://127.0.0.1:9/0"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "The database refused or did not answer" in said
    assert "Traceback" not in said
    assert "secret" not in said
    assert "127.0.0.1" not in said
