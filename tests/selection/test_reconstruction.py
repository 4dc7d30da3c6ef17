"""Which reconstruction of an acquisition a method gets."""

from __future__ import annotations

from typing import Any

import pytest

from her2node.errors import RoleAmbiguous
from her2node.selection import select
from her2node.selection.reconstruction import Reconstruction, kernel_of, same_acquisition, thickness_mm
from her2node.selection.roles import Role
from her2node.selection.study import Study, group
from tests.selection import headers

SHARP = Reconstruction(Role.PORTAL, kernel="^B70")
THICK = Reconstruction(Role.PORTAL, ((3.0, 5.0),))
SCAN = {"AcquisitionTime": "101500", "FrameOfReferenceUID": "1.2.9", "SliceThickness": 1, "ConvolutionKernel": "B30f"}


def portals(*of_series: dict[str, Any]) -> Study:
    made = []
    for n, attributes in enumerate(of_series, start=1):
        said = {"SeriesDescription": "portal", **SCAN, **attributes}
        made += [headers.instance(f"1.2.3.{n}", place + 1, **said) for place in range(2)]
    return group(made)


def chosen(study: Study, wanted: Reconstruction) -> str:
    selection = select(study, (), {}, wanted=(wanted,))
    assert selection.series_uid_of(Role.PORTAL) == "1.2.3.1"
    return selection.series_uid_of(Role.PORTAL, wanted=wanted)


def test_a_method_gets_the_reconstruction_that_fits_and_everybody_else_the_usual_one() -> None:
    study = portals({}, {"ConvolutionKernel": "B70f"}, {"SliceThickness": 4})
    assert chosen(study, SHARP) == "1.2.3.2"
    assert chosen(study, THICK) == "1.2.3.3"
    selection = select(study, (), {}, wanted=(SHARP, THICK))
    assert selection.of_phase(Role.PORTAL) == ("1.2.3.1", "1.2.3.2", "1.2.3.3")
    said = "of one acquisition the reconstruction for methods that want {}, rather than 1.2.3.1"
    assert selection.of("1.2.3.2").evidence[-1] == said.format("a kernel like /^B70/")
    assert selection.of("1.2.3.3").evidence[-1] == said.format("slices of 3 to 5 mm")


def test_the_usual_one_is_kept_where_it_fits_or_nothing_fits_better() -> None:
    soft = Reconstruction(Role.PORTAL, ((0.0, 5.0),), "^B30")
    assert chosen(portals({}, {"SliceThickness": 4}), soft) == "1.2.3.1"
    assert chosen(portals({}, {"SliceThickness": 2}), THICK) == "1.2.3.1"
    assert len(select(portals({}, {"SliceThickness": 2}), (), {}, wanted=(THICK,)).of_phase(Role.PORTAL)) == 1


def test_a_hard_limit_weighs_more_than_a_usual_one_and_thickness_more_than_the_kernel() -> None:
    wanted = Reconstruction(Role.PORTAL, ((2.0, 9.0), (4.0, 5.0)), "^B70")
    study = portals({}, {"SliceThickness": 3}, {"ConvolutionKernel": "B70f"})
    assert chosen(study, wanted) == "1.2.3.2"


@pytest.mark.parametrize(
    "other",
    [
        {"AcquisitionTime": "101530"},
        {"FrameOfReferenceUID": "1.2.8"},
        {"IrradiationEventUID": "1.2.7.2"},
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]},
        {"ConvolutionKernel": "B70f"},
    ],
)
def test_another_acquisition_a_derived_image_or_a_sharp_kernel_is_not_taken_for_its_thickness(
    other: dict[str, Any],
) -> None:
    assert chosen(portals({"IrradiationEventUID": "1.2.7.1"}, {"SliceThickness": 4, **other}), THICK) == "1.2.3.1"
    assert chosen(portals({}, {"SliceThickness": 4}), THICK) == "1.2.3.2"


def test_several_that_fit_alike_are_ambiguous_by_name_and_what_was_chosen_for_all_stands() -> None:
    study = portals({}, {"SliceThickness": 4}, {"SliceThickness": 4, "ConvolutionKernel": "B31f"})
    with pytest.raises(RoleAmbiguous, match=r"1\.2\.3\.2, 1\.2\.3\.3"):
        chosen(study, THICK)
    assert chosen(study, Reconstruction(Role.PORTAL, ((3.0, 5.0),), "^B31")) == "1.2.3.3"


def test_of_two_alike_for_all_a_kernel_tells_one_if_they_are_of_one_acquisition() -> None:
    both = ({"ConvolutionKernel": "B20f"}, {"ConvolutionKernel": "B31f"})
    wanted = Reconstruction(Role.PORTAL, kernel="^B31")
    selection = select(portals(*both), (), {}, wanted=(wanted,))
    assert Role.PORTAL in selection.ambiguous
    assert selection.series_uid_of(Role.PORTAL, wanted=wanted) == "1.2.3.2"
    later = select(portals(both[0], {**both[1], "AcquisitionTime": "101600"}), (), {}, wanted=(wanted,))
    with pytest.raises(RoleAmbiguous):
        later.series_uid_of(Role.PORTAL, wanted=wanted)


def test_what_a_reader_entered_holds_for_every_method() -> None:
    study = portals({}, {"SliceThickness": 4})
    selection = select(study, (), {"1.2.3.1": Role.PORTAL}, wanted=(THICK,))
    assert selection.series_uid_of(Role.PORTAL, wanted=THICK) == "1.2.3.1"


def test_one_acquisition_is_told_by_its_number_where_no_time_is() -> None:
    def one(uid: str, **said: Any) -> Any:
        return headers.series("portal", uid=uid, FrameOfReferenceUID="1.2.9", **said)

    assert same_acquisition(one("1.1", AcquisitionNumber=3), one("1.2", AcquisitionNumber=3))
    assert not same_acquisition(one("1.1", AcquisitionNumber=3), one("1.2", AcquisitionNumber=4))
    assert not same_acquisition(one("1.1"), one("1.2"))


def test_an_enhanced_object_tells_kernel_and_thickness_in_its_groups() -> None:
    header = headers.enhanced_header(
        CTReconstructionSequence={"ConvolutionKernel": "B70f"}, PixelMeasuresSequence={"SliceThickness": 0.6}
    )
    assert (kernel_of(header), thickness_mm(header)) == ("B70f", 0.6)
