"""Spatial Registration and Deformable Spatial Registration (PS3.3 C.20.2, C.20.3): ways between frames of reference.

**Matrices** map points of the source frame of reference into the registered one, that of the object itself; several in
one item multiply in their order, so the last is applied first. They are inverted where the other direction is wanted.
**Deformations** map points of the registered frame of reference into the source: M_post (M_pre x + d(x)), d between the
centres of its grid trilinearly, undefined beyond them and where it is NaN. They are not inverted: a region given in the
registered frame of reference is not carried into the source. **Chains**: of several ways the one over the fewest
registrations; of several registrations of one pair the latest.

What an item says is taken for its whole frame of reference, whichever images it names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import DeformableSpatialRegistrationStorage, SpatialRegistrationStorage

from her2node.dicom.attributes import items, moment, needed_numbers, text
from her2node.errors import OtherFrameOfReference, Refused, RegistrationUnusable
from her2node.rois.deformation import Deformation, deformation_of
from her2node.rois.matrices import Matrix, matrix_of
from her2node.selection.study import Instance, Study

SPATIAL, DEFORMABLE = SpatialRegistrationStorage, DeformableSpatialRegistrationStorage
SOP_CLASSES = frozenset({SPATIAL, DEFORMABLE})

Points = npt.NDArray[np.float64]
_NEVER = datetime.min.replace(tzinfo=UTC)
_SAME_MM = 0.1
"""Two registrations of one moment that differ by less within a body say the same."""
_WITHIN_MM = 500.0


@dataclass(frozen=True)
class Link:
    """Points of one frame of reference into another, as one item of one object says."""

    start: str
    goal: str
    step: Matrix | Deformation = field(repr=False)
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    created: datetime = _NEVER


@dataclass(frozen=True)
class Way:
    """From one frame of reference into another, over one link or several, in the order in which they are gone."""

    links: tuple[Link, ...]

    @property
    def sop_instance_uids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(link.sop_instance_uid for link in self.links))

    @property
    def matrix(self) -> Matrix | None:
        """All of it as one matrix; None where it deforms."""
        found = Matrix(np.eye(4))
        for link in self.links:
            if not isinstance(link.step, Matrix):
                return None
            found = found.then(link.step)
        return found

    def carried(self, points: Points) -> Points:
        """Places in mm (n, 3) in the other frame of reference; NaN where the way is undefined."""
        for link in self.links:
            points = link.step.carried(points)
        return points


@dataclass(frozen=True)
class Registrations:
    """All that the registrations of a study say, and those that say nothing that can be used, by their UID."""

    links: tuple[Link, ...] = ()
    flaws: Mapping[str, Refused] = field(default_factory=dict)

    def way(self, start: str, goal: str) -> Way:
        """The way over the fewest links. Raises OtherFrameOfReference where there is none, RegistrationUnusable where
        two registrations of one moment say different things, or there might be a way over one that is flawed."""
        ways = [Way(())]
        seen = {start}
        while ways:
            longer: list[Way] = []
            for way in ways:
                here = way.links[-1].goal if way.links else start
                for link in self._from(here):
                    if link.goal == goal:
                        return Way((*way.links, link))
                    if link.goal not in seen:
                        seen.add(link.goal)
                        longer.append(Way((*way.links, link)))
            ways = longer
        for uid, flaw in self.flaws.items():
            raise RegistrationUnusable(f"registration {uid}: {flaw}") from flaw
        raise OtherFrameOfReference(self._none(start, goal))

    def _from(self, start: str) -> Iterator[Link]:
        """The latest link to each frame of reference. Raises RegistrationUnusable."""
        latest: dict[str, Link] = {}
        for link in self.links:
            if link.start != start:
                continue
            other = latest.get(link.goal)
            if other is not None and other.created == link.created:
                _need_same(other, link)
            elif other is None or other.created < link.created:
                latest[link.goal] = link
        yield from latest.values()

    def _none(self, start: str, goal: str) -> str:
        backward = [link for link in self.links if (link.start, link.goal) == (goal, start)]
        if backward:
            return (
                f"{goal}, the series in {start}; registration {backward[0].sop_instance_uid} deforms the other way only"
            )
        return f"{goal}, the series in {start}, and no registration object says how they lie to each other"


NONE = Registrations()
"""No registration object is there."""


def registrations_of(study: Study) -> Registrations:
    """What the registration objects of a study say. Never raises for a flaw of one of them."""
    frames = {i.identity.sop_instance_uid: text(i.header, "FrameOfReferenceUID") for i in study.instances}
    links: list[Link] = []
    flaws: dict[str, Refused] = {}
    for instance in study.instances:
        if instance.identity.sop_class_uid in SOP_CLASSES:
            try:
                links += _links(instance, frames)
            except Refused as error:
                flaws[instance.identity.sop_instance_uid] = error
    return Registrations(tuple(links), flaws)


def _links(instance: Instance, frames: Mapping[str, str]) -> list[Link]:
    header, identity = instance.header, instance.identity
    registered = text(header, "FrameOfReferenceUID")
    if not registered:
        raise RegistrationUnusable("FrameOfReferenceUID is absent")
    blank = Link(
        registered,
        registered,
        Matrix(np.eye(4)),
        identity.sop_class_uid,
        identity.sop_instance_uid,
        identity.series_instance_uid,
        moment(header, "ContentDate", "ContentTime") or _NEVER,
    )
    found: list[Link] = []
    if identity.sop_class_uid == DEFORMABLE:
        for item in items(header, "DeformableRegistrationSequence"):
            source = text(item, "SourceFrameOfReferenceUID") or _frame_of_images(item, frames)
            if source != registered:
                found.append(
                    replace(
                        blank, goal=source, step=deformation_of(item, big_endian=header.original_encoding[1] is False)
                    )
                )
        return _need_any(found, "DeformableRegistrationSequence")
    for item in items(header, "RegistrationSequence"):
        source = text(item, "FrameOfReferenceUID") or _frame_of_images(item, frames)
        if source != registered:  # the item of the registered images themselves is the identity
            step = _matrix(item)
            found.append(replace(blank, start=source, step=step))
            found.append(replace(blank, goal=source, step=step.inverse))
    return _need_any(found, "RegistrationSequence")


def _need_any(found: list[Link], keyword: str) -> list[Link]:
    if not found:
        raise RegistrationUnusable(f"{keyword} names no frame of reference beside the registered one")
    return found


def _frame_of_images(item: Dataset, frames: Mapping[str, str]) -> str:
    """The frame of reference of the images that an item names, where it names none itself."""
    named = {
        frames.get(text(image, "ReferencedSOPInstanceUID"), "") for image in items(item, "ReferencedImageSequence")
    }
    if len(named) != 1 or "" in named:
        raise RegistrationUnusable("an item without FrameOfReferenceUID whose images are not here, or in several")
    return named.pop()


def _matrix(item: Dataset) -> Matrix:
    """The product of the matrices of an item, in their order (Equation C.20.2-2)."""
    stated = [m for given in items(item, "MatrixRegistrationSequence") for m in items(given, "MatrixSequence")]
    if not stated:
        raise RegistrationUnusable("MatrixSequence is absent or empty")
    found = Matrix(np.eye(4))
    for one in reversed(stated):
        values = needed_numbers(one, "FrameOfReferenceTransformationMatrix", 16)
        found = found.then(matrix_of(values, text(one, "FrameOfReferenceTransformationMatrixType")))
    return found


def _need_same(one: Link, other: Link) -> None:
    """Raises RegistrationUnusable where two links differ within a body."""
    if isinstance(one.step, Matrix) and isinstance(other.step, Matrix):
        corners = _WITHIN_MM * (np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), -1).reshape(-1, 3).astype(np.float64))
        if np.abs(one.step.carried(corners) - other.step.carried(corners)).max() <= _SAME_MM:
            return
    uids = " and ".join(sorted({one.sop_instance_uid, other.sop_instance_uid}))
    raise RegistrationUnusable(f"registrations {uids} of one moment say different things")
