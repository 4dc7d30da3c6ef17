"""What deploy/ and the Dockerfile say is true of the settings and commands that exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
import yaml
from pydantic import BaseModel

from her2node import cli, settings
from tests.conftest import system_tool
from tests.scenarios.node import ROOT, Node

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = ROOT / "deploy" / "compose.yaml"
UNIT = ROOT / "deploy" / "systemd" / "her2node.service"
FILES = [ROOT / "Dockerfile", COMPOSE, UNIT]


def _settings(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """The environment variable of every key."""
    for name, key in model.model_fields.items():
        inner = key.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _settings(inner, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def _commands() -> list[list[str]]:
    """What image, services and unit run, without the program's name."""
    found = [
        json.loads(words) for words in re.findall(r"^(?:CMD|.*\bHEALTHCHECK.*CMD) (\[.*\])", DOCKERFILE, re.MULTILINE)
    ]
    services = yaml.safe_load(COMPOSE.read_text())["services"].values()
    found += [service["command"] for service in services if service.get("image") == "her2node:latest"]
    found += [shlex.split(line) for line in re.findall(r"^ExecStart(?:Pre)?=(.*)$", UNIT.read_text(), re.MULTILINE)]
    return [words[1:] if words[0].endswith("her2node") else words for words in found]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_variable_names_a_setting(file: Path) -> None:
    known = {"HER2NODE_CONFIG", *_settings(settings.Settings, "HER2NODE_")}
    assert set(re.findall(r"HER2NODE_[A-Z0-9_]+", file.read_text())) <= known


def test_every_command_that_is_run_exists_with_its_options() -> None:
    commands = _commands()
    assert len(commands) == 7
    for words in commands:
        command = typer.main.get_command(cli.app)
        while words and words[0] in getattr(command, "commands", {}):
            command, words = command.commands[words[0]], words[1:]  # type: ignore[attr-defined]
        assert not hasattr(command, "commands"), words
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options


def test_every_secret_volume_and_condition_of_the_services_is_declared() -> None:
    compose = yaml.safe_load(COMPOSE.read_text())
    for service in compose["services"].values():
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        named = {volume.split(":")[0] for volume in service.get("volumes", ()) if not volume.startswith(".")}
        assert named <= set(compose["volumes"])
        for other, wanted in service.get("depends_on", {}).items():
            assert wanted == {"condition": "service_healthy"}
            assert "test" in compose["services"][other]["healthcheck"]
        mounted = [volume.split(":")[0] for volume in service.get("volumes", ()) if volume.startswith(".")]
        assert all((COMPOSE.parent / name).is_file() for name in mounted)


def test_the_settings_of_the_services_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, secret in (
        ("LEDGER__URL", "postgresql+psycopg://h:p@postgres/h"),
        ("JOBS__BROKER", "redis://redis:6379/0"),
    ):
        (tmp_path / key).write_text(secret)
        monkeypatch.setenv(f"HER2NODE_{key}_FILE", str(tmp_path / key))
    found = settings.read(COMPOSE.parent / "her2node.compose.toml")
    assert (found.ledger_url, found.broker_url) == ("postgresql+psycopg://h:p@postgres/h", "redis://redis:6379/0")


def test_systemd_finds_the_unit_sound(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/her2node/bin/her2node", "/bin/true"))
    done = subprocess.run([system_tool("systemd-analyze"), "verify", unit], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr


@pytest.mark.servers
def test_the_health_check_tells_a_running_node_from_a_stopped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (check,) = (words for words in _commands() if "doctor" in words)
    node = Node(tmp_path / "node")
    monkeypatch.setenv("HER2NODE_CONFIG", str(node.config))

    def healthy() -> bool:
        command = [sys.executable, "-m", "her2node", *check]
        return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False).returncode == 0

    node.start("receive")
    try:
        assert healthy()
    finally:
        node.kill()
    assert not healthy()
