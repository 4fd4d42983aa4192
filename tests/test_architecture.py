"""The layout: import direction, import cycles, class names, module names, file sizes."""

from __future__ import annotations

import ast
import graphlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from cinema.celery import app as celery_app
from recommendations.engine.algorithms import ALGORITHMS

ROOT = Path(__file__).resolve().parent.parent
APPS = ("users", "movies", "recommendations")

#: The shared modules of the project package, which every app may import.
FOUNDATION = {
    "cinema.response_cache",
    "cinema.audit.models",
    "cinema.audit.recording",
    "cinema.triggers",
    "cinema.auth",
    "cinema.bucket",
    "cinema.cache",
    "cinema.command_output",
    "cinema.database",
    "cinema.errors",
    "cinema.http",
    "cinema.locks",
    "cinema.metrics.counters",
    "cinema.metrics.totals",
    "cinema.model_admin",
    "cinema.partitions",
    "cinema.replicas",
    "cinema.schemas",
    "cinema.task_process",
    "cinema.task_queue",
    "cinema.termination",
    "cinema.throttling.limits",
    "cinema.throttling.lockout",
    "cinema.web.threads",
}
MAY_IMPORT = {
    "users": {"users", "movies"},
    "movies": {"movies"},
    "recommendations": {"recommendations", "users", "movies"},
}
#: The engine is NumPy and SciPy: no Django, no database, no clock.
ENGINE_MAY_IMPORT = {
    "__future__", "abc", "bisect", "collections", "concurrent", "contextlib", "dataclasses",
    "errno", "functools", "hashlib", "importlib", "itertools", "math", "os", "pathlib", "shutil",
    "threading", "typing",
    "implicit", "numpy", "orjson", "scipy", "threadpoolctl", "torch",
}  # fmt: skip


def python_files(folder: str) -> Iterator[Path]:
    return (
        path for path in sorted((ROOT / folder).rglob("*.py")) if "migrations" not in path.parts
    )


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(path: Path) -> set[str]:
    """The project's modules that the file imports, as dotted names of files that exist."""
    found = set()
    for name in imports(path):
        if name.partition(".")[0] in {*APPS, "cinema"}:
            as_path = ROOT / name.replace(".", "/")
            if as_path.with_suffix(".py").exists():
                found.add(name)
    return found


@pytest.mark.parametrize("app", APPS)
def test_apps_import_downwards_alone(app: str) -> None:
    for path in python_files(app):
        for module in modules(path):
            package = module.partition(".")[0]
            if package == "cinema":
                assert module in FOUNDATION, f"{path} imports {module}"
            else:
                assert package in MAY_IMPORT[app], f"{path} imports {module}"


def test_the_foundation_imports_no_app() -> None:
    for name in FOUNDATION:
        path = ROOT / (name.replace(".", "/") + ".py")
        packages = {module.partition(".")[0] for module in modules(path)}
        assert packages <= {"cinema"}, f"{path} imports {packages}"


def test_every_task_that_is_sent_by_name_exists() -> None:
    sent = {
        name
        for folder in (*APPS, "cinema")
        for path in python_files(folder)
        for name in re.findall(r'send_task[(,]\s*"([^"]+)"', path.read_text())
    }
    celery_app.loader.import_default_modules()
    assert sent
    assert sent <= set(celery_app.tasks)


@pytest.mark.parametrize("module", ["cinema.api", "cinema.urls"])
def test_assembling_modules_are_imported_by_no_other_module(module: str) -> None:
    allowed = {ROOT / "cinema/urls.py"} if module == "cinema.api" else set()
    for folder in (*APPS, "cinema"):
        for path in python_files(folder):
            assert module not in modules(path) or path in allowed, f"{path} imports {module}"


def test_only_commands_import_development_code() -> None:
    """The image of the containers has none of the packages that only this code needs."""
    may = (ROOT / "cinema/development", ROOT / "cinema/management")
    for folder in (*APPS, "cinema"):
        for path in (p for p in python_files(folder) if not p.is_relative_to(may[0])):
            names = {n for n in imports(path) if n.startswith(("cinema.development", "psutil"))}
            assert not names or path.is_relative_to(may[1]), f"{path} imports {names}"


def test_the_engine_is_numpy_and_scipy_only() -> None:
    for path in python_files("recommendations/engine"):
        for name in imports(path):
            if not name.startswith("recommendations.engine"):
                assert name.partition(".")[0] in ENGINE_MAY_IMPORT, f"{path} imports {name}"
            assert name.partition(".")[0] != "time", f"{path} reads the clock"


@pytest.mark.parametrize(("package", "other"), [("lists", "training"), ("training", "lists")])
def test_training_and_lists_know_of_each_other_only_by_releases(package: str, other: str) -> None:
    for path in python_files(f"recommendations/{package}"):
        for module in modules(path):
            assert not module.startswith(f"recommendations.{other}."), f"{path} imports {module}"


def test_each_algorithm_is_a_file_of_its_name() -> None:
    """The settings read the names of the files, because the registry imports NumPy."""
    folder = ROOT / "recommendations/engine/algorithms"
    assert {path.stem for path in folder.glob("[a-z]*.py")} == set(ALGORITHMS)
    for name, algorithm in ALGORITHMS.items():
        assert algorithm.__module__.endswith(f".{name}")


def test_endpoints_hold_no_query() -> None:
    for path in (path for app in APPS for path in python_files(app) if path.name == "api.py"):
        assert ".objects" not in path.read_text(), path


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "manager"])
def test_no_module_has_a_meaningless_name(name: str) -> None:
    for folder in (*APPS, "cinema"):
        assert not [path for path in python_files(folder) if path.stem == name]


def test_no_module_imports_itself_through_others() -> None:
    """Imports inside functions count too: a reader follows them in the same way."""
    graph: dict[str, set[str]] = {}
    for path in (path for folder in (*APPS, "cinema") for path in python_files(folder)):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        graph[name] = modules(path)
    graphlib.TopologicalSorter(graph).prepare()


def test_no_two_classes_have_one_name() -> None:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in (path for folder in (*APPS, "cinema") for path in python_files(folder)):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name != "Command":
                found[node.name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_no_file_is_too_long_to_read() -> None:
    for path in (path for folder in (*APPS, "cinema") for path in python_files(folder)):
        if path != ROOT / "cinema/settings.py":
            assert len(path.read_text().splitlines()) <= 400, path


def test_only_commands_and_the_evaluation_import_the_movielens_loader() -> None:
    folder = ROOT / "recommendations"
    evaluations = folder / "evaluation.py", folder / "evaluation_report.py"
    for path in (path for app in (*APPS, "cinema") for path in python_files(app)):
        if path.is_relative_to(folder / "movielens") or path in evaluations:
            continue
        if not path.is_relative_to(folder / "management"):
            for module in modules(path):
                loader = ("recommendations.movielens.", "recommendations.evaluation")
                assert not module.startswith(loader), f"{path} imports {module}"
