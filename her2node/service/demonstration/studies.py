"""The phantom studies that the demonstration sends, each with what its report must say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pydicom.dataset import Dataset

from her2node.phantoms import ct, dce, diffusion, dual_energy, multiparametric, perfusion, pet
from her2node.phantoms.anatomy import Phase
from her2node.phantoms.dce import DceOptions
from her2node.phantoms.diffusion import DiffusionOptions
from her2node.phantoms.dual_energy import DualEnergyOptions
from her2node.phantoms.flow import Tissue
from her2node.phantoms.leakage import Leaky
from her2node.phantoms.options import PhantomOptions
from her2node.phantoms.perfusion import PerfusionOptions
from her2node.phantoms.pet import PetOptions
from her2node.phantoms.study import PhantomStudy
from her2node.service.demonstration import truths
from her2node.service.demonstration.comparison import Expected

SEED = 7
"""Of the CT and of what is no CT. Phantoms of CT with one seed are one study, so that the others have seeds of their
own: other make-believe patients."""
PERFUSION_SEED, DUAL_ENERGY_SEED = 8, 9


class Kind(StrEnum):
    """A study of the demonstration."""

    CT = "ct"
    """Four contrast phases."""
    PERFUSION = "perfusion"
    """CT perfusion."""
    DUAL_ENERGY = "dual-energy"
    """Dual-energy CT with an iodine map."""
    DIFFUSION = "diffusion"
    """Diffusion-weighted MR of many b-values."""
    DCE = "dce"
    """Dynamic contrast-enhanced MR with flip angles for T1, after diffusion-weighted MR of three b-values."""
    PET = "pet"
    """FDG PET."""


class Sendable(Protocol):
    """A phantom study of any modality."""

    @property
    def study_instance_uid(self) -> str: ...

    @property
    def datasets(self) -> Iterator[Dataset]:
        """Its objects."""

    def as_json(self) -> dict[str, object]:
        """Its truth."""


@dataclass(frozen=True)
class Shown:
    """A study to send. ``planted``: the probability with which its label was drawn, which the packages with weights
    fitted on phantoms are to find as far as what they look at tells it; None where the phantom has none."""

    kind: Kind
    title: str
    study: Sendable
    expected: tuple[Expected, ...]
    planted: float | None
    to_draw: PhantomStudy | None = None
    """The same study where nobody has drawn its tumour and the node must."""


def plan(kind: Kind) -> Shown:
    """Small enough for two cores; objects are made when they are read."""
    return _PLANS[kind]()


CT_OPTIONS = PhantomOptions(
    seed=SEED, rows=192, columns=192, slices=48, slice_spacing_mm=2.5, rois=()
)  # fmt: skip


def _ct() -> Shown:
    study = ct.make(CT_OPTIONS)
    expected = tuple(truths.of_drawn_ct(study))
    return Shown(Kind.CT, "CT, four phases", study, expected, study.truth.her2_probability, study)


def _perfusion() -> Shown:
    options = PerfusionOptions(
        seed=PERFUSION_SEED, times_s=tuple(map(float, range(61))), rows=64, columns=64, slices=6, slice_spacing_mm=7.0,
        noise_hu=1.0, step_hu=0.1, layout=perfusion.Layout.ENHANCED, tumour=Tissue(200, 0.1, 4, 0.2, 1.0),
    )  # fmt: skip
    study = perfusion.make(options)
    expected = tuple(truths.of_perfusion(study))
    return Shown(Kind.PERFUSION, "CT perfusion", study, expected, study.truth.her2_probability)


def _dual_energy() -> Shown:
    base = PhantomOptions(
        seed=DUAL_ENERGY_SEED, phases=(Phase.PORTAL,), rows=96, columns=96, slices=28, slice_spacing_mm=4.0
    )
    study = dual_energy.make(DualEnergyOptions(base=base, energies=()))
    expected = tuple(truths.of_dual_energy(study))
    return Shown(Kind.DUAL_ENERGY, "CT, iodine map", study, expected, study.truth.her2_probability)


def _diffusion() -> Shown:
    options = DiffusionOptions(
        seed=SEED, b_values=(0, 10, 20, 50, 80, 100, 150, 200, 400, 600, 800, 1000), rows=56, columns=56, slices=7,
        spacing_mm=4.0,
    )  # fmt: skip
    study = diffusion.make(options)
    expected = tuple(truths.of_diffusion(study))
    return Shown(Kind.DIFFUSION, "MR, diffusion with 12 b-values", study, expected, study.label.her2_probability)


def _dce() -> Shown:
    options = DceOptions(
        seed=SEED, rows=48, columns=48, slices=6, spacing_mm=5.0, slice_spacing_mm=6.5, layout=dce.Layout.ENHANCED,
        tumour=Leaky(0.22, 0.32, 0.0, 1200.0),
    )  # fmt: skip
    weighted = DiffusionOptions(
        b_values=(0, 500, 1000), rows=48, columns=48, slices=6, spacing_mm=5.0, slice_spacing_mm=6.5
    )
    study = multiparametric.make(options, weighted)
    expected = (*truths.of_dce(study.dynamic), truths.of_ends(study.diffusion))
    title = "MR, dynamic with contrast, and diffusion"
    return Shown(Kind.DCE, title, study, expected, study.label.her2_probability)


def _pet() -> Shown:
    study = pet.make(PetOptions(seed=SEED, rows=96, columns=96, slices=44, spacing_mm=3.0, ct=False))
    planted = study.label.her2_probability if study.label else None
    return Shown(Kind.PET, "FDG PET", study, tuple(truths.of_pet(study)), planted)


_PLANS: dict[Kind, Callable[[], Shown]] = {
    Kind.CT: _ct,
    Kind.PERFUSION: _perfusion,
    Kind.DUAL_ENERGY: _dual_energy,
    Kind.DIFFUSION: _diffusion,
    Kind.DCE: _dce,
    Kind.PET: _pet,
}
"""Longest first: the node reads two at a time."""
