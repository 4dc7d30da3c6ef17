"""Each mishap of a study is refused by its own name, in classic and enhanced objects alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from her2node import phantoms, volumes
from her2node.errors import (
    DuplicateSlices,
    GantryTilt,
    Localizer,
    MissingSlices,
    MixedOrientations,
    NoFrameOfReference,
    NotCalibrated,
    Refused,
    UnevenSpacing,
)
from her2node.phantoms import Border, Form, PhantomOptions, PhantomStudy, Phase, mishaps
from her2node.selection.study import Study, open_study

NAMES: dict[str, tuple[Callable[[PhantomStudy], PhantomStudy], type[Refused]]] = {
    "a missing slice": (mishaps.missing_slice, MissingSlices),
    "a slice twice": (mishaps.duplicated_slice, DuplicateSlices),
    "an uneven gap": (mishaps.uneven_spacing, UnevenSpacing),
    "a turned slice": (mishaps.mixed_orientations, MixedOrientations),
    "a tilted gantry": (mishaps.gantry_tilt, GantryTilt),
    "no frame of reference": (mishaps.without_frame_of_reference, NoFrameOfReference),
    "no rescale": (mishaps.without_rescale, NotCalibrated),
}


def read(folder: Path, form: Form = Form.CLASSIC, spoil: Callable[[PhantomStudy], PhantomStudy] = lambda s: s) -> Study:
    options = PhantomOptions(
        seed=5, phases=(Phase.PORTAL,), rows=64, columns=64, slices=9, slice_spacing_mm=5.0, rois=(), form=form
    )
    phantoms.write(spoil(phantoms.make(options)), folder)
    return open_study(sorted(folder.rglob("*.dcm")))


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("what", NAMES)
def test_a_mishap_is_refused_by_its_name(what: str, form: Form, tmp_path: Path) -> None:
    spoil, expected = NAMES[what]
    with pytest.raises(Refused) as refused:
        volumes.build(read(tmp_path, form, spoil).series[0])
    assert type(refused.value) is expected, str(refused.value)


def test_a_localizer_beside_the_series_is_refused_and_the_series_is_not(tmp_path: Path) -> None:
    first, second = read(tmp_path, spoil=mishaps.localizer).series
    with pytest.raises(Localizer):
        volumes.stack_of(first)
    assert volumes.build(second).geometry.shape == (9, 64, 64)


@pytest.mark.parametrize("form", list(Form))
def test_absent_type_2_attributes_and_slices_numbered_backwards_change_no_voxel(form: Form, tmp_path: Path) -> None:
    built = []
    for name, spoil in (("plain", lambda s: s), ("bare", mishaps.without_type_2), ("backwards", mishaps.head_first)):
        (tmp_path / name).mkdir()
        built.append(volumes.build(read(tmp_path / name, form, spoil).series[0]))
    for other in built[1:]:
        assert np.array_equal(other.voxels, built[0].voxels)
        assert other.geometry == built[0].geometry


@pytest.mark.parametrize("border", [Border.PADDED, Border.UNDECLARED])
def test_what_lies_outside_the_field_of_view_is_no_image_declared_or_not(border: Border, tmp_path: Path) -> None:
    options = PhantomOptions(seed=5, phases=(Phase.PORTAL,), rows=64, columns=64, slices=3, rois=(), border=border)
    phantoms.write(phantoms.make(options), tmp_path)
    volume = volumes.build(open_study(sorted(tmp_path.rglob("*.dcm"))).series[0])
    assert not volume.valid[:, ::63, ::63].any()
    assert volume.valid.mean() == pytest.approx(np.pi / 4, abs=0.03)
