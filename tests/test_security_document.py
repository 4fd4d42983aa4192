"""docs/security.md names tests: they have to be there, or it promises what nobody checks."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
DOCUMENT = (TESTS.parent / "docs/security.md").read_text()


def test_every_test_that_the_document_names_is_there() -> None:
    source = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    there = set(re.findall(r"def (test_\w+)\(", source)) | {p.stem for p in TESTS.rglob("*.py")}
    named = set(re.findall(r"\btest_\w+", DOCUMENT))
    assert len(named) > 100
    assert named - there == set()
