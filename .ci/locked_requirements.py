"""Prints what the image installs, by poetry.lock, in the format of pip: for the SBOM and pip-audit.

`locked_requirements.py [EXTRA ...]` lists the group `main` and these extras, for any platform.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.markers import Marker

LOCK = Path(__file__).resolve().parent.parent / "poetry.lock"
#: The platform of the image.
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}


def is_wanted(package: dict[str, Any], extras: list[str]) -> bool:
    if "main" not in package["groups"]:
        return False
    markers = package.get("markers", "")
    text = markers if isinstance(markers, str) else markers.get("main", "")
    return not text or any(Marker(text).evaluate(LINUX | {"extra": e}) for e in ("", *extras))


def main(extras: list[str]) -> None:
    for package in tomllib.loads(LOCK.read_text())["package"]:
        if is_wanted(package, extras):
            hashes = (f" --hash={file['hash']}" for file in package["files"])
            sys.stdout.write(f"{package['name']}=={package['version']}{''.join(hashes)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
