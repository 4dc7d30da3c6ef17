from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from her2node.reports.lettering import text_width
from her2node.training.document import Document, Section, as_pdf
from her2node.training.figures import readable
from her2node.training.nomogram import SHEET, Nomogram, nomogram
from her2node.training.pipelines import Model
from her2node.training.report import nomogram_plots

LONG = "arterial_wavelet_hhl_glcm_joint_maximum_of_the_feature_name_{:04d} (10-3 mm2/s)"


def made(inputs: int) -> Nomogram:
    """Labels as long as they come; slopes of all sizes, so that most lines are short."""
    rng = np.random.default_rng(inputs)
    values = rng.normal(-1234.5, 3.0, size=(50, inputs))
    slopes = 10.0 ** rng.uniform(-3, 0, inputs) * rng.choice([-1, 1], inputs)
    return nomogram(Model(np.zeros(1), slopes[None, :]), [LONG.format(i) for i in range(inputs)], values)


@pytest.mark.parametrize("inputs", [1, 7, SHEET + 1])
def test_every_text_of_a_nomogram_lies_within_the_figure_and_touches_no_other(inputs: int) -> None:
    """Drawn for the page and for the screen; each input stands on one of the sheets."""
    plots = nomogram_plots(made(inputs))
    shown = []
    for plot in plots:
        for width in (499.0, 590.0):
            figure = Figure(figsize=(width / 72, plot.height / 72))
            renderer = FigureCanvasAgg(figure).get_renderer()
            axes = figure.add_axes((0, 0, 1, 1))
            plot.draw(axes)
            texts = [one for one in axes.findobj(Text) if one.get_text() and one.get_visible()]
            boxes = [one.get_window_extent(renderer) for one in texts if one in axes.texts]
            assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
            assert all(box.y0 >= -1 and box.y1 <= figure.bbox.height + 1 for box in boxes)
            assert not [1 for one, other in combinations(boxes, 2) if one.padded(-0.6).overlaps(other.padded(-0.6))]
        shown += [one.get_text() for one in axes.texts if one.get_text().startswith("arterial")]
        assert plot.height < 842 - 2 * 48 - 50
    assert shown == [LONG.format(i) for i in range(inputs)]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=11), st.integers(1, 12))
def test_of_values_on_a_line_the_ends_stand_and_none_touch(places: list[float], digits: int) -> None:
    ticks = [(place, str(number) * digits) for number, place in enumerate(places)]
    kept = readable(ticks, 400.0)
    spans = [(x * 400 - text_width(said, 6) / 2, x * 400 + text_width(said, 6) / 2) for x, said in kept]
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert {kept[0][1], kept[-1][1]} == {min(ticks)[1], max(ticks)[1]}


def test_a_nomogram_of_many_inputs_goes_over_several_pages() -> None:
    plots = nomogram_plots(made(2 * SHEET + 1))
    assert [len(plot.caption.split("read the probability")) for plot in plots] == [1, 1, 2]
    assert as_pdf(Document("x", (Section("The model", plots=plots),))).count(b"/Type /Page ") == 3
