"""Importing a model of nnU-Net, as far as that goes without torch."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from her2node.errors import PackageRefused, Refused
from her2node.models.manifest import Segmenter, parse
from her2node.training.nnunet import Said, _located, _manifest, import_nnunet

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
    text = _manifest(SAID, "3d_fullres", ["fold-0.onnx", "fold-all.onnx"], (0, 2))
    found = parse(f'{text}\n[files]\n"CARD.md" = "{"0" * 64}"\n'.encode())
    assert isinstance(found, Segmenter)
    assert (found.title, found.citation) == (SAID.title, SAID.citation)
    assert [role.value for role in found.network.channels] == ["arterial", "portal"]
    assert (found.network.mirror, found.network.folds) == ((0, 2), ("fold-0.onnx", "fold-all.onnx"))


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
