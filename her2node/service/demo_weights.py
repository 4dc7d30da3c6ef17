"""Packages of the literature's forms with weights fitted on phantoms, which the demonstration runs.

``python -m her2node.service.demo_weights`` makes a cohort of phantoms of each modality, fits the forms on them by
`her2node train`, as a site would on patients, and writes the packages to where packages ship; named forms alone where
it is given any. Labels are drawn from invented relations (``phantoms.planted``).
"""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from her2node.models import trust
from her2node.models.building import pin, seal
from her2node.models.package import CARD, SHIPPED
from her2node.phantoms import PhantomOptions, RoiForm, cohort, ct, write
from her2node.phantoms.dce import DceOptions, Layout
from her2node.phantoms.pet import PetOptions
from her2node.phantoms.study import Writable
from her2node.service import training
from her2node.service.shelf import FORMS_OF_DEMONSTRATION, demonstration_name
from her2node.settings import Settings

COUNT, SEED = 80, 11
"""Of each cohort. Its patients' seeds are drawn from 32 bits: the demonstration's phantoms are not among them."""
TEMPLATE = PhantomOptions(rois=(RoiForm.BINARY,), rows=96, columns=96, slices=24, slice_spacing_mm=5.0)
DCE_TEMPLATE = DceOptions(
    rows=32, columns=32, slices=5, spacing_mm=8.0, slice_spacing_mm=7.0, times_s=tuple(map(float, range(0, 180, 4))),
    layout=Layout.ENHANCED,
)  # fmt: skip
PET_TEMPLATE = PetOptions(rows=64, columns=64, slices=32, spacing_mm=4.0, slice_spacing_mm=5.0, ct=False)


@dataclass(frozen=True)
class Cohort:
    """Studies with their labels, in words for the card; ``entered``: what a reader would say of each; ``settings``:
    those of the node that reads them."""

    cases: Callable[[], Iterator[tuple[Writable, bool]]]
    words: str
    relation: str
    entered: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def _ct() -> Iterator[tuple[Writable, bool]]:
    return ((ct.make(case.options), case.her2_positive) for case in cohort.cohort(COUNT, SEED, TEMPLATE))


def _dce() -> Iterator[tuple[Writable, bool]]:
    return ((study, study.label.her2_positive) for study in cohort.dynamic(COUNT, SEED, DCE_TEMPLATE))


def _pet() -> Iterator[tuple[Writable, bool]]:
    studies = cohort.uptake(COUNT, SEED, PET_TEMPLATE)
    return ((study, study.label.her2_positive) for study in studies if study.label)


CT = Cohort(
    _ct,
    f"`her2node.phantoms.cohort.cohort`, seed {SEED}, four phases,\nimages of {TEMPLATE.rows} x {TEMPLATE.columns}",
    "portal and arterial attenuation",
)
DCE = Cohort(
    _dce,
    f"`her2node.phantoms.cohort.dynamic`, seed {SEED}, {len(DCE_TEMPLATE.times_s)} time points,\n"
    f'images of {DCE_TEMPLATE.rows} x {DCE_TEMPLATE.columns}, `dce.model = "tofts"`',
    "Ktrans",
    settings={"dce": {"model": "tofts"}},
)
PET = Cohort(
    _pet,
    f"`her2node.phantoms.cohort.uptake`, seed {SEED},\nimages of {PET_TEMPLATE.rows} x {PET_TEMPLATE.columns}",
    "the highest uptake",
    entered={"signet_ring": "0"},
)
_COHORTS = {"zhangxiao2021-dce": DCE, "mi-uptake-volume": PET}


def cohort_of(form: str) -> Cohort:
    """The phantoms on which the weights of a form are fitted."""
    return _COHORTS.get(form, CT)


def make(out: Path, forms: Sequence[str] = FORMS_OF_DEMONSTRATION) -> list[Path]:
    """Make the cohorts, fit a package of each form and write it into ``out``; their folders. Raises Refused."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "key.pem").write_bytes(trust.keygen().private_pem)
        tables = {one.words: _written(one, folder / f"cohort-{n}") for n, one in enumerate((CT, DCE, PET)) if
                  any(cohort_of(form) is one for form in forms)}  # fmt: skip
        return [_package(folder, tables[cohort_of(form).words], form, out) for form in forms]


def _written(one: Cohort, folder: Path) -> Path:
    """The phantoms, a folder each in ``studies``, and the table of their labels as tissue results."""
    folder.mkdir()
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["study", "ihc", "specimen", "specimen_date", *one.entered])
        for number, (study, positive) in enumerate(one.cases()):
            name = f"case-{number:03d}"
            write(study, folder / "studies" / name)
            table.writerow([name, "3+" if positive else "0", "biopsy", "2024-03-01", *one.entered.values()])
    return folder / "table.csv"


def _package(folder: Path, table: Path, form: str, out: Path) -> Path:
    """Trained as a site would, but that it ships: trusted by its hash, not by a key."""
    fitted_on = cohort_of(form)
    settings = Settings(state_dir=folder / "state", **fitted_on.settings)
    told = training.train(
        settings, form, demonstration_name(form), table.parent / "studies", table, folder / form, folder / "key.pem",
        SEED, lambda said: print(said, file=sys.stderr),  # noqa: T201 - a command of the house
    )  # fmt: skip
    place = out / told.package.name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(told.package, place)
    card = (place / CARD).read_text(encoding="utf-8")
    made = _MADE.format(count=COUNT, seed=SEED, words=fitted_on.words, relation=fitted_on.relation)
    (place / CARD).write_text(f"{card}\n{made}", encoding="utf-8")
    seal(place)
    return place


_MADE = """\
## How it was made
`python -m her2node.service.demo_weights`: {count} phantoms ({words}),
read by the node and trained on by `her2node train --seed {seed}`. The label of each was
drawn from an invented relation to {relation} (`her2node.phantoms.planted`): what has not to do
with that can teach nothing here, and the AUC says so.
"""

if __name__ == "__main__":
    for written in make(SHIPPED, sys.argv[1:] or FORMS_OF_DEMONSTRATION):
        pin(written)
