"""A node whose settings enable every bad kind of package: each is refused by name, the node is up and reads studies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from her2node.models.building import seal, sign_package
from her2node.models.trust import keygen, sign
from her2node.phantoms import Phase
from tests.models.making import MANIFEST, Keys, case_json, endless, make_keys, write
from tests.scenarios.node import Node, until
from tests.scenarios.sending import Sender, small_study

SOUND = "lee2017-portal-liver"
INPUTS = ("metastasis", "portal_mean")


def _graph(
    *nodes: object,
    inputs: tuple[str, ...] = INPUTS,
    stored: tuple[TensorProto, ...] = (),
    opset: str = "",
    size: object = "n",
) -> bytes:
    """A graph of the small package's ports, unless others are named."""
    ports = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [size]) for name in (*inputs, "probability")]
    made = helper.make_graph(list(nodes), "g", ports[:-1], ports[-1:], list(stored))
    opsets = [helper.make_opsetid(domain, 17) for domain in {"", opset}]
    return bytes(helper.make_model(made, ir_version=8, opset_imports=opsets).SerializeToString())


def _add(second: str = "portal_mean") -> object:
    return helper.make_node("Add", ["metastasis", second], ["probability"])


def _outside(secret: Path) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.DOUBLE, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=f"../../{secret.name}")
    return tensor


def _tables() -> bytes:
    wide = numpy_helper.from_array(np.zeros((1, 1000)), "w")
    high = numpy_helper.from_array(np.zeros((1000, 1)), "h")
    return _graph(helper.make_node("Add", ["h", "w"], ["table"]), _add(), stored=(wide, high))


MODELS: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "external-data": (lambda s: _graph(_add("w"), stored=(_outside(s),)), r"tensors outside the file"),
    "custom-operator": (
        lambda _: _graph(helper.make_node("Evil", list(INPUTS), ["probability"], domain="com.evil"), opset="com.evil"),
        r"operators of the domain com\.evil",
    ),
    "huge-initializer": (
        lambda _: _graph(_add("w"), stored=(TensorProto(name="w", data_type=TensorProto.DOUBLE, dims=[1 << 40]),)),
        r"claims 1099511627776 stored numbers",
    ),
    "tables": (lambda _: _tables(), r"a tensor of 2 dimensions"),
    "made-huge": (lambda _: _graph(helper.make_node("ConstantOfShape", ["x"], ["y"]), _add()), r"uses ConstantOfShape"),
    "whole-numbers-divided": (
        lambda _: _graph(
            helper.make_node("Div", ["least", "minus"], ["trap"]),
            _add(),
            stored=(
                numpy_helper.from_array(np.array([-(2**63)], dtype=np.int64), "least"),
                numpy_helper.from_array(np.array([-1], dtype=np.int64), "minus"),
            ),
        ),
        r"divide whole numbers",
    ),
    "endless": (lambda _: endless(), r"uses Loop"),
    "wrong-names": (lambda _: _graph(_add("portal_hu"), inputs=("metastasis", "portal_hu")), r"takes .*portal_hu"),
    "wrong-shapes": (lambda _: _graph(_add(), size=2), r"\[2\]"),
    "no-onnx": (lambda _: b"no model", r"no ONNX file"),
}
"""By name of the package what its trusted model.onnx is, and why it is refused."""


TOO_LARGE = "[logistic]\nintercept = -1.0\ncoefficients = { metastasis = 1.7e308, portal_mean = 1.7e308 }\n"
"""Coefficients that no sum of doubles holds."""


def _package(place: Path, name: str, keys: Keys, model: bytes | None = None, stated: str = "") -> Path:
    """The small package under a name of its own, trusted whatever its model is and whatever it states of it."""
    manifest = MANIFEST.replace('name = "small"', f'name = "{name}"') + stated
    return write(place / f"of-{name}", keys, manifest=manifest, model=model).rename(place / name)


def _with(path: Path, name: str, content: bytes, keys: Keys) -> None:
    (path / name).write_bytes(content)
    seal(path)
    sign_package(path, keys.pair.private_pem)


def _bad_packages(place: Path, keys: Keys, secret: Path) -> dict[str, str]:
    """One package of every bad kind; why each is refused, by name."""
    for name, (made, _) in MODELS.items():
        _package(place, name, keys, made(secret))
    for name, file in (("tampered-model", "model.onnx"), ("tampered-manifest", "package.toml")):
        changed = _package(place, name, keys) / file
        changed.write_bytes(changed.read_bytes().replace(b"metastasis", b"metastasiS"))
    stranger = _package(place, "by-a-stranger", keys)
    (stranger / "package.toml.sig").write_bytes(sign((stranger / "package.toml").read_bytes(), keygen().private_pem))
    (_package(place, "mangled-signature", keys) / "package.toml.sig").write_bytes(b"\xff\x00!")
    (_package(place, "unsigned", keys) / "package.toml.sig").unlink()
    _with(_package(place, "deep-cases", keys), "cases.json", b"[" * 200_000, keys)
    _with(_package(place, "wrong-case", keys), "cases.json", case_json(probability=0.5), keys)
    ones = case_json(inputs={"metastasis": 1.0, "portal_mean": 1.0}, probability=0.6271477663131956)
    _with(_package(place, "too-large", keys, stated=TOO_LARGE), "cases.json", ones, keys)
    deep = _package(place, "deep-manifest", keys)
    content = b"a = " + b"[" * 5000
    (deep / "package.toml").write_bytes(content)
    (deep / "package.toml.sig").write_bytes(sign(content, keys.pair.private_pem))
    (_package(place, "unsigned-and-deep", keys) / "package.toml").write_bytes(content)
    return {
        **{name: why for name, (_, why) in MODELS.items()},
        "tampered-model": r"model\.onnx was changed",
        "tampered-manifest": r"package\.toml was changed",
        "by-a-stranger": r"none of the 1 trusted keys",
        "mangled-signature": r"signature of mangled-signature",
        "unsigned": r"neither shipped nor signed",
        "deep-cases": r"cases\.json cannot be read",
        "wrong-case": r"gives 0\.817574",
        "too-large": r"too large to be added",
        "deep-manifest": r"package\.toml cannot be read",
        "unsigned-and-deep": r"none of the 1 trusted keys",
        "not-there": r"there is no package",
    }


@pytest.mark.timeout(1200)
def test_every_bad_kind_of_package_is_refused_by_name_and_the_node_reads_studies(tmp_path: Path) -> None:
    place = tmp_path / "packages"
    keys = make_keys(tmp_path / "keys")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(8))
    reasons = _bad_packages(place, keys, secret)
    node = Node(
        tmp_path / "node",
        {
            "packages.folders": [place],
            "packages.trusted_keys": [keys.public],
            "packages.enabled": [*reasons, SOUND],
            "packages.stability": False,
            "jobs.lease": 60,
            "jobs.resend": 60,
        },
    )
    study, files = small_study(tmp_path / "study", 31, phases=(Phase.PORTAL,))
    node.start(wait=False)  # the sender waits for the port
    try:
        Sender(node.port).send(files, seconds=400)
        until(lambda: [e for e in node.events() if e["event"] == "edition-read"], 400, "the study read")
        story = node.story(study)
        assert story is not None
        estimates = json.loads(story.editions[-1].summary or "{}")["estimates"]
        assert [estimate["package"].partition("@")[0] for estimate in estimates] == [SOUND]
        told = {e["package"]: e["detail"] for e in node.events() if e["event"] == "package-refused"}
        assert {name: why for name, why in reasons.items() if not re.search(why, told.get(name, ""))} == {}
        assert set(told) == set(reasons)
        assert not [event for event in node.events() if event["event"] == "role-died"]
        assert "endless" in node.run("packages", "list").stdout
    finally:
        node.kill()
