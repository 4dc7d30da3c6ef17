"""A network that nobody here made, through the node's segmenter: that of lavlab-taps (MIT), which draws the prostate.

A SegResNet of 20 million weights for MR, in the order (x, y, z), with one output and no background: what nnU-Net calls
a region. Its own program blurs the logits and thresholds elsewhere, which no plans.json can say; compared is therefore
what the sliding window makes of the network's answers, and the memory that this needs.
"""

from __future__ import annotations

import importlib.util
import json
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from scipy.ndimage import gaussian_filter

from her2node.models.building import seal, sign_package
from tests.conftest import NO_TOOL
from tests.models.making import make_keys
from tests.models.segmenter import peak
from tests.models.segmenter.made import configuration, dataset, plans
from tests.models.segmenter.packaged import MANIFEST, SEED

PATCH = (128, 128, 32)
SPACING_MM = (3.0, 0.8, 0.8)
SHAPE = (32, 128, 180)
"""(z, y, x): two patches beside each other."""
BOUND = 2 * 2**30

Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> bytes:
    found = importlib.util.find_spec("taps")
    if found is None or found.origin is None:
        pytest.skip(f"lavlab-taps {NO_TOOL}: run `bash tests/run`, which installs it")
    return (Path(found.origin).parent / "resources" / "model_v1.onnx").read_bytes()


def answer_of(model: bytes, patch: Floats) -> Floats:
    """What onnxruntime alone makes of a patch (x, y, z)."""
    session = onnxruntime.InferenceSession(model)
    return np.asarray(session.run(None, {"input": patch[None, None]})[0][0, 0], dtype=np.float32)


def write(folder: Path, model: bytes) -> tuple[Path, Path]:
    """The package, told in the words of nnU-Net, and the key that it is trusted by."""
    keys = make_keys(folder)
    noise = np.random.RandomState(SEED).standard_normal((1, 1, *PATCH)).astype(np.float32)
    answer, places = answer_of(model, noise[0, 0]), [(0, 0, 0, 0), (0, 60, 70, 10)]
    logits = [float(answer[place[1:]]) for place in places]
    case = {"seed": SEED, "places": places, "logits": logits, "tolerance": 0.01, "source": "onnxruntime alone"}
    how = configuration(
        patch_size=list(PATCH), spacing=list(SPACING_MM[::-1]), normalization_schemes=["ZScoreNormalization"],
        use_mask_for_norm=[True],
    )  # fmt: skip
    said = MANIFEST.replace('tumour = "tumour"', 'tumour = "prostate"\norientation = "RAS"')
    path = folder / "bright"
    path.mkdir()
    for name, content in {
        "fold-0.onnx": model,
        "plans.json": plans({"3d_fullres": how}, transpose_forward=[2, 1, 0], transpose_backward=[2, 1, 0]),
        "dataset.json": dataset({"background": 0, "prostate": [1, 2]}, regions_class_order=[1]),
        "cases.json": json.dumps([case]).encode(),
        "CARD.md": b"# TAPS\n",
        "package.toml": said.replace("mirror = [0, 2]\n", "").encode(),
    }.items():
        (path / name).write_bytes(content)
    seal(path)
    sign_package(path, keys.pair.private_pem)
    return path, keys.public


def pelvis() -> Floats:
    """A drawing of a pelvis on T2-weighted MR, from foot to head, front to back, right to left, (z, y, x)."""
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    image = np.full(SHAPE, 150.0)
    for grey, (right, front, up), (across, along, high) in (
        (90, (86, 67, 16), (16, 34, 60)),  # muscles
        (90, (146, 67, 16), (16, 34, 60)),
        (90, (116, 29, 16), (50, 10, 60)),
        (380, (116, 61, 15), (27, 20, 9)),  # the prostate, and its inner zone
        (180, (116, 57, 15), (20, 14, 8)),
        (550, (116, 35, 28), (30, 16, 7)),  # bladder
        (60, (116, 93, 14), (14, 10, 30)),  # rectum
    ):
        image[((x - right) / across) ** 2 + ((y - front) / along) ** 2 + ((z - up) / high) ** 2 < 1] = grey
    noise = np.random.default_rng(0).normal(0, 60, SHAPE)
    found = gaussian_filter(image, (0.3, 1.5, 1.5)) + gaussian_filter(noise, (0, 1, 1))
    return np.asarray(found, dtype=np.float32)


def logits_of(model: bytes, image: Floats) -> npt.NDArray[np.float64]:
    """Two patches weighed by a Gaussian, by hand; ``image`` (x, y, z) as the network wants it."""
    impulse = np.zeros(PATCH)
    impulse[tuple(size // 2 for size in PATCH)] = 1
    weight = gaussian_filter(impulse, [size / 8 for size in PATCH], mode="constant")
    total, weights = np.zeros(image.shape), np.zeros(image.shape)
    starts = [(0, size - patch) if size > patch else (0,) for size, patch in zip(image.shape, PATCH, strict=True)]
    for start in product(*starts):
        box = tuple(slice(a, a + p) for a, p in zip(start, PATCH, strict=True))
        total[box] += answer_of(model, image[box]) * weight
        weights[box] += weight
    return np.asarray(total / weights)


@pytest.mark.soak
@pytest.mark.truth
@pytest.mark.timeout(1800)
def test_a_network_of_others_draws_what_its_answers_say_within_2_gib(model: bytes, tmp_path: Path) -> None:
    path, key = write(tmp_path, model)
    image = pelvis()
    np.save(tmp_path / "image.npy", image)
    most = peak.told(path, key, tmp_path / "image.npy", SPACING_MM, tmp_path / "mask.npy", 1700)
    seen = image[:, ::-1, ::-1].transpose(2, 1, 0)  # to the right, to the front, to the head
    logits = logits_of(model, (seen - seen.mean()) / seen.std()).transpose(2, 1, 0)[:, ::-1, ::-1]
    mask: npt.NDArray[np.bool_] = np.load(tmp_path / "mask.npy")
    sure = np.abs(logits) > 0.05  # logits are added up in half precision
    print(f"{mask.sum()} voxels, {most / 2**30:.2f} GiB, {(~sure).sum()} not told apart")
    assert mask.sum() > 500
    assert np.array_equal(mask[sure], logits[sure] > 0)
    assert sure.mean() > 0.99
    assert most < BOUND
