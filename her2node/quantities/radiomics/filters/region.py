"""A filter's response where a region is, without filtering the rest of the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from her2node.quantities.radiomics.filters.kernel import Floats
from her2node.quantities.radiomics.filters.table import Filter


def respond(
    filter_: Filter, voxels: Floats, spacing_mm: tuple[float, float, float], mask: npt.NDArray[np.bool_]
) -> Floats:
    """The response map of ``filter_``, the same within the mask's bounding box as ``apply`` gives, 0 elsewhere.

    Only the box and the voxels within the filter's reach around it are filtered; the whole image where the filter looks
    at all of it or the boundary is periodic. ``mask`` has the shape of ``voxels`` and a True voxel.
    """
    reach = filter_.reach(spacing_mm)
    box = _box(mask)
    response = np.zeros(voxels.shape)
    if reach is None:
        response[box] = filter_.apply(voxels, spacing_mm)[box]
        return response
    around = tuple(slice(max(0, s.start - far), s.stop + far) for s, far in zip(box, reach, strict=True))
    inner = tuple(slice(s.start - a.start, s.stop - a.start) for s, a in zip(box, around, strict=True))
    response[box] = filter_.apply(voxels[around], spacing_mm)[inner]
    return response


def _box(mask: npt.NDArray[np.bool_]) -> tuple[slice, ...]:
    places = np.nonzero(mask)
    return tuple(slice(int(place.min()), int(place.max()) + 1) for place in places)
