"""Image packages as files: what is read, and what is refused with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, external_data_helper, helper, load_model_from_string

from her2node.errors import PackageRefused, WorkedCaseFailed
from her2node.models.manifest import Image
from tests.models.image import made
from tests.models.image.made import CROP, MANIFEST, beholder, cases, middle_of_portal, sum_graph
from tests.models.making import make_keys

PORTAL = middle_of_portal()


def test_a_package_is_read_and_its_worked_case_comes_out(tmp_path: Path) -> None:
    package = beholder(tmp_path)
    assert isinstance(package.manifest, Image)
    assert package.manifest.crop == CROP
    assert package.has_model
    assert package.manifest.roi == "needed"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m.replace('role = "portal"\n', 'role = "equilibrium"\n'), "other roles than crop.channels"),
        (lambda m: m.replace('"arterial"', '"portal"'), "phase twice"),
        (lambda m: m.replace('"arterial"', '"pet"'), "contrast phases of CT"),
        (lambda m: m.replace("clip_hu = [-200.0, 300.0]", "clip_hu = [300.0, 300.0]"), "clips"),
        (lambda m: m.replace("sd_hu = 25.0", "sd_hu = 0.0"), "sd_hu"),
        (lambda m: m.replace("size = [8, 12, 10]", "size = [8, 12]"), "size"),
        (lambda m: m.replace("size = [8, 12, 10]", "size = [200, 200, 200]").replace("block", "block"), "crop of"),
        (lambda m: m.replace("size = [8, 12, 10]", "size = [8, 512, 10]"), "size"),
        (lambda m: m.replace("spacing_mm = [6.0", "spacing_mm = [0.0"), "spacing_mm"),
        (lambda m: m.replace("margin_mm = 1.0", "margin_mm = -1.0"), "margin_mm"),
        (lambda m: m.replace('answer = "logit"', 'answer = "softmax"'), "answer"),
        (lambda m: m.replace("step = [2, 4, 2]", "step = [3, 4, 2]"), "cover the crop"),
        (lambda m: m.replace("step = [2, 4, 2]", "step = [5, 4, 2]"), "cover the crop"),
        (lambda m: m.replace("block = [4, 4, 4]", "block = [16, 4, 4]"), "cover the crop"),
        (lambda m: m.replace("unlikely = 0.2", "unlikely = 0.9"), "unlikely"),
        (lambda m: m.replace('level = "site-trained"', 'level = "measured-only"'), "do not go together"),
        (lambda m: m.replace('level = "site-trained"', 'level = "published-threshold"'), "threshold"),
        (lambda m: m.replace("[crop]", "[crop]\nsurprise = 1"), "surprise"),
        (lambda m: m.replace('version = "1.0.0"', 'version = "1.0.0"\nroi = "none"'), "roi"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(change: Callable[[str], str], match: str, tmp_path: Path) -> None:
    assert change(MANIFEST) != MANIFEST
    with pytest.raises(PackageRefused, match=match):
        beholder(tmp_path, change)


def _outside() -> bytes:
    """The network with its weights in another file."""
    model = load_model_from_string(sum_graph(PORTAL))
    tensor = model.graph.initializer[0]
    external_data_helper.set_external_data(tensor, location="../../secret")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return bytes(model.SerializeToString())


def _huge() -> bytes:
    model = load_model_from_string(sum_graph(PORTAL))
    model.graph.initializer[0].dims[:] = [2**20, 2**20]
    return bytes(model.SerializeToString())


def _endless() -> bytes:
    """The network with a loop that nothing reads, which is there all the same."""
    model = load_model_from_string(sum_graph(PORTAL))
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["turns"], body=body))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (lambda: b"no ONNX", "ONNX"),
        (_endless, "uses Loop; those of networks stand in her2node"),
        (_outside, "external data"),
        (_huge, "stored numbers"),
        (lambda: sum_graph(PORTAL, domain="evil.example"), "evil.example"),
        (lambda: sum_graph(np.zeros((2, 8, 12, 10), np.float32)), "crop is"),
        (lambda: sum_graph(PORTAL, shape=(1, *CROP.shape)), "crop is"),
        (lambda: sum_graph(PORTAL, outputs=2), "answer is"),
        (lambda: sum_graph(PORTAL, kind=TensorProto.DOUBLE), "onnxruntime refuses"),
    ],
)
def test_a_network_that_is_none_for_these_crops_is_refused(
    model: Callable[[], bytes], match: str, tmp_path: Path
) -> None:
    with pytest.raises(PackageRefused, match=match):
        beholder(tmp_path, **made.replaced("model.onnx", model()))


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"{}",
        b'[{"seed": -1}]',
        cases(PORTAL, surprise=1),
        b"no json",
        b"[" * 200_000,
        b"[" + b", ".join([cases(PORTAL).strip()[1:-1]] * 65) + b"]",
    ],
    ids=["none", "no list", "no seed", "surprise", "no json", "deep", "many"],
)
def test_cases_that_are_none_are_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match=r"cases\.json"):
        beholder(tmp_path, **made.replaced("cases.json", content))


def test_another_network_than_the_worked_case_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkedCaseFailed, match="seed 5"):
        beholder(tmp_path, **made.replaced("model.onnx", sum_graph(PORTAL, bias=0.01)))


def test_a_probability_beyond_one_is_refused_by_its_worked_case(tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match="no probability"):
        beholder(
            tmp_path,
            lambda m: m.replace('answer = "logit"', 'answer = "probability"'),
            **made.replaced("model.onnx", sum_graph(PORTAL, bias=3.0)),
        )


def test_a_network_may_give_the_probability_itself(tmp_path: Path) -> None:
    package = beholder(
        tmp_path,
        lambda m: m.replace('answer = "logit"', 'answer = "probability"'),
        **made.replaced("model.onnx", sum_graph(PORTAL, sigmoid=True)),
    )
    assert package.classifier is not None
    crop = np.zeros(CROP.shape, np.float32)
    assert package.classifier.probability(crop) == 0.5


@pytest.mark.parametrize("name", ["model.onnx", "cases.json", "CARD.md", "package.toml"])
def test_a_file_that_was_changed_is_refused(name: str, tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    path = made.write(tmp_path, keys)
    (path / name).write_bytes((path / name).read_bytes() + b"\n")
    with pytest.raises(PackageRefused):
        made.load(path, keys.trust)
