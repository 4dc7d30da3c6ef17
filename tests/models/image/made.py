"""Image packages whose network is plain enough that the right answer is known: a weighted sum of the crop."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from her2node.models.building import seal, sign_package
from her2node.models.image.classifier import Classifier, noise, read
from her2node.models.image.stated import Channel, CropStated, Saliency
from her2node.models.odds import expit
from her2node.models.package import Package, load
from her2node.selection.roles import Role
from tests.models.making import END, Keys, make_keys

CROP = CropStated(
    channels=(Channel(Role.ARTERIAL, (-200.0, 300.0), 60.0, 25.0), Channel(Role.PORTAL, (-200.0, 300.0), 90.0, 20.0)),
    size=(8, 12, 10),
    spacing_mm=(6.0, 5.0, 6.0),
    margin_mm=1.0,
    mask=True,
    answer="logit",
    saliency=Saliency((4, 4, 4), (2, 4, 2)),
)
MANIFEST = (
    """\
format = 1
kind = "image"
name = "beholder"
version = "1.0.0"
level = "site-trained"
title = "A weighted sum of a crop"
citation = "Nobody 2024."
intended_use = "Tests."
reference_test = "Tissue."

[[requires]]
role = "arterial"
slice_thickness_mm = { usual = [0.0, 5.0], hard = [0.0, 10.0] }

[[requires]]
role = "portal"

[crop]
size = [8, 12, 10]
spacing_mm = [6.0, 5.0, 6.0]
margin_mm = 1.0
mask = true
answer = "logit"
saliency = { block = [4, 4, 4], step = [2, 4, 2] }
channels = [
    { role = "arterial", clip_hu = [-200.0, 300.0], mean_hu = 60.0, sd_hu = 25.0 },
    { role = "portal", clip_hu = [-200.0, 300.0], mean_hu = 90.0, sd_hu = 20.0 },
]

"""
    + END
)
Weights = npt.NDArray[np.float32]


def middle_of_portal(scale: float = 0.25) -> Weights:
    """``scale`` over the mean of the portal phase in the eight voxels about the crop's centre."""
    weights = np.zeros(CROP.shape, dtype=np.float32)
    weights[1, 3:5, 5:7, 4:6] = scale / 8
    return weights


def sum_graph(
    weights: Weights,
    bias: float = 0.0,
    *,
    shape: Sequence[int | str] | None = None,
    outputs: int = 1,
    kind: int = TensorProto.FLOAT,
    domain: str = "",
    sigmoid: bool = False,
) -> bytes:
    """ONNX bytes of bias + the sum of weights times crop, or of its sigmoid."""
    stored = [
        numpy_helper.from_array(np.repeat(weights.reshape(1, -1), outputs, axis=0), "weights"),
        numpy_helper.from_array(np.full(outputs, bias, dtype=np.float32), "bias"),
    ]
    last = "before" if sigmoid else "answer"
    nodes = [
        helper.make_node("Flatten", ["crop"], ["flat"], axis=1, domain=domain),
        helper.make_node("Gemm", ["flat", "weights", "bias"], [last], transB=1),
    ]
    nodes += [helper.make_node("Sigmoid", ["before"], ["answer"])] if sigmoid else []
    graph = helper.make_graph(
        nodes,
        "sum",
        [helper.make_tensor_value_info("crop", kind, ["n", *weights.shape] if shape is None else list(shape))],
        [helper.make_tensor_value_info("answer", kind, ["n", outputs])],
        stored,
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return bytes(helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString())


def cases(weights: Weights, bias: float = 0.0, crop: CropStated = CROP, **changes: Any) -> bytes:
    """One worked case, calculated without any network."""
    odds = bias + float((noise(crop, 5).astype(np.float64) * weights).sum())
    case = {"seed": 5, "probability": expit(odds), "tolerance": 1e-4, "source": "numpy"}
    return json.dumps([{**case, **changes}]).encode()


def classifier(weights: Weights, bias: float = 0.0, crop: CropStated = CROP) -> Classifier:
    return read(crop, sum_graph(weights, bias))


def write(folder: Path, keys: Keys | None, manifest: str = MANIFEST, **more: bytes) -> Path:
    """A sealed package in ``folder/beholder``, signed where ``keys`` are given."""
    path = folder / "beholder"
    path.mkdir(parents=True)
    weights = middle_of_portal()
    files: Mapping[str, bytes] = {
        "package.toml": manifest.encode(), "model.onnx": sum_graph(weights), "cases.json": cases(weights),
        "CARD.md": b"# beholder\n", **more,
    }  # fmt: skip
    for name, content in files.items():
        (path / name).write_bytes(content)
    seal(path)
    if keys is not None:
        sign_package(path, keys.pair.private_pem)
    return path


def beholder(folder: Path, change: Callable[[str], str] = lambda manifest: manifest, **more: bytes) -> Package:
    """The package, its manifest changed, loaded."""
    keys = make_keys(folder)
    return load(write(folder, keys, change(MANIFEST), **more), keys.trust)


def replaced(name: str, content: bytes) -> dict[str, bytes]:
    """A file of another content, by the name that it has in the package."""
    return {name: content}
