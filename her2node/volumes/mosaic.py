"""Siemens mosaics: all slices of a volume as tiles of one image, row by row from the upper left.

ImagePositionPatient is that of the whole mosaic laid about the same centre as a slice would be, so the first slice
begins half of the difference of their sizes further in; the others follow at SpacingBetweenSlices along the normal.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from her2node.dicom.attributes import number, numbers
from her2node.dicom.csa import csa_numbers
from her2node.dicom.private import PrivateTag, private_numbers
from her2node.errors import InvalidAttribute, MissingAttribute
from her2node.volumes.frames import Frame, Plane, Tile, plane_of
from her2node.volumes.slices import decoded

IMAGES_IN_MOSAIC = PrivateTag("SIEMENS MR HEADER", 0x0019, 0x0A, "US")
ACQUISITION_TIMES = PrivateTag("SIEMENS MR HEADER", 0x0019, 0x29, "FD")
"""MosaicRefAcqTimes: one a slice."""
_MOST_TILES = 1024


def is_mosaic(frame: Frame) -> bool:
    return frame.number is None and "MOSAIC" in frame.image_type("MRImageFrameTypeSequence")


def tiles_of(frame: Frame) -> tuple[Frame, ...]:
    """The slices of a mosaic, each a frame of its own, in the order of the tiles.

    Raises MissingAttribute, InvalidAttribute, naming what is absent or does not fit; PixelsUnreadable where only the
    pixels tell how many tiles are filled.
    """
    whole = plane_of(frame)
    count, per_side = _count(frame, whole)
    rows, columns = whole.rows // per_side, whole.columns // per_side
    if (rows * per_side, columns * per_side) != (whole.rows, whole.columns) or count > per_side**2:
        raise InvalidAttribute(f"{count} tiles do not fit a mosaic of {whole.rows} x {whole.columns}")
    tiles = _tiles(frame, whole, (rows, columns), per_side)
    return tiles[: count or _filled(tiles)]


def _tiles(frame: Frame, whole: Plane, size: tuple[int, int], per_side: int) -> tuple[Frame, ...]:
    rows, columns = size
    down, across = whole.spacing_mm
    along_row, along_column = np.asarray(whole.along_row), np.asarray(whole.along_column)
    first = np.asarray(whole.position_mm)
    first = first + along_row * across * (whole.columns - columns) / 2 + along_column * down * (whole.rows - rows) / 2
    step = _normal(frame, whole) * _spacing(frame)
    found = []
    for index in range(per_side**2):
        x, y, z = (float(value) for value in first + index * step)
        plane = replace(whole, position_mm=(x, y, z), rows=rows, columns=columns)
        tile = Tile(plane, index // per_side * rows, index % per_side * columns)
        found.append(replace(frame, tile=tile))
    return tuple(found)


def _count(frame: Frame, whole: Plane) -> tuple[int, int]:
    """The number of slices (0: the header does not tell) and of tiles along a side."""
    header = frame.header
    stated = private_numbers(header, IMAGES_IN_MOSAIC) or csa_numbers(header, "NumberOfImagesInMosaic")
    count = int(stated[0]) if stated else len(private_numbers(header, ACQUISITION_TIMES))
    if count:
        if not 0 < count <= _MOST_TILES:
            raise InvalidAttribute(f"NumberOfImagesInMosaic {IMAGES_IN_MOSAIC} holds {count}")
        return count, math.ceil(math.sqrt(count))
    longest = max(numbers(header, "AcquisitionMatrix"), default=0.0)
    per_side = round(whole.columns / longest) if longest else 0
    if per_side < 2 or per_side * longest != whole.columns:
        raise MissingAttribute(f"NumberOfImagesInMosaic {IMAGES_IN_MOSAIC}, and AcquisitionMatrix does not tell it")
    return 0, per_side


def _filled(tiles: tuple[Frame, ...]) -> int:
    """Tiles up to the last that holds anything: those behind the last slice are 0 throughout."""
    found = max((index for index, _, stored in decoded(tiles) if stored.any()), default=-1) + 1
    if not found:
        raise InvalidAttribute("a mosaic without any signal")
    return found


def _normal(frame: Frame, whole: Plane) -> np.ndarray:
    """The direction in which the slices follow: the CSA header's word, else the cross product of row and column."""
    normal = np.cross(whole.along_row, whole.along_column)
    stated = csa_numbers(frame.header, "SliceNormalVector")
    if len(stated) == 3 and float(np.dot(normal, stated)) < 0:
        return -normal
    return np.asarray(normal)


def _spacing(frame: Frame) -> float:
    found = number(frame.header, "SpacingBetweenSlices")
    if found is None or found <= 0:
        raise MissingAttribute("SpacingBetweenSlices of a mosaic")
    return found
