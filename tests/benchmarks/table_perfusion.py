"""Bias and spread of every perfusion method against noise, transit time, delay, sampling and duration.

``python -m tests.benchmarks.table_perfusion`` prints, for curves of the phantom's forward model (two-compartment
exchange), the median error of each quantity and half the distance between its 16th and 84th percentile, in % of the
truth (Tmax: in seconds). In parentheses stands what the method would have found where the node refuses to use it,
whether for the scan, for noise, or because it fails on tissues that may have given the curve.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np

from her2node.dicom.codes import Quantity as Concept
from her2node.phantoms.flow import Artery, Tissue, uptake
from her2node.quantities import perfusion
from her2node.quantities import perfusion_regimes as regimes
from her2node.quantities.bolus import bolus_of

CURVES = 100
FACTORS = perfusion.Factors(density_g_ml=1.0)
SHOWN = {
    Concept.BLOOD_FLOW: "BF",
    Concept.BLOOD_VOLUME: "BV",
    Concept.MEAN_TRANSIT_TIME: "MTT",
    Concept.PERMEABILITY: "PS",
    Concept.TMAX: "Tmax",
    Concept.PEAK_ENHANCEMENT: "PE",
    Concept.TIME_TO_PEAK: "TTP",
}


@dataclass(frozen=True)
class Case:
    """One condition: ``cnr`` is the rise of the curve over the standard deviation of its noise."""

    tissue: Tissue = Tissue(60, 0.06, 15, 0.2, 2.0)  # noqa: RUF009, a frozen value
    interval_s: float = 1.0
    duration_s: float = 60.0
    cnr: float = float("inf")


USUAL = Case()
SWEEPS: dict[str, list[tuple[str, Case]]] = {
    "noise (CNR of the curve)": [(f"{cnr:g}", replace(USUAL, cnr=cnr)) for cnr in (np.inf, 100, 50, 20, 10, 5)],
    "transit time, s": [
        (f"{6 * 60 / flow:g}", replace(USUAL, tissue=replace(USUAL.tissue, flow=flow), cnr=50))
        for flow in (120, 60, 30, 15)
    ],
    "transit time without leakage, s": [
        (f"{6 * 60 / flow:g}", replace(USUAL, tissue=Tissue(flow, 0.06, 0.0, 0.2, 2.0), cnr=50))
        for flow in (120, 60, 30, 15)
    ],
    "PS, ml/100 ml/min": [
        (f"{exchange:g}", replace(USUAL, tissue=replace(USUAL.tissue, exchange=exchange), cnr=50))
        for exchange in (2, 5, 10, 20, 40)
    ],
    "delay, s": [
        (f"{delay:g}", replace(USUAL, tissue=replace(USUAL.tissue, delay_s=delay), cnr=50)) for delay in (0, 2, 4, 8)
    ],
    "sampling, s": [(f"{step:g}", replace(USUAL, interval_s=step, cnr=50)) for step in (1, 1.5, 2, 3, 4)],
    "duration, s": [(f"{end:g}", replace(USUAL, duration_s=end, cnr=50)) for end in (30, 45, 60, 90, 150)],
}


@dataclass(frozen=True)
class Error:
    """Median and spread of the error, and whether the node uses the method here."""

    median: float
    spread: float
    used: bool

    def __str__(self) -> str:
        words = f"{self.median:+.1f} ± {self.spread:.1f}"
        return words if self.used else f"({words})"


def errors(case: Case, seed: int = 1) -> dict[str, dict[str, Error]]:
    """Method -> quantity -> error. Whether the node uses it is asked for the curve without noise of that height."""
    artery, rng = Artery(), np.random.default_rng(seed)
    times = tuple(float(t) for t in np.arange(0, case.duration_s + 1e-6, case.interval_s))
    arterial = 40 + np.array([artery.at(t) for t in times])
    clean = 40 + uptake(artery, case.tissue, times)
    noise = (clean.max() - 40) / case.cnr * rng.standard_normal((CURVES, len(times)))
    bolus = bolus_of(np.array(times), arterial, perfusion.LEAST_ARTERIAL_HU)
    curves, mean = (perfusion.Curves.of(bolus, each) for each in (clean + noise, clean[np.newaxis]))
    likely = perfusion.Likely.of(mean, case.cnr, FACTORS)
    truth = _truth(case, bolus.arrival_s)
    found: dict[str, dict[str, Error]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # medians of nothing but NaN
        for way in perfusion.WAYS[:-1]:
            unfit = perfusion.unfit(way, bolus, case.cnr, likely, FACTORS)
            found[way.curve.value] = {
                SHOWN[code]: _error(values, truth[SHOWN[code]], code is Concept.TMAX, code not in unfit)
                for code, _, values in way.run(curves, FACTORS)
            }
    return found


def _truth(case: Case, arrival_s: float) -> dict[str, float]:
    fine = tuple(np.arange(0, case.duration_s, 0.05))
    course = uptake(Artery(), case.tissue, fine)
    return {
        "BF": case.tissue.flow,
        "BV": 100 * case.tissue.volume,
        "MTT": case.tissue.transit_s,
        "PS": case.tissue.exchange,
        "Tmax": case.tissue.delay_s,
        "PE": float(course.max()),
        "TTP": fine[int(course.argmax())] - arrival_s,
    }


def _error(values: np.ndarray, truth: float, absolute: bool, used: bool) -> Error:
    low, middle, high = np.nanpercentile(values, (16, 50, 84))
    scale = 1.0 if absolute or not truth else 100 / truth
    return Error(float(scale * (middle - truth)), float(scale * (high - low) / 2), used)


def main() -> None:
    limits = (
        f"limits: {regimes.LONGEST_INTERVAL_S:g} s between samples while the bolus passes (all but Patlak); 2CXM "
        f"{regimes.SHORTEST_WATCH_S['2CXM']:g} s, 2CUM {regimes.SHORTEST_WATCH_S['2CUM']:g} s from its "
        f"arrival on (2CUM: {regimes.LONGEST_WATCH_OF_UPTAKE_S:g} s at most); Patlak: "
        f"{regimes.FEWEST_AFTER_PASSAGE} samples over {regimes.SHORTEST_AFTER_PASSAGE_S:g} s after the first pass; "
        f"right within {100 * regimes.HIGHEST_ERROR:g} % in {100 * regimes.RIGHT_IN:g} % of likely tissues; "
        "lowest CNR: " + ", ".join(f"{method.value} {cnr:g}" for method, cnr in regimes.LEAST_CNR.items())
    )
    print(__doc__, limits, sep="\n")
    for sweep, cases in SWEEPS.items():
        columns = [(name, errors(case)) for name, case in cases]
        print(f"\n{sweep:32}" + "".join(f"{name:>18}" for name, _ in columns))
        for method in columns[0][1]:
            for quantity in columns[0][1][method]:
                cells = [str(found[method][quantity]) for _, found in columns]
                print(f"{method:14}{quantity:18}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
