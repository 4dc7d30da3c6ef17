"""What the header of a PET series says of its tracer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from her2node.dicom.codes import Code
from her2node.phantoms.headers import coded
from her2node.selection.pet import TAKEN_FOR_FDG, role_of
from her2node.selection.roles import Role
from her2node.selection.study import Series
from tests.selection.headers import series

F18_S, ZR89_S, GA68_S, C11_S = 6586.2, 282240.0, 4057.7, 1223.4
F18, F18_SRT = Code("77004003", "SCT", "^18^Fluorine"), Code("C-111A1", "SRT", "^18^Fluorine")
ZR89, GA68 = Code("63360001", "SCT", "^89^Zirconium"), Code("35337001", "SCT", "^68^Gallium")
FDG, FDG_SRT = Code("35321007", "SCT", "F^18^-D-glucose"), Code("C-B1031", "SRT", "")
FLUORIDE = Code("129501009", "SCT", "Sodium fluoride F^18^")


def item(
    tracer: str = "", half_life_s: float | None = F18_S, nuclide: Code | None = None, code: Code | None = None
) -> Dataset:
    given = Dataset()
    given.Radiopharmaceutical, given.RadionuclideHalfLife = tracer, half_life_s
    given.RadionuclideCodeSequence = coded(nuclide) if nuclide else []
    given.RadiopharmaceuticalCodeSequence = coded(code) if code else []
    return given


def pet(*given: Dataset) -> Series:
    told: dict[str, Any] = {"Modality": "PT", "CorrectedImage": ["ATTN"], "ImageType": ["ORIGINAL", "PRIMARY"]}
    return series(RadiopharmaceuticalInformationSequence=list(given), **told)


@pytest.mark.parametrize(
    "word",
    [
        "FDG", "fdg", "18F-FDG", "F-18 FDG", "[18F]FDG", "F18FDG", "FDG -- fluorodeoxyglucose", "Fluorodeoxyglucose",
        "Fludeoxyglucose (18F)", "2-[18F]fluoro-2-deoxy-D-glucose", "Fluorodesoxyglukose", "Fluorodesoxiglucosa",
    ],
)  # fmt: skip
def test_fdg_by_any_of_its_names_is_fdg(word: str) -> None:
    role, evidence = role_of(pet(item(word, nuclide=F18)))
    assert role is Role.PET
    assert word in evidence


@pytest.mark.parametrize("code", [FDG, FDG_SRT], ids=str)
def test_fdg_by_its_code_is_fdg(code: Code) -> None:
    assert role_of(pet(item(code=code, half_life_s=None)))[0] is Role.PET


@pytest.mark.parametrize(
    "given",
    [
        item("89Zr-trastuzumab", ZR89_S, ZR89),
        item("89Zr-trastuzumab", F18_S),  # a half-life left as it was
        item("trastuzumab", F18_S, F18),
        item("Ga68-PSMA", GA68_S, GA68),
        item("PSMA-1007"),
        item("FLT"),
        item("Fluorodeoxygalactose"),
        item("FDGal"),
        item("Methionine", C11_S),
        item(code=FLUORIDE),
        item("FDG", code=FLUORIDE),
        item("FDG", nuclide=GA68),
        item(nuclide=ZR89),  # by its half-life F-18, by its code not
        item(half_life_s=ZR89_S),
        item(half_life_s=GA68_S),
        item(half_life_s=F18_S * 1.03),
        item(half_life_s=109.77),
        item(half_life_s=None),
        item(half_life_s=None, nuclide=F18),
    ],
    ids=lambda given: str(given).replace("\n", ";"),
)
def test_what_is_not_told_to_be_fdg_is_another_tracer(given: Dataset) -> None:
    assert role_of(pet(given))[0] is Role.PET_OTHER_TRACER


def test_a_header_without_any_word_on_the_tracer_is_no_fdg() -> None:
    assert role_of(pet())[0] is Role.PET_OTHER_TRACER


def test_two_tracers_at_once_are_no_fdg() -> None:
    assert role_of(pet(item("FDG"), item("Ga68-PSMA", GA68_S)))[0] is Role.PET_OTHER_TRACER
    assert role_of(pet(item("FDG"), item()))[0] is Role.PET


@pytest.mark.parametrize(
    "given",
    [item(), item(nuclide=F18), item(nuclide=F18_SRT), item("F-18"), item("18F"), item("Fluorine-18"), item("", 6480)],
    ids=lambda given: str(given).replace("\n", ";"),
)
def test_a_tracer_that_is_not_named_is_taken_for_fdg_by_the_half_life_of_fluorine_and_this_is_told(
    given: Dataset,
) -> None:
    assert role_of(pet(given)) == (Role.PET, TAKEN_FOR_FDG)


def test_the_half_life_of_every_vendors_header_is_that_of_fluorine(shared: Path) -> None:
    files = sorted((shared / "reference" / "suv-vendor-headers" / "metadata").glob("*-instances.json"))
    assert files
    for path in files:
        half_life_s = json.loads(path.read_text())[0]["RadionuclideHalfLife"]
        assert role_of(pet(item(half_life_s=half_life_s))) == (Role.PET, TAKEN_FOR_FDG), path.name
