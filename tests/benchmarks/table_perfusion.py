"""Bias and spread of every perfusion method against noise, transit time, delay, sampling and duration.

``python -m tests.benchmarks.table_perfusion`` prints, for curves of the phantom's forward model (two-compartment
exchange), the median error of each quantity and half the distance between its 16th and 84th percentile, in % of the
truth (Tmax: in seconds), beside the limits of the regimes in which the node uses the method: ``-`` where it refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from her2node.dicom.codes import Quantity as Concept
from her2node.phantoms.flow import Artery, Tissue, uptake
from her2node.quantities import perfusion
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
    "delay, s": [
        (f"{delay:g}", replace(USUAL, tissue=replace(USUAL.tissue, delay_s=delay), cnr=50)) for delay in (0, 2, 4, 8)
    ],
    "sampling, s": [(f"{step:g}", replace(USUAL, interval_s=step, cnr=50)) for step in (1, 1.5, 2, 3, 4)],
    "duration, s": [(f"{end:g}", replace(USUAL, duration_s=end, cnr=50)) for end in (30, 45, 60, 90, 150)],
}


def errors(case: Case, seed: int = 1) -> dict[str, dict[str, tuple[float, float] | None]]:
    """Method -> quantity -> (median error, spread); None where the method refuses."""
    artery, rng = Artery(), np.random.default_rng(seed)
    times = tuple(float(t) for t in np.arange(0, case.duration_s + 1e-6, case.interval_s))
    arterial = 40 + np.array([artery.at(t) for t in times])
    clean = 40 + uptake(artery, case.tissue, times)
    noise = (clean.max() - 40) / case.cnr * rng.standard_normal((CURVES, len(times)))
    bolus = bolus_of(np.array(times), arterial, perfusion.LEAST_ARTERIAL_HU)
    curves = perfusion.Curves.of(bolus, clean + noise)
    fine = tuple(np.arange(0, case.duration_s, 0.05))
    course = uptake(artery, case.tissue, fine)
    truth = {
        "BF": case.tissue.flow,
        "BV": 100 * case.tissue.volume,
        "MTT": case.tissue.transit_s,
        "PS": case.tissue.exchange,
        "Tmax": case.tissue.delay_s,
        "PE": float(course.max()),
        "TTP": fine[int(course.argmax())] - bolus.arrival_s,
    }
    found: dict[str, dict[str, tuple[float, float] | None]] = {}
    for way in perfusion.WAYS[:-1]:
        if way.refusal(bolus) is not None or case.cnr < perfusion.LEAST_CNR[way.curve]:
            found[way.curve.value] = {SHOWN[code]: None for code in way.codes}
            continue
        found[way.curve.value] = {
            SHOWN[code]: _error(values, truth[SHOWN[code]], absolute=code is Concept.TMAX)
            for code, _, values in way.run(curves, FACTORS)
        }
    return found


def _error(values: np.ndarray, truth: float, *, absolute: bool) -> tuple[float, float]:
    low, middle, high = np.nanpercentile(values, (16, 50, 84))
    scale = 1.0 if absolute else 100 / truth
    return float(scale * (middle - truth)), float(scale * (high - low) / 2)


def main() -> None:
    limits = (
        f"limits: {perfusion.LONGEST_INTERVAL_S:g} s between samples while the bolus passes (all but Patlak); 2CXM "
        f"{perfusion.SHORTEST_WATCH_S['2CXM']:g} s, 2CUM {perfusion.SHORTEST_WATCH_S['2CUM']:g} s from its "
        f"arrival on (2CUM: {perfusion.LONGEST_WATCH_OF_UPTAKE_S:g} s at most); Patlak: "
        f"{perfusion.FEWEST_AFTER_PASSAGE} samples over {perfusion.SHORTEST_AFTER_PASSAGE_S:g} s after the first pass; "
        "lowest CNR: " + ", ".join(f"{method.value} {cnr:g}" for method, cnr in perfusion.LEAST_CNR.items())
    )
    print(__doc__, limits, sep="\n")
    for sweep, cases in SWEEPS.items():
        columns = [(name, errors(case)) for name, case in cases]
        print(f"\n{sweep:32}" + "".join(f"{name:>15}" for name, _ in columns))
        for method in columns[0][1]:
            for quantity in columns[0][1][method]:
                cells = [_shown(found[method][quantity]) for _, found in columns]
                print(f"{method:14}{quantity:18}" + "".join(f"{cell:>15}" for cell in cells))


def _shown(error: tuple[float, float] | None) -> str:
    return "-" if error is None else f"{error[0]:+.1f} ± {error[1]:.1f}"


if __name__ == "__main__":
    main()
