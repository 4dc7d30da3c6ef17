"""The network of the package ``synthetic-demo-segmenter``: a small U-Net that finds the gastric tumour of a phantom.

``python -m her2node.training.demo_segmenter`` trains it on digital phantoms and writes it to where packages ship; it
needs torch (extra `nnunet`), of which the node needs nothing to run the package. The same versions, machine and threads
give the same weights. It has seen no patient and says nothing about any.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from her2node.models.building import pin, seal
from her2node.models.model_card import RESEARCH, model_card
from her2node.models.package import CARD, SHIPPED
from her2node.models.prediction import Level
from her2node.models.segmenter.ensemble import DATASET, PLANS
from her2node.phantoms import cohort
from her2node.phantoms.anatomy import Anatomy, Phase, varied
from her2node.phantoms.planes import Plane
from her2node.phantoms.rendering import attenuations, mask
from her2node.training import nnunet
from her2node.volumes.volume import Floats

NAME = "synthetic-demo-segmenter"
SPACING_MM = 4.0
PATCH = (24, 48, 48)
MATRIX, SLICES = 96, 36
PATIENTS, SEED = 300, 7
"""Of the cohort. Its patients' seeds are drawn from 32 bits: the demonstration's phantom is not among them."""
STEPS, BATCH, RATE, LONGEST_GRADIENT = 2000, 2, 3e-3, 12.0
NOISE_HU = (4.0, 16.0)
FEATURES = (8, 16, 32)
CLIP_HU = (-100.0, 250.0)
MEAN_HU, SD_HU = 80.0, 50.0
"""About those of soft tissue in the portal phase."""

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """A phantom without noise, float32 HU, and where its tumour is; shape (SLICES, MATRIX, MATRIX)."""

    image: Floats
    tumour: Bytes


def case(seed: int) -> Case:
    """The portal phase of one patient; the tumour lies anywhere along the slices."""
    anatomy = varied(seed)
    planes = _planes(anatomy, np.random.default_rng([seed, 9]))
    images = [attenuations(anatomy, plane, (Phase.PORTAL,))[Phase.PORTAL] for plane in planes]
    return Case(np.stack(images), np.stack([mask(anatomy.tumour.shape, plane) for plane in planes]).astype(np.uint8))


def _planes(anatomy: Anatomy, rng: np.random.Generator) -> list[Plane]:
    middle = anatomy.tumour.shape.centre_mm[2] + rng.uniform(-45, 45)
    across, along = rng.uniform(-12, 12, size=2)
    left = -(MATRIX - 1) / 2 * SPACING_MM
    heights = (middle + (number - (SLICES - 1) / 2) * SPACING_MM for number in range(SLICES))
    size = (MATRIX, MATRIX)
    return [
        Plane((left + across, left + along, z), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (SPACING_MM,) * 2, size, SPACING_MM)
        for z in heights
    ]


def patch_of(cases: Sequence[Case], rng: np.random.Generator, *, about: bool) -> tuple[Floats, Bytes]:
    """A patch of one of the cases with noise, in the network's range, and its tumour; ``about`` a voxel of it."""
    chosen = cases[int(rng.integers(len(cases)))]
    most = np.subtract(chosen.image.shape, PATCH)
    start = rng.integers(0, most + 1)
    where = np.argwhere(chosen.tumour)
    if about and len(where):
        centre = where[int(rng.integers(len(where)))]
        start = np.clip(centre - rng.integers(4, np.subtract(PATCH, 4)), 0, most)
    box = tuple(slice(int(a), int(a) + p) for a, p in zip(start, PATCH, strict=True))
    noise = np.float32(rng.uniform(*NOISE_HU)) * rng.standard_normal(PATCH, dtype=np.float32)
    image = (np.clip(chosen.image[box] + noise, *CLIP_HU) - MEAN_HU) / SD_HU  # as CTNormalization does by the plans
    return image.astype(np.float32), chosen.tumour[box]


def train(torch: Any) -> Any:
    """Cross entropy and Dice on patches, half of them about the tumour; Adam with a rate that falls to 0."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    cases = [case(one.options.seed) for one in cohort.cohort(PATIENTS, SEED)]
    network = _unet(torch).to(memory_format=torch.channels_last_3d)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    falling = torch.optim.lr_scheduler.PolynomialLR(optimiser, total_iters=STEPS, power=0.9)
    for step in range(STEPS):
        images, tumours = zip(*(patch_of(cases, rng, about=number % 2 == 0) for number in range(BATCH)), strict=True)
        seen = torch.from_numpy(np.stack(images)[:, None]).contiguous(memory_format=torch.channels_last_3d)
        loss = _loss(torch, network(seen), torch.from_numpy(np.stack(tumours)).long())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), LONGEST_GRADIENT)
        optimiser.step()
        falling.step()
        if step % 100 == 0:
            print(f"step {step} of {STEPS}: loss {loss.item():.3f}", file=sys.stderr, flush=True)  # noqa: T201 - a command of the house
    return network.to(memory_format=torch.contiguous_format).eval()


def _loss(torch: Any, logits: Any, truth: Any) -> Any:
    share = logits.softmax(dim=1)[:, 1]
    overlap = (2 * (share * truth).sum() + 1) / (share.sum() + truth.sum() + 1)
    return torch.nn.functional.cross_entropy(logits, truth) + 1 - overlap


def _unet(torch: Any) -> Any:
    """Two convolutions a level with instance normalisation; (n, 1, *patch) to logits of background and tumour."""
    nn = torch.nn

    def block(ins: int, outs: int) -> Any:
        layers: list[Any] = []
        for one in (ins, outs):
            layers += [nn.Conv3d(one, outs, 3, padding=1), nn.InstanceNorm3d(outs, affine=True), nn.LeakyReLU(0.01)]
        return nn.Sequential(*layers)

    class UNet(nn.Module):  # type: ignore[misc, name-defined]  # torch is there only to train
        def __init__(self) -> None:
            super().__init__()
            pairs = list(zip(FEATURES[::-1], FEATURES[-2::-1], strict=False))
            self.down = nn.ModuleList(block(a, b) for a, b in zip((1, *FEATURES[:-1]), FEATURES, strict=True))
            self.up = nn.ModuleList(nn.ConvTranspose3d(a, b, 2, stride=2) for a, b in pairs)
            self.merge = nn.ModuleList(block(2 * b, b) for _, b in pairs)
            self.head = nn.Conv3d(FEATURES[0], 2, 1)

        def forward(self, x: Any) -> Any:
            kept = []
            for level, down in enumerate(self.down):
                x = down(nn.functional.max_pool3d(x, 2) if level else x)
                kept.append(x)
            for up, merge, beside in zip(self.up, self.merge, kept[-2::-1], strict=True):
                x = merge(torch.cat([up(x), beside], dim=1))
            return self.head(x)

    return UNet()


def plans() -> dict[str, Any]:
    """plans.json as nnU-Net would write it."""
    how = {"is_seg": False, "order_z": 0, "force_separate_z": None}
    return {
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {
            "0": {"mean": MEAN_HU, "std": SD_HU, "percentile_00_5": CLIP_HU[0], "percentile_99_5": CLIP_HU[1]}
        },
        "configurations": {
            "3d_fullres": {
                "preprocessor_name": "DefaultPreprocessor",
                "patch_size": list(PATCH),
                "spacing": [SPACING_MM] * 3,
                "normalization_schemes": ["CTNormalization"],
                "use_mask_for_norm": [False],
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": {**how, "order": 3},
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities_kwargs": {**how, "order": 1},
            }
        },
    }


LABELLED = {"channel_names": {"0": "CT portal"}, "labels": {"background": 0, "tumour": 1}, "file_ending": ".dcm"}
SAID = nnunet.Said(
    name=NAME,
    title="SYNTHETIC: draws the gastric tumour of a digital phantom in the portal phase",
    citation=f"No paper: a small U-Net trained on {PATIENTS} digital phantoms (seed {SEED}) of this software.",
    intended_use="Digital phantoms of this software, in demonstration mode. It has seen no patient.",
    reference_test="The phantoms' own regions.",
    channels=("portal",),
    level=Level.SYNTHETIC_DEMO,
)


def make(torch: Any, out: Path) -> Path:
    """Train the network and write the package ``out``/NAME, in place of one that is there; its folder."""
    network = train(torch)
    files = {
        name: (json.dumps(said, indent=1) + "\n").encode() for name, said in ((PLANS, plans()), (DATASET, LABELLED))
    }
    noise = torch.from_numpy(nnunet.noise_of((1, 1, *PATCH)))
    files["fold-0.onnx"] = nnunet.exported(torch, network, noise)
    with torch.no_grad():
        expected = network(noise).numpy()[0]
    shutil.rmtree(out / NAME, ignore_errors=True)
    folder = nnunet.written(out / NAME, nnunet.manifest_of(SAID, "3d_fullres", ["fold-0.onnx"], ()), files, expected)
    (folder / CARD).write_text(card(), encoding="utf-8")  # that of an imported network does not hold here
    seal(folder)
    return folder


def card() -> str:
    """CARD.md; the Dice coefficients in it are those that tests print."""
    size = " x ".join(map(str, PATCH))
    return model_card(
        NAME,
        {
            "Model details": f"{SAID.title}. {SAID.citation} Level `{SAID.level}`. Made by `python -m "
            "her2node.training.demo_segmenter` (needs torch; 2.14 made what ships): cross entropy and Dice, Adam.",
            "Intended use": SAID.intended_use,
            "Factors": f"Takes the portal phase of CT, resampled to voxels of {SPACING_MM:g} mm, in patches of {size}.",
            "Metrics": "Overlap with the phantom's tumour (Dice coefficient).",
            "Evaluation data": "50 phantoms that it has not seen, in three manners of scanning.",
            "Training data": f"{PATIENTS} phantoms (`her2node.phantoms.cohort`, seed {SEED}) in the portal phase, "
            f"{STEPS} times {BATCH} patches of {size} voxels of {SPACING_MM:g} mm with noise of {NOISE_HU[0]:g} to "
            f"{NOISE_HU[1]:g} HU. Regions: {SAID.reference_test}",
            "Quantitative analyses": "Tests hold the median Dice coefficient to 0.85. When it was made it was 0.931, "
            "the least 0.726.",
            "Ethical considerations": f"{RESEARCH} It was trained on nobody's images.",
            "Caveats and recommendations": "Real images look otherwise: of those nothing is known.",
        },
    )


if __name__ == "__main__":
    pin(make(nnunet.torch_of_the_extra(), SHIPPED))
