"""The studies that `phantom` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydicom import dcmread

from her2node.errors import Refused
from her2node.service.phantoms import Asked, write

SMALL = {"matrix": 64, "slices": 4}


@pytest.mark.parametrize(
    ("kind", "modalities", "figure"),
    [
        ("ct", {"CT", "SEG", "RTSTRUCT"}, "HU"),
        ("textured", {"CT", "SEG", "RTSTRUCT"}, "RandomField"),
        ("dual-energy", {"CT", "SEG", "RTSTRUCT"}, "iodine"),
        ("perfusion", {"CT", "SEG", "RTSTRUCT"}, "BF 60"),
        ("diffusion", {"MR", "RTSTRUCT"}, "D 950"),
        ("dce", {"MR", "SEG", "RTSTRUCT"}, "Ktrans 0.18"),
        ("pet", {"PT", "CT", "SEG", "RTSTRUCT"}, "max 14"),
    ],
)
def test_every_kind_is_written_with_its_truth(kind: str, modalities: set[str], figure: str, tmp_path: Path) -> None:
    said = write(tmp_path / kind, kind, Asked(**SMALL))
    files = list((tmp_path / kind).rglob("*.dcm"))
    headers = [dcmread(file, stop_before_pixels=True) for file in files]
    assert {str(ds.Modality) for ds in headers} == modalities
    (uid,) = {str(ds.StudyInstanceUID) for ds in headers}
    assert json.loads((tmp_path / kind / "truth.json").read_text())["study_instance_uid"] == uid
    assert f"{len(files)} objects of study {uid}" in said
    assert figure in said


@pytest.mark.parametrize(
    ("kind", "variant"),
    [("ct", "enhanced"), ("perfusion", "enhanced"), ("dce", "enhanced"), ("diffusion", "enhanced")],
)
def test_enhanced_objects_are_a_variant_of_every_kind_that_has_them(kind: str, variant: str, tmp_path: Path) -> None:
    write(tmp_path / kind, kind, Asked(**SMALL, variant=variant, roi=False))
    headers = [dcmread(file, stop_before_pixels=True) for file in (tmp_path / kind).rglob("*.dcm")]
    assert any(int(ds.get("NumberOfFrames", 1)) > 1 for ds in headers)


def test_pet_is_written_in_the_units_and_with_the_decay_that_were_asked_for(tmp_path: Path) -> None:
    asked = Asked(**SMALL, variant="philips-suv", decay="admin", outlined_on="ct")
    write(tmp_path / "pet", "pet", asked)
    headers = [dcmread(file, stop_before_pixels=True) for file in (tmp_path / "pet").rglob("*.dcm")]
    found = {(ds.Units, ds.DecayCorrection) for ds in headers if ds.Modality == "PT"}
    assert found == {("CNTS", "ADMIN")}


@pytest.mark.parametrize(
    ("kind", "asked", "remedy"),
    [
        ("ultrasound", Asked(), "dual-energy"),
        ("dce", Asked(variant="sideways"), "content-time"),
        ("pet", Asked(decay="never"), "start-counted"),
        ("ct", Asked(decay="start"), "pet"),
    ],
)
def test_what_is_not_made_is_refused_with_what_is(kind: str, asked: Asked, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        write(tmp_path / "study", kind, asked)
    assert remedy in str(refused.value.remedy)
    assert not (tmp_path / "study").exists()
