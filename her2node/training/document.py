"""A report as sections of sentences, tables and plots, written once as HTML and once as PDF."""

from __future__ import annotations

import html
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from her2node.reports.lettering import drawable, font, wrapped

Draw = Callable[[Axes], None]
_WIDTH, _HEIGHT, _MARGIN = 595.0, 842.0, 48.0
"""A4 in points."""
_SIZE, _LINE = 9.0, 13.0
_NARROW, _FRAME = 230.0, 50.0
"""Points: the height of plots of which two stand in a row, and what of a plot's height is not the drawing."""


@dataclass(frozen=True)
class Plot:
    """A figure with its caption; ``wide`` takes the whole width and is ``height`` points high."""

    caption: str
    draw: Draw
    wide: bool = False
    height: float = 280.0


@dataclass(frozen=True)
class Section:
    """``loud`` sentences are shown as warnings; of ``rows`` the first is the head."""

    heading: str
    loud: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    sections: tuple[Section, ...]


def write(document: Document, folder: Path, name: str) -> tuple[Path, Path]:
    """Write NAME.html and NAME.pdf. The same document gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    page, sheets = folder / f"{name}.html", folder / f"{name}.pdf"
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams["svg.hashsalt"] = "her2node"
        page.write_text(as_html(document), encoding="utf-8")
        sheets.write_bytes(as_pdf(document))
    return page, sheets


def as_html(document: Document) -> str:
    """One page that needs nothing beside it: no script, no address, plots drawn within."""
    title = html.escape(document.title)
    body = "\n".join(_section(section) for section in document.sections)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


_STYLE = (
    "body{font:15px/1.45 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111}"
    "h2{border-bottom:1px solid #ccc;margin-top:2rem}table{border-collapse:collapse}"
    "td,th{border:1px solid #ddd;padding:.25rem .6rem;text-align:left}"
    ".loud{background:#fee2e2;border-left:5px solid #b91c1c;padding:.5rem .8rem;font-weight:bold}"
    "figure{display:inline-block;margin:.5rem;vertical-align:top}figcaption{font-size:.85em;color:#444}"
)


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.heading)}</h2>"]
    parts += [f'<p class="loud">{html.escape(said)}</p>' for said in section.loud]
    parts += [f"<p>{html.escape(said)}</p>" for said in section.sentences]
    if section.rows:
        head, *rest = (tuple(map(html.escape, row)) for row in section.rows)
        lines = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"]
        lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rest]
        parts.append("<table>" + "".join(lines) + "</table>")
    for plot in section.plots:
        parts.append(f"<figure>{_svg(plot)}<figcaption>{html.escape(plot.caption)}</figcaption></figure>")
    return "\n".join(parts)


def _svg(plot: Plot) -> str:
    figure = Figure(figsize=(8.2, plot.height / 72 + 0.2) if plot.wide else (4.0, 3.4))
    plot.draw(figure.add_axes((0.02, 0.02, 0.96, 0.96) if plot.wide else (0.16, 0.15, 0.8, 0.8)))
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    said = buffer.getvalue()
    return said[said.index("<svg") :]


def as_pdf(document: Document) -> bytes:
    """A4 pages."""
    buffer = io.BytesIO()
    with PdfPages(buffer, metadata={"Title": document.title, "CreationDate": None, "ModDate": None}) as pages:
        sheets = _Sheets(pages)
        sheets.line(document.title, 15, bold=True)
        for section in document.sections:
            sheets.section(section)
        sheets.close()
    return buffer.getvalue()


class _Sheets:
    """Writes down the page, and begins another when it is full."""

    def __init__(self, pages: PdfPages) -> None:
        self._pages = pages
        self._begin()

    def _begin(self) -> None:
        self._figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72))
        self._y = _MARGIN

    def close(self) -> None:
        self._pages.savefig(self._figure)  # type: ignore[no-untyped-call]

    def _room(self, height: float) -> None:
        if self._y + height > _HEIGHT - _MARGIN:
            self.close()
            self._begin()

    def section(self, section: Section) -> None:
        self._room(4 * _LINE)
        self._y += _LINE
        self.line(section.heading, 11.5, bold=True)
        for said in section.loud:
            self.line(f"! {said}", _SIZE, bold=True, colour="#b91c1c")
        for said in section.sentences:
            self.line(said, _SIZE)
        self._table(section.rows)
        narrow = [plot for plot in section.plots if not plot.wide]
        for start in range(0, len(narrow), 2):
            self._plots(narrow[start : start + 2], 2)
        for plot in section.plots:
            if plot.wide:
                self._plots([plot], 1)

    def line(self, said: str, size: float, *, bold: bool = False, colour: str = "black", x: float = _MARGIN) -> None:
        """A paragraph."""
        for part in wrapped(said, _WIDTH - _MARGIN - x, size, bold):
            self._room(size * 1.4)
            self._y += size * 1.4
            self._text(x, self._y, part, size, bold=bold, colour=colour)
        self._y += 2

    def _text(self, x: float, y: float, said: str, size: float, *, bold: bool = False, colour: str = "black") -> None:
        self._figure.text(
            x / _WIDTH, 1 - y / _HEIGHT, drawable(said), fontproperties=font(size, bold), color=colour, parse_math=False
        )

    def _table(self, rows: tuple[tuple[str, ...], ...]) -> None:
        if not rows:
            return
        widths = [max(max(len(row[i]) for row in rows), 6) for i in range(len(rows[0]))]
        step = (_WIDTH - 2 * _MARGIN) / sum(widths)
        for number, row in enumerate(rows):
            cells = [wrapped(cell, width * step - 6, 8) for cell, width in zip(row, widths, strict=True)]
            self._room(max(map(len, cells)) * 11)
            x, top = _MARGIN, self._y
            for cell, width in zip(cells, widths, strict=True):
                for line, said in enumerate(cell, start=1):
                    self._text(x, top + 11 * line, said, 8, bold=number == 0)
                x += width * step
            self._y = top + 11 * max(map(len, cells))
        self._y += 6

    def _plots(self, plots: list[Plot], across: int) -> None:
        height = _NARROW if across == 2 else plots[0].height + _FRAME
        self._room(height + _LINE)
        width = (_WIDTH - 2 * _MARGIN) / across
        for number, plot in enumerate(plots):
            left, inset = _MARGIN + number * width, (34.0 if across == 2 else 0.0)
            x, bottom = (left + inset) / _WIDTH, (_HEIGHT - self._y - height + 34) / _HEIGHT
            axes = self._figure.add_axes((x, bottom, (width - inset - 10) / _WIDTH, (height - _FRAME) / _HEIGHT))
            plot.draw(axes)
            self._text(left, self._y + height, plot.caption, 7.5, colour="#444444")
        self._y += height + _LINE
