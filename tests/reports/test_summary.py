"""The summary page: one page, nothing overlapping, everything that a reader needs."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from her2node.errors import RoleMissing
from her2node.models.prediction import NotPredicted
from her2node.quantities.quantity import NotMeasured
from her2node.reading import Reading
from her2node.reports import ObjectKind
from her2node.reports.drawing import as_pixels, drawn, own_settings
from her2node.reports.lettering import drawable, fitted, text_width, wrapped
from her2node.reports.page import page_of
from tests.reports import making
from tests.reports.conftest import Case


def _boxes(reading: Reading) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Every text of the page but the picture's, with the rectangle (left, bottom, right, top) it fills, in dots."""
    with own_settings():
        figure = drawn(page_of(reading, making.STAMP))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        texts = [text for text in figure.axes[0].texts if text.get_text().strip()]
        boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    return [(text.get_text(), tuple(box.extents)) for text, box in zip(texts, boxes, strict=True)]


def _crowded(case: Case) -> Reading:
    """Six packages, one with 64 answers, long and many remarks, a label and descriptions in Chinese."""
    reading = case.reading
    lee = making.open_lee(reading.tumour)
    many = replace(lee, answers=lee.answers * 16, flags=("a long flag " * 30,) * 9, conflicts=("conflict " * 60,) * 5)
    rois = tuple(replace(one, roi=replace(one.roi, label="胃窦癌 " * 12)) for one in reading.rois)
    refusals = tuple(NotMeasured("", None, RoleMissing(f"role {n} " * 12)) for n in range(30))
    return replace(
        reading,
        rois=rois,
        predictions=(*reading.predictions, many, *reading.predictions, many),
        not_measured=refusals,
        not_predicted=tuple(NotPredicted(making.DEMO, RoleMissing(str(n))) for n in range(20)),
    )


@pytest.mark.parametrize("how", ["as it is", "crowded", "nothing"])
def test_no_text_overlaps_another_or_leaves_the_page(case: Case, how: str) -> None:
    readings = {
        "as it is": case.reading,
        "crowded": _crowded(case),
        "nothing": making.nothing_read(case.reading),
    }
    found = _boxes(readings[how])
    slack = 1.5
    for text, (left, bottom, right, top) in found:
        assert left > 60, text
        assert bottom > 40, text
        assert right < 1240 - 60, text
        assert top < 1754 - 40, text
    for (one, a), (two, b) in combinations(found, 2):
        apart = a[2] - slack < b[0] or b[2] - slack < a[0] or a[3] - slack < b[1] or b[3] - slack < a[1]
        assert apart, (one, two)


def test_what_does_not_fit_is_said_to_be_missing(classic: Case) -> None:
    said = " ".join(text for text, _ in _boxes(_crowded(classic)))
    assert "more remarks: see the structured report" in said
    assert "more packages: see the structured report" in said or "more answers, all between" in said


def test_the_page_bears_what_a_reader_needs(classic: Case) -> None:
    said = " ".join(text for text, _ in _boxes(classic.reading))
    for needed in (
        "NOT FOR DIAGNOSIS", "Patient ID PHANTOM", "33 %", "52 %", "portal_hyperattenuation = 1", "series 4", "HU",
        "published-reconstructed", "lower, not higher", "did not run", "Research use only", "immunohistochemistry",
        "2.25.1234567890",
    ):  # fmt: skip
        assert needed in said, needed


def test_the_patient_s_name_is_nowhere_on_the_page(classic: Case) -> None:
    name = str(classic.reading.study.series[0].first.PatientName)
    said = " ".join(text for text, _ in _boxes(classic.reading))
    assert "^" in name
    assert not any(part and part in said for part in name.split("^"))


def test_the_picture_shows_the_outline_where_the_region_is(real: Case) -> None:
    page = page_of(real.reading, making.STAMP)
    assert page.picture is not None
    assert page.picture.letters == ("R", "L", "A", "P")
    laid = real.reading.rois[0]
    rows, columns = np.nonzero(laid.roi.mask[laid.key_slice])
    points = np.concatenate(page.picture.outlines)
    assert points[:, 0].min() == pytest.approx(columns.min(), abs=1)
    assert points[:, 1].max() == pytest.approx(rows.max() + 1, abs=1)
    assert page.picture.grey.min() == 0
    assert page.picture.grey.max() == 1


def test_the_page_is_a4_at_150_dots_an_inch(classic: Case) -> None:
    pixels = as_pixels(page_of(classic.reading, making.STAMP))
    assert pixels.shape == (1754, 1239, 3)
    image = classic.reports[ObjectKind.SUMMARY_IMAGE].dataset
    assert (image.Rows, image.Columns, image.BurnedInAnnotation) == (1754, 1239, "YES")


def test_signs_that_the_font_lacks_become_boxes() -> None:
    assert drawable("HU \u2265 胃\x1b癌") == "HU \u2265 \u25a1 \u25a1"


def test_lines_are_no_wider_than_asked_even_for_one_long_word() -> None:
    lines = wrapped("a " + "x" * 300 + " b", 100, 8)
    assert "".join(lines).replace(" ", "") == "a" + "x" * 300 + "b"
    assert all(text_width(line, 8) <= 100 for line in lines)
    assert text_width(fitted("y" * 300, 50, 8), 8) <= 50
