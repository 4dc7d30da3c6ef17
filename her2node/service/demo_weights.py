"""Packages of the literature's forms with weights fitted on phantoms, which the demonstration runs.

``python -m her2node.service.demo_weights`` makes a cohort of phantoms, fits them by `her2node train`, as a site would
on patients, and writes them to where packages ship. Labels are drawn from an invented relation (``phantoms.planted``).
"""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from her2node.models import trust
from her2node.models.building import pin, seal
from her2node.models.package import CARD, SHIPPED
from her2node.phantoms import PhantomOptions, RoiForm, cohort, ct, write
from her2node.service import training
from her2node.service.shelf import FORMS_OF_DEMONSTRATION, demonstration_name
from her2node.settings import Settings

COUNT, SEED = 80, 11
"""Of the cohort. Its patients' seeds are drawn from 32 bits: the demonstration's phantom is not among them."""
TEMPLATE = PhantomOptions(rois=(RoiForm.BINARY,), rows=96, columns=96, slices=24, slice_spacing_mm=5.0)


def make(out: Path, forms: Sequence[str] = FORMS_OF_DEMONSTRATION) -> list[Path]:
    """Make the cohort, fit a package of each form and write it into ``out``; their folders. Raises Refused."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = _cohort(folder)
        (folder / "key.pem").write_bytes(trust.keygen().private_pem)
        return [_package(folder, table, form, out) for form in forms]


def _cohort(folder: Path) -> Path:
    """The phantoms, a folder each, and the table of their labels as tissue results."""
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["study", "ihc", "specimen", "specimen_date"])
        for number, case in enumerate(cohort.cohort(COUNT, SEED, TEMPLATE)):
            write(ct.make(case.options), folder / "studies" / f"case-{number:03d}")
            table.writerow([f"case-{number:03d}", "3+" if case.her2_positive else "0", "biopsy", "2024-03-01"])
    return folder / "table.csv"


def _package(folder: Path, table: Path, form: str, out: Path) -> Path:
    """Trained as a site would, but that it ships: trusted by its hash, not by a key."""
    settings = Settings(state_dir=folder / "state")
    told = training.train(
        settings, form, demonstration_name(form), folder / "studies", table, folder / form, folder / "key.pem", SEED,
        lambda said: print(said, file=sys.stderr),  # noqa: T201 - a command of the house
    )  # fmt: skip
    place = out / told.package.name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(told.package, place)
    card = (place / CARD).read_text(encoding="utf-8")
    (place / CARD).write_text(f"{card}\n{_MADE.format(count=COUNT, seed=SEED, side=TEMPLATE.rows)}", encoding="utf-8")
    seal(place)
    return place


_MADE = """\
## How it was made
`python -m her2node.service.demo_weights`: {count} phantoms (`her2node.phantoms.cohort`, seed {seed}, four phases,
images of {side} x {side}), read by the node and trained on by `her2node train --seed {seed}`. The label of each was
drawn from an invented relation to portal and arterial attenuation (`her2node.phantoms.planted`): what has not to do
with those can teach nothing here, and the AUC says so.
"""

if __name__ == "__main__":
    for written in make(SHIPPED):
        pin(written)
