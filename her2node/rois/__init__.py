"""Regions of interest: what others drew, laid on the voxels of a series.

``given(study)`` lists every segment of every SEG and every region of every RTSTRUCT, ``lay(region, volume)`` makes one
a mask, on any series of the same frame of reference, by geometry: slice numbers decide nothing, and references between
objects only that a frame or contour drawn on a series fills one slice of it. Draws nothing itself, reads no network,
knows no quantities.
"""

from __future__ import annotations

from her2node.rois import segmentation, structure_set
from her2node.rois.given import GivenRoi, told_apart
from her2node.rois.laying import lay
from her2node.rois.roi import Roi, RoiOrigin
from her2node.selection.study import Study

__all__ = ["given", "lay", "GivenRoi", "Roi", "RoiOrigin"]


def given(study: Study) -> tuple[GivenRoi, ...]:
    """Every region that the study's objects hold, in order of series, object, and number in the object; but for what a
    segmenter package drew, by the object's own word: a study that is exported brings it back.

    Never raises for a flaw of one region: ``GivenRoi.flaw`` holds it and ``lay`` raises it. Two regions of different
    tracking UID never share a tracking id.
    """
    found = [
        region
        for instance in study.instances
        for source in (segmentation, structure_set)
        if instance.identity.sop_class_uid in source.SOP_CLASSES
        for region in source.regions(instance)
    ]
    return told_apart(found)
