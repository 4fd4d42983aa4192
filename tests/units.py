"""The systemd units of deploy/systemd, as systemd reads them: drop-ins merged, `%%` undone."""

from __future__ import annotations

import shlex
import sys
from collections import defaultdict
from pathlib import Path

from cinema.development.embedded_servers import others_can_reach
from tests.running import ROOT

FOLDER = ROOT / "deploy/systemd"
#: The paths at which the units expect the code, and at which systemd makes the home.
CODE, HOME = "/opt/cinema", "/var/lib/cinema"
NAMES = ("prepare", "web", "worker", "trainer", "beat")


def service(name: str) -> dict[str, list[str]]:
    """The lines of `[Service]`: each key with its values."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in (FOLDER / f"cinema-{name}.service", *FOLDER.glob("cinema-.service.d/*.conf")):
        section = ""
        for line in file.read_text().splitlines():
            if line.startswith("["):
                section = line
            elif section == "[Service]" and line and not line.startswith("#"):
                key, _, value = line.partition("=")
                found[key].append(value.replace("%%", "%"))
    return found


def environment(name: str, env_file: dict[str, str]) -> dict[str, str]:
    """The variables that systemd sets; those of the file take precedence."""
    words = [word for line in service(name)["Environment"] for word in shlex.split(line)]
    own = dict(word.split("=", 1) for word in words)
    return (
        {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": HOME, "LANG": "C.UTF-8"} | own | env_file
    )


def command(name: str) -> list[str]:
    [line] = service(name)["ExecStart"]
    return shlex.split(line)


def in_its_file_system(home: Path) -> list[str]:
    """The prefix that runs a command like a unit: only the home and a private /tmp are writable.

    It needs root. The home and the code then lie where the units expect them, and a Python of
    root's own where the account of the units can reach it.
    """
    python = Path(sys.base_prefix)
    reachable = f"""
        mount --bind {python} /srv; mount -t tmpfs -o mode=755 tmpfs /{python.parts[1]}
        mkdir -p {python}; mount --bind /srv {python}
    """
    script = f"""
        umask 022; mount --make-rprivate /
        {"" if others_can_reach(python) else reachable}
        mount -t tmpfs tmpfs /opt; mkdir {CODE}; mount --bind {ROOT} {CODE}
        mount --bind {home} /mnt
        mount -t tmpfs tmpfs /var/lib; mkdir {HOME}; mount --bind /mnt {HOME}
        mount -o remount,bind,ro {CODE}; mount -o remount,ro /opt; mount -o remount,ro /var/lib
        mount -o remount,bind,ro /mnt; mount -o remount,bind,ro /
        mount -t tmpfs -o mode=1777 tmpfs /tmp
        cd {CODE}
        exec setpriv --reuid=999 --regid=999 --clear-groups --no-new-privs --bounding-set=-all "$@"
    """
    return ["unshare", "--mount", "sh", "-ec", script, "unit"]
