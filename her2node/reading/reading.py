"""What reading a study takes and gives, as values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from her2node.dicom.codes import Code
from her2node.errors import Refused, Undefined
from her2node.models.image.stated import CropStated
from her2node.models.image.view import View
from her2node.models.prediction import NotPredicted, Observation, Prediction, Segmented
from her2node.quantities.dce import FACTORS as DCE_FACTORS
from her2node.quantities.dce import DceFactors
from her2node.quantities.diffusion import FACTORS as DIFFUSION_FACTORS
from her2node.quantities.diffusion import Factors as DiffusionFactors
from her2node.quantities.histogram import EVERY_PERCENT, PERCENTS
from her2node.quantities.perfusion import FACTORS as PERFUSION_FACTORS
from her2node.quantities.perfusion import Factors as PerfusionFactors
from her2node.quantities.preparation import GATES, Gates
from her2node.quantities.quantity import Evaluation, NotMeasured, Quantity, QuantityMap
from her2node.quantities.signature import Signature
from her2node.rois import GivenRoi
from her2node.rois.landmarks import Landmarks
from her2node.rois.roi import Roi
from her2node.selection.assignment import Assignment
from her2node.selection.choice import Selection
from her2node.selection.roles import Role
from her2node.selection.study import Series, Study
from her2node.volumes.volume import Floats, Geometry, SliceSource


@dataclass(frozen=True)
class Methods:
    """How things are calculated where there is a choice, and what is calculated only when asked for.

    - ``signatures``: features wanted of every region, beside what is always measured and what packages want.
    - ``perfusion`` and ``diffusion``: the factors of CT perfusion and of diffusion.
    - ``gates``: between which limits FDG uptake may be compared; ``suv_maps``: whether SUV is given as a map too.
    - ``dce``: the factors of dynamic contrast-enhanced MR.
    - ``interval_s``: seconds between the time points of dynamic MR whose headers tell no time but an order.
    - ``decompose``: calculate iodine from two mono-energetic series where there is no map of it.
    - ``reference_vein_hu``: attenuation of the portal vein to which lesions are corrected across scans.
    - ``histograms``: tell every percentile of every distribution, and those that are no part of a report.
    - ``batch``: how many patches of an image a network sees at a time; ``network_seconds``: how long it may take.
    - ``images``: whether the images testify to the contrast phase of their series.
    """

    signatures: tuple[Signature, ...] = ()
    perfusion: PerfusionFactors = PERFUSION_FACTORS
    diffusion: DiffusionFactors = DIFFUSION_FACTORS
    gates: Gates = GATES
    suv_maps: bool = True
    dce: DceFactors = DCE_FACTORS
    interval_s: float | None = None
    decompose: bool = False
    reference_vein_hu: float | None = None
    histograms: bool = False
    images: bool = True
    batch: int = 1
    network_seconds: float = math.inf

    @property
    def percents(self) -> Sequence[int]:
        """The percentiles that are told."""
        return EVERY_PERCENT if self.histograms else PERCENTS


@dataclass(frozen=True)
class Scene:
    """What a course looks at: a study, who plays which role in it, and the regions to be measured.

    - ``given``: all regions that are given, those to be measured among them.
    - ``landmarks``: organs and vessels found on a CT series, by its UID.
    - ``entered``: what readers entered, by input name.
    - ``maps``: whether quantities are given voxel by voxel too, not of the regions alone.
    - ``aside``: features that packages in shadow alone want: measured beside what is told, and told nobody.
    - ``crops``: what image packages want to look at, about the region ``tumour`` (its ``drawn_uid``) alone.
    """

    study: Study
    selection: Selection
    regions: tuple[GivenRoi, ...]
    given: tuple[GivenRoi, ...] = ()
    landmarks: Mapping[str, Landmarks] = field(default_factory=dict)
    methods: Methods = Methods()
    entered: Mapping[str, str] = field(default_factory=dict)
    maps: bool = True
    aside: tuple[Signature, ...] = ()
    crops: tuple[CropStated, ...] = ()
    tumour: str = ""

    def crops_about(self, region: GivenRoi) -> tuple[CropStated, ...]:
        """What image packages want to look at about a region: about one that is no tumour nothing."""
        return self.crops if region.drawn_uid == self.tumour else ()

    def players(self, role: Role) -> list[Series]:
        """The series that play a role and are not kept out, in the order of the study."""
        found = {a.series_instance_uid for a in self.selection.assignments if a.role is role and not a.ignored}
        return [series for series in self.study.series if series.series_instance_uid in found]


@dataclass(frozen=True)
class Measured:
    """A series that was made a volume, and its role (None: no role is known).

    The voxels are let go once measured, for a study may hold more than memory does; what reports need stays.
    ``sources`` has one entry a slice, in the order of ``geometry``.
    """

    series_instance_uid: str
    role: Role | None
    geometry: Geometry
    unit: Code
    sources: tuple[SliceSource, ...] = field(repr=False)


@dataclass(frozen=True)
class LaidRoi:
    """A region on the voxels of one measured series (``roi.geometry`` is that series' geometry).

    ``key_slice`` is the index of the slice in which the region is largest (the lowest such index) and ``key_image``
    that slice, float32, shape (rows, columns), in the series' unit, read-only, NaN where there is no image.
    """

    series_instance_uid: str
    roi: Roi
    key_slice: int
    key_image: Floats = field(repr=False)


@dataclass(frozen=True)
class Found:
    """What a course, or a part of it, found; ``aside`` what packages in shadow alone want to know, ``views`` what image
    packages look at."""

    measured: tuple[Measured, ...] = ()
    rois: tuple[LaidRoi, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    not_measured: tuple[NotMeasured, ...] = ()
    maps: tuple[QuantityMap, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    aside: tuple[Quantity | NotMeasured, ...] = ()
    views: tuple[View, ...] = ()


def sorted_out(
    values: Iterable[Quantity | NotMeasured | QuantityMap | Evaluation],
    measured: tuple[Measured, ...] = (),
    rois: tuple[LaidRoi, ...] = (),
) -> Found:
    """What was found, each kind of value in its place, in the order in which they come."""
    all_of_them = tuple(values)
    return Found(
        measured,
        rois,
        tuple(value for value in all_of_them if isinstance(value, Quantity)),
        tuple(value for value in all_of_them if isinstance(value, NotMeasured)),
        tuple(value for value in all_of_them if isinstance(value, QuantityMap)),
        tuple(value for value in all_of_them if isinstance(value, Evaluation)),
    )


def unread(role: Role | None, error: Refused, series_uids: tuple[str, ...] = (), code: Code | None = None) -> Found:
    """That nothing could be said of whole series, or of ``code`` in them."""
    return Found(not_measured=(NotMeasured("", role, error, code, series_uids),))


def joined(parts: Sequence[Found]) -> Found:
    """Several findings as one, in their order. A quantity that came out infinite or not a number has not been measured:
    neither a package nor a report may get it."""
    values = [_finite(quantity) for part in parts for quantity in part.quantities]
    return Found(
        measured=tuple(item for part in parts for item in part.measured),
        rois=tuple(item for part in parts for item in part.rois),
        quantities=tuple(value for value in values if isinstance(value, Quantity)),
        not_measured=(
            *(item for part in parts for item in part.not_measured),
            *(value for value in values if isinstance(value, NotMeasured)),
        ),
        maps=tuple(item for part in parts for item in part.maps),
        evaluations=tuple(item for part in parts for item in part.evaluations),
        aside=tuple(_finite(item) for part in parts for item in part.aside),
        views=tuple(item for part in parts for item in part.views),
    )


def _finite(quantity: Quantity | NotMeasured) -> Quantity | NotMeasured:
    if isinstance(quantity, NotMeasured) or math.isfinite(quantity.value):
        return quantity
    named = ", ".join(code.meaning for code in (quantity.modifier, quantity.method) if code is not None)
    reason = Undefined(f"{named or quantity.code.meaning} came out as {quantity.value}")
    return NotMeasured(quantity.roi, quantity.role, reason, quantity.code, quantity.series_uids, phase=quantity.phase)


NOT_SELECTED = Selection((), {}, {})
"""Of a study that is refused as a whole."""


@dataclass(frozen=True)
class Reading:
    """Everything that the node found in a study. Pure values: written by ``reports``, summarised in the ledger.

    - ``assignments``: one a series of the study, in its order: role and evidence.
    - ``measured``: the series that were made volumes, in order of role (plain, arterial, portal, equilibrium,
      contrast-unspecified, None), then of the study.
    - ``rois``: the regions that were laid, by series in the order of ``measured``, then in the order of their source.
      The tumour, when it is known, is ``tumour``: the tracking id (``Roi.tracking_id``) by which quantities and
      predictions name it.
    - ``not_measured``: refusals. One whose ``roi`` is '' is about a whole series, or about the study when it names no
      series either (no ROI, several that could be the tumour).
    - ``predictions``, ``observations`` (of measured-only packages) and ``not_predicted``: together one a package, in
      the order of the packages.
    - ``selection``: which series stands for which role, and for whom another reconstruction does.
    - ``segmented``: which package drew the tumour, None where it was given or there is none.
    - ``shadows``: what packages in shadow say: kept in the ledger, in no report.
    - ``maps``: quantities voxel by voxel.
    - ``evaluations``: what was found in coded words, as the enhancement pattern.
    """

    study: Study
    assignments: tuple[Assignment, ...]
    measured: tuple[Measured, ...]
    rois: tuple[LaidRoi, ...]
    tumour: str | None
    quantities: tuple[Quantity, ...]
    not_measured: tuple[NotMeasured, ...]
    predictions: tuple[Prediction, ...]
    not_predicted: tuple[NotPredicted, ...]
    maps: tuple[QuantityMap, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    observations: tuple[Observation, ...] = ()
    shadows: tuple[Prediction | Observation | NotPredicted, ...] = ()
    selection: Selection = NOT_SELECTED
    segmented: Segmented | None = None
