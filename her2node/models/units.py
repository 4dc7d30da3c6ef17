"""Units of one kind, and how to turn one into another: a package declares its own units, the node converts.

UCUM as DICOM writes it, plus the spellings that papers and reference tables use.
"""

from __future__ import annotations

from her2node.errors import UnknownUnit

_KINDS: tuple[dict[str, float], ...] = (
    {"[hnsf'U]": 1.0, "HU": 1.0},
    {"mm": 1.0, "cm": 10.0, "um": 1e-3},
    {"mm2": 1.0, "cm2": 100.0},
    {"mm3": 1.0, "ml": 1000.0, "mL": 1000.0, "cm3": 1000.0},
    {"um2/s": 1.0, "mm2/s": 1e6, "10-6.mm2/s": 1.0, "10-3.mm2/s": 1e3, "10-3 mm2/s": 1e3},
    {"ml/[100]g/min": 1.0, "ml/min/g": 100.0},
    {"ml/[100]ml/min": 1.0, "ml/min/ml": 100.0},
    {"ml/[100]ml": 1.0, "ml/ml": 100.0},
    {"ml/[100]g": 1.0, "ml/g": 100.0},
    {"s": 1.0, "min": 60.0, "ms": 1e-3},
    {"/min": 1.0, "/s": 60.0},
    {"mg/ml": 1.0, "mg/mL": 1.0, "ug/ml": 1e-3, "[100]ug/ml": 0.1, "mg/dl": 0.01, "mg/dL": 0.01},
    {"g": 1.0, "kg": 1000.0, "mg": 1e-3},
    {"1": 1.0, "{ratio}": 1.0, "%": 0.01},
    {"g/ml{SUVbw}": 1.0},
    {"g/ml{SUVlbm}": 1.0},
    {"cm2/ml{SUVbsa}": 1.0},
    {"g/ml{SUVibw}": 1.0},
    {"a": 1.0, "mo": 1.0 / 12.0},
    {"kV": 1.0, "V": 1e-3},
    {"[hnsf'U]2": 1.0},
    {"[arb'U]": 1.0},
    {"([arb'U])2": 1.0},
    {"/mm": 1.0, "/cm": 0.1},
)
"""One table a kind: unit -> factor to the kind's first unit."""


def known(unit: str) -> bool:
    return any(unit in kind for kind in _KINDS)


def shown(value: float, unit: str) -> str:
    """A value with its unit for people: '5.8 g/ml{SUVbw}', '0.5'."""
    return f"{value:.6g}" if unit == "1" else f"{value:.6g} {unit}"


def convert(value: float, unit: str, wanted: str) -> float:
    """``value``, given in ``unit``, in ``wanted``. Raises UnknownUnit: either is unknown, or they differ in kind."""
    if unit == wanted and known(unit):
        return value
    kind = next((kind for kind in _KINDS if unit in kind), None)
    if kind is None:
        raise UnknownUnit(f"'{unit}'")
    if wanted not in kind:
        raise UnknownUnit(f"'{wanted}' cannot be had from '{unit}'")
    return value * kind[unit] / kind[wanted]
