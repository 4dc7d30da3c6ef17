"""What a reader sees in OHIF: the real viewer in a real browser, with the objects in a real PACS."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from her2node.reading import LaidRoi
from her2node.reports import ObjectKind
from her2node.reports.regions import most_important
from tests import ohif
from tests.orthanc import Orthanc
from tests.reports.conftest import Case

pytestmark = [pytest.mark.servers, pytest.mark.truth, pytest.mark.soak]

PREFIX = "HER2 AI - not for diagnosis -"
SENT = (ObjectKind.REPORT, ObjectKind.OUTLINE, ObjectKind.SEGMENTATION, ObjectKind.PARAMETRIC_MAP)
CANVAS = "canvas.cornerstone-canvas"
PATIENCE, ATTEMPTS = 300, 3
"""Seconds, for WebGL is drawn by software here; and how often a double-click is tried in that time."""


@dataclass(frozen=True)
class Screen:
    """The viewer with the study open."""

    driver: WebDriver
    case: Case
    url: str

    def wait(self, found: Callable[[WebDriver], Any], what: str, seconds: float = PATIENCE) -> Any:
        ignored = [StaleElementReferenceException]
        return WebDriverWait(self.driver, seconds, 0.5, ignored_exceptions=ignored).until(found, what)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def show_study(self) -> None:
        """Load the study and wait for its first images."""
        study = self.case.reading.study.study_instance_uid
        self.driver.get(f"{self.url}/viewer?StudyInstanceUIDs={study}")
        self.wait(lambda _: self.all(CANVAS) and self.series(), "the study's first images")

    def click(self, xpath: str) -> None:
        self.wait(lambda driver: driver.find_elements(By.XPATH, xpath), xpath)[0].click()

    def series(self) -> dict[int, str]:
        """Number and description of each series in the list."""
        return {
            int(one.get_attribute("data-series") or 0): str(label.get_attribute("textContent"))
            for one in self.all("[data-series]")
            for label in one.find_elements(By.CSS_SELECTOR, '[data-cy="series-description-label"]')
        }

    def open(self, kind: ObjectKind, shown: Callable[[WebDriver], Any], what: str) -> Any:
        """Double-click the series of one of the node's objects, once more if nothing comes of it, until ``shown``."""
        for attempt in range(ATTEMPTS):
            self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", self._entry(kind))
            ActionChains(self.driver).double_click(self._entry(kind)).perform()
            try:
                return self.wait(shown, what, PATIENCE / ATTEMPTS)
            except TimeoutException:
                if attempt == ATTEMPTS - 1:
                    raise
        return None

    def _entry(self, kind: ObjectKind) -> WebElement:
        number = int(self.case.reports[kind].dataset.SeriesNumber)
        found: list[WebElement] = self.wait(lambda _: self.all(f'[data-series="{number}"]'), f"series {number}")
        return found[0]

    def text(self) -> str:
        (grid,) = self.all('[data-cy="viewport-grid"]')
        return grid.text

    def instance_number(self) -> int | None:
        """Of the image that the viewport shows, as it says."""
        said = re.search(r"I:\s*(\d+) \((\d+)/(\d+)\)", self.text())
        return int(said.group(1)) if said else None

    def pixels(self) -> npt.NDArray[np.float64]:
        """The viewport's picture without the lines over it: (rows, columns, 3), 0 to 1."""
        script = f"return document.querySelector('{CANVAS}').toDataURL('image/png')"
        content = base64.b64decode(self.driver.execute_script(script).partition(",")[2])
        return np.asarray(matplotlib.image.imread(BytesIO(content), format="png"), dtype=np.float64)[..., :3]

    def coloured(self, _: WebDriver) -> Any:
        """Which pixels of the canvas bear a colour, once any does."""
        if not self.all(CANVAS):
            return None
        picture = self.pixels()
        found = picture.max(axis=2) - picture.min(axis=2) > 0.15
        return (found,) if found.any() else None

    def lines(self, selector: str) -> list[WebElement]:
        return self.all(f"svg.svg-layer {selector}")


@pytest.fixture(scope="module")
def screen(classic: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    with Orthanc(tmp_path_factory.mktemp("pacs")) as pacs:
        for file in (*classic.sources, *(classic.files[kind] for kind in SENT)):
            pacs.upload(file)
        with ohif.Viewer(pacs) as viewer, ohif.browser() as driver:
            found = Screen(driver, classic, viewer.url)
            found.show_study()
            found.click("//*[text()='Skip all']")
            found.click("//*[@data-cy='confirm-and-hide-button']")
            yield found


def tumour(case: Case) -> LaidRoi:
    """The tumour on the series that the report shows."""
    uid = most_important(case.reading)
    return next(one for one in case.reading.rois if one.series_instance_uid == uid)


def on_canvas(case: Case, size: tuple[int, int]) -> tuple[npt.NDArray[np.float64], float]:
    """Where the viewer puts the outer corner of the first pixel (x, y), and its size, on a canvas of (width, height).

    The viewer fits the whole image into the viewport and centres it.
    """
    image = tumour(case).key_image
    assert image.shape[0] == image.shape[1], "the phantom's pixels and images are square"
    scale = min(size) / image.shape[0]
    return (np.array(size) - scale * image.shape[0]) / 2, scale


def on_image(case: Case, canvas: tuple[int, int], image: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pixels of a canvas (rows, columns) under which a slice of the image is True."""
    corner, scale = on_canvas(case, canvas[::-1])
    rows, columns = np.indices(canvas) + 0.5
    row, column = np.floor((rows - corner[1]) / scale).astype(int), np.floor((columns - corner[0]) / scale).astype(int)
    inside = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
    found = np.zeros(canvas, bool)
    found[inside] = image[row[inside], column[inside]]
    return found


def instance_number(case: Case, slice_index: int) -> int:
    """InstanceNumber of a slice of the series that the report shows."""
    laid = tumour(case)
    measured = next(m for m in case.reading.measured if m.series_instance_uid == laid.series_instance_uid)
    uid = measured.sources[slice_index].sop_instance_uid
    found = next(i for i in case.reading.study.instances if i.identity.sop_instance_uid == uid)
    return int(found.header.InstanceNumber)


def test_the_series_list_shows_the_node_s_objects_as_not_for_diagnosis(screen: Screen) -> None:
    ours = [int(screen.case.reports[kind].dataset.SeriesNumber) for kind in SENT]
    listed = screen.wait(lambda _: (found := screen.series()) and set(ours) <= set(found) and found, "all series")
    assert all(listed[number].startswith(PREFIX) for number in ours)
    assert len({listed[number] for number in ours}) == len(SENT)


def test_the_segmentation_colours_the_tumour_on_its_slice_and_nothing_else(screen: Screen) -> None:
    mask = tumour(screen.case).roi.mask
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    numbers = {instance_number(screen.case, index): index for index in slices}
    (found,) = screen.open(ObjectKind.SEGMENTATION, screen.coloured, "the overlay")
    shown = screen.instance_number()
    assert shown in (instance_number(screen.case, slices[0]), instance_number(screen.case, slices[-1]))
    truth = on_image(screen.case, found.shape, mask[numbers[shown]])
    assert np.count_nonzero(found & truth) > 0.95 * np.count_nonzero(truth)
    assert np.count_nonzero(found & ~truth) < 0.15 * np.count_nonzero(truth)  # the border that the viewer draws


def test_the_map_lies_in_colour_where_it_has_values_and_nowhere_else(screen: Screen) -> None:
    screen.show_study()  # without the overlay of another test
    (one,) = screen.case.reading.maps
    (found,) = screen.open(ObjectKind.PARAMETRIC_MAP, screen.coloured, "the map")
    assert screen.instance_number() in range(1, one.geometry.shape[0] + 1)
    truth = on_image(screen.case, found.shape, np.isfinite(one.voxels[0]))  # of every slice the same rows
    assert np.count_nonzero(found & truth) > 0.98 * np.count_nonzero(truth)
    assert np.count_nonzero(found & ~truth) < 0.01 * np.count_nonzero(truth)


def test_the_report_opens_as_text_with_estimate_probability_and_notice(screen: Screen) -> None:
    screen.open(ObjectKind.REPORT, lambda _: "Oncology Measurement Report" in screen.text(), "the text")
    lines = screen.text().splitlines()
    assert "Imaging estimate of HER2 positivity: Imaging estimate indeterminate" in lines
    probabilities = [line.split()[-2] for line in lines if line.startswith("Estimated probability of HER2 positivity")]
    answers = [answer for prediction in screen.case.reading.predictions for answer in prediction.answers]
    assert [float(one) for one in probabilities] == pytest.approx([answer.probability for answer in answers])
    text = "\n".join(lines)
    assert re.search(r"Not for diagnosis:\s*Research use only", text)
    assert "immunohistochemistry" in text


def test_the_outline_is_drawn_on_its_slice_with_its_values(screen: Screen) -> None:
    (line,) = screen.open(ObjectKind.OUTLINE, lambda _: screen.lines("polyline"), "the outline")
    laid = tumour(screen.case)
    assert screen.instance_number() == instance_number(screen.case, laid.key_slice)
    picture = screen.pixels()
    assert picture.max() > 0.5, "a black viewport"
    corner, scale = on_canvas(screen.case, (picture.shape[1], picture.shape[0]))
    points = np.array(
        [[float(n) for n in p.split(",")] for p in re.findall(r"[\d.]+, ?[\d.]+", line.get_attribute("points"))]
    )
    drawn = (points - corner) / scale
    rows, columns = np.nonzero(laid.roi.mask[laid.key_slice])
    assert drawn.min(axis=0) == pytest.approx([columns.min(), rows.min()], abs=0.1)
    assert drawn.max(axis=0) == pytest.approx([columns.max() + 1, rows.max() + 1], abs=0.1)
    values = {
        q.code.meaning: q.value for q in screen.case.reading.quantities if q.series_uids == (laid.series_instance_uid,)
    }
    said = [one.get_attribute("textContent") for one in screen.lines("tspan")]
    assert said == [
        f"L: : {values['Long axis']:.2f} mm",
        f"W: : {values['Short axis']:.2f} mm",
        "Estimated probability of HER2 positivity: 0.33 1",
        *said[3:],
    ]
    assert [one.split(":")[0] for one in said[3:]] == ["Attenuation Coefficient", "Volume"]
    assert said[4] == f"Volume: {values['Volume']:.2f} mm3"


def test_a_reader_can_take_the_axes_over_as_a_measurement(screen: Screen) -> None:
    screen.show_study()  # the viewer asks once
    screen.open(ObjectKind.OUTLINE, lambda _: screen.all('[data-cy="yes-hydrate-btn"]'), "the viewer's question")
    screen.click("//*[@data-cy='yes-hydrate-btn']")
    lines = screen.wait(lambda _: len(found := screen.lines("line[data-id]")) == 2 and found, "the axes")
    _, scale = on_canvas(screen.case, screen.pixels().shape[1::-1])
    spacing_mm = tumour(screen.case).roi.geometry.spacing_mm[1]
    lengths = sorted(
        np.hypot(*[float(one.get_attribute(f"{axis}2")) - float(one.get_attribute(f"{axis}1")) for axis in "xy"])
        / scale
        * spacing_mm
        for one in lines
    )
    values = {quantity.code.meaning: quantity.value for quantity in screen.case.reading.quantities}
    assert lengths == pytest.approx([values["Short axis"], values["Long axis"]], abs=0.1)
    screen.click("//*[@data-cy='trackedMeasurements-btn']")
    screen.wait(lambda driver: "Measurements (1)" in driver.find_element(By.TAG_NAME, "body").text, "the list")
