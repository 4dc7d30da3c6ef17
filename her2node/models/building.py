"""How a package is made: a graph from coefficients, hashes into package.toml, a signature beside it.

The only module that needs the ``onnx`` package (extra ``test``), and only to make a graph; nothing here runs when the
node reads a study. What ships is made by ``models.literature`` and ``models.synthetic``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from her2node.models import manifest as manifests
from her2node.models.manifest import Logistic, Prior, Threshold
from her2node.models.package import CARD, CASES, MANIFEST, MODEL, OUTPUT, PINNED, SIGNATURE, check_files, read_folder
from her2node.models.trust import sign
from her2node.models.uncertainty import likelihood_ratio

if TYPE_CHECKING:
    from onnx import NodeProto

_OPSET, _IR_VERSION = 17, 8
"""Old enough for every onnxruntime that the node accepts."""


def logistic_graph(model: Logistic, names: Sequence[str]) -> bytes:
    """ONNX bytes of p = 1 / (1 + exp(-(b0 + sum b_i x_i))): a double vector a name in, the vector 'probability' out.

    Terms are added in the order of ``names``, so that a plain evaluation in double precision agrees to the last digits.
    """
    from onnx import helper

    stored = {"intercept": model.intercept, **{f"b_{name}": model.coefficients[name] for name in names}}
    nodes, total = [], "intercept"
    for name in names:
        nodes.append(helper.make_node("Mul", [name, f"b_{name}"], [f"term_{name}"]))
        nodes.append(helper.make_node("Add", [total, f"term_{name}"], [f"sum_{name}"]))
        total = f"sum_{name}"
    nodes.append(helper.make_node("Sigmoid", [total], [OUTPUT]))
    return vector_graph("logistic", names, stored, nodes)


def threshold_graph(rule: Threshold, cohort: Prior) -> bytes:
    """ONNX bytes of Bayes' rule at the cohort's prevalence: the post-test probability on either side of the cut-off."""
    from onnx import helper

    odds = cohort.positives / cohort.negatives
    after = {positive: odds * likelihood_ratio(rule, positive=positive) for positive in (True, False)}
    stored = {
        "cut_off": rule.cut_off,
        "if_positive": after[True] / (1 + after[True]),
        "if_negative": after[False] / (1 + after[False]),
    }
    compared = "GreaterOrEqual" if rule.positive_if == ">=" else "Less"
    nodes = [
        helper.make_node(compared, [rule.input, "cut_off"], ["positive"]),
        helper.make_node("Where", ["positive", "if_positive", "if_negative"], [OUTPUT]),
    ]
    return vector_graph("threshold", [rule.input], stored, nodes)


def vector_graph(name: str, inputs: Sequence[str], stored: Mapping[str, float], nodes: Sequence[NodeProto]) -> bytes:
    """A graph of named double vectors with stored doubles, checked and serialised the same way every time."""
    from onnx import TensorProto, checker, helper, numpy_helper  # extra `test`: building only

    constants = [numpy_helper.from_array(np.array(value, dtype=np.float64), key) for key, value in stored.items()]
    ports = [helper.make_tensor_value_info(port, TensorProto.DOUBLE, ["cases"]) for port in (*inputs, OUTPUT)]
    graph = helper.make_graph(nodes, name, ports[:-1], ports[-1:], constants)
    opset = [helper.make_opsetid("", _OPSET)]
    proto = helper.make_model(graph, producer_name="her2node", ir_version=_IR_VERSION, opset_imports=opset)
    checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def write_package(
    folder: Path, manifest: str, model: bytes | None, cases: Sequence[Mapping[str, object]], card: str
) -> bytes:
    """Write a whole package folder and return the sealed package.toml. ``manifest`` is its text without [files];
    ``model`` is None for a package that predicts nothing.

    Raises PackageRefused when the manifest cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if model is not None:
        (folder / MODEL).write_bytes(model)
        (folder / CASES).write_text(json.dumps(list(cases), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / CARD).write_text(card, encoding="utf-8")
    (folder / MANIFEST).write_text(manifest, encoding="utf-8")
    return seal(folder)


def seal(folder: Path) -> bytes:
    """Write the SHA-256 of every file beside it into package.toml ([files], its last table) and return its bytes.

    A signature from before is removed: it no longer holds. Raises PackageRefused when package.toml cannot be used.
    """
    (folder / SIGNATURE).unlink(missing_ok=True)
    files = read_folder(folder)
    content = sealed(files.pop(MANIFEST), files)
    check_files(manifests.parse(content), files)
    (folder / MANIFEST).write_bytes(content)
    return content


def sealed(content: bytes, files: Mapping[str, bytes]) -> bytes:
    """package.toml with the SHA-256 of each of ``files`` as its last table, [files], in place of what stood there."""
    said = re.split(r"(?m)^\[files\]$", content.decode())[0].rstrip()
    lines = (f'"{name}" = "{hashlib.sha256(file).hexdigest()}"' for name, file in sorted(files.items()))
    return "\n".join((said, "", "[files]", *lines, "")).encode()


def sign_package(folder: Path, private_pem: bytes) -> Path:
    """Sign a sealed package; returns the signature's path. Raises PackageRefused when a file is not what it names."""
    files = read_folder(folder)
    content = files.pop(MANIFEST)
    files.pop(SIGNATURE, None)
    check_files(manifests.parse(content), files)
    path = folder / SIGNATURE
    path.write_bytes(sign(content, private_pem))
    return path


def pin(folder: Path) -> None:
    """Write the SHA-256 of a sealed package's package.toml into pinned.json: it ships with the node."""
    pinned = json.loads(PINNED.read_bytes()) if PINNED.exists() else {}
    pinned[folder.name] = [hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()]
    PINNED.write_text(json.dumps(pinned, indent=2, sort_keys=True) + "\n", encoding="utf-8")
