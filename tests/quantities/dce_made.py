"""A DCE examination made by arithmetic of its own: no function of the node turns transfer into signal here.

Convolutions are sums over a fine grid, contrast becomes signal by the spoiled echo's equation written out again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from her2node.volumes.dce import Contrast, DceVolume, FlipAngleSeries
from her2node.volumes.volume import Geometry, SliceSource

TR_MS, FLIP_DEG, RELAXIVITY, HAEMATOCRIT = 5.0, 20.0, 4.5, 0.45
TISSUE_T1_S, BLOOD_T1_S = 1.0, 1.44
FINE_S = 0.05


@dataclass(frozen=True)
class Tissue:
    """Ktrans 1/min, ve, vp, T1 s."""

    ktrans: float = 0.2
    ve: float = 0.3
    vp: float = 0.0
    t1_s: float = TISSUE_T1_S


def plasma(times_s: np.ndarray, arrival_s: float = 20.0) -> np.ndarray:
    """A bolus of 6 mM and its wash-out, in mM."""
    t = np.maximum(times_s - arrival_s, 0) / 6.0
    return 6 * t**2 * np.exp(2 * (1 - t)) + 1.2 * (1 - np.exp(-t)) * np.exp(-(times_s - arrival_s) / 600) * (t > 0)


def concentration(tissue: Tissue, times_s: np.ndarray, arrival_s: float = 20.0) -> np.ndarray:
    """C of tissue in mM at times (t,), by sums over steps of ``FINE_S``."""
    fine = np.arange(0, times_s[-1] + FINE_S, FINE_S)
    inflow = plasma(fine, arrival_s)
    kernel = np.exp(-tissue.ktrans / tissue.ve / 60 * fine)
    stored = np.convolve(inflow, kernel)[: len(fine)] * FINE_S - 0.5 * FINE_S * inflow
    return np.interp(times_s, fine, tissue.ktrans / 60 * stored + tissue.vp * inflow)


def echo(contrast: np.ndarray, t1_s: float, flip_deg: float = FLIP_DEG, m0: float = 1000.0) -> np.ndarray:
    """Signal of a spoiled gradient echo with so much contrast (mM)."""
    left = np.exp(-TR_MS / 1000 * (1 / t1_s + RELAXIVITY * np.asarray(contrast)))
    angle = math.radians(flip_deg)
    return m0 * math.sin(angle) * (1 - left) / (1 - math.cos(angle) * left)


@dataclass(frozen=True)
class Made:
    """Blocks of tissue from top to bottom in ``body``, blood below it in ``artery``."""

    volume: DceVolume
    flip_angles: FlipAngleSeries
    body: np.ndarray
    artery: np.ndarray
    block: int

    def mask(self, number: int) -> np.ndarray:
        found = np.zeros_like(self.body)
        found[:, number * self.block : (number + 1) * self.block] = True
        return found

    def with_(self, **changes: object) -> DceVolume:
        return replace(self.volume, **changes)  # type: ignore[arg-type]


def examination(
    tissues: list[Tissue],
    *,
    times_s: np.ndarray | None = None,
    block: int = 8,
    noise: float = 0.0,
    arrival_s: float = 20.0,
) -> Made:
    """One slice; each tissue fills ``block`` x 8 voxels."""
    times_s = np.arange(0.0, 300.0, 2.0) if times_s is None else times_s
    shape = (1, block * (len(tissues) + 1), 8)
    signal = np.empty((len(times_s), *shape), dtype=np.float32)
    angles = (2.0, 5.0, 10.0, 20.0)
    at_angles = np.empty((len(angles), *shape), dtype=np.float32)
    blood = Tissue(t1_s=BLOOD_T1_S)
    for number, tissue in enumerate([*tissues, blood]):
        rows = np.s_[:, :, number * block : (number + 1) * block]
        contrast = concentration(tissue, times_s, arrival_s) if tissue is not blood else (
            plasma(times_s, arrival_s) * (1 - HAEMATOCRIT)
        )  # fmt: skip
        signal[rows] = echo(contrast, tissue.t1_s)[:, None, None, None]
        for place, angle in enumerate(angles):
            at_angles[(place, *rows[1:])] = echo(np.zeros(1), tissue.t1_s, angle)[0]
    if noise:
        signal += noise * np.random.default_rng(5).standard_normal(signal.shape, dtype=np.float32)
    artery = np.zeros(shape, dtype=np.bool_)
    artery[:, -block:] = True
    geometry = Geometry(shape, (5.0, 2.0, 2.0), (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)), "1.2.3")
    volume = DceVolume(
        voxels=signal,
        valid=np.ones(shape, dtype=np.bool_),
        times_s=times_s,
        geometry=geometry,
        series_uids=("1.2.4",),
        sources=((SliceSource("1.2.5", "1.2.6"),),) * len(times_s),
        clock="AcquisitionTime",
        repetition_time_ms=TR_MS,
        echo_time_ms=2.0,
        flip_angle_deg=FLIP_DEG,
        field_strength_t=1.5,
        contrast=Contrast(),
    )
    series = FlipAngleSeries(at_angles, angles, TR_MS, ("1.2.7",))
    return Made(volume, series, ~artery, artery, block)
