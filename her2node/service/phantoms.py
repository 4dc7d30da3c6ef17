"""`phantom`: a digital study with known truth, written to a folder."""

from __future__ import annotations

from pathlib import Path

from her2node.errors import Refused
from her2node.phantoms import ct, perfusion
from her2node.phantoms.options import Form, PhantomOptions, RoiForm
from her2node.phantoms.study import write as write_study


def write_perfusion(out: Path, *, seed: int, matrix: int, slices: int, layout: str, roi: bool) -> str:
    """Write a perfusion study and ``truth.json``; a sentence on it. Raises Refused for a folder in use."""
    _need_empty(out)
    options = perfusion.PerfusionOptions(
        seed=seed,
        rows=matrix,
        columns=matrix,
        slices=slices,
        slice_spacing_mm=160 / slices,
        layout=perfusion.Layout(layout),
        rois=(RoiForm.BINARY, RoiForm.CONTOURS) if roi else (),
    )
    study = perfusion.make(options)
    paths = write_study(study, out)
    tissue = options.tumour
    return (
        f"{len(paths)} objects of study {study.study_instance_uid} in {out}\n"
        f"tumour per 100 ml: BF {tissue.flow:g} ml/min, BV {100 * tissue.volume:g} ml, MTT {tissue.transit_s:g} s, "
        f"PS {tissue.exchange:g} ml/min\n"
        f"all of the truth: {out / 'truth.json'}"
    )


def _need_empty(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        raise Refused(f"{out} is not empty", remedy="name a new folder")


def write(out: Path, *, seed: int, matrix: int, slices: int, enhanced: bool, roi: bool) -> str:
    """Write the study and ``truth.json``; a sentence on what was written. Raises Refused for a folder in use."""
    _need_empty(out)
    options = PhantomOptions(
        seed=seed,
        rows=matrix,
        columns=matrix,
        slices=slices,
        slice_spacing_mm=160 / slices,
        form=Form.ENHANCED if enhanced else Form.CLASSIC,
        rois=(RoiForm.BINARY, RoiForm.CONTOURS) if roi else (),
    )
    study = ct.make(options)
    paths = write_study(study, out)
    tumour = study.truth.tumour
    attenuation = ", ".join(f"{phase} {hu:.1f}" for phase, hu in tumour.hu.items())
    return (
        f"{len(paths)} objects of study {study.study_instance_uid} in {out}\n"
        f"tumour: {tumour.volume_mm3:.0f} mm3, {tumour.diameter_mm:.1f} mm, HU {attenuation}\n"
        f"all of the truth: {out / 'truth.json'}"
    )
