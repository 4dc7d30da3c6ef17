"""Names and descriptions in every character set come out as they went in."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.reading import Reading, read
from her2node.reports import ObjectKind, write
from her2node.reports.charset import folded, settle
from her2node.selection.study import open_study
from tests.reports import gates, making

TINY = replace(making.SMALL, phases=(phantoms.Phase.PORTAL,), slices=8, rows=64, columns=64, slice_spacing_mm=8.0)
CHINESE = "Zhang^XiaoDong=张^小东"
ESCAPED = "Zhang^XiaoDong=\x1b$)A张^\x1b$)A小东"


def _in(terms: list[str], name: str, description: str) -> Callable[[Dataset], None]:
    def spoil(ds: Dataset) -> None:
        ds.SpecificCharacterSet = terms
        ds.PatientName = name
        ds.StudyDescription = description

    return spoil


def _reading(folder: Path, spoil: Callable[[Dataset], None] | None = None) -> Reading:
    making.folder_of(folder, TINY, spoil)
    return read(open_study(sorted(folder.rglob("*.dcm"))), ())


@pytest.mark.truth
@pytest.mark.parametrize(
    ("terms", "name", "written"),
    [
        (["GB18030"], CHINESE, CHINESE),
        (["GBK"], CHINESE, CHINESE),
        (["ISO_IR 192"], CHINESE, CHINESE),
        (["ISO 2022 IR 100", "ISO 2022 IR 58"], ESCAPED, CHINESE),
        (["ISO_IR 100"], "Müller^Jörg", "Müller^Jörg"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_a_name_is_read_by_others_as_it_was_sent_and_its_character_set_kept(
    tmp_path: Path, terms: list[str], name: str, written: str
) -> None:
    reading = _reading(tmp_path / "study", _in(terms, name, "CT"))
    for file in making.write_files(write(reading, making.STAMP, ("report", "segmentation")), tmp_path / "out").values():
        assert written in gates.dcmdump(file, "PatientName")
        kept = dcmread(file).SpecificCharacterSet
        assert ([kept] if isinstance(kept, str) else list(kept)) == terms
        assert terms == ["GBK"] or gates.dciodvfy(file)[0] == []  # dciodvfy does not know the defined term GBK


def test_japanese_names_keep_their_bytes(tmp_path: Path) -> None:
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    reading = _reading(tmp_path / "study", _in(["", "ISO 2022 IR 87"], name, "CT"))
    for report in write(reading, making.STAMP, ("report", "segmentation")):
        (tmp_path / "one.dcm").write_bytes(report.content())
        assert str(dcmread(tmp_path / "one.dcm").PatientName) == name


def test_bytes_of_undeclared_encoding_stay_as_they_are(tmp_path: Path) -> None:
    raw = CHINESE.encode("gb18030")
    reading = _reading(tmp_path / "study", _in(["ISO_IR 100"], raw.decode("latin-1"), "CT"))
    for instance in reading.study.instances:
        del instance.header.SpecificCharacterSet
    report = write(reading, making.STAMP, ("report",))[0]
    assert raw in report.content()
    assert "SpecificCharacterSet" not in report.dataset


def test_a_region_labelled_in_chinese_turns_a_latin_study_s_report_to_utf_8(tmp_path: Path) -> None:
    reading = _reading(tmp_path / "study", _in(["ISO_IR 100"], "Müller^Jörg", "CT"))
    laid = tuple(replace(one, roi=replace(one.roi, label="胃癌")) for one in reading.rois)
    reports = write(replace(reading, rois=laid), making.STAMP, ("segmentation",))
    file = making.write_files(reports, tmp_path / "out")[ObjectKind.SEGMENTATION]
    assert dcmread(file).SpecificCharacterSet == "ISO_IR 192"
    assert "Müller^Jörg" in gates.dcmdump(file, "PatientName")
    assert "胃癌" in gates.dcmdump(file, "SegmentLabel")


def test_a_region_labelled_in_chinese_is_escaped_within_iso_2022() -> None:
    ds = Dataset()
    ds.PatientName = ESCAPED
    ds.SegmentLabel = "胃癌"
    settle(ds, ("ISO 2022 IR 6", "ISO 2022 IR 58"), frozenset({"PatientName"}))
    assert ds.SegmentLabel == "\x1b$)A胃癌"
    assert list(ds.SpecificCharacterSet) == ["ISO 2022 IR 6", "ISO 2022 IR 58"]


def test_our_own_sentences_give_way_to_a_character_set_that_lacks_their_signs() -> None:
    ds = Dataset()
    ds.PatientName = "Müller^Jörg"
    ds.SeriesDescription = "2017;18(5):809\u2013820 \u2265 5 mm \u2212 Łódź"
    settle(ds, ("ISO_IR 100",), frozenset({"PatientName"}))
    assert ds.SpecificCharacterSet == "ISO_IR 192"  # Ł is no sign but a letter: it is not thrown away
    ds.SeriesDescription = "2017;18(5):809\u2013820 \u2265 5 mm"
    settle(ds, ("ISO_IR 100",), frozenset({"PatientName"}))
    assert (ds.SpecificCharacterSet, ds.SeriesDescription) == ("ISO_IR 100", "2017;18(5):809-820 >= 5 mm")


def test_an_unknown_character_set_becomes_utf_8() -> None:
    ds = Dataset()
    ds.PatientName = "Müller^Jörg"
    settle(ds, ("ISO_IR 999",), frozenset({"PatientName"}))
    assert ds.SpecificCharacterSet == "ISO_IR 192"


def test_text_beside_undeclared_bytes_becomes_ascii() -> None:
    ds = Dataset()
    ds.PatientName = CHINESE.encode("gbk").decode("latin-1")
    ds.SegmentLabel = "胃 tumour"
    settle(ds, (), frozenset({"PatientName"}))
    assert ds.SegmentLabel == "? tumour"
    assert "SpecificCharacterSet" not in ds


def test_folding_keeps_letters_of_other_scripts() -> None:
    assert folded("naïve \u2212 胃 × 5 µm") == "naive - 胃 x 5 um"


def test_nothing_is_warned_of_when_a_report_is_written(tmp_path: Path) -> None:
    reading = _reading(tmp_path / "study")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for report in write(reading, making.STAMP, making.ALL):
            report.content()
