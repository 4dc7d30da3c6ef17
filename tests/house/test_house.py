"""The order of the house: what no linter checks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

import her2node
from her2node import cli, log

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "her2node").rglob("*.py"))
README = (ROOT / "README.md").read_text()


def _functions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def _name(module: Path) -> str:
    return str(module.relative_to(ROOT))


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_every_module_says_what_it_is_for(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text()))


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_no_function_is_longer_than_one_can_hold_in_mind(module: Path) -> None:
    long = [
        f"{f.name}: {f.end_lineno - f.lineno + 1}" for f in _functions(module) if (f.end_lineno or 0) - f.lineno >= 60
    ]
    assert not long


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_no_module_is_a_drawer(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 500
    assert module.stem not in {"util", "utils", "common", "helper", "helpers", "misc", "base", "manager", "types"}


def test_the_readme_names_every_command() -> None:
    group = typer.main.get_command(cli.app)
    commands = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        subcommands = getattr(command, "commands", None)
        commands += [f"{name} {sub}" for sub in subcommands] if subcommands else [name]
    missing = [name for name in commands if f"`her2node {name}" not in README]
    assert not missing


def test_the_readme_lists_every_log_event() -> None:
    table = set(re.findall(r"^\| `([a-z-]+)` \|", README, flags=re.MULTILINE))
    assert {event.value for event in log.Event} <= table


def test_the_readme_names_every_room() -> None:
    rooms = [p.name for p in (ROOT / "her2node").iterdir() if (p / "__init__.py").exists()]
    missing = [room for room in rooms if f"`{room}/`" not in README]
    assert not missing


def test_the_changelog_has_this_version() -> None:
    assert f"## {her2node.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_reserved_word_of_the_workplace_stands_in_the_project() -> None:
    for file in [*MODULES, *(ROOT / "tests").rglob("*.py"), ROOT / "README.md", ROOT / "CHANGELOG.md"]:
        assert "/work/" + "main" not in file.read_text(), file


def test_no_patient_attribute_is_ever_logged() -> None:
    """``emit`` is called with keyword arguments; none may bear a patient's attribute (promise 8)."""
    forbidden = {"patient_name", "patient_id", "patient_birth_date", "patient", "accession_number"}
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "emit":
                assert not forbidden & {keyword.arg for keyword in node.keywords}, _name(module)
