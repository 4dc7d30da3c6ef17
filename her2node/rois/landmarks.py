"""Organs and vessels that show how contrast has spread, found by attenuation, shape and place; no network.

All is looked for on a coarse volume turned to the patient's axes, in places relative to the spine:

- aorta: round, upright, continuous over slices, in front of the spine, left of the vena cava;
- liver: large and even, on the patient's right; spleen: even, far left, at the back;
- kidneys: the brightest large things beside the spine; cortex and medulla are their bright and dark parts;
- portal vein: the widest bright strand between aorta and liver that does not run upright.

What is not found is None: the judging of attenuations is not done here (``selection.content``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from her2node.rois.tracks import Track, tracks
from her2node.volumes.volume import Geometry, Volume

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

_AXIAL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""Slices upward, rows to the back, columns to the left."""
_BONE_HU = 150.0
_BEFORE_SPINE = (-95.0, -5.0), (-60.0, 50.0)
"""mm towards the back and towards the left of the middle of the spine's bone: where vessels run upright."""
_CLEAR_OF_BONE_MM = 15.0
"""The aorta's middle lies at least so far before that of the bone; the vertebra's own middle does not."""
_ENHANCED_HU = 75.0
"""Vessels without contrast stay below."""
_BRIGHTEST_ORGAN_HU = 220.0
"""Liver and spleen are never brighter."""


@dataclass(frozen=True)
class Tube:
    """A stretch of vessel: its middle line, (points, 3) in mm, lowest first, and the radius of a region within it."""

    line_mm: tuple[tuple[float, float, float], ...]
    radius_mm: float

    def moved(self, by_mm: tuple[float, float, float]) -> Tube:
        """The same stretch displaced."""
        x, y, z = by_mm
        return Tube(tuple((a + x, b + y, c + z) for a, b, c in self.line_mm), self.radius_mm)


@dataclass(frozen=True)
class Landmarks:
    """Attenuations in HU of what was found, and where the reference vessels run.

    ``ceiling``: the highest mean of any even disc of 10 mm in front of the spine, bone left out: where no vessel
    stands out it says how bright a vessel could be.
    """

    frame_of_reference_uid: str
    aorta: float | None = None
    ceiling: float | None = None
    liver: float | None = None
    spleen: float | None = None
    cortex: float | None = None
    medulla: float | None = None
    portal_vein: float | None = None
    aorta_tube: Tube | None = None
    portal_tube: Tube | None = None


@dataclass(frozen=True)
class _Scene:
    """A coarse volume upright, smoothed within slices; where the body and its spine are, in voxels and mm."""

    geometry: Geometry
    voxels: Floats
    smooth: Floats
    body: Bools
    deep: Bools
    """Soft tissue that lies well within soft tissue."""
    spine_row: float
    spine_column: float

    @property
    def pixel_mm(self) -> tuple[float, float]:
        return self.geometry.spacing_mm[1], self.geometry.spacing_mm[2]

    def window(self, back: tuple[float, float], left: tuple[float, float]) -> tuple[slice, slice, slice]:
        """All slices of a box given in mm from the spine: towards the back, towards the left."""
        rows = _clipped(self.spine_row, back, self.pixel_mm[0], self.voxels.shape[1])
        columns = _clipped(self.spine_column, left, self.pixel_mm[1], self.voxels.shape[2])
        return slice(None), rows, columns


def find(volume: Volume) -> Landmarks:
    """The landmarks of a coarse CT volume in HU (``volumes.preview``); all of them None where no spine is seen."""
    frame_of_reference_uid = volume.geometry.frame_of_reference_uid
    scene = _scene(volume)
    if scene is None:
        return Landmarks(frame_of_reference_uid)
    upright = _upright_vessels(scene)
    aorta = _aorta(upright, scene)
    liver = _organ(scene, (-150.0, 25.0), (-250.0, -40.0), 60.0)
    spleen = _organ(scene, (-75.0, 40.0), (90.0, 250.0), 3.0)
    cortex, medulla = _kidneys(scene, max(liver or 0.0, spleen or 0.0, 75.0) + 12.0)
    portal = _portal_vein(scene, aorta, upright, liver) if aorta and aorta.hu >= _ENHANCED_HU else None
    return Landmarks(
        frame_of_reference_uid,
        aorta=aorta.hu if aorta else None,
        ceiling=_ceiling(scene),
        liver=liver,
        spleen=spleen,
        cortex=cortex,
        medulla=medulla,
        portal_vein=portal[0] if portal else None,
        aorta_tube=_tube(aorta, scene) if aorta else None,
        portal_tube=portal[1] if portal else None,
    )


def _clipped(middle: float, reach: tuple[float, float], step: float, size: int) -> slice:
    first, last = (round(middle + end / step) for end in reach)
    return slice(min(max(first, 0), size), min(max(last + 1, 0), size))


def _scene(volume: Volume) -> _Scene | None:
    upright = turned(volume)
    if upright is None or min(upright.voxels.shape) < 3:
        return None
    upright = _about_the_body(upright)
    pixel_mm = upright.geometry.spacing_mm[1:]
    smooth = ndimage.gaussian_filter(upright.voxels, (0, *(min(1.0, 1.5 / step) for step in pixel_mm)))
    body = _body(smooth)
    spine = _spine(smooth, body, pixel_mm)
    if spine is None:
        return None
    return _Scene(upright.geometry, upright.voxels, smooth, body, _deep(smooth, body, pixel_mm), *spine)


def turned(volume: Volume) -> Volume | None:
    """The volume with its axes swapped and mirrored to run up, back and left; None where more than 25° oblique."""
    geometry = volume.geometry
    directions = np.asarray(geometry.directions)
    order = [int(np.abs(directions[:, axis]).argmax()) for axis in (2, 1, 0)]
    along = np.array([directions[index, axis] for index, axis in zip(order, (2, 1, 0), strict=True)])
    if sorted(order) != [0, 1, 2] or np.abs(along).min() < 0.9:
        return None
    first = np.array(
        [0 if sign > 0 else size - 1 for sign, size in zip(along, np.take(geometry.shape, order), strict=True)]
    )
    origin = np.zeros(3)
    origin[order] = first
    flips = tuple(slice(None, None, 1 if sign > 0 else -1) for sign in along)
    spacing = np.take(geometry.spacing_mm, order)
    x, y, z = geometry.to_patient(origin)
    new = Geometry(
        shape=(geometry.shape[order[0]], geometry.shape[order[1]], geometry.shape[order[2]]),
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        origin_mm=(float(x), float(y), float(z)),
        directions=_AXIAL,
        frame_of_reference_uid=geometry.frame_of_reference_uid,
    )
    voxels = np.where(volume.valid, volume.voxels, np.float32(-1024.0)).transpose(order)[flips]
    valid = volume.valid.transpose(order)[flips]
    return Volume(new, voxels, valid, volume.unit, volume.series_instance_uid, ())


def _about_the_body(upright: Volume) -> Volume:
    """The volume without the air beside the body."""
    dense = (upright.voxels > -300.0).mean(axis=0) > 0.3
    rows, columns = np.flatnonzero(dense.mean(axis=1) > 0.1), np.flatnonzero(dense.mean(axis=0) > 0.1)
    if not len(rows) or not len(columns):
        return upright
    box = slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    old = upright.geometry
    x, y, z = old.to_patient((0, rows[0], columns[0]))
    voxels, valid = upright.voxels[box], upright.valid[box]
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    geometry = replace(old, shape=shape, origin_mm=(float(x), float(y), float(z)))
    return replace(upright, geometry=geometry, voxels=voxels, valid=valid)


def _body(smooth: Floats) -> Bools:
    """The largest thing of each slice that is denser than lung: the table is another."""
    body = np.zeros(smooth.shape, dtype=np.bool_)
    for index, image in enumerate(smooth):
        labels, count = ndimage.label(image > -200)
        if count:
            body[index] = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    return body


def _spine(smooth: Floats, body: Bools, pixel_mm: tuple[float, float]) -> tuple[float, float] | None:
    """Row and column of the middle of the bone near the midline in the back half of the body."""
    if body.sum() < 0.02 * body.size:
        return None
    _, rows, columns = np.nonzero(body)
    middle, half = float(np.median(columns)), float(rows.min() + rows.max()) / 2
    bone = (smooth > _BONE_HU) & body
    bone[:, : int(half)] = False
    for reach_mm in (60.0, 35.0, 25.0):
        low, high = (int(middle + sign * reach_mm / pixel_mm[1]) for sign in (-1, 1))
        _, at_row, at_column = np.nonzero(bone[:, :, max(low, 0) : high + 1])
        if not len(at_row):
            return None
        middle = float(np.median(at_column)) + max(low, 0)
    seen = bone[:, :, max(low, 0) : high + 1].any(axis=(1, 2)).mean()
    return (float(np.median(at_row)), middle) if seen >= 0.6 else None


def _upright_vessels(scene: _Scene) -> list[Track]:
    """Tracks of 20 mm and more in front of the spine, their places in voxels of the scene."""
    window = scene.window(*_BEFORE_SPINE)
    fewest = max(3, round(20.0 / scene.geometry.spacing_mm[0]) + 1)
    found = tracks(scene.smooth[window], scene.pixel_mm)
    behind = (scene.spine_row - window[1].start) - _CLEAR_OF_BONE_MM / scene.pixel_mm[0]
    return [
        track
        for track in found
        if len(track.discs) >= fewest and track.row <= behind and _is_upright(track, scene.geometry.spacing_mm)
    ]


def _is_upright(track: Track, spacing_mm: tuple[float, float, float]) -> bool:
    """Whether it climbs more than it wanders."""
    first, last = track.discs[0], track.discs[-1]
    aside = np.hypot((last.row - first.row) * spacing_mm[1], (last.column - first.column) * spacing_mm[2])
    return bool(aside <= 0.7 * (last.slice - first.slice) * spacing_mm[0])


def _aorta(upright: list[Track], scene: _Scene) -> Track | None:
    """Of the upright vessels right before the spine one of the longest: where they differ much the brightest, else the
    one farthest left. Vessels without contrast count only where none is brighter."""
    window = scene.window(*_BEFORE_SPINE)
    middle = (scene.spine_column - window[2].start) * scene.pixel_mm[1]
    near = [track for track in upright if -16.0 <= track.column * scene.pixel_mm[1] - middle <= 40.0]
    near = [track for track in near if track.hu >= _ENHANCED_HU] or near
    if not near:
        return None
    longest = max(len(track.discs) for track in near)
    rivals = [track for track in near if len(track.discs) >= 0.6 * longest]
    brightest = max(rivals, key=lambda track: track.hu)
    darkest = min(rivals, key=lambda track: track.hu)
    return brightest if brightest.hu > 1.4 * darkest.hu else max(rivals, key=lambda track: track.column)


def _tube(track: Track, scene: _Scene) -> Tube:
    """Half of the vessel's radius, so that neither wall nor calcification comes in."""
    window = scene.window(*_BEFORE_SPINE)
    at = [(disc.slice, disc.row + window[1].start, disc.column + window[2].start) for disc in track.discs]
    line = tuple((float(x), float(y), float(z)) for x, y, z in scene.geometry.to_patient(at))
    return Tube(line, max(0.6 * track.radius_mm, 3.0))


def _ceiling(scene: _Scene) -> float | None:
    """The highest mean of an even disc before the spine. Bone is what is connected with the spine above 150 HU."""
    window = scene.window((-80.0, 0.0), (-40.0, 45.0))
    image, body = scene.smooth[window], scene.body[window]
    bone = ndimage.binary_dilation(image > 130.0, _across(), iterations=2)
    size = tuple(max(round(10.0 / step), 1) for step in scene.pixel_mm)
    means = ndimage.uniform_filter(image, (0, *size))
    squares = ndimage.uniform_filter(image**2, (0, *size))
    even = body & ~bone & (squares - means**2 < 15.0**2) & (means > -20.0)
    return float(np.percentile(means[even], 99)) if even.sum() >= 20 else None


def _across() -> Bools:
    """Neighbours within a slice."""
    return np.asarray(ndimage.generate_binary_structure(2, 1), dtype=np.bool_)[None]


def _deep(smooth: Floats, body: Bools, pixel_mm: tuple[float, ...]) -> Bools:
    """Voxels between fluid and bone in attenuation, 8 mm and half a pixel away in their slice from what is not."""
    soft = ndimage.binary_opening((smooth > 15.0) & (smooth < _BRIGHTEST_ORGAN_HU) & body, _across())
    depth_mm = 8.0 + max(pixel_mm) / 2
    deep = [ndimage.distance_transform_edt(image, sampling=pixel_mm) >= depth_mm for image in soft]
    return np.asarray(np.stack(deep))


def _organ(scene: _Scene, back: tuple[float, float], left: tuple[float, float], least_ml: float) -> float | None:
    """The commonest attenuation of deep soft tissue in a box about the spine; None where there is too little."""
    window = scene.window(back, left)
    values = scene.smooth[window][scene.deep[window]]
    if len(values) * scene.geometry.voxel_volume_mm3 < 1000.0 * least_ml:
        return None
    counts, edges = np.histogram(values, bins=np.arange(0.0, _BRIGHTEST_ORGAN_HU + 6.0, 3.0))
    mode = edges[ndimage.gaussian_filter1d(counts.astype(np.float64), 2.0).argmax()] + 1.5
    return float(np.median(values[np.abs(values - mode) <= 20.0]))


def _kidneys(scene: _Scene, above: float) -> tuple[float | None, float | None]:
    """Attenuation of cortex and medulla: 80th and 20th percentile in bright, large, full things beside the spine."""
    found: list[Floats] = []
    for side in ((-95.0, -20.0), (20.0, 95.0)):
        window = scene.window((-70.0, 30.0), side)
        image = scene.smooth[window]
        bright = (image > above) & (image < 450.0)
        filled = np.stack([_filled(part, scene.pixel_mm) for part in bright])
        labels, count = ndimage.label(filled)
        if not count:
            continue
        sizes = np.bincount(labels.ravel())[1:]
        kidney = labels == 1 + sizes.argmax()
        if sizes.max() * scene.geometry.voxel_volume_mm3 >= 10_000.0:
            inner = ndimage.binary_erosion(kidney, _across())
            found.append(image[inner if inner.any() else kidney])
    if not found:
        return None, None
    values = np.concatenate(found)
    return float(np.percentile(values, 80)), float(np.percentile(values, 20))


def _filled(part: Bools, pixel_mm: tuple[float, float]) -> Bools:
    """Rings closed and filled, thin things removed."""
    steps = max(round(3.0 / max(pixel_mm)), 1)
    padded = np.pad(part, steps)
    full = ndimage.binary_fill_holes(ndimage.binary_closing(padded, iterations=steps))
    deep = ndimage.distance_transform_edt(full, sampling=pixel_mm) >= 7.0
    kept = full & (ndimage.distance_transform_edt(~deep, sampling=pixel_mm) <= 8.0) if deep.any() else deep
    return np.asarray(kept[steps:-steps, steps:-steps])


def _portal_vein(scene: _Scene, aorta: Track, upright: list[Track], liver: float | None) -> tuple[float, Tube] | None:
    """The widest place of a bright strand right of and before the aorta, and a short stretch of it."""
    near = scene.window(*_BEFORE_SPINE)
    aorta_row, aorta_column = aorta.row + near[1].start, aorta.column + near[2].start
    back = tuple((aorta_row - scene.spine_row) * scene.pixel_mm[0] + end for end in (-75.0, -9.0))
    left = tuple((aorta_column - scene.spine_column) * scene.pixel_mm[1] + end for end in (-80.0, 8.0))
    window = scene.window((back[0], back[1]), (left[0], left[1]))
    floor = max((liver or 60.0) + 15.0, 40.0 + 0.7 * (aorta.hu - 40.0))
    bright = (scene.smooth > floor) & (scene.smooth < 40.0 + 1.6 * (aorta.hu - 40.0))
    for track in upright:
        _erase(bright, track, near, scene.pixel_mm)
    part = bright[window]
    depth = np.stack([ndimage.distance_transform_edt(image, sampling=scene.pixel_mm) for image in part])
    labels, count = ndimage.label(depth >= 2.5, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * scene.geometry.voxel_volume_mm3 / 1000.0
    inner = ndimage.maximum(depth, labels, np.arange(1, count + 1))
    fits = [n for n in range(count) if 0.8 <= sizes[n] <= 40.0 and 3.5 <= inner[n] <= 11.0]
    if not fits:
        return None
    strand = labels == 1 + max(fits, key=lambda n: float(sizes[n]))
    deepest = np.argwhere(strand & (depth >= depth[strand].max() - 1e-6))[0]
    place = scene.geometry.to_patient(np.add(deepest, (0, window[1].start, window[2].start)))
    middle = (float(place[0]), float(place[1]), float(place[2]))
    return float(np.median(scene.smooth[window][strand])), Tube((middle,), 3.5)


def _erase(bright: Bools, track: Track, near: tuple[slice, slice, slice], pixel_mm: tuple[float, float]) -> None:
    """Take an upright vessel, and 3 mm about it, out of a mask."""
    rows, columns = (np.arange(size) for size in bright.shape[1:])
    for disc in track.discs:
        down = (rows - disc.row - near[1].start) * pixel_mm[0]
        across = (columns - disc.column - near[2].start) * pixel_mm[1]
        reach = np.sqrt(disc.area_mm2 / np.pi) + 3.0
        bright[disc.slice][np.add.outer(down**2, across**2) <= reach**2] = False
