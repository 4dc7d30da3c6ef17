"""`phantom`: a digital study of any kind with known truth, written to a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from her2node.errors import Refused
from her2node.phantoms import ct, dce, diffusion, dual_energy, perfusion, pet
from her2node.phantoms.activity import Decay, Units
from her2node.phantoms.anatomy import Phase, varied
from her2node.phantoms.dual_energy import IodineUnit
from her2node.phantoms.options import Form, PhantomOptions, RoiForm
from her2node.phantoms.study import Writable
from her2node.phantoms.study import write as write_study
from her2node.phantoms.texture import Checker, Grating, RandomField, Texture
from her2node.phantoms.weighting import Tagging

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True)
class Asked:
    """What the command was asked for; None and '' stand for the kind's own default."""

    seed: int = 1
    matrix: int | None = None
    slices: int | None = None
    variant: str = ""
    decay: str = ""
    outlined_on: str = ""
    roi: bool = True

    @property
    def rois(self) -> tuple[RoiForm, ...]:
        return (RoiForm.BINARY, RoiForm.CONTOURS) if self.roi else ()


class Pattern(StrEnum):
    """The texture of a tumour."""

    CHECKER = "checker"
    GRATING = "grating"
    RANDOM = "random"


_Made = tuple[Writable, str, str]
"""The study, its UID, and a sentence on its truth."""


def write(out: Path, kind: str, asked: Asked) -> str:
    """Write a study and ``truth.json``; some words on both. Raises Refused for a folder in use, or for a kind or
    variant that is not made."""
    if kind not in _KINDS:
        raise Refused(f"no phantom of kind {kind!r}", remedy=f"kinds are {', '.join(_KINDS)}")
    if kind != "pet" and (asked.decay or asked.outlined_on):
        raise Refused("decay and outlined-on are of PET alone", remedy="name the kind pet, or leave them out")
    study, uid, told = _KINDS[kind](asked)
    if out.exists() and any(out.iterdir()):
        raise Refused(f"{out} is not empty", remedy="name a new folder")
    paths = write_study(study, out)
    return f"{len(paths)} objects of study {uid} in {out}\n{told}\nall of the truth: {out / 'truth.json'}"


def _chosen(kind: type[E], said: str, default: E) -> E:
    """A variant by its name. Raises Refused."""
    try:
        return kind(said) if said else default
    except ValueError as error:
        raise Refused(f"no variant {said!r}", remedy=f"one of {', '.join(kind)}") from error


def _ct_options(asked: Asked, form: Form, phases: tuple[Phase, ...]) -> PhantomOptions:
    matrix, slices = asked.matrix or 256, asked.slices or 64
    return PhantomOptions(
        seed=asked.seed,
        phases=phases,
        rows=matrix,
        columns=matrix,
        slices=slices,
        slice_spacing_mm=160 / slices,
        form=form,
        rois=asked.rois,
    )


def _ct(asked: Asked) -> _Made:
    study = ct.make(_ct_options(asked, _chosen(Form, asked.variant, Form.CLASSIC), tuple(Phase)))
    tumour = study.truth.tumour
    attenuation = ", ".join(f"{phase} {hu:.1f}" for phase, hu in tumour.hu.items())
    told = f"tumour: {tumour.volume_mm3:.0f} mm3, {tumour.diameter_mm:.1f} mm, HU {attenuation}"
    return study, study.study_instance_uid, told


def _textured(asked: Asked) -> _Made:
    """Without noise, which would have a texture of its own."""
    options = replace(_ct_options(asked, Form.CLASSIC, tuple(Phase)), noise_hu=0.0)
    texture = _texture(_chosen(Pattern, asked.variant, Pattern.RANDOM), options)
    study = ct.make(replace(options, anatomy=varied(asked.seed).textured(texture)))
    return study, study.study_instance_uid, f"tumour: SD {texture.variance_hu2**0.5:.1f} HU by {texture}"


def _texture(pattern: Pattern, options: PhantomOptions) -> Texture:
    """A checker of 4 x 4 x 2 voxels, else what the voxels resolve."""
    down, across = options.spacing_mm
    match pattern:
        case Pattern.CHECKER:
            return Checker(20.0, (4 * across, 4 * down, 2 * options.slice_spacing_mm))
        case Pattern.GRATING:
            return Grating(20.0, 12.0, (0.8, 0.6, 0.0))
        case Pattern.RANDOM:
            return RandomField(15.0, 3.0, options.seed)


def _dual_energy(asked: Asked) -> _Made:
    base = _ct_options(asked, Form.CLASSIC, (Phase.PORTAL,))
    unit = _chosen(IodineUnit, asked.variant, IodineUnit.MGML)
    study = dual_energy.make(dual_energy.DualEnergyOptions(base=base, unit=unit))
    truth = dual_energy.truth_of(study)
    told = f"iodine: tumour {truth.tumour:.2f} mg/ml, aorta {truth.aorta:.2f} mg/ml"
    return study, study.study_instance_uid, told


def _perfusion(asked: Asked) -> _Made:
    matrix, slices = asked.matrix or 128, asked.slices or 8
    options = perfusion.PerfusionOptions(
        seed=asked.seed,
        rows=matrix,
        columns=matrix,
        slices=slices,
        slice_spacing_mm=160 / slices,
        layout=_chosen(perfusion.Layout, asked.variant, perfusion.Layout.ONE_SERIES),
        rois=asked.rois,
    )
    study, tissue = perfusion.make(options), options.tumour
    told = (
        f"tumour per 100 ml: BF {tissue.flow:g} ml/min, BV {100 * tissue.volume:g} ml, MTT {tissue.transit_s:g} s, "
        f"PS {tissue.exchange:g} ml/min"
    )
    return study, study.study_instance_uid, told


def _diffusion(asked: Asked) -> _Made:
    matrix, slices = asked.matrix or 80, asked.slices or 9
    options = diffusion.DiffusionOptions(
        seed=asked.seed,
        tagging=_chosen(Tagging, asked.variant, Tagging.STANDARD),
        rows=matrix,
        columns=matrix,
        slices=slices,
        spacing_mm=240 / matrix,
        slice_spacing_mm=45 / slices,
        region=asked.roi,
    )
    study, tissue = diffusion.make(options), options.tumour
    told = f"tumour: D {tissue.d:g} um2/s, D* {tissue.d_star:g} um2/s, f {tissue.f:g}"
    return study, study.study_instance_uid, told


def _dce(asked: Asked) -> _Made:
    matrix, slices = asked.matrix or 64, asked.slices or 8
    options = dce.DceOptions(
        seed=asked.seed,
        layout=_chosen(dce.Layout, asked.variant, dce.Layout.ONE_SERIES),
        rows=matrix,
        columns=matrix,
        slices=slices,
        spacing_mm=256 / matrix,
        slice_spacing_mm=40 / slices,
        rois=asked.rois,
    )
    study, tissue = dce.make(options), options.tumour
    told = (
        f"tumour: Ktrans {tissue.ktrans:g} /min, kep {tissue.kep:g} /min, ve {tissue.ve:g}, vp {tissue.vp:g}, "
        f"T1 {tissue.t1_ms:g} ms"
    )
    return study, study.study_instance_uid, told


def _pet(asked: Asked) -> _Made:
    matrix, slices = asked.matrix or 96, asked.slices or 75
    options = pet.PetOptions(
        seed=asked.seed,
        units=_chosen(Units, asked.variant, Units.BQML),
        decay=_chosen(Decay, asked.decay, Decay.START),
        outlined_on=_chosen(pet.OutlinedOn, asked.outlined_on, pet.OutlinedOn.PET),
        rows=matrix,
        columns=matrix,
        slices=slices,
        spacing_mm=384 / matrix,
        slice_spacing_mm=300 / slices,
        rois=asked.rois,
    )
    study = pet.make(options)
    told = "SUVbw: " + ", ".join(
        f"{lesion.label} max {lesion.highest:g}, mean {lesion.mean:.2f} over {lesion.shape.volume_mm3 / 1000:.1f} ml"
        for lesion in options.lesions
    )
    return study, study.study_instance_uid, told


_KINDS: dict[str, Callable[[Asked], _Made]] = {
    "ct": _ct,
    "textured": _textured,
    "dual-energy": _dual_energy,
    "perfusion": _perfusion,
    "diffusion": _diffusion,
    "dce": _dce,
    "pet": _pet,
}
