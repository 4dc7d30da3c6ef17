"""The summary page as matplotlib draws it: A4 upright, one unit a point, fonts that come with matplotlib.

Nothing of the machine shapes the page: own settings, fonts by file, no clock. Signs that the font lacks (a label in
Chinese script) become empty boxes; the structured report has them in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from her2node.models.prediction import Category
from her2node.reports.lettering import drawable, fitted, font, text_width, wrapped
from her2node.reports.page import Answered, Estimated, Page, Picture, Row, Table

WIDTH, HEIGHT = 595.0, 842.0
_LEFT, _RIGHT = 36.0, 559.0
_DPI = 150
_INK, _GREY, _FAINT, _ALARM, _ZEBRA = "#111827", "#4b5563", "#d1d5db", "#b91c1c", "#f3f4f6"
_COLOURS = {Category.LIKELY: "#b45309", Category.INDETERMINATE: "#6b7280", Category.UNLIKELY: "#1d4ed8"}
_OUTLINE = "#ff5c40"
_MOST_ANSWERS = 8
_NAMES = 190.0
"""Width of the names in the table; figures stand beside them."""
_ROW = 11.5
_LAST_ESTIMATE = 300.0
"""No package's estimate begins below this height."""


def as_pixels(page: Page) -> npt.NDArray[np.uint8]:
    """The page as RGB, shape (rows, columns, 3), 150 dots per inch."""
    with own_settings():
        figure = drawn(page)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])  # type: ignore[no-untyped-call]


def as_pdf(page: Page, title: str) -> bytes:
    """The page as a PDF of one page."""
    buffer = BytesIO()
    with own_settings():
        about = {"Title": title, "Creator": "her2node", "Producer": "her2node", "CreationDate": None}
        drawn(page).savefig(buffer, format="pdf", metadata=about)
    return buffer.getvalue()


@contextmanager
def own_settings() -> Iterator[None]:
    """Within this, matplotlib's settings are the page's own."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams["text.hinting"] = "none"  # hinted text is wider than it is measured
        yield


def drawn(page: Page) -> Figure:
    """The page as a figure; to be drawn and saved within ``own_settings``."""
    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(HEIGHT, 0)
    axes.axis("off")
    sheet = _Sheet(axes)
    top = sheet.header(page)
    left = sheet.picture(page.picture, top) if page.picture else top
    end = sheet.footer(page)
    right = sheet.estimates(page, top, 310.0 if page.picture else _LEFT)
    y = max(left, right) + 14
    if page.table:
        y = sheet.table(page.table, y, end) + 14
    sheet.remarks(page.remarks, y, end)
    return figure


class _Sheet:
    """Draws at a place and says where the next thing may begin: every ``y`` is a height in points from the top."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes

    def text(
        self,
        x: float,
        y: float,
        said: str,
        size: float = 8,
        *,
        colour: str = _INK,
        bold: bool = False,
        at: str = "left",
    ) -> None:
        """One line whose top is at ``y``; ``at`` is which end of it lies at ``x``."""
        self.axes.text(
            x, y + size, drawable(said), fontproperties=font(size, bold), color=colour, ha=at, va="baseline",
            parse_math=False,
        )  # fmt: skip

    def paragraph(
        self, x: float, y: float, width: float, said: str, size: float = 7.5, *, colour: str = _INK, bold: bool = False
    ) -> float:
        for line in wrapped(said, width, size, bold):
            self.text(x, y, line, size, colour=colour, bold=bold)
            y += size * 1.32
        return y

    def heading(self, x: float, y: float, said: str) -> float:
        self.text(x, y, said.upper(), 7.5, colour=_GREY, bold=True)
        return y + 13

    def line(self, x: float, y: float, end: float) -> None:
        self.axes.plot((x, end), (y, y), color=_FAINT, linewidth=0.8, solid_capstyle="butt")

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        self.axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="none"))

    def window(self, x: float, y: float, side: float) -> Axes:
        """A square with coordinates of its own, for a picture."""
        return self.axes.figure.add_axes((x / WIDTH, 1 - (y + side) / HEIGHT, side / WIDTH, side / HEIGHT))

    def header(self, page: Page) -> float:
        self.text(_LEFT, 28, "HER2 AI", 17, bold=True)
        self.text(_LEFT + 84, 33, "imaging estimate, gastric cancer", 10, colour=_GREY)
        self.axes.add_patch(
            FancyBboxPatch((364, 29), 195, 17, boxstyle="round,pad=0,rounding_size=3", facecolor=_ALARM, linewidth=0)
        )
        self.text(461.5, 33, "NOT FOR DIAGNOSIS  \u2013  RESEARCH USE", 7.5, colour="white", bold=True, at="center")
        y = self.paragraph(_LEFT, 54, _RIGHT - _LEFT, "   \u00b7   ".join(page.identity), 8, colour=_GREY)
        self.line(_LEFT, y + 3, _RIGHT)
        return y + 12

    def picture(self, picture: Picture, y: float) -> float:
        side = 256.0
        _show(self.window(_LEFT, y, side), picture)
        _zoom(self.window(_LEFT + side - 84, y + side - 84, 84), picture)
        return self.paragraph(_LEFT, y + side + 5, side, picture.caption, 7, colour=_GREY)

    def estimates(self, page: Page, y: float, x: float) -> float:
        y = self.heading(x, y, "Estimate")
        if not page.estimates:
            return self.paragraph(x, y, _RIGHT - x, page.no_estimate, 10, bold=True)
        room = _MOST_ANSWERS
        for number, estimated in enumerate(page.estimates):
            if y > _LAST_ESTIMATE:
                said = f"{len(page.estimates) - number} more packages: see the structured report"
                return self.paragraph(x, y, _RIGHT - x, said, 7, colour=_GREY)
            y = self.estimate(estimated, x, y, max(2, room)) + 9
            room -= len(estimated.answers)
        return y

    def estimate(self, estimated: Estimated, x: float, y: float, most: int) -> float:
        width = _RIGHT - x
        y = self.paragraph(x, y, width, estimated.title, 9.5, bold=True)
        y = self.paragraph(x, y, width, estimated.level, 7, colour=_GREY) + 3
        if len(estimated.answers) == 1:
            y = self.only_answer(estimated.answers[0], x, y, width)
        else:
            y = self.alternatives(estimated.answers, x, y, width, most)
        facts = "; ".join((*estimated.inputs, estimated.prior))
        return self.paragraph(x, y + 1, width, facts, 6.5, colour=_GREY)

    def only_answer(self, answer: Answered, x: float, y: float, width: float) -> float:
        colour = _COLOURS[answer.category]
        self.text(x, y, answer.percent, 24, colour=colour, bold=True)
        aside = x + text_width(answer.percent, 24, bold=True) + 10
        end = self.paragraph(aside, y + 3, x + width - aside, answer.words, 9, colour=colour, bold=True)
        y = max(y + 28, end + 2)
        self.bar(x, y, width, 5, answer)
        return y + 10

    def alternatives(self, answers: tuple[Answered, ...], x: float, y: float, width: float, most: int) -> float:
        y = self.paragraph(x, y, width, "Depends on what nobody has entered yet:", 7.5) + 2
        for answer in answers[:most]:
            y = self.alternative(answer, x, y, width)
        if len(answers) > most:
            rest = [answer.probability for answer in answers]
            said = f"and {len(answers) - most} more answers, all between {min(rest):.0%} and {max(rest):.0%}"
            y = self.paragraph(x, y, width, f"{said}: see the structured report", 7, colour=_GREY)
        return y

    def alternative(self, answer: Answered, x: float, y: float, width: float) -> float:
        colour = _COLOURS[answer.category]
        self.text(x + width, y, f"{answer.percent}  {answer.category.value}", 8, colour=colour, bold=True, at="right")
        y = max(self.paragraph(x, y, width - 92, answer.condition, 7), y + 10)
        self.bar(x, y, width, 3, answer)
        return y + 8

    def bar(self, x: float, y: float, width: float, height: float, answer: Answered) -> None:
        self.box(x, y, width, height, _FAINT)
        self.box(x, y, width * answer.probability, height, _COLOURS[answer.category])

    def table(self, table: Table, y: float, end: float) -> float:
        """As many rows as the page holds above ``end``."""
        self.heading(_LEFT, y, fitted(table.title, _NAMES - 4, 7.5))
        step = min(82.0, (_RIGHT - 4 - _LEFT - _NAMES) / len(table.columns))
        places = [_LEFT + _NAMES + step * number for number in range(1, len(table.columns) + 1)]
        for place, column in zip(places, table.columns, strict=True):
            for number, line in enumerate(column.split("\n")):
                self.text(place, y + 2 + number * 9, fitted(line, step - 6, 7.5), 7.5, bold=number == 0, at="right")
        y += 22
        fit = max(0, int((end - y) // _ROW) - 1)
        for number, row in enumerate(table.rows[:fit]):
            if number % 2 == 0:
                self.box(_LEFT, y, places[-1] + 4 - _LEFT, _ROW, _ZEBRA)
            self.row(row, places, y + 1.2)
            y += _ROW
        if len(table.rows) > fit:
            rest = f"{len(table.rows) - fit} more rows: see the structured report"
            self.text(_LEFT + 4, y + 1.2, rest, 7, colour=_GREY)
            y += _ROW
        return y

    def row(self, row: Row, places: list[float], y: float) -> None:
        name = fitted(row.name, _NAMES - 12 - text_width(row.unit, 7.5), 7.5)
        self.text(_LEFT + 4, y, name, 7.5)
        self.text(_LEFT + 8 + text_width(name, 7.5), y, row.unit, 7.5, colour=_GREY)
        for place, cell in zip(places, row.cells, strict=True):
            self.text(place, y, cell, 7.5, at="right")

    def remarks(self, remarks: tuple[tuple[str, tuple[str, ...]], ...], y: float, end: float) -> None:
        """As many sentences as the page holds above ``end``; what is left out is said to be."""
        rows = [(heading if n == 0 else "", said) for heading, sentences in remarks for n, said in enumerate(sentences)]
        for number, (heading, said) in enumerate(rows):
            height = 10.0 * len(wrapped(said, _RIGHT - _LEFT - 10, 7.5)) + (18.0 if heading else 0.0)
            if y + height + 12 > end:
                rest = f"{len(rows) - number} more remarks: see the structured report"
                self.text(_LEFT, min(y + 2, end - 9), rest, 7, colour=_GREY)
                return
            if heading:
                y = self.heading(_LEFT, y + 5, heading)
            self.text(_LEFT + 1, y, "\u2022", 7.5, colour=_GREY)
            y = self.paragraph(_LEFT + 10, y, _RIGHT - _LEFT - 10, said, 7.5) + 1

    def footer(self, page: Page) -> float:
        """Drawn from the bottom up, for it must be there whole; says where it begins."""
        width = _RIGHT - _LEFT
        notices = [(said, 7.5, _INK, True) for said in page.notices[:1]] + [
            (said, 7.5, _INK, False) for said in page.notices[1:]
        ]
        rows = notices + [(said, 6.0, _GREY, False) for said in page.provenance]
        height = sum(len(wrapped(said, width, size, bold)) * size * 1.32 + 2 for said, size, _, bold in rows)
        top = y = HEIGHT - 26 - height
        self.line(_LEFT, y - 5, _RIGHT)
        for said, size, colour, bold in rows:
            y = self.paragraph(_LEFT, y, width, said, size, colour=colour, bold=bold) + 2
        return top - 10


def _show(axes: Axes, picture: Picture) -> None:
    rows, columns = picture.grey.shape
    down, across = picture.spacing_mm
    axes.imshow(
        picture.grey, cmap="gray", vmin=0, vmax=1, extent=(0, columns, rows, 0), aspect=down / across,
        interpolation="bilinear",
    )  # fmt: skip
    for outline in picture.outlines:
        axes.plot(outline[:, 0], outline[:, 1], color=_OUTLINE, linewidth=1.1)
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_facecolor("black")
    _bare(axes, "none")
    places = ((0.02, 0.5, "left"), (0.98, 0.5, "right"), (0.5, 0.965, "center"), (0.5, 0.035, "center"))
    for letter, (x, y, at) in zip(picture.letters, places, strict=True):
        axes.text(
            x, y, letter, transform=axes.transAxes, fontproperties=font(8, True), color="#e5e7eb", ha=at, va="center"
        )
    length = 50.0 / across
    if length < columns / 2:
        x, y = 0.04 * columns, 0.955 * rows
        axes.plot((x, x + length), (y, y), color="#e5e7eb", linewidth=1.6, solid_capstyle="butt")
        axes.text(x + length + 3 / across, y, "5 cm", fontproperties=font(6.5), color="#e5e7eb", ha="left", va="center")


def _zoom(axes: Axes, picture: Picture) -> None:
    """The region's surroundings without its outline, so that the reader sees the tissue itself."""
    down, across = picture.spacing_mm
    points = np.concatenate(picture.outlines)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    half_mm = max(20.0, 0.75 * float(((points.max(axis=0) - points.min(axis=0)) * (across, down)).max()))
    rows, columns = picture.grey.shape
    axes.imshow(
        picture.grey, cmap="gray", vmin=0, vmax=1, extent=(0, columns, rows, 0), aspect=down / across,
        interpolation="bilinear",
    )  # fmt: skip
    axes.set_xlim(middle[0] - half_mm / across, middle[0] + half_mm / across)
    axes.set_ylim(middle[1] + half_mm / down, middle[1] - half_mm / down)
    axes.set_facecolor("black")
    _bare(axes, "#e5e7eb")


def _bare(axes: Axes, edge: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(edge)
        spine.set_linewidth(0.8)
