"""Dual-energy phantoms: their truth stands before their voxels, and their attenuation is that of the tables."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from her2node import phantoms
from her2node.errors import PhantomRefused
from her2node.phantoms import DualEnergyOptions, Form, IodineUnit, PhantomOptions, Phase, dual_energy

BASE = PhantomOptions(seed=5, rows=64, columns=64, slices=8, slice_spacing_mm=8.0, noise_hu=0, phases=(Phase.PORTAL,))
FACTORS = {IodineUnit.MGML: 1.0, IodineUnit.REAL_WORLD: 1.0, IodineUnit.HUNDRED_UG: 0.1, IodineUnit.UNSTATED: 0.1}


@pytest.mark.truth
def test_attenuation_is_that_of_the_tables() -> None:
    with warnings.catch_warnings(action="ignore"):
        import xraydb

        for kev in (40, 50, 60, 70, 80, 100, 120, 140, 190):
            of_iodine, of_water = (
                xraydb.mu_elam("I", 1000.0 * kev),
                xraydb.material_mu("H2O", 1000.0 * kev, density=1.0),
            )
            hu = dual_energy.attenuation(kev, np.array([0.0, 50.0]), np.array([1.0, 2.0]))
            assert hu == pytest.approx([of_iodine / of_water, 50 + 2 * of_iodine / of_water], rel=1e-7)


def test_the_truth_is_that_of_the_shapes_and_of_their_enhancement() -> None:
    study = dual_energy.make(DualEnergyOptions(BASE))
    truth, tumour = study.truth.iodine, study.anatomy.tumour
    assert truth is not None
    (aorta,) = study.anatomy.organ("aorta")
    assert truth.aorta == pytest.approx((aorta.hu.portal - aorta.hu.plain) / 25, abs=0.05)
    assert truth.tumour == pytest.approx((tumour.mean_hu(Phase.PORTAL) - tumour.mean_hu(Phase.PLAIN)) / 25, abs=0.1)
    assert truth.normalized == truth.tumour / truth.aorta
    assert truth.organs["visceral fat"] == 0


@pytest.mark.parametrize("unit", FACTORS)
def test_the_stored_values_are_iodine_in_the_unit_that_was_asked_for(unit: IodineUnit) -> None:
    study = dual_energy.make(DualEnergyOptions(BASE, unit=unit))
    maps = [ds for ds in study.datasets if "Iodine" in ds.SeriesDescription]
    stored = np.stack([np.frombuffer(ds.PixelData, "<i2") for ds in maps])
    found = np.unique(stored) * 0.01 * FACTORS[unit]
    assert study.truth.iodine is not None
    known = {0.0, *study.truth.iodine.organs.values()}
    tumour = {dual_energy.iodine_of(part, Phase.PORTAL) for part in study.anatomy.tumour.structures}
    assert set(found.round(6)) <= {round(value, 6) for value in known | tumour}
    assert {"MGML": "mgml", "US": "real-world", "100ug/cm3": "100ug", None: "unstated"}[
        maps[0].get("RescaleType")
    ] == unit


def test_the_same_options_make_the_same_bytes_and_noise_differs_between_series() -> None:
    noisy = DualEnergyOptions(replace(BASE, noise_hu=10.0))
    digests = []
    for _ in range(2):
        buffer = io.BytesIO()
        for ds in dual_energy.make(noisy).datasets:
            ds.save_as(buffer, enforce_file_format=True)
        digests.append(hashlib.sha256(buffer.getvalue()).hexdigest())
    assert digests[0] == digests[1]
    low, high = (
        [
            np.frombuffer(ds.PixelData, "<i2")
            for ds in dual_energy.make(noisy).datasets
            if f" {kev} keV" in ds.SeriesDescription
        ]
        for kev in (40, 140)
    )
    assert abs(np.corrcoef(low[0][:600], high[0][:600])[0, 1]) < 0.2  # air: noise alone


def test_units_make_different_series_and_every_object_a_uid_of_its_own() -> None:
    uids = [
        ds.SOPInstanceUID
        for unit in FACTORS
        for ds in dual_energy.make(DualEnergyOptions(BASE, unit=unit, energies=(), aorta=False)).datasets
        if "Iodine" in ds.SeriesDescription
    ]
    assert len(set(uids)) == len(uids) == 4 * BASE.slices


def test_the_truth_is_written_with_the_study(tmp_path: Path) -> None:
    study = dual_energy.make(DualEnergyOptions(BASE, energies=(70,)))
    phantoms.write(study, tmp_path)
    told = json.loads((tmp_path / "truth.json").read_text())["iodine"]
    assert study.truth.iodine is not None
    assert (told["tumour"], told["aorta"]) == (study.truth.iodine.tumour, study.truth.iodine.aorta)


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(PhantomRefused, match="65 keV"):
        DualEnergyOptions(BASE, energies=(65, 140))
    with pytest.raises(PhantomRefused, match="classic"):
        DualEnergyOptions(replace(BASE, form=Form.ENHANCED))
