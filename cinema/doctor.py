"""Checks of this installation: its faults, unwise settings, and how to correct them.

`manage.py doctor` prints it. A check that needs a server which is away is left out.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import run_checks
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from cinema import __version__, health, replicas
from cinema.audit.models import AuditEntry
from cinema.backup.backups import last_backup
from cinema.healthcheck import STALE_AFTER_S
from cinema.home import ADDRESS_FILE, UMASK, unfinished_restore
from cinema.metrics.exposition import metrics_token
from cinema.metrics.tasks import read_beats
from cinema.partitions import missing_months
from cinema.valkey import connect
from recommendations import release_bucket, selectors
from recommendations.engine.artifacts import ArtifactError
from recommendations.models import Impression, Interaction, TrainingRun
from users.models import User

BACKUP_TOO_OLD = timedelta(days=8)
RELEASE_TOO_OLD = timedelta(days=7)
CLOCKS_DIFFER_S = 2.0
WEB_ANSWERS_WITHIN_S = 5.0
LITTLE_SPACE_BYTES, NO_SPACE_BYTES = 2_000_000_000, 300_000_000
SHORT_SECRET = 32
#: Passwords of examples.
WELL_KNOWN = {"password", "postgres", "cinema", "secret", "changeme", "guest"}
#: Django's deployment checks that are about TLS. A proxy provides it: `check_public_port`.
ABOUT_TLS = {f"security.W{number:03}" for number in (4, 5, 8, 12, 16, 21)}


@dataclass(frozen=True)
class Finding:
    """A fault, or something unwise, with what to do about it."""

    is_fault: bool
    what: str
    do: str


Findings = Iterator[Finding]


def fault(what: str, do: str) -> Finding:
    return Finding(True, what, do)


def unwise(what: str, do: str) -> Finding:
    return Finding(False, what, do)


def examine(sign_ins: Iterable[tuple[str, str]]) -> Findings:
    """All findings, those of missing servers first.

    Args:
        sign_ins: Addresses and passwords that everybody knows.
    """
    states = health.look_at("database", "cache", "broker")
    away = {name for name, found in states.items() if found["state"] != "ok"}
    yield from check_servers(away)
    checks: list[Callable[[], Findings]] = [
        check_web, check_public_port, check_settings, check_secrets, check_modes, check_space,
        check_backup, check_programs,
    ]  # fmt: skip
    if "cache" not in away:
        checks.append(check_cache_clock)
    if "broker" not in away and settings.ENABLE_BACKGROUND_JOBS:
        checks.append(check_queues)
    if "database" not in away:
        checks += [check_database_clock, check_replicas]
        missing = [*check_migrations()]
        yield from missing
        if not missing:  # the tables are those of this version
            checks += [check_release, check_training, check_months]
            checks.append(lambda: check_accounts(sign_ins))
    for check in checks:
        yield from check()


def check_servers(away: Iterable[str]) -> Findings:
    names = {"database": "Postgres", "cache": "Valkey", "broker": "The broker of tasks"}
    for name in sorted(away):
        embedded = settings.EMBEDDED_POSTGRES if name == "database" else settings.EMBEDDED_VALKEY
        do = "Start Cinema: `make run`." if embedded else "Start it, or correct its address."
        yield fault(f"{names[name]} does not answer; checks that need it are left out.", do)


def web_address() -> str:
    """The address of the web on this host. `make run` may have been given another PORT."""
    with suppress(OSError):
        return (settings.CINEMA_HOME / ADDRESS_FILE).read_text()
    return str(settings.LOCAL_URL)


def check_web() -> Findings:
    address = web_address()
    parts = urlsplit(address)
    web = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=WEB_ANSWERS_WITHIN_S)
    try:
        web.request("GET", "/metrics", headers={"Authorization": f"Bearer {metrics_token()}"})
        answer = web.getresponse()
        text = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        yield fault(
            f"The web does not answer at {address} ({type(error).__name__}).",
            "Start it and read its log. Ignore this if it runs on another machine.",
        )
        return
    finally:
        web.close()
    if answer.status == HTTPStatus.UNAUTHORIZED:
        yield fault(
            f"The web at {address} has another SECRET_KEY than this command.",
            "Give all programs the same SECRET_KEY, and restart them.",
        )
        return
    found = re.search(r'^cinema_info{version="([^"]*)"}', text, re.MULTILINE)
    yield from _compared_version("The web", found[1] if found else "")


def _compared_version(program: str, version: str) -> Findings:
    if version != __version__:
        running = version or "before 0.2.0"
        yield fault(
            f"{program} runs version {running}, and {__version__} is installed.", "Restart it."
        )


def check_migrations() -> Findings:
    loader = MigrationLoader(connection)
    known = {*loader.graph.nodes, *loader.replacements, *loader.disk_migrations}
    for migration in loader.replacements.values():
        known |= {*migration.replaces}
    applied = {key for key in loader.applied_migrations if key[0] in loader.migrated_apps}
    if newer := applied - known:
        yield fault(
            f"The database has {len(newer)} migrations of a newer version than {__version__}.",
            "Install that version here too.",
        )
    if missing := {*loader.graph.nodes} - applied:
        yield fault(
            f"{len(missing)} migrations of version {__version__} are not applied.",
            "Run `manage.py prepare`.",
        )


def check_queues() -> Findings:
    missing = health.check_workers().get("missing")
    for queue in missing if isinstance(missing, list) else []:
        yield fault(
            f"No worker serves the queue {queue}: its tasks wait.",
            "Start a worker: `python -m cinema.programs worker`, and read its log.",
        )


def check_programs() -> Findings:
    """Heartbeats of beat and the workers, which have their versions."""
    if not settings.ENABLE_BACKGROUND_JOBS:
        yield unwise(
            "Background jobs are off: statuses, rankings, matches and models stay as they are.",
            "Set ENABLE_BACKGROUND_JOBS=true, unless another machine does this work.",
        )
        return
    alive: dict[str, str] = {}
    for file in (Path(settings.CINEMA_HOME) / "heartbeats").glob("*@*"):
        with suppress(FileNotFoundError):  # its program has just ended
            if abs(time.time() - file.stat().st_mtime) < STALE_AFTER_S:
                alive[file.name] = file.read_text()
    is_beat_here = any(name.startswith("beat@") for name in alive)
    # Valkey knows the beats of all hosts.
    sent_at = max((read_beats() or {}).values(), default=0.0)
    if not is_beat_here and abs(time.time() - sent_at) > STALE_AFTER_S:
        yield fault(
            f"Beat has sent nothing for {STALE_AFTER_S} s: no scheduled task runs.",
            "Start `python -m cinema.programs beat`. It needs Postgres and the broker.",
        )
    for name, text in alive.items():
        yield from _compared_version(name, text)


def check_training() -> Findings:
    waits = health.check_training()
    if waits:
        yield fault(f"Training {waits['run']} waits for a worker.", "Read the worker's log.")
    last = TrainingRun.objects.exclude(state__in=TrainingRun.UNFINISHED).first()
    if last and last.state == TrainingRun.State.FAILED:
        yield fault(f"{last}: {last.message}", "Correct the cause; then `manage.py train`.")


def check_release() -> Findings:
    current = selectors.current_release()
    if current is None:
        if Interaction.objects.exists():
            yield unwise("No models are trained: lists are sorted by date.", "`manage.py train`")
        return
    if settings.RELEASES_URL:
        try:
            release_bucket.check(current.directory)
        except ArtifactError as error:
            yield fault(
                f"{error}.",
                "Correct RELEASES_URL, MEDIA_ENDPOINT_URL or the keys. `manage.py prepare` uploads"
                " what this host has.",
            )
    if health.check_release().get("state") == "refused":
        yield fault(
            f"The files of {current} are missing or damaged.",
            "`manage.py train --force`, or activate another release.",
        )
    if current.is_held:
        yield unwise(
            f"{current} is held: newer trainings are not published.",
            f"When it need not be kept: DELETE /api/v1/releases/{current.pk}/hold.",
        )
    elif current.age_s > RELEASE_TOO_OLD.total_seconds() and not current.is_of(
        selectors.fingerprint()
    ):
        yield unwise(
            f"{current} is {current.age_s / 86400:.0f} days old, and viewers have acted since.",
            "Look at the latest trainings in the admin site.",
        )
    for name, reason in current.left_out.items():
        why = reason.removesuffix(".")
        yield unwise(f"The algorithm {name} is off: {why}.", "docs/recommender.md explains it.")


def check_months() -> Findings:
    for table in (AuditEntry.MONTHS, Impression.MONTHS):
        if months := missing_months(table):
            yield fault(
                f"{table.name} has no partition for {months[0]:%B %Y}.",
                "A worker makes it, and beat asks for it each day: look at both. Until then rows"
                f" go to {table.other}.",
            )


def check_database_clock() -> Findings:
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        yield from _compared("Postgres", float(cursor.fetchone()[0]), before)


def check_replicas() -> Findings:
    for replica in replicas.REPLICAS:
        # A replica may lack the last moment, but not the primary's rows of LONGEST_LAG_S ago.
        deadline = time.monotonic() + replicas.LONGEST_LAG_S + replicas.INTERVAL_S
        replica.look()
        while replica.problem and time.monotonic() < deadline:
            time.sleep(replicas.INTERVAL_S)
            replica.look()
        if replica.problem:
            yield fault(
                f"Nothing is read from {replica.alias}: {replica.problem}.",
                "Correct DATABASE_REPLICA_URLS or the replication. The primary answers meanwhile.",
            )


def check_cache_clock() -> Findings:
    before = time.time()
    with connect(settings.REDIS_URL, timeout_s=2) as client:
        seconds, microseconds = client.time()
    yield from _compared("Valkey", seconds + microseconds / 1e6, before)


def _compared(name: str, there: float, before: float) -> Findings:
    """The difference, as far as the time of the question does not explain it."""
    now = time.time()
    if (off_s := max(before - there, there - now)) > CLOCKS_DIFFER_S:
        yield fault(
            f"The clock of {name} and that of this machine differ by {off_s:.0f} s.",
            "Set both by NTP: tokens, screenings and schedules go by them.",
        )


def check_space() -> Findings:
    for directory in {Path(settings.CINEMA_HOME), Path(settings.MEDIA_ROOT), Path("/tmp")}:  # noqa: S108
        if not directory.is_dir():
            continue
        free = shutil.disk_usage(directory).free
        if free < LITTLE_SPACE_BYTES:
            yield Finding(
                free < NO_SPACE_BYTES,
                f"{directory} has only {free / 1e6:,.0f} MB free.",
                "Free some, or use a larger disk: a full one stops Postgres.",
            )


def check_public_port() -> Findings:
    try:
        is_local = ip_address(settings.HOST).is_loopback
    except ValueError:
        is_local = settings.HOST == "localhost"
    if not is_local and settings.SECURE_PROXY_SSL_HEADER is None:
        yield unwise(
            f"Port {settings.PORT} is open on {settings.HOST} without TLS: others can read"
            " passwords on their way.",
            "Use HOST=127.0.0.1 behind a proxy with TLS, and set BEHIND_TLS_PROXY=true.",
        )


def check_settings() -> Findings:
    """Django's own checks for a deployment."""
    for message in run_checks(include_deployment_checks=True):
        if message.is_silenced() or message.id in ABOUT_TLS:
            continue
        yield Finding(message.is_serious(), message.msg, message.hint or f"See {message.id}.")


def check_secrets() -> Findings:
    if len(settings.SECRET_KEY) < SHORT_SECRET:
        yield fault(
            "SECRET_KEY is short: sign-ins can be forged.",
            "Make one with `python -c 'import secrets; print(secrets.token_urlsafe(50))'`.",
        )
    passwords = {
        "database": settings.DATABASES["default"].get("PASSWORD"),
        "cache": urlsplit(settings.REDIS_URL).password,
        "broker": urlsplit(settings.CELERY_BROKER_URL).password,
    }
    for name, password in passwords.items():
        if password in WELL_KNOWN:
            yield fault(f"The password of the {name} is well known.", "Choose another one.")
    env = Path(settings.BASE_DIR) / ".env"
    if env.exists() and stat.S_IMODE(env.stat().st_mode) & stat.S_IRWXO:
        yield unwise(f"Other users of this machine can read {env}.", f"chmod 600 {env}")


def check_accounts(sign_ins: Iterable[tuple[str, str]]) -> Findings:
    for email, password in sign_ins:
        user = User.objects.filter(email=email, is_active=True).first()
        if user and user.check_password(password):
            yield Finding(
                user.is_staff and settings.PUBLIC_URL != settings.LOCAL_URL,
                f"Everybody knows the password of {email}, an account of the demonstration.",
                "Change the password or delete the account before others can reach this server.",
            )


def check_modes() -> Findings:
    """Files of the home that other users of the machine can read."""
    home = Path(settings.CINEMA_HOME)
    open_files = [path for path, mode in _modes(home).items() if mode & UMASK]
    for path in open_files[:3]:
        yield fault(f"Others may read {path}.", f"chmod -R go= {path}, and look at its owner.")
    if len(open_files) > 3:
        yield fault(f"Others may read {len(open_files) - 3} more files.", "The same command.")
    if unfinished_restore(home).exists():
        yield fault("A restore was interrupted.", "Repeat `manage.py restore` with its file.")


def _modes(home: Path) -> dict[Path, int]:
    """The permissions of the files that are no links."""
    found = {}
    for directory, names, files in os.walk(home):
        names[:] = [name for name in names if not name.startswith("postgres")]
        for path in (Path(directory) / name for name in files):
            with suppress(FileNotFoundError):  # a temporary file
                mode = path.lstat().st_mode
                if not stat.S_ISLNK(mode):
                    found[path] = stat.S_IMODE(mode)
    return found


def check_backup() -> Findings:
    made_at = last_backup()
    if made_at is None or timezone.now() - made_at > BACKUP_TOO_OLD:
        when = "No backup was made from this home" if made_at is None else f"Backup: {made_at:%F}"
        yield unwise(f"{when}.", "`manage.py backup FILE`, each night by cron, to another machine.")
