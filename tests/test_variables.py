"""One variable of the environment: its file, its error, and the addresses of servers."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from cinema.variables import mail_server, read, server_url, whole, with_password

FORM = "postgres://user:password@host:5432/name"
ANY = server_url(
    "postgres", "postgresql", "redis", "rediss", "unix", "redis+socket", "amqp", "amqps"
)


def test_a_setting_can_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text("7\n")
    monkeypatch.setenv("NUMBER_FILE", str(file))
    assert read("NUMBER", whole(1), "1") == 7
    monkeypatch.setenv("NUMBER", "")
    assert read("NUMBER", whole(1), "1") == 7


def test_an_empty_name_of_a_file_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBER", "3")
    monkeypatch.setenv("NUMBER_FILE", "")
    assert read("NUMBER", whole(1), "1") == 3


def test_a_setting_and_its_file_are_not_both_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("7")
    monkeypatch.setenv("NUMBER", "7")
    monkeypatch.setenv("NUMBER_FILE", str(tmp_path / "secret"))
    with pytest.raises(ImproperlyConfigured, match="NUMBER and NUMBER_FILE are both set"):
        read("NUMBER", whole(1), "1")


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SECRET_FILE", str(file))
    with pytest.raises(ImproperlyConfigured, match=f"SECRET_FILE='{file}' cannot be"):
        read("SECRET", str, "")


def test_a_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_FILE", str(tmp_path))
    with pytest.raises(ImproperlyConfigured, match=r"SECRET_FILE=.* cannot be read"):
        read("SECRET", str, "")


def test_a_value_is_not_the_name_of_another_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password may begin with a dollar sign."""
    monkeypatch.setenv("SECRET", "$HOME")
    assert read("SECRET", str, "") == "$HOME"


def test_a_bad_value_of_a_file_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("Zk3")
    monkeypatch.setenv("NUMBER_FILE", str(tmp_path / "secret"))
    with pytest.raises(ImproperlyConfigured, match="NUMBER_FILE=… cannot be used") as error:
        read("NUMBER", whole(1), "1")
    assert "Zk3" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("scheme", ["postgres", "redis", "amqp", "smtp"])
@pytest.mark.parametrize(
    "user_info",
    [
        "cinema:Zk3/9w=@",
        "cinema:12/9w=@",
        "cinema:12?9w@",
        "cinema:12#9w@",
        "cinema:12/9?a=w@",
        "cinema:Zk[9w@",
        "cinema:Zk 9w@",
    ],
)
def test_no_part_of_a_broken_password_is_shown(
    monkeypatch: pytest.MonkeyPatch, scheme: str, user_info: str
) -> None:
    """Each is divided at the wrong place: a part of it is the port, the path or the query."""
    cast = mail_server if scheme == "smtp" else ANY
    monkeypatch.setenv("ADDRESS", f"{scheme}://{user_info}secret-host:5432/0")
    with pytest.raises(ImproperlyConfigured) as error:
        read("ADDRESS", cast, "", form=FORM)
    shown = "".join(traceback.format_exception(error.value))
    assert f"ADDRESS=… cannot be used: expected {FORM}" in shown
    for part in ("Zk", "9w", "secret-host", "12"):
        assert part not in shown.replace("5432", "").partition("ImproperlyConfigured")[2]


@pytest.mark.parametrize(
    "url",
    [
        "postgres://user:p@host:5432/name",
        "postgres://user:p@ss@host/name",
        "postgres://user@host/name?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgres://user@%2Frun%2Fpostgresql/name",
        "postgres:///name",
        "postgres:////run/postgresql/name",
        "postgresql://user@one:5432,two:5433/name",
        "redis://:p@host:6379/0",
        "rediss://host",
        "unix:///run/valkey.sock?db=0",
        "redis+socket:///run/valkey.sock?virtual_host=1",
        "amqp://guest:guest@host:5672//",
        "amqps://user:p@host/vhost",
        "redis://[::1]:6379/0",
        "",
    ],
)
def test_the_usual_addresses_are_taken(url: str) -> None:
    assert ANY(url) == url


@pytest.mark.parametrize(
    ("url", "whole_url"),
    [
        ("redis://host:6379/0", "redis://:a%2Fb@host:6379/0"),
        ("redis://name@host/0", "redis://name:a%2Fb@host/0"),
        ("amqp://cinema@host//", "amqp://cinema:a%2Fb@host//"),
        ("redis://:inside@host/0", "redis://:inside@host/0"),
        ("unix:///run/valkey.sock?db=0", "unix://:a%2Fb@/run/valkey.sock?db=0"),
        ("", ""),
    ],
)
def test_a_password_is_put_into_an_address_that_has_none(url: str, whole_url: str) -> None:
    assert with_password(url, "a/b") == whole_url
    assert with_password(url, "") == url
