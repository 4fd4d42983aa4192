"""Fail if tests of a JUnit report were skipped: `skipped.py REPORT [WORD ...]`.

With words, only those whose reason has one of them.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree


def main(report: str, *words: str) -> None:
    skipped = [
        f"{case.get('classname')}::{case.get('name')}: {reason}"
        for case in ElementTree.parse(report).iter("testcase")  # noqa: S314 - pytest wrote it
        for found in case.iter("skipped")
        if any(word in (reason := found.get("message", "")) for word in words or [""])
    ]
    if skipped:
        sys.exit("Skipped:\n  " + "\n  ".join(skipped))


if __name__ == "__main__":
    main(*sys.argv[1:])
