"""Other users of the machine read nothing below CINEMA_HOME."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest
from django.core import mail
from django.core.files.base import ContentFile
from pytest_django.fixtures import Settings

from cinema.home import remove_access_of_others
from movies.media.files import MediaFiles
from tests.running import RunningCinema, filled_home
from users import mails


def open_to_others(home: Path) -> list[str]:
    """The files that others may read, write or enter, except for the home of root."""
    found = []
    for place, directories, files in os.walk(home):
        for name in [*directories, *files]:
            path = Path(place, name)
            if not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) & 0o077:
                found.append(str(path))
    return [*found, *([str(home)] if stat.S_IMODE(home.stat().st_mode) & 0o066 else [])]


def test_a_running_cinema_has_no_file_for_others(tmp_path: Path) -> None:
    cinema = RunningCinema(filled_home())
    cinema.home.chmod(0o755)
    logs = cinema.home / "logs"
    (logs / "worker.log").write_text("of an earlier version\n")
    logs.chmod(0o755)
    (logs / "worker.log").chmod(0o644)
    try:
        cinema.start()
        cinema.post("/api/v1/auth/register", {"email": "a@example.org", "password": "a long film"})
        with pytest.raises(json.JSONDecodeError):  # 202 has no body
            cinema.post("/api/v1/auth/password/forgot", {"email": "a@example.org"})
        mails = cinema.home / "mails"
        deadline = time.monotonic() + 60
        while len([*mails.glob("*")]) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert "#token=" in "".join(file.read_text() for file in mails.iterdir())
        assert str(mails) in cinema.said()
        assert open_to_others(cinema.home) == []
        told = "".join(file.read_text(errors="replace") for file in logs.iterdir())
        assert "#token=" not in told
        assert "a@example.org" not in told
    finally:
        cinema.stop()


def test_a_home_of_an_earlier_version_is_tightened(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("")
    outside.chmod(0o644)
    home = tmp_path / "home"
    (home / "releases/1").mkdir(parents=True)
    (home / "releases/1/als.npy").write_text("")
    (home / "releases/current").symlink_to(outside)
    for path in (home, home / "releases", home / "releases/1"):
        path.chmod(0o755)
    (home / "releases/1/als.npy").chmod(0o664)
    remove_access_of_others(home)
    assert open_to_others(home) == []
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644  # no link is followed


def test_uploads_are_for_the_owner_alone(tmp_path: Path) -> None:
    storage = MediaFiles(location=tmp_path)
    storage.save("posters/1.webp", ContentFile(b"x"))
    assert stat.S_IMODE((tmp_path / "posters/1.webp").stat().st_mode) == 0o600


def test_mails_in_files_are_deleted_after_a_week(settings: Settings, tmp_path: Path) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    mail.EmailMessage("s", "b", "a@example.org", ["b@example.org"]).send()
    [file] = tmp_path.iterdir()
    assert mails.delete_old_mail_files() == 0
    os.utime(file, (time.time() - 8 * 86400,) * 2)
    assert mails.delete_old_mail_files() == 1
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "command",
    ["manage.py", "cinema/wsgi.py", "cinema/web/application.py", "cinema/celery.py"],
)
def test_each_entry_point_keeps_its_files_private(command: str) -> None:
    root = Path(__file__).resolve().parent.parent
    assert "keep_private()" in (root / command).read_text()
