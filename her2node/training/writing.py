"""package.toml as text, the graph of a model that knows several scanners, and a signature that is tried at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, cast

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


def toml(content: Mapping[str, Any]) -> str:
    """TOML of strings, numbers, truths, lists, tables and lists of tables; None and what is empty are left out."""
    plain = {key: _plain(value) for key, value in content.items()}
    kept = {key: value for key, value in plain.items() if value not in (None, "", [], {})}
    lines = [f"{key} = {_inline(value)}" for key, value in kept.items() if not _is_table(value)]
    for key, value in kept.items():
        if isinstance(value, dict):
            lines += ["", f"[{key}]", *_pairs(value)]
        elif _is_table(value):
            for item in value:
                lines += ["", f"[[{key}]]", *_pairs(item)]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _pairs(table: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_inline(value)}" for key, value in table.items() if value not in (None, "", [], {})]


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(_pairs(value)) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # TOML wants one sign more escaped than JSON does
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _plain(value: Any) -> Any:
    """Dataclasses, enumerations and tuples as what TOML knows; in tables, what is empty is left out."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        plain = {str(key): _plain(item) for key, item in value.items()}
        return {key: item for key, item in plain.items() if item not in (None, "", [], {})}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


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
