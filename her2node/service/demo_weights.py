"""Packages of the literature's forms with weights fitted on phantoms, which the demonstration runs.

``python -m her2node.service.demo_weights`` makes a cohort of phantoms of each kind of imaging, fits the forms on them
by `her2node train`, as a site would on patients, and writes the packages to where packages ship; named forms alone
where it is given any. Labels are drawn from invented relations (``phantoms.planted``).
"""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from her2node.models import trust
from her2node.models.building import pin, seal
from her2node.models.manifest import ReaderInput
from her2node.models.package import CARD, SHIPPED, load, shipped_trust
from her2node.phantoms import PhantomOptions, PhantomStudy, RoiForm, cohort, ct, perfusion, write
from her2node.phantoms.anatomy import Phase
from her2node.phantoms.dce import DceOptions, Layout
from her2node.phantoms.diffusion import DiffusionOptions
from her2node.phantoms.dual_energy import DualEnergyOptions
from her2node.phantoms.perfusion import PerfusionOptions
from her2node.phantoms.pet import PetOptions
from her2node.phantoms.study import Writable
from her2node.service import training
from her2node.service.shelf import FORMS_OF_DEMONSTRATION, demonstration_name
from her2node.settings import Settings

COUNT, SEED = 80, 11
"""Of each cohort. Its patients' seeds are drawn from 32 bits: the demonstration's phantoms are not among them."""
TEMPLATE = PhantomOptions(rois=(RoiForm.BINARY,), rows=96, columns=96, slices=24, slice_spacing_mm=5.0)
PERFUSION_TEMPLATE = PerfusionOptions(
    rows=64, columns=64, slices=4, slice_spacing_mm=8.0, times_s=tuple(map(float, range(61))), noise_hu=1.0,
    step_hu=0.1, layout=perfusion.Layout.ENHANCED,
)  # fmt: skip
IODINE_TEMPLATE = DualEnergyOptions(
    PhantomOptions(phases=(Phase.PORTAL,), rows=96, columns=96, slices=24, slice_spacing_mm=5.0), energies=()
)
DIFFUSION_TEMPLATE = DiffusionOptions(
    b_values=(0, 500, 1000), rows=56, columns=56, slices=6, spacing_mm=4.0, slice_spacing_mm=7.0
)
DCE_TEMPLATE = DceOptions(
    rows=32, columns=32, slices=5, spacing_mm=8.0, slice_spacing_mm=7.0, times_s=tuple(map(float, range(0, 180, 4))),
    layout=Layout.ENHANCED,
)  # fmt: skip
WEIGHTED_TEMPLATE = replace(
    DIFFUSION_TEMPLATE, rows=DCE_TEMPLATE.rows, columns=DCE_TEMPLATE.columns, slices=DCE_TEMPLATE.slices,
    spacing_mm=DCE_TEMPLATE.spacing_mm, slice_spacing_mm=DCE_TEMPLATE.slice_spacing_mm,
)  # fmt: skip
"""On the grid of the dynamic images."""
PET_TEMPLATE = PetOptions(rows=64, columns=64, slices=32, spacing_mm=4.0, slice_spacing_mm=5.0, ct=False)


@dataclass(frozen=True)
class Cohort:
    """Studies with their labels, in words for the card, and the ``forms`` that are fitted on them.

    ``entered``: what a reader would say of a study, in part drawn without a look at it; ``said`` tells so in the cards
    of forms that ask. ``settings``: those of the node that reads them.
    """

    forms: tuple[str, ...]
    cases: Callable[[], Iterator[tuple[Writable, bool]]]
    words: str
    relation: str
    entered: Callable[[Writable, np.random.Generator], Mapping[str, int]] = lambda _, __: {}
    said: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def _ct() -> Iterator[tuple[Writable, bool]]:
    return ((ct.make(case.options), case.her2_positive) for case in cohort.cohort(COUNT, SEED, TEMPLATE))


def _perfusion() -> Iterator[tuple[Writable, bool]]:
    studies = cohort.perfused(COUNT, SEED, PERFUSION_TEMPLATE)
    return ((study, study.truth.her2_positive) for study in studies)


def _iodine() -> Iterator[tuple[Writable, bool]]:
    return ((study, study.truth.her2_positive) for study in cohort.spectral(COUNT, SEED, IODINE_TEMPLATE))


def _diffusion() -> Iterator[tuple[Writable, bool]]:
    return ((study, study.label.her2_positive) for study in cohort.weighted(COUNT, SEED, DIFFUSION_TEMPLATE))


def _mr() -> Iterator[tuple[Writable, bool]]:
    studies = cohort.examined(COUNT, SEED, DCE_TEMPLATE, WEIGHTED_TEMPLATE)
    return ((study, study.label.her2_positive) for study in studies)


def _pet() -> Iterator[tuple[Writable, bool]]:
    studies = cohort.uptake(COUNT, SEED, PET_TEMPLATE)
    return ((study, study.label.her2_positive) for study in studies if study.label)


def _read_on_ct(_: Writable, rng: np.random.Generator) -> Mapping[str, int]:
    """What no phantom shows: nothing of it has to do with the label."""
    return {
        "persistent_enhancement": int(rng.integers(0, 2)),
        "serosal_invasion": int(rng.integers(0, 2)),
        "distant_metastasis": int(rng.integers(0, 2)),
        "ct_t_stage": int(rng.integers(1, 5)),
    }


def _location(study: Writable, _: np.random.Generator) -> Mapping[str, int]:
    """Where in the stomach the phantom has its tumour."""
    place = study.anatomy.tumour.place if isinstance(study, PhantomStudy) else ""
    return {"location_cardia_fundus": int(place == "fundus"), "location_antrum_pylorus": int(place == "antrum")}


CT = Cohort(
    (
        "wangna2020-attenuation",
        "zhaojin2020-attenuation",
        "pan-venous-serosa",
        "zhangxiao-texture-lda",
        "zhangxiao-texture-nda",
        "wangy-radiomics",
        "wangshuxing2021-radscore",
    ),
    _ct,
    f"`her2node.phantoms.cohort.cohort`, seed {SEED}, four phases,\nimages of {TEMPLATE.rows} x {TEMPLATE.columns}",
    "portal and arterial attenuation",
    _read_on_ct,
    "was drawn at random for each phantom: it has nothing to do with its label",
)
PERFUSION = Cohort(
    ("huang-perfusion",),
    _perfusion,
    f"`her2node.phantoms.cohort.perfused`, seed {SEED}, {len(PERFUSION_TEMPLATE.times_s)} time points,\n"
    f"images of {PERFUSION_TEMPLATE.rows} x {PERFUSION_TEMPLATE.columns}, `perfusion.density_g_ml = 1`",
    "the vascular share",
    settings={"perfusion": {"density_g_ml": 1.0}},
)
IODINE = Cohort(
    ("zhaoh-iodine",),
    _iodine,
    f"`her2node.phantoms.cohort.spectral`, seed {SEED}, an iodine map,\n"
    f"images of {IODINE_TEMPLATE.base.rows} x {IODINE_TEMPLATE.base.columns}",
    "portal and arterial attenuation",
    _location,
    "is where the phantom has its tumour, which has nothing to do with its label",
)
DIFFUSION = Cohort(
    ("he2015-adc",),
    _diffusion,
    f"`her2node.phantoms.cohort.weighted`, seed {SEED}, b 0, 500 and 1000 s/mm2,\n"
    f"images of {DIFFUSION_TEMPLATE.rows} x {DIFFUSION_TEMPLATE.columns}",
    "D",
)
MR = Cohort(
    ("wangzheng2019-dce-adc", "zhangxiao2021-dce"),
    _mr,
    f"`her2node.phantoms.cohort.examined`, seed {SEED}, {len(DCE_TEMPLATE.times_s)} time points of\n"
    f"{DCE_TEMPLATE.rows} x {DCE_TEMPLATE.columns}, b 0, 500 and 1000 s/mm2 on the same grid, "
    f'`dce.model = "tofts"`',
    "Ktrans and D",
    settings={"dce": {"model": "tofts"}},
)
PET = Cohort(
    ("mi-uptake-volume", "chen2016-suvmax", "park-suvmax", "bai-suvmax"),
    _pet,
    f"`her2node.phantoms.cohort.uptake`, seed {SEED},\nimages of {PET_TEMPLATE.rows} x {PET_TEMPLATE.columns}",
    "the highest uptake",
    lambda _, __: {"signet_ring": 0},
    "was entered as 0 for all: the form excludes the others",
)
COHORTS = (CT, PERFUSION, IODINE, DIFFUSION, MR, PET)


def make(out: Path, forms: Sequence[str] = FORMS_OF_DEMONSTRATION) -> list[Path]:
    """Make the cohorts, fit a package of each form and write it into ``out``; their folders. Each study is read once
    for all forms of its cohort that are asked for. Raises Refused."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "key.pem").write_bytes(trust.keygen().private_pem)
        made = []
        for number, one in enumerate(COHORTS):
            if wanted := [form for form in one.forms if form in forms]:
                cases = _written(one, folder / f"cohort-{number}")
                made += [_package(folder, one, cases, form, wanted, out) for form in wanted]
        return made


@dataclass(frozen=True)
class _Cases:
    """Phantoms, a folder each in ``folder``; of each its name, its label and what a reader would say."""

    folder: Path
    rows: tuple[tuple[str, bool, Mapping[str, int]], ...]


def _written(one: Cohort, folder: Path) -> _Cases:
    rows = []
    for number, (study, positive) in enumerate(one.cases()):
        name = f"case-{number:03d}"
        write(study, folder / "studies" / name)
        rows.append((name, positive, one.entered(study, np.random.default_rng([SEED, number]))))
    return _Cases(folder / "studies", tuple(rows))


def _table(cases: _Cases, asked: Sequence[str], file: Path) -> Path:
    """The labels as tissue results, and what the form asks readers for."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["study", "ihc", "specimen", "specimen_date", *asked])
        for name, positive, entered in cases.rows:
            said = [entered[column] for column in asked]
            table.writerow([name, "3+" if positive else "0", "biopsy", "2024-03-01", *said])
    return file


def _package(folder: Path, one: Cohort, cases: _Cases, form: str, wanted: Sequence[str], out: Path) -> Path:
    """Trained as a site would, but that it ships: trusted by its hash, not by a key."""
    said = load(SHIPPED / form, shipped_trust()).manifest
    asked = [given.name for given in said.inputs if isinstance(given, ReaderInput)]
    table = _table(cases, asked, folder / f"{form}.csv")
    settings = Settings(state_dir=folder / "state", **one.settings)
    told = training.train(
        settings, form, demonstration_name(form), cases.folder, table, folder / form, folder / "key.pem", SEED,
        lambda line: print(line, file=sys.stderr),  # noqa: T201 - a command of the house
        beside=[other for other in wanted if other != form],
    )  # fmt: skip
    place = out / told.package.name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(told.package, place)
    card = (place / CARD).read_text(encoding="utf-8")
    made = _MADE.format(count=COUNT, seed=SEED, words=one.words, relation=one.relation)
    read = f"What only a reader knows ({', '.join(f'`{name}`' for name in asked)}) {one.said}.\n" if asked else ""
    (place / CARD).write_text(f"{card}\n{made}{read}", encoding="utf-8")
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
