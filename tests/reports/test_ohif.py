"""What a reader sees in OHIF: the real viewer in a real browser, with the objects in a real PACS."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import binary_erosion
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from her2node import phantoms
from her2node.dicom.codes import Code, Dce, Diffusion, Uptake
from her2node.phantoms import dce, diffusion, pet
from her2node.phantoms.study import Writable
from her2node.quantities.quantity import QuantityMap
from her2node.reading import LaidRoi, read
from her2node.reports import ObjectKind, write
from her2node.reports.regions import most_important
from her2node.selection.study import open_study
from tests import ohif
from tests.orthanc import Orthanc
from tests.reports import making
from tests.reports.conftest import Case

pytestmark = [pytest.mark.servers, pytest.mark.truth, pytest.mark.soak, pytest.mark.timeout(600)]

PREFIX = "HER2 AI - not for diagnosis -"
SENT = (ObjectKind.REPORT, ObjectKind.OUTLINE, ObjectKind.SEGMENTATION, ObjectKind.PARAMETRIC_MAP)
CANVAS = "canvas.cornerstone-canvas"
PATIENCE, ATTEMPTS = 60, 4
"""Seconds for each attempt, for WebGL is drawn by software here, slower beside other tests; and how often a series is
opened. What is lost is told by the browser's log, not by waiting."""
LOST = "Referenced Volume is missing"


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
        self.wait(lambda _: self.all(CANVAS) and self.series() and self._drawn(), "the study's first images")

    def _drawn(self) -> bool:
        """Whether the viewport shows an image: what is opened before that may be lost."""
        return self.instance_number() is not None and float(self.pixels().max()) > 0.2

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
        """Double-click the series of one of the node's objects until ``shown``.

        Now and then the viewer loses a map that it lays over its images, and a second double-click then finds it open
        already; so what does not come, or is said to be lost, is asked for in a study loaded anew.
        """
        for _ in range(ATTEMPTS):
            self.driver.get_log("browser")  # what was said before
            self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", self._entry(kind))
            ActionChains(self.driver).double_click(self._entry(kind)).perform()
            with suppress(TimeoutException):
                found = self.wait(lambda driver: shown(driver) or (self._lost() and LOST), what)
                if found is not LOST:
                    return found
            self.show_study()
        raise TimeoutException(f"{what}: not in {ATTEMPTS} attempts")

    def _lost(self) -> bool:
        """Whether the viewer has said that it gives a map up."""
        return any(LOST in one["message"] for one in self.driver.get_log("browser"))

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


MAPPED: dict[str, tuple[Code, Callable[[], Writable]]] = {
    "diffusion": (
        Diffusion.ADC,
        lambda: diffusion.make(diffusion.DiffusionOptions(rows=96, columns=96, spacing_mm=2.5, apart=True)),
    ),
    "dynamic": (
        Dce.KEP,
        lambda: dce.make(
            dce.DceOptions(
                times_s=tuple(map(float, range(0, 100, 5))), rows=64, columns=64, slices=6, spacing_mm=3.5, noise=1.0,
                layout=dce.Layout.SERIES_A_POINT,
            )
        ),
    ),
    "uptake": (
        Uptake.SUVBW,
        lambda: pet.make(
            pet.PetOptions(rows=96, columns=96, slices=32, spacing_mm=2.7, slice_spacing_mm=5.0, ct=False)
        ),
    ),
}  # fmt: skip
"""Studies of MR and PET, each with the map of it that is shown. A series holds one image a slice: the viewer lays a map
over no other."""


def mapped(name: str, folder: Path) -> Case:
    """A study with one map of it alone."""
    code, made = MAPPED[name]
    sources = tuple(phantoms.write(made(), folder / "study"))
    reading = read(open_study(sources), ())
    reading = replace(reading, maps=tuple(one for one in reading.maps if one.code == code))
    (report,) = write(reading, replace(making.STAMP, predecessors=()), (ObjectKind.PARAMETRIC_MAP,))
    return Case(sources, reading, {report.kind: report}, making.write_files((report,), folder / "reports"))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return {name: mapped(name, tmp_path_factory.mktemp(name)) for name in MAPPED}


@pytest.fixture(scope="module")
def screen(classic: Case, cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    with Orthanc(tmp_path_factory.mktemp("pacs")) as pacs:
        for file in (*classic.sources, *(classic.files[kind] for kind in SENT)):
            pacs.upload(file)
        for case in cases.values():
            for file in (*case.sources, *case.files.values()):
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


def on_canvas(image: npt.NDArray[Any], size: tuple[int, int]) -> tuple[npt.NDArray[np.float64], float]:
    """Where the viewer puts the outer corner of the first pixel (x, y), and its size, on a canvas of (width, height).

    The viewer fits the whole image into the viewport and centres it.
    """
    assert image.shape[0] == image.shape[1], "the phantom's pixels and images are square"
    scale = min(size) / image.shape[0]
    return (np.array(size) - scale * image.shape[0]) / 2, scale


def on_image(canvas: tuple[int, int], image: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pixels of a canvas (rows, columns) under which a slice of the image is True."""
    corner, scale = on_canvas(image, canvas[::-1])
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


def slice_index(case: Case, one: QuantityMap, number: int | None) -> int:
    """Of the slice of a map that lies over the image of this InstanceNumber."""
    numbers = {i.identity.sop_instance_uid: int(i.header.InstanceNumber) for i in case.reading.study.instances}
    return next(n for n, source in enumerate(one.sources) if numbers[source.sop_instance_uid] == number)


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
    truth = on_image(found.shape, mask[numbers[shown]])
    assert np.count_nonzero(found & truth) > 0.95 * np.count_nonzero(truth)
    assert np.count_nonzero(found & ~truth) < 0.15 * np.count_nonzero(truth)  # the border that the viewer draws


def test_the_map_lies_in_colour_where_it_has_values_and_nowhere_else(screen: Screen) -> None:
    screen.show_study()  # without the overlay of another test
    (one,) = screen.case.reading.maps
    (found,) = screen.open(ObjectKind.PARAMETRIC_MAP, screen.coloured, "the map")
    assert screen.instance_number() in range(1, one.geometry.shape[0] + 1)
    truth = on_image(found.shape, np.isfinite(one.voxels[0]))  # of every slice the same rows
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
    corner, scale = on_canvas(laid.key_image, (picture.shape[1], picture.shape[0]))
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
    _, scale = on_canvas(tumour(screen.case).key_image, screen.pixels().shape[1::-1])
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


@pytest.mark.parametrize("name", MAPPED)
def test_maps_of_mr_and_pet_lie_in_colour_where_they_have_values(
    screen: Screen, cases: dict[str, Case], name: str
) -> None:
    screen = replace(screen, case=cases[name])
    screen.show_study()  # which leaves the study of the tests above
    (one,) = screen.case.reading.maps
    number = int(screen.case.reports[ObjectKind.PARAMETRIC_MAP].dataset.SeriesNumber)
    listed = screen.wait(lambda _: screen.series().get(number), "the map's series")
    assert listed.startswith(f"{PREFIX} map ")
    (found,) = screen.open(ObjectKind.PARAMETRIC_MAP, screen.coloured, "the map")
    picture = one.voxels[slice_index(screen.case, one, screen.instance_number())]
    # The viewer draws a value the fainter the nearer it is to zero, and between voxels what lies between their values.
    visible, empty = (on_image(found.shape, binary_erosion(mask)) for mask in (picture > 0.5, ~(picture > 0)))
    assert visible.any()
    assert empty.any()
    assert np.count_nonzero(found & visible) > 0.98 * np.count_nonzero(visible)
    assert np.count_nonzero(found & empty) < 0.01 * np.count_nonzero(empty)
