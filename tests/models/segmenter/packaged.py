"""A segmenter package whose network is plain enough that the right mask is known: what is brighter than a level."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from her2node.models.building import seal, sign_package
from her2node.models.package import Package, load
from tests.models.making import Keys, make_keys
from tests.models.segmenter.made import configuration, dataset, plans

PATCH = (8, 32, 32)
LEVEL = 150.5
MANIFEST = """\
format = 1
kind = "segmenter"
name = "bright"
version = "1.0.0"
level = "site-trained"
title = "What is bright"
citation = "Nobody 2024."
intended_use = "Tests."
reference_test = "A level."

[[requires]]
role = "portal"

[network]
channels = ["portal"]
configuration = "3d_fullres"
folds = ["fold-0.onnx"]
tumour = "tumour"
mirror = [0, 2]
"""
SEED = 11


def thresholding_graph(
    level: float = LEVEL,
    *,
    channels: int = 1,
    outputs: int = 2,
    shape: Sequence[int | str] = ("n", 1, *PATCH),
    kind: int = TensorProto.FLOAT,
    domain: str = "",
) -> bytes:
    """ONNX bytes of a 1 x 1 x 1 convolution: output 0 is 0, the last the sum of the channels minus ``level``."""
    weights = np.zeros((outputs, channels, 1, 1, 1), dtype=np.float32)
    weights[-1] = 1
    bias = np.zeros(outputs, dtype=np.float32)
    bias[-1] = -level
    stored = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["patches", "weights", "bias"], ["logits"], domain=domain)],
        "thresholding",
        [helper.make_tensor_value_info("patches", kind, list(shape))],
        [helper.make_tensor_value_info("logits", kind, ["n", outputs, *shape[2:]])],
        stored,
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return bytes(helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString())


def cases(level: float = LEVEL, **changes: Any) -> bytes:
    """One worked case, calculated without any network."""
    noise = np.random.RandomState(SEED).standard_normal((1, 1, *PATCH))
    places = [(0, 1, 2, 3), (1, 1, 2, 3), (1, 7, 31, 0)]
    logits = [0.0, *(float(noise[0, 0][place[1:]]) - level for place in places[1:])]
    case = {"seed": SEED, "places": places, "logits": logits, "tolerance": 1e-4, "source": "noise minus the level"}
    return json.dumps([{**case, **changes}]).encode()


def files_of(**more: bytes) -> dict[str, bytes]:
    how = {"spacing": [5.0, 2.0, 2.0], "patch_size": list(PATCH)}
    return {
        "fold-0.onnx": thresholding_graph(),
        "plans.json": plans({"3d_fullres": configuration(**how)}),
        "dataset.json": dataset(),
        "cases.json": cases(),
        "CARD.md": b"# bright\n",
        **more,
    }


def write(folder: Path, keys: Keys | None, files: Mapping[str, bytes], manifest: str = MANIFEST) -> Path:
    """A sealed package in ``folder/bright``, signed where ``keys`` are given."""
    path = folder / "bright"
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    (path / "package.toml").write_text(manifest)
    seal(path)
    if keys is not None:
        sign_package(path, keys.pair.private_pem)
    return path


def bright(folder: Path, change: Callable[[str], str] = lambda manifest: manifest, **more: bytes) -> Package:
    """The package, its manifest changed and some files others, loaded."""
    keys = make_keys(folder)
    return load(write(folder, keys, files_of(**more), change(MANIFEST)), keys.trust)
