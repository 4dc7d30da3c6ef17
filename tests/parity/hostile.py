"""Folders that others might send: the command refuses them by name, and nothing of theirs is run.

``hubconf.py`` lies beside plans that lead from a module of ``torch.nn`` to ``torch.hub.load``, which would run it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from her2node.errors import PackageRefused
from her2node.training.nnunet import Said, import_nnunet
from tests.parity.nnunet import DATASET, KINDS, plans_of

CONFIGURATION = "3d_fullres"
SAID = Said("hostile", "Parity", "None.", "Tests.", "None.", ("portal",), configuration=CONFIGURATION)

Change = Callable[[dict[str, Any], Path], None]


def _hub(architecture: dict[str, Any], folder: Path) -> None:
    architecture["arch_kwargs"] |= {
        "nonlin": "torch.nn.modules.module.torch.hub.load",
        "nonlin_kwargs": {"repo_or_dir": str(folder), "model": "x", "source": "local"},
    }


def _class_elsewhere(architecture: dict[str, Any], _: Path) -> None:
    architecture["arch_kwargs"]["nonlin"] = "torch.nn.modules.module.torch.jit.ScriptModule"


def _no_arguments(architecture: dict[str, Any], _: Path) -> None:
    del architecture["arch_kwargs"]


def _too_few_stages(architecture: dict[str, Any], _: Path) -> None:
    architecture["arch_kwargs"]["strides"] = [[1, 1, 1]]


HOSTILE: dict[str, tuple[Change, str]] = {
    "a function by way of a module": (_hub, "torch.hub.load, which is no Module"),
    "a class of another library": (_class_elsewhere, "ScriptModule, which is no Module"),
    "no arguments": (_no_arguments, "the architecture is none"),
    "an assertion within the network": (_too_few_stages, "does not take the weights: AssertionError"),
}


def refused(change: Change, why: str, folder: Path) -> bool:
    """Whether the folder, so changed, is refused for this and its code has not run."""
    ran, model = folder / "ran", folder / "model"
    (model / "fold_0").mkdir(parents=True)
    (folder / "hubconf.py").write_text(f"open({str(ran)!r}, 'w')\ndef x(**_): raise RuntimeError\n")
    plans = plans_of(KINDS["isotropic"], CONFIGURATION)
    change(plans["configurations"][CONFIGURATION]["architecture"], folder)
    (model / "plans.json").write_text(json.dumps(plans))
    (model / "dataset.json").write_text(json.dumps(DATASET))
    torch.save({"network_weights": {}}, model / "fold_0" / "checkpoint_final.pth")
    try:
        import_nnunet(model, folder / "out", SAID)
    except PackageRefused as error:
        return why in str(error) and not ran.exists()
    return False


def main() -> int:
    """Try all; the exit status."""
    failed = 0
    for name, (change, why) in HOSTILE.items():
        with tempfile.TemporaryDirectory() as folder:
            right = refused(change, why, Path(folder))
        failed += not right
        print(f"refused: {name:32} {'yes' if right else 'MISSED'}", flush=True)
    return 1 if failed else 0
