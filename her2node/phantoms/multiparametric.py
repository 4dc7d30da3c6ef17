"""An MR examination of one patient with two kinds of imaging: dynamic with contrast, and diffusion-weighted before it.

Both lie in one study and one frame of reference; the tumour is outlined on the dynamic series alone, as readers do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import timedelta

from pydicom.dataset import Dataset

from her2node.dicom.uids import derived_uid
from her2node.phantoms import dce, diffusion
from her2node.phantoms.dce import DceOptions, DceStudy
from her2node.phantoms.diffusion import DiffusionOptions, DiffusionStudy
from her2node.phantoms.planted import PLANTED_D, PLANTED_KTRANS, Label, labelled


@dataclass(frozen=True)
class MultiparametricStudy:
    """A study that knows its truth; its objects are made one by one when asked for."""

    dynamic: DceStudy
    diffusion: DiffusionStudy

    @property
    def study_instance_uid(self) -> str:
        return self.dynamic.study_instance_uid

    @property
    def datasets(self) -> Iterator[Dataset]:
        """The objects; every access starts anew and gives the same objects."""
        yield from self.diffusion.datasets
        yield from self.dynamic.datasets

    @property
    def label(self) -> Label:
        """Planted by both: the mean Ktrans and the mean D of the tumour."""
        logit = PLANTED_KTRANS.logit(self.dynamic.mean_ktrans) + PLANTED_D.slope * (
            self.diffusion.mean_d - PLANTED_D.centre
        )
        return labelled(logit, self.dynamic.options.seed)

    def as_json(self) -> dict[str, object]:
        """The truth of both with the UID of the study."""
        weighted = self.diffusion.as_json()["tumour"]
        return {**self.dynamic.as_json(), "diffusion": {"tumour": weighted}, **asdict(self.label)}


def make(dynamic: DceOptions, weighted: DiffusionOptions) -> MultiparametricStudy:
    """Plan a study: ``weighted`` is of the patient of ``dynamic``, whose seed, place of the tumour and date it takes.

    What shapes its objects shapes its UIDs.
    """
    weighted = replace(
        weighted,
        seed=dynamic.seed,
        shape=dce.TUMOUR,
        region=False,
        started=dynamic.started - timedelta(minutes=10),
    )
    first = dce.make(dynamic)
    study_uid = derived_uid("phantom multiparametric study", first.study_instance_uid, repr(weighted))
    where = derived_uid("phantom frame of reference", study_uid)
    examination = replace(first.examination, study_instance_uid=study_uid, frame_of_reference_uid=where)
    return MultiparametricStudy(
        replace(first, examination=examination),
        replace(diffusion.make(weighted), examination=examination),
    )
