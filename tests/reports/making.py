"""Readings to report on: of phantoms, of the real CT with a drawn region, of nothing readable; and what to predict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.dicom.codes import DualEnergy, Unit
from her2node.errors import InputMissing, RoleMissing
from her2node.models.prediction import Answer, Category, InputUsed, Level, NotPredicted, PackageRef, Prediction
from her2node.quantities import measure
from her2node.quantities.quantity import QuantityMap
from her2node.reading import LaidRoi, Measured, Reading, read
from her2node.reports import ObjectKind, Predecessor, Report, Stamp
from her2node.rois.roi import Roi, RoiOrigin
from her2node.selection.assignment import Assignment
from her2node.selection.roles import Role
from her2node.selection.study import open_study
from her2node.volumes import build

ALL = tuple(ObjectKind)
MOST = (ObjectKind.REPORT, ObjectKind.OUTLINE, ObjectKind.SEGMENTATION)
STAMP = Stamp(
    edition=2,
    moment=datetime(2025, 3, 4, 15, 6, 7, 80910, tzinfo=timezone(timedelta(hours=8))),
    version="0.1.0",
    device_uid="2.25.1234567890",
    site="Test hospital",
    ae_title="HER2NODE",
    input_hash="3f" * 32,
    predecessors=(Predecessor(ObjectKind.REPORT, "1.2.840.10008.5.1.4.1.1.88.34", "2.25.77", "2.25.78"),),
)
SMALL = phantoms.PhantomOptions(seed=3, rows=96, columns=96, slices=12, slice_spacing_mm=5.0, noise_hu=8.0)

LEE = PackageRef(
    name="lee2017-portal-liver",
    version="1.0.0",
    level=Level.PUBLISHED_RECONSTRUCTED,
    title="Portal-phase hyperattenuation and hepatic metastasis",
    citation="Lee JS, Kim SH, Im SA, Kim MA, Han JK. Korean J Radiol 2017;18(5):809\u2013820",
    intended_use="Unresectable gastric cancer read on portal venous phase CT",
    sha256="ab" * 32,
    reference_test="HER-2 by IHC, FISH where equivocal, on biopsy or resection specimens of 181 patients (32 positive)",
)
DEMO = PackageRef(
    name="synthetic-demo",
    version="0.3.0",
    level=Level.SYNTHETIC_DEMO,
    title="Logistic model fitted on digital phantoms",
    citation="none: says nothing about patients",
    intended_use="Demonstration of the node",
    sha256="cd" * 32,
    reference_test="planted labels of digital phantoms",
)


def open_lee(roi: str | None) -> Prediction:
    """Nobody entered liver metastasis or hyperattenuation: four answers."""
    figures = {(0, 0): 0.0493, (0, 1): 0.187, (1, 0): 0.195, (1, 1): 0.518}
    words = {0.0493: Category.UNLIKELY, 0.187: Category.UNLIKELY, 0.195: Category.INDETERMINATE, 0.518: Category.LIKELY}
    answers = tuple(
        Answer(
            (
                InputUsed("portal_hyperattenuation", float(x1), "1", "assumed"),
                InputUsed("liver_metastasis", float(x2), "1", "assumed"),
            ),
            p,
            words[p],
        )
        for (x1, x2), p in figures.items()
    )
    return Prediction(
        LEE,
        answers,
        ("portal_hyperattenuation", "liver_metastasis"),
        32 / 181,
        "cohort of the publication",
        flags=("the reading criterion of 'hyperattenuating' is not in the publication's abstract",),
        conflicts=(
            "Zhao J. 2020 found attenuation lower, not higher, in HER-2 positive tumours on plain, portal and "
            "equilibrium phase CT; Pan S. found no relation.",
        ),
        roi=roi,
    )


def closed_demo(roi: str | None, series_uid: str) -> Prediction:
    """One answer, all inputs measured."""
    inputs = (
        InputUsed("portal_mean", 92.125, "[hnsf'U]", "measured", (series_uid,)),
        InputUsed("long_axis", 31.5, "mm", "measured", (series_uid,)),
    )
    answer = Answer(inputs, 1 / 3, Category.INDETERMINATE)
    return Prediction(DEMO, (answer,), (), 0.2, "planted prevalence", roi=roi)


def not_run() -> NotPredicted:
    return NotPredicted(LEE, RoleMissing("portal"))


def folder_of(folder: Path, options: phantoms.PhantomOptions, spoil: Callable[[Dataset], None] | None = None) -> Path:
    """The phantom's objects as files; ``spoil`` changes each before it is written."""
    phantoms.write(phantoms.ct.make(options), folder)
    if spoil is not None:
        for file in sorted(folder.rglob("*.dcm")):
            ds = dcmread(file)
            spoil(ds)
            ds.save_as(file)
    return folder


def reading_of(folder: Path) -> Reading:
    """A phantom read without packages, with predictions of both sorts put in."""
    reading = read(open_study(sorted(folder.rglob("*.dcm"))), ())
    portal = next(m.series_instance_uid for m in reading.measured if m.role is Role.PORTAL)
    predictions = (closed_demo(reading.tumour, portal), open_lee(reading.tumour))
    return with_map(replace(reading, predictions=predictions, not_predicted=(NotPredicted(LEE, InputMissing("cT")),)))


def real_reading(shared: Path) -> Reading:
    """The real portal-phase CT (Colorectal-Liver-Metastases, TCIA, CC BY 4.0) with a region drawn by this test: two
    ellipses that do not touch, about in the stomach's wall."""
    study = open_study(sorted((shared / "data" / "ct-abdomen-portal-crlm1004").glob("*.dcm")))
    series = study.series[0]
    volume = build(series)
    slices, rows, columns = np.ogrid[: volume.geometry.shape[0], :512, :512]
    depth = ((slices - 14) / 2.5) ** 2
    mask = (depth + ((rows - 202) / 7.0) ** 2 + ((columns - 300) / 28.0) ** 2 < 1) | (
        depth + ((rows - 183) / 6.0) ** 2 + ((columns - 345) / 5.0) ** 2 < 1
    )
    roi = Roi(
        mask=mask,
        geometry=volume.geometry,
        label="Tumour",
        tracking_uid="2.25.4711",
        tracking_id="tumour 1",
        origin=RoiOrigin.STRUCTURE_SET,
        source_sop_class_uid="1.2.840.10008.5.1.4.1.1.481.3",
        source_sop_instance_uid="2.25.4712",
        source_number=1,
    )
    key = int(np.count_nonzero(mask, axis=(1, 2)).argmax())
    image = np.where(volume.valid[key], volume.voxels[key], np.float32(np.nan))
    found = measure(volume, roi, Role.PORTAL)
    found_in = Measured(series.series_instance_uid, Role.PORTAL, volume.geometry, volume.unit, volume.sources)
    return Reading(
        study=study,
        assignments=(Assignment(series.series_instance_uid, Role.PORTAL, ("site rule: SeriesNumber is 2",)),),
        measured=(found_in,),
        rois=(LaidRoi(series.series_instance_uid, roi, key, image),),
        tumour="tumour 1",
        quantities=tuple(q for q in found if hasattr(q, "value")),
        not_measured=tuple(q for q in found if not hasattr(q, "value")),
        predictions=(open_lee("tumour 1"),),
        not_predicted=(NotPredicted(DEMO, RoleMissing("arterial, plain")),),
        maps=(iodine_map(found_in),),
    )


def iodine_map(measured: Measured, further: tuple[str, ...] = ()) -> QuantityMap:
    """A map on the grid of a series: a value of its own for every voxel, none in the first rows (the air in front)."""
    voxels = np.linspace(-1.0, 7.0, int(np.prod(measured.geometry.shape)), dtype=np.float32)
    voxels = voxels.reshape(measured.geometry.shape)
    voxels[:, :9] = np.nan
    voxels.flags.writeable = False
    method = DualEnergy.decomposed(40, 140)
    return QuantityMap(
        DualEnergy.IODINE, Unit.MG_PER_ML, measured.geometry, voxels, measured.sources,
        (measured.series_instance_uid, *further), 0.0, 5.0, Role.IODINE, method,
    )  # fmt: skip


def with_map(reading: Reading) -> Reading:
    """The reading with a map on its first measured series, as if had from that and the last."""
    further = {measured.series_instance_uid for measured in reading.measured[1:][-1:]}
    return replace(reading, maps=(iodine_map(reading.measured[0], tuple(further)),))


def nothing_read(reading: Reading) -> Reading:
    """The same study when nothing could run."""
    return replace(
        reading,
        measured=(),
        rois=(),
        tumour=None,
        quantities=(),
        predictions=(),
        not_predicted=(not_run(),),
        maps=(),
    )


def write_files(reports: tuple[Report, ...], folder: Path) -> dict[ObjectKind, Path]:
    """The objects as files, by kind."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for report in reports:
        files[report.kind] = folder / f"{report.kind.value}.dcm"
        files[report.kind].write_bytes(report.content())
    return files
