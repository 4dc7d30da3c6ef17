"""Importing a model of nnU-Net, as far as that goes without torch."""

from __future__ import annotations

import builtins
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from her2node.cli import app
from her2node.errors import PackageRefused, Refused
from her2node.models.manifest import Segmenter, parse
from her2node.models.prediction import Level
from her2node.training import nnunet
from her2node.training.nnunet import Said, _located, import_nnunet, manifest_of

SAID = Said("site-net", 'A "quoted" title', "Nobody 2024, 胃.", "Tests.", "A reader.", ("arterial", "portal"))


def test_without_torch_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name in ("torch", "dynamic_network_architectures"):
            raise ImportError(name=name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Refused, match="is not installed") as raised:
        import_nnunet(tmp_path, tmp_path / "out", SAID)
    assert raised.value.remedy == "pip install 'her2node[nnunet]'"


def test_the_manifest_that_is_written_says_what_was_said() -> None:
    text = manifest_of(
        replace(SAID, level=Level.SYNTHETIC_DEMO), "3d_fullres", ["fold-0.onnx", "fold-all.onnx"], (0, 2)
    )
    found = parse(f'{text}\n[files]\n"CARD.md" = "{"0" * 64}"\n'.encode())
    assert isinstance(found, Segmenter)
    assert found.level is Level.SYNTHETIC_DEMO
    assert (found.title, found.citation) == (SAID.title, SAID.citation)
    assert [role.value for role in found.network.channels] == ["arterial", "portal"]
    assert (found.network.mirror, found.network.folds) == ((0, 2), ("fold-0.onnx", "fold-all.onnx"))


def _imported(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> tuple[int, list[Said]]:
    """The command's exit status, and what it was told."""
    told: list[Said] = []

    def instead(_: Path, out: Path, said: Said) -> Path:
        told.append(said)
        return out

    monkeypatch.setattr(nnunet, "import_nnunet", instead)
    where = ["packages", "import-nnunet", str(folder), "--out", str(folder), "--name", "site-net"]
    said = ["--title", "T.", "--citation", "C.", "--intended-use", "U.", "--reference-test", "R.", *more]
    return CliRunner().invoke(app, [*where, "--channel", "portal", *said]).exit_code, told


@pytest.mark.parametrize("level", [Level.SITE_TRAINED, Level.PUBLISHED_COMPLETE, Level.SYNTHETIC_DEMO])
def test_whoever_imports_says_where_the_weights_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: Level
) -> None:
    status, (said,) = _imported(tmp_path, monkeypatch, "--level", level)
    assert status == 0
    assert said.level == level


@pytest.mark.parametrize("more", [(), ("--level", "measured-only"), ("--level", "published-threshold")])
def test_without_a_level_that_a_network_can_have_nothing_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    assert _imported(tmp_path, monkeypatch, *more) == (2, [])


@pytest.mark.parametrize(
    "name",
    [
        "json.decoder.scanner.re.compile",  # a function, of another module
        "json.decoder.scanner.re.Pattern",  # a class, of another module
        "json.loads",
        "json.decoder.JSONDecodeError",  # a class of this one, of another kind
        "json.nothing",
        "re.Pattern",
    ],
)
def test_a_name_that_leads_out_of_the_library_or_to_no_class_of_the_kind_is_refused(name: str) -> None:
    with pytest.raises(PackageRefused, match=f"names {name}, which is no JSONDecoder of json"):
        _located(name, "json.", json.JSONDecoder)


def test_a_class_of_the_library_is_found() -> None:
    assert _located("json.decoder.JSONDecoder", "json.", json.JSONDecoder) is json.JSONDecoder
