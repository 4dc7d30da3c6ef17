"""Studies of MR alone and of PET alone come in by C-STORE; report and maps with right numbers come back to a PACS."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.phantoms import pet
from her2node.phantoms.activity import Decay, Units
from her2node.phantoms.dce import TUMOUR as TISSUE_AT
from her2node.phantoms.dce import DceOptions, Layout
from her2node.phantoms.diffusion import TUMOUR, DiffusionOptions
from her2node.phantoms.pet import LIVER_SUV, PetOptions
from her2node.phantoms.study import Writable
from tests.conftest import system_tool
from tests.orthanc import Orthanc
from tests.reading import qiba
from tests.reports import gates
from tests.scenarios.node import Node, until
from tests.scenarios.said import Number, maps_of, numbers, report_of, returned, the

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

ADC, D, F = "113041", "113291", "113293"
KTRANS, VE, T1 = "126312", "126314", "113063"
SUVBW, SUVLBM, SUVBSA, MTV, TLG = "126401", "126405", "126403", "126032", "126033"
MEAN, MAXIMUM, MINIMUM, MEDIAN, PEAK = "373098007", "56851009", "255605001", "373099004", "126031"


@dataclass
class Hospital:
    """A PACS and a node beside it."""

    pacs: Orthanc
    node: Node

    def measure(self, files: list[Path], seconds: float = 120) -> list[Dataset]:
        """Send the study to the node as a modality would; what comes back to the PACS."""
        study = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        command = [system_tool("storescu"), "-R", "-aet", "PACS", "-aec", "HER2NODE", "127.0.0.1"]
        environment = {**os.environ, "TCP_NODELAY": "1"}
        subprocess.run([*command, str(self.node.port), *map(str, files)], check=True, env=environment)
        until(lambda: self.node.settled(study), seconds, "delivered results")
        return returned(self.pacs, study)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    with _running(tmp_path_factory.mktemp("hospital"), {}) as running:
        yield running


@contextmanager
def _running(folder: Path, more: Mapping[str, object]) -> Iterator[Hospital]:
    # No worker dies here, and one that shares its processor with others may be late with its sign of life.
    node = Node(folder / "node", {"completion.quiet": 4, "jobs.lease": 60, "jobs.heartbeat": 5, **more})
    with Orthanc(folder / "pacs", ae_title="PACS") as pacs:
        node.peer("pacs", "PACS", pacs.port)
        node.start()
        try:
            yield Hospital(pacs, node)
        finally:
            node.kill()


def sent(hospital: Hospital, study: Writable, folder: Path) -> tuple[list[Dataset], list[Number]]:
    """What comes back of a phantom, and the numbers of the report."""
    back = hospital.measure(phantoms.write(study, folder))
    for number, ds in enumerate(back):
        path = folder / f"back-{number}.dcm"
        ds.save_as(path, enforce_file_format=True)
        assert gates.dciodvfy(path)[0] == []
    return back, numbers(report_of(back))


def voxels(ds: Dataset, folder: Path) -> gates.Map:
    """A parametric map as dcmqi reads it."""
    folder.mkdir()
    ds.save_as(folder / "map.dcm", enforce_file_format=True)
    return gates.parametric_map(folder / "map.dcm", folder / "out")


def test_diffusion_alone_comes_back_as_coefficients_and_maps(hospital: Hospital, tmp_path: Path) -> None:
    options = DiffusionOptions(rows=64, columns=64, slices=7, spacing_mm=4.0)
    back, found = sent(hospital, phantoms.diffusion.make(options), tmp_path)
    truth = options.tumour
    assert the(found, D, MEAN) == pytest.approx(truth.d, rel=0.01)
    assert the(found, F, MEAN) == pytest.approx(truth.f, abs=0.01)
    assert {number.unit for number in found if (number.code, number.derivation) == (D, MEAN)} == {"um2/s"}
    maps = maps_of(back)
    assert {ADC, D, F} <= set(maps)
    slow = voxels(maps[D], tmp_path / "slow")
    column, row = (round(c / options.spacing_mm + 31.5) for c in TUMOUR.centre_mm[:2])
    middle = slow.voxels[3, row - 2 : row + 3, column - 2 : column + 3]
    assert np.median(middle) == pytest.approx(truth.d, rel=0.02)
    assert slow.origin_mm == pytest.approx([-126, -126, -15])


def test_dynamic_mr_alone_comes_back_as_transfer_and_maps(hospital: Hospital, tmp_path: Path) -> None:
    options = DceOptions(
        layout=Layout.ENHANCED, rows=48, columns=48, slices=6, spacing_mm=5.0, slice_spacing_mm=6.5
    )  # fmt: skip
    back, found = sent(hospital, phantoms.dce.make(options), tmp_path)
    truth = options.tumour
    assert the(found, T1, MEAN) == pytest.approx(truth.t1_ms, rel=0.01)
    assert the(found, KTRANS, MEAN) == pytest.approx(truth.ktrans, rel=0.05)
    assert the(found, VE, MEAN) == pytest.approx(truth.ve, rel=0.03)
    maps = maps_of(back)
    assert {KTRANS, VE, T1} <= set(maps)
    relaxation = voxels(maps[T1], tmp_path / "t1")
    column, row = (round(c / options.spacing_mm + 23.5) for c in TISSUE_AT.centre_mm[:2])
    assert np.median(relaxation.voxels[3, row - 1 : row + 2, column - 1 : column + 2]) == pytest.approx(1200, rel=0.02)


def test_pet_alone_comes_back_as_uptake_metabolic_volume_and_a_map(hospital: Hospital, tmp_path: Path) -> None:
    options = PetOptions(
        rows=96, columns=96, slices=44, spacing_mm=3.0, slice_spacing_mm=4.0, ct=False,
        units=Units.PHILIPS_ACTIVITY, decay=Decay.START_COUNTED,
    )  # fmt: skip
    back, found = sent(hospital, pet.make(options), tmp_path)
    known = pet.TUMOUR.figures(options.calibration.person, LIVER_SUV)
    for code, name in ((SUVBW, "suvbw"), (SUVLBM, "suvlbm_janmahasatian"), (SUVBSA, "suvbsa")):
        truth = known[name]
        assert the(found, code, MAXIMUM) == pytest.approx(truth["max"], rel=1e-3)
        assert the(found, code, PEAK) == pytest.approx(truth["peak"], rel=1e-3)
        assert the(found, code, MEAN) == pytest.approx(truth["mean"], rel=0.04)
    for method, name in (("MTV-41PCT", "41_percent"), ("MTV-40PCT", "40_percent"), ("MTV-SUV2.5", "suv_2.5")):
        truth = known[name]
        assert the(found, MTV, method=method) == pytest.approx(truth["mtv_ml"], rel=0.04)
        assert the(found, TLG, method=method) == pytest.approx(truth["tlg_g"], rel=0.04)
    uptake = voxels(maps_of(back)[SUVBW], tmp_path / "uptake")
    assert uptake.voxels.max() == pytest.approx(14.0, rel=1e-3)
    assert uptake.origin_mm == pytest.approx([-142.5, -142.5, -86])
    column, row, index = (round(c) for c in (np.array([-75, -10, 0]) - uptake.origin_mm) / [3, 3, 4])  # in the liver
    liver = uptake.voxels[index - 2 : index + 3, row - 3 : row + 4, column - 3 : column + 4]
    assert liver == pytest.approx(np.full(liver.shape, LIVER_SUV), rel=1e-3)


@pytest.fixture(scope="module")
def suv_phantoms(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("ibsi-suv")
    with tarfile.open(shared / "reference" / "ibsi-suv" / "DRO_all_17.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return sorted(folder.rglob("*.dcm"))


@pytest.mark.truth
@pytest.mark.soak
def test_all_phantoms_of_ibsi_suv_come_back_with_their_uptake(suv_phantoms: list[Path], tmp_path: Path) -> None:
    """They are one study of 17 PET series with a structure set each, which gives the patient another sex."""
    with _running(tmp_path, {"pet.maps": False}) as hospital:
        found = numbers(report_of(hospital.measure(suv_phantoms, seconds=500)))
    series = {str(ds.SeriesInstanceUID): str(ds.SeriesDescription) for ds in _headers(suv_phantoms, "PT")}
    assert len(series) == 17
    for uid, name in series.items():
        tolerance = 0.03 if name.endswith("DRO_2_3") else 0.005  # which is stored in steps of 0.01 of SUVbsa
        said = [the(found, SUVBW, derivation, series=uid) for derivation in (MINIMUM, MEDIAN, MAXIMUM)]
        assert said == pytest.approx([0.20, 1.00, 4.00], abs=tolerance), name


@pytest.mark.truth
@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_qiba_s_reference_object_comes_back_with_its_ktrans_and_ve(shared: Path, tmp_path: Path) -> None:
    """1321 images in big endian, which InstanceNumber alone orders, sent as they are; maps as dcmqi reads them."""
    files = qiba.study(shared / "reference" / "qiba-dce-v6" / "QIBA_v06_Tofts_dicom.tar.gz", tmp_path / "qiba")
    site = {
        "dce.model": "tofts", "dce.t1_s": qiba.T1_S, "dce.blood_t1_s": qiba.BLOOD_T1_S,
        "dce.relaxivity": qiba.RELAXIVITY, "dce.haematocrit": qiba.HAEMATOCRIT,
    }  # fmt: skip
    with _running(tmp_path, site) as hospital:
        maps = maps_of(hospital.measure(files, seconds=1200))
    ktrans, ve = (voxels(maps[code], tmp_path / code).voxels[0] for code in (KTRANS, VE))
    for (true_ktrans, true_ve), patch in qiba.patches():
        assert ktrans[patch] == pytest.approx(np.full((10, 10), true_ktrans), rel=0.002)
        assert ve[patch] == pytest.approx(np.full((10, 10), true_ve), rel=0.003)


def _headers(files: list[Path], modality: str) -> Iterator[Dataset]:
    return (ds for file in files if (ds := dcmread(file, stop_before_pixels=True)).Modality == modality)
