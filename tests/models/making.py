"""Small packages for tests, with their own keys, and findings to run them on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from her2node.dicom.codes import Code, Derivation, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.models.building import logistic_graph, seal, sign_package, write_package
from her2node.models.manifest import Logistic
from her2node.models.package import Package, load
from her2node.models.trust import KeyPair, Trust, keygen, read_key
from her2node.quantities.quantity import Quantity
from her2node.selection.roles import Role

MODEL = Logistic(intercept=-1.0, coefficients={"metastasis": 1.5, "portal_mean": 0.02})

END = """\
[output]
likely = 0.5
unlikely = 0.2
explanation = "Chosen for tests."

[prior]
positives = 20
negatives = 80
source = "invented"
"""
"""The categories and the prior of what is made for tests."""
MANIFEST = (
    """\
format = 1
kind = "scalar"
name = "small"
version = "1.0.0"
level = "site-trained"
title = "A small package"
citation = "Nobody 2024."
intended_use = "Tests."
reference_test = "Tissue."
roi = "needed"
conflicts = ["Somebody 2023 found the opposite."]
cautions = ["Made for tests."]

[[requires]]
role = "portal"
slice_thickness_mm = { usual = [0.0, 5.0], hard = [0.0, 10.0] }
kvp = { usual = [100.0, 140.0] }

[[inputs]]
source = "reader"
name = "metastasis"
meaning = "Is there a metastasis"
values = [0.0, 1.0]

[[inputs]]
source = "quantity"
name = "portal_mean"
meaning = "Mean attenuation"
role = "portal"
code = { value = "112031", scheme = "DCM", meaning = "Attenuation Coefficient" }
modifier = { value = "373098007", scheme = "SCT", meaning = "Mean" }
unit = "[hnsf'U]"
limits = { usual = [0.0, 150.0], hard = [-200.0, 400.0] }

"""
    + END
)

CASES: list[Mapping[str, Any]] = [
    {
        "inputs": {"metastasis": 1.0, "portal_mean": 50.0},
        "probability": 0.8175744761936437,
        "tolerance": 1e-9,
        "source": "1 / (1 + exp(-1.5))",
    }
]


@dataclass(frozen=True)
class Keys:
    """A key pair with its public half on disk."""

    pair: KeyPair
    public: Path

    @property
    def trust(self) -> Trust:
        return Trust({}, (read_key(self.public),))


def make_keys(folder: Path) -> Keys:
    folder.mkdir(parents=True, exist_ok=True)
    pair = keygen()
    public = folder / "public.pem"
    public.write_bytes(pair.public_pem)
    return Keys(pair, public)


def write(
    folder: Path,
    keys: Keys | None,
    *,
    manifest: str = MANIFEST,
    model: bytes | None = None,
    cases: Sequence[Mapping[str, Any]] = CASES,
) -> Path:
    """A sealed package in ``folder/small``, signed where ``keys`` are given."""
    path = folder / "small"
    graph = logistic_graph(MODEL, ("metastasis", "portal_mean")) if model is None else model
    write_package(path, manifest, graph, cases, "# small\n")
    if keys is not None:
        sign_package(path, keys.pair.private_pem)
    return path


def small(folder: Path, change: Callable[[str], str] = lambda manifest: manifest) -> Package:
    """The small package, its manifest changed, loaded."""
    keys = make_keys(folder)
    return load(write(folder, keys, manifest=change(MANIFEST)), keys.trust)


def rewritten(path: Path, name: str, content: bytes, keys: Keys) -> Path:
    """``path`` with one file changed, then sealed and signed anew: trusted, whatever it holds."""
    (path / name).write_bytes(content)
    seal(path)
    sign_package(path, keys.pair.private_pem)
    return path


def case_json(**changes: Any) -> bytes:
    return json.dumps([{**CASES[0], **changes}]).encode()


def attenuation(
    value: float,
    role: Role = Role.PORTAL,
    roi: str = "tumour",
    unit: Code = Unit.HU,
    series_uid: str = "1.2.3.1",
) -> Quantity:
    return Quantity(roi, role, Concept.ATTENUATION, value, unit, Derivation.MEAN, series_uids=(series_uid,))


def endless() -> bytes:
    """A graph with the small package's inputs and output that would run for longer than any hospital stands."""
    vector, number, truth = (TensorProto.DOUBLE, ["n"]), (TensorProto.INT64, []), (TensorProto.BOOL, [])
    body = helper.make_graph(
        [helper.make_node("Identity", [f"{name}_in"], [f"{name}_out"]) for name in ("go_on", "value")],
        "body",
        [helper.make_tensor_value_info(name, *kind)
         for name, kind in (("turn", number), ("go_on_in", truth), ("value_in", vector))],
        [helper.make_tensor_value_info(name, *kind) for name, kind in (("go_on_out", truth), ("value_out", vector))],
    )  # fmt: skip
    nodes = [
        helper.make_node("Add", ["metastasis", "portal_mean"], ["sum"]),
        helper.make_node("Loop", ["turns", "go_on", "sum"], ["last"], body=body),
        helper.make_node("Sigmoid", ["last"], ["probability"]),
    ]
    ports = [helper.make_tensor_value_info(name, *vector) for name in ("metastasis", "portal_mean", "probability")]
    stored = [numpy_helper.from_array(np.array(1 << 62), "turns"), numpy_helper.from_array(np.array(True), "go_on")]
    made = helper.make_graph(nodes, "endless", ports[:2], ports[2:], stored)
    return bytes(helper.make_model(made, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
