"""Letters and lines: the fonts that come with matplotlib, how wide a text is in them, and how it breaks."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from matplotlib.textpath import text_to_path

_FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"


@lru_cache(maxsize=64)
def font(size: float, bold: bool = False) -> FontProperties:
    """DejaVu Sans from matplotlib's own folder, whatever the machine has installed."""
    return FontProperties(fname=str(_FONTS / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")), size=size)


@lru_cache(maxsize=1)
def _signs() -> frozenset[int]:
    return frozenset(FT2Font(str(_FONTS / "DejaVuSans.ttf")).get_charmap())


def drawable(said: str) -> str:
    """``said`` with an empty box for each sign that the font lacks, and spaces for control characters."""
    return "".join(" " if not sign.isprintable() else sign if ord(sign) in _signs() else "\u25a1" for sign in said)


@lru_cache(maxsize=4096)
def text_width(said: str, size: float, bold: bool = False) -> float:
    """In points."""
    return float(text_to_path.get_text_width_height_descent(drawable(said), font(size, bold), ismath=False)[0])


def wrapped(said: str, width: float, size: float, bold: bool = False) -> list[str]:
    """Lines no wider than ``width`` points; a word that is wider is broken."""
    lines: list[str] = []
    line = ""
    for word in said.split():
        joined = f"{line} {word}".strip()
        if text_width(joined, size, bold) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        line = word
        while text_width(line, size, bold) > width and len(line) > 1:
            fits = max(1, _fitting(line, width, size, bold))
            lines.append(line[:fits])
            line = line[fits:]
    return [*lines, line] if line else lines or [""]


def fitted(said: str, width: float, size: float) -> str:
    """One line no wider than ``width`` points, cut short with an ellipsis."""
    if text_width(said, size) <= width:
        return said
    fits = _fitting(said, width - text_width("\u2026", size), size, False)
    return said[:fits].rstrip() + "\u2026"


def _fitting(said: str, width: float, size: float, bold: bool) -> int:
    """How many of the first signs are no wider than ``width`` points."""
    return bisect_right(range(1, len(said) + 1), width, key=lambda count: text_width(said[:count], size, bold))
