"""What a lesion is compared with, and what must never be taken for it."""

from __future__ import annotations

import pytest

from her2node.dicom.codes import Code
from her2node.errors import NoReference
from her2node.rois.given import GivenRoi
from her2node.rois.reference import aorta_of, arteries, is_aorta, is_liver, is_portal_vein, is_reference
from her2node.rois.roi import RoiOrigin


def region(label: str, type_: Code | None = None) -> GivenRoi:
    return GivenRoi(None, 1, label, RoiOrigin.SEGMENTATION, "1.2", label, label, type=type_)  # type: ignore[arg-type]


@pytest.mark.parametrize("label", ["Aorta", "abdominal aorta", "aorta_1", "主动脉", "腹主動脈"])
def test_the_aorta_is_told_by_its_name(label: str) -> None:
    assert is_aorta(region(label))


@pytest.mark.parametrize(
    "label",
    [
        "para-aortic LN",
        "paraaortic node",
        "腹主动脉旁淋巴结",
        "portal vein thrombus",
        "门静脉癌栓",
        "GTV invading portal vein",
        "Liver metastasis 1",
        "liver lesion",
        "Tumour",
    ],
)
def test_a_lesion_beside_or_within_an_organ_is_no_reference(label: str) -> None:
    assert not is_reference(region(label))


@pytest.mark.parametrize("code", [("15825003", "SCT"), ("7832008", "SCT"), ("T-42000", "SRT")])
def test_a_coded_aorta_is_one_whatever_its_label(code: tuple[str, str]) -> None:
    assert is_aorta(region("Segment 1", Code(*code, "Aorta")))


def test_a_coded_neoplasm_is_no_reference_whatever_its_label() -> None:
    assert not is_reference(region("liver", Code("372087000", "SCT", "Neoplasm, Primary")))


def test_a_code_for_tissue_leaves_the_word_to_the_label() -> None:
    tissue = Code("85756007", "SCT", "Tissue")
    assert is_liver(region("Liver", tissue))
    assert is_portal_vein(region("portal vein", tissue))


def test_an_arterial_input_goes_before_the_aorta() -> None:
    assert [one.label for one in arteries([region("Aorta"), region("AIF"), region("Tumour")])] == ["AIF", "Aorta"]


def test_nodes_beside_the_aorta_are_not_divided_by() -> None:
    with pytest.raises(NoReference):
        aorta_of([region("para-aortic LN"), region("Tumour")])
