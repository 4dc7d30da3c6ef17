"""Only slices near what is measured are decoded, and the numbers are those of the whole series."""

from __future__ import annotations

import numpy as np
import pytest

from her2node import phantoms, volumes
from her2node.phantoms import PhantomOptions, Phase, RoiForm
from her2node.quantities import signature
from her2node.reading import Methods, phases, read
from her2node.selection.study import Series, Study, open_study
from her2node.volumes.volume import Volume

OPTIONS = PhantomOptions(
    seed=6, rows=144, columns=144, slices=120, slice_spacing_mm=2.5, phases=(Phase.PLAIN, Phase.PORTAL),
    rois=(RoiForm.BINARY,), breathing_mm=((Phase.PLAIN, (1.0, 2.0, 9.0)),),
)  # fmt: skip
WANTED = signature.parse(
    """
mazda_like = true
name = "site"
title = "of a site"
families = ["morph", "loc", "stat", "cm"]
[interpolation]
in_plane_mm = 2.0
slice_mm = 2.0
method = "linear"
round_intensities = true
[discretisation]
method = "fixed-bin-number"
bins = 16
[texture]
aggregations = ["3D_comb"]
[[filters]]
name = "log"
kind = "laplacian-of-gaussian"
sigma_mm = 2.0
dimensions = 3
boundary = "mirror"
""",
    "site",
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return open_study(phantoms.write(phantoms.make(OPTIONS), tmp_path_factory.mktemp("study")))


def test_every_number_is_that_of_the_whole_series(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []

    def counted(series: Series, wanted: np.ndarray | None = None) -> Volume:
        decoded.append(0 if wanted is None else int(wanted.sum()))
        return volumes.build(series, wanted)

    def whole(series: Series, wanted: np.ndarray | None = None) -> Volume:
        return volumes.build(series, wanted if wanted is not None and not wanted.size else None)

    methods = Methods(signatures=(WANTED,))
    monkeypatch.setattr(phases, "build", counted)
    some = read(study, (), methods=methods)
    monkeypatch.setattr(phases, "build", whole)
    every = read(study, (), methods=methods)
    assert some.quantities == every.quantities
    refused = [[(one.code, str(one.refused)) for one in reading.not_measured] for reading in (some, every)]
    assert refused[0] == refused[1]
    assert len(some.quantities) > 400
    assert 0 < max(decoded) <= 100, "of 120"
    assert all(
        np.array_equal(a.key_image, b.key_image, equal_nan=True) for a, b in zip(some.rois, every.rois, strict=True)
    )


def test_a_filter_that_looks_at_the_whole_image_has_the_whole_image() -> None:
    text = 'name = "x"\ntitle = "x"\n[discretisation]\nmethod = "fixed-bin-number"\nbins = 8\n[texture]\n'
    text += 'aggregations = ["3D_comb"]\n[[filters]]\nname = "m"\nkind = "mean"\nsupport = 3\ndimensions = 3\n'
    assert signature.parse(text + 'boundary = "periodic"', "x").reach_mm(3.0) == np.inf
    assert 6.2 < signature.parse(text + 'boundary = "mirror"', "x").reach_mm(3.0) < 100
    assert signature.Signature(mazda_like=True).reach_mm(3.0) == 0
