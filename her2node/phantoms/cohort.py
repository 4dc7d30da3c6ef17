"""Many phantoms with a planted effect: studies to train and test on, and of CT their table of measurements.

The label of each case is drawn from a declared logistic relation (``planted``): of CT to portal and arterial
attenuation (dual-energy CT, too), of CT perfusion to the vascular share, of DCE-MRI to Ktrans, of diffusion-weighted MR
to D, of both together to both, of PET to the highest uptake. What a fit finds here is that relation, and nothing about
patients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from her2node.errors import PhantomRefused
from her2node.phantoms import ct, dce, diffusion, dual_energy, multiparametric, perfusion, pet
from her2node.phantoms.anatomy import Phase, varied
from her2node.phantoms.classic import sampling
from her2node.phantoms.dce import DceOptions, DceStudy
from her2node.phantoms.diffusion import DiffusionOptions, DiffusionStudy
from her2node.phantoms.dual_energy import DualEnergyOptions
from her2node.phantoms.flow import Tissue
from her2node.phantoms.leakage import Leaky
from her2node.phantoms.multiparametric import MultiparametricStudy
from her2node.phantoms.options import PhantomOptions
from her2node.phantoms.perfusion import PerfusionOptions, PerfusionStudy
from her2node.phantoms.pet import PetOptions, PetStudy
from her2node.phantoms.rendering import RESCALE_INTERCEPT, mask, stored_phases
from her2node.phantoms.study import PhantomStudy
from her2node.phantoms.truth import truth_of

COLUMNS = ("portal_hu", "arterial_hu", "plain_hu", "equilibrium_hu", "volume_mm3", "her2_positive")
"""The columns of ``table``."""

_HU_COLUMNS = (Phase.PORTAL, Phase.ARTERIAL, Phase.PLAIN, Phase.EQUILIBRIUM)


@dataclass(frozen=True)
class Case:
    """One phantom of a cohort: how to make it, its label, and the probability with which the label was drawn."""

    options: PhantomOptions
    her2_positive: bool
    her2_probability: float


def cohort(n: int, seed: int, template: PhantomOptions | None = None) -> Iterator[Case]:
    """``n`` different patients; the same ``seed`` gives the same ones. ``template`` sets everything but the seed.

    The patients' seeds are drawn without repetition from 32 bits, so that cohorts of different seeds hardly share any.
    Raises PhantomRefused for a negative ``n`` or ``seed``.
    """
    options = template or PhantomOptions(rois=())
    for case_seed in _seeds(n, seed):
        truth = truth_of(varied(case_seed), case_seed)
        yield Case(replace(options, seed=case_seed, anatomy=None), truth.her2_positive, truth.her2_probability)


def dynamic(n: int, seed: int, template: DceOptions) -> Iterator[DceStudy]:
    """``n`` DCE-MRI of different patients, whose tumours leak differently and without plasma (standard Tofts).

    Ktrans 0.18 ± 0.07 1/min within 0.05 and 0.4, ve 0.2 to 0.45, T1 1.0 to 1.4 s; every other tumour has a core of
    half its Ktrans. ``template`` sets the rest. Raises PhantomRefused as ``cohort`` does.
    """
    return (dce.make(_leaking(template, case_seed)) for case_seed in _seeds(n, seed))


def _leaking(template: DceOptions, case_seed: int) -> DceOptions:
    rng = np.random.default_rng(np.random.SeedSequence([case_seed, 6]))
    ktrans = round(float(np.clip(rng.normal(0.18, 0.07), 0.05, 0.4)), 4)
    ve, t1_ms = round(float(rng.uniform(0.2, 0.45)), 4), round(float(rng.uniform(1000, 1400)), 1)
    core = Leaky(ktrans / 2, ve, 0.0, t1_ms) if rng.uniform() < 0.5 else None
    size = float(rng.uniform(0.4, 0.7))
    tumour = Leaky(ktrans, ve, 0.0, t1_ms)
    return replace(template, seed=case_seed, tumour=tumour, core=core, core_size=size)


def weighted(n: int, seed: int, template: DiffusionOptions) -> Iterator[DiffusionStudy]:
    """``n`` diffusion-weighted MR of different patients, in whose tumours water moves differently.

    D 1050 ± 180 um2/s within 600 and 1700, D* 25,000 to 60,000 um2/s, f 0.06 to 0.2; every tumour has a core of 0.55 to
    0.95 times its D. ``template`` sets the rest. Raises PhantomRefused as ``cohort`` does.
    """
    return (diffusion.make(_moving(template, case_seed)) for case_seed in _seeds(n, seed))


def _moving(template: DiffusionOptions, case_seed: int) -> DiffusionOptions:
    rng = np.random.default_rng(np.random.SeedSequence([case_seed, 8]))
    d = round(float(np.clip(rng.normal(1050, 180), 600, 1700)), 1)
    d_star, f = round(float(rng.uniform(25_000, 60_000)), 1), round(float(rng.uniform(0.06, 0.2)), 4)
    rim = replace(template.tumour, d=d, d_star=d_star, f=f)
    core = replace(rim, d=round(d * float(rng.uniform(0.55, 0.95)), 1))
    return replace(template, seed=case_seed, tumour=rim, core=core, core_size=float(rng.uniform(0.45, 0.65)))


def examined(n: int, seed: int, leaking: DceOptions, moving: DiffusionOptions) -> Iterator[MultiparametricStudy]:
    """``n`` MR of different patients with both kinds of imaging: tumours leak as those of ``dynamic``, and water moves
    in them as in those of ``weighted``, the one drawn without a look at the other. Templates ``leaking`` and ``moving``
    set the rest. Raises PhantomRefused as ``cohort`` does."""
    for case_seed in _seeds(n, seed):
        yield multiparametric.make(_leaking(leaking, case_seed), _moving(moving, case_seed))


def perfused(n: int, seed: int, template: PerfusionOptions) -> Iterator[PerfusionStudy]:
    """``n`` CT perfusion of different patients, whose tumours are perfused fast, each differently, and leak little.

    Vascular share 0.09 ± 0.02 within 0.05 and 0.15, transit 2.5 to 3.5 s, exchange 10 to 40 ml/100 ml/min times that
    share, behind the aorta by 0.3 to 2 s: so deconvolution finds volume and Tmax. ``template`` sets the rest. Raises
    PhantomRefused as ``cohort`` does.
    """
    for case_seed in _seeds(n, seed):
        rng = np.random.default_rng(np.random.SeedSequence([case_seed, 9]))
        volume = round(float(np.clip(rng.normal(0.09, 0.02), 0.05, 0.15)), 4)
        flow = round(6000 * volume / float(rng.uniform(2.5, 3.5)), 1)
        exchange, delay_s = round(volume * float(rng.uniform(10, 40)), 2), round(float(rng.uniform(0.3, 2)), 2)
        tumour = Tissue(flow, volume, exchange, 0.2, delay_s)
        yield perfusion.make(replace(template, seed=case_seed, tumour=tumour))


def spectral(n: int, seed: int, template: DualEnergyOptions) -> Iterator[PhantomStudy]:
    """``n`` dual-energy CT of the patients of ``cohort``, labelled as there; iodine is their enhancement.

    ``template`` sets everything but the seed. Raises PhantomRefused as ``cohort`` does.
    """
    for case in cohort(n, seed, template.base):
        yield dual_energy.make(replace(template, base=case.options))


def uptake(n: int, seed: int, template: PetOptions) -> Iterator[PetStudy]:
    """``n`` PET of different patients: the primary tumour's uptake and size are drawn, what it is made of stays.

    SUVmax 11 ± 4 within 4.5 and 24, axes 0.7 to 1.1 times those of ``pet.TUMOUR``. ``template`` sets the rest. Raises
    PhantomRefused as ``cohort`` does.
    """
    for case_seed in _seeds(n, seed):
        rng = np.random.default_rng(np.random.SeedSequence([case_seed, 7]))
        times = float(np.clip(rng.normal(11, 4), 4.5, 24)) / pet.TUMOUR.highest
        tumour = replace(
            pet.TUMOUR,
            shape=pet.TUMOUR.shape.scaled(float(rng.uniform(0.7, 1.1))),
            layers=tuple((size, times * suv) for size, suv in pet.TUMOUR.layers),
        )
        yield pet.make(replace(template, seed=case_seed, lesions=(tumour, pet.NODE)))


def table(n: int, seed: int, template: PhantomOptions | None = None) -> npt.NDArray[np.float64]:
    """What a reader with a perfect outline measures in each case, shape (n, 6), columns as ``COLUMNS``.

    Attenuations are means in HU over the voxels whose centres lie in the tumour, in the very pixels that the study's
    images hold; the volume is their number times the voxel volume in mm³; the label is 0 or 1. About 0.2 s a case.
    Raises PhantomRefused as ``cohort`` does and when a case's slices hold no voxel of tumour.
    """
    rows = [(*_measured(ct.make(case.options)), float(case.her2_positive)) for case in cohort(n, seed, template)]
    return np.array(rows, dtype=np.float64).reshape(n, len(COLUMNS))


def _seeds(n: int, seed: int) -> list[int]:
    """Raises PhantomRefused for a negative number or seed."""
    if n < 0 or seed < 0:
        raise PhantomRefused(f"a cohort of {n} with seed {seed}")
    rng = np.random.default_rng(np.random.SeedSequence([seed, 5]))
    found: dict[int, None] = {}
    while len(found) < n:
        found[int(rng.integers(0, 2**32))] = None
    return list(found)


def _measured(study: PhantomStudy) -> tuple[float, ...]:
    options, anatomy, how = study.options, study.anatomy, sampling(study)
    sums, voxels = dict.fromkeys(_HU_COLUMNS, 0.0), 0
    for planned in study.roi_series.slices:
        inside = mask(anatomy.tumour.shape, planned.plane)
        if not inside.any():
            continue
        voxels += int(inside.sum())
        for phase, values in stored_phases(anatomy, planned.plane, _HU_COLUMNS, planned.key, how).items():
            sums[phase] += float(values[inside].sum(dtype=np.int64))
    if not voxels:
        raise PhantomRefused(f"no voxel of tumour in the slices of seed {options.seed}")
    volume = voxels * options.slice_spacing_mm * options.spacing_mm[0] * options.spacing_mm[1]
    return (*(sums[phase] / voxels + RESCALE_INTERCEPT for phase in _HU_COLUMNS), volume)
