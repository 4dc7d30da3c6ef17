"""package.toml as text, the graph of a model that knows several scanners, and a signature that is tried at once."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from her2node.errors import PackageRefused, WorkedCaseFailed
from her2node.models.building import sign_package
from her2node.models.manifest import SCANNER
from her2node.models.package import OUTPUT, Package, load
from her2node.models.trust import Trust
from her2node.training.pipelines import Model

_OPSET, _IR_VERSION = 17, 8
"""As ``models.building``: old enough for every onnxruntime that the node accepts."""


def sign_and_load(folder: Path, private_pem: bytes) -> Package:
    """Sign a package and load it as a node that trusts this key would; one that does not load is removed.

    Raises PackageRefused and WorkedCaseFailed as ``load`` does.
    """
    try:
        sign_package(folder, private_pem)
        key = cast(Ed25519PrivateKey, serialization.load_pem_private_key(private_pem, password=None))
        return load(folder, Trust({}, (key.public_key(),)))
    except (PackageRefused, WorkedCaseFailed):
        shutil.rmtree(folder)
        raise


def scanner_graph(model: Model, names: Sequence[str]) -> bytes:
    """ONNX bytes of p = 1 / (1 + exp(-(b0[s] + sum b_i[s] x_i))): a double vector a name in, and ``scanner``, whose
    value s is the place of the scanner; the vector 'probability' out."""
    from onnx import TensorProto, checker, helper, numpy_helper  # extra `train`

    tables = {"intercepts": model.intercepts, **{f"b_{name}": model.slopes[:, i] for i, name in enumerate(names)}}
    constants = [numpy_helper.from_array(np.ascontiguousarray(table), name) for name, table in tables.items()]
    nodes = [
        helper.make_node("Cast", [SCANNER], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["intercepts", "place"], ["sum_"]),
    ]
    total = "sum_"
    for name in names:
        nodes.append(helper.make_node("Gather", [f"b_{name}", "place"], [f"slope_{name}"]))
        nodes.append(helper.make_node("Mul", [name, f"slope_{name}"], [f"term_{name}"]))
        nodes.append(helper.make_node("Add", [total, f"term_{name}"], [f"sum_{name}"]))
        total = f"sum_{name}"
    nodes.append(helper.make_node("Sigmoid", [total], [OUTPUT]))
    ports = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["cases"]) for name in (*names, SCANNER, OUTPUT)]
    graph = helper.make_graph(nodes, "logistic by scanner", ports[:-1], ports[-1:], constants)
    opset = [helper.make_opsetid("", _OPSET)]
    proto = helper.make_model(graph, producer_name="her2node", ir_version=_IR_VERSION, opset_imports=opset)
    checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))
