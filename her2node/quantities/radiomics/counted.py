"""Matrices that count by grey level and by a length: GLRLM (TP0I), GLSZM (9SAK), GLDZM (VMDZ), NGLDM (REK0).

Runs have lengths, zones have sizes and distances, neighbourhoods have dependences; IBSI's features of the four are the
same sums. A matrix is kept as its non-zero entries, for a zone may be as large as the region.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import SupportsFloat

import numpy as np
import numpy.typing as npt

from her2node.quantities.radiomics.feature import Feature, Floats, over
from her2node.quantities.radiomics.histogram import entropy


@dataclass(frozen=True)
class Counted:
    """Entries (n,): ``count`` runs, zones or neighbourhoods of grey level ``level`` and length ``length``.

    ``voxels``: of the region, once for every direction and slice that was counted in.
    """

    level: Floats
    length: Floats
    count: Floats
    voxels: int

    @classmethod
    def of(cls, level: npt.NDArray[np.integer], length: npt.NDArray[np.integer], voxels: int) -> Counted:
        """Tally pairs, one a run, zone or neighbourhood, shape (m,)."""
        base = int(length.max(initial=0)) + 1
        keys, counts = np.unique(level.astype(np.int64) * base + length, return_counts=True)
        return cls((keys // base).astype(float), (keys % base).astype(float), counts.astype(float), voxels)

    @classmethod
    def merged(cls, parts: list[Counted]) -> Counted:
        """One matrix of several: entries of the same level and length add up, and so do the voxels."""
        level, length, count = (
            np.concatenate([getattr(p, name) for p in parts]) for name in ("level", "length", "count")
        )
        base = length.max(initial=0) + 1
        keys, owner = np.unique(level * base + length, return_inverse=True)
        total = np.bincount(owner, weights=count).astype(np.float64)
        return cls(keys // base, keys % base, total, sum(part.voxels for part in parts))

    @cached_property
    def total(self) -> float:
        return float(self.count.sum())

    @cached_property
    def p(self) -> Floats:
        return np.asarray(self.count / self.total)

    @cached_property
    def by_level(self) -> Floats:
        return _summed(self.level, self.count)

    @cached_property
    def by_length(self) -> Floats:
        return _summed(self.length, self.count)

    def mean(self, weight: Floats) -> float:
        return float(self.p @ weight)

    def variance(self, of: Floats) -> float:
        return float(self.p @ (of - self.p @ of) ** 2)


def _summed(at: Floats, count: Floats) -> Floats:
    _, owner = np.unique(at, return_inverse=True)
    return np.bincount(owner, weights=count).astype(np.float64)


@dataclass(frozen=True)
class _Sum:
    """A feature of all four families: the endings of its tags in GLRLM, GLSZM, GLDZM, NGLDM and its codes there."""

    endings: tuple[str, str, str, str]
    codes: tuple[str, str, str, str]
    name: str
    formula: str
    of: Callable[[Counted], SupportsFloat]


_SUMS = (
    _Sum(
        ("sre", "sze", "sde", "lde"),
        ("22OV", "5QRC", "0GBI", "SODN"),
        "short {length} emphasis",
        "sum(n / j^2) / N",
        lambda m: m.mean(m.length**-2),
    ),
    _Sum(
        ("lre", "lze", "lde", "hde"),
        ("W4KF", "48P8", "MB4I", "IMOQ"),
        "long {length} emphasis",
        "sum(n j^2) / N",
        lambda m: m.mean(m.length**2),
    ),
    _Sum(
        ("lgre", "lgze", "lgze", "lgce"),
        ("V3SW", "XMSY", "S1RA", "TL9H"),
        "low grey level emphasis",
        "sum(n / i^2) / N",
        lambda m: m.mean(m.level**-2),
    ),
    _Sum(
        ("hgre", "hgze", "hgze", "hgce"),
        ("G3QZ", "5GN9", "K26C", "OAE7"),
        "high grey level emphasis",
        "sum(n i^2) / N",
        lambda m: m.mean(m.level**2),
    ),
    _Sum(
        ("srlge", "szlge", "sdlge", "ldlge"),
        ("HTZT", "5RAI", "RUVG", "EQ3F"),
        "short {length} low grey level emphasis",
        "sum(n / (i j)^2) / N",
        lambda m: m.mean((m.level * m.length) ** -2),
    ),
    _Sum(
        ("srhge", "szhge", "sdhge", "ldhge"),
        ("GD3A", "HW1V", "DKNJ", "JA6D"),
        "short {length} high grey level emphasis",
        "sum(n i^2 / j^2) / N",
        lambda m: m.mean((m.level / m.length) ** 2),
    ),
    _Sum(
        ("lrlge", "lzlge", "ldlge", "hdlge"),
        ("IVPO", "YH51", "A7WM", "NBZI"),
        "long {length} low grey level emphasis",
        "sum(n j^2 / i^2) / N",
        lambda m: m.mean((m.length / m.level) ** 2),
    ),
    _Sum(
        ("lrhge", "lzhge", "ldhge", "hdhge"),
        ("3KUM", "J17V", "KLTH", "9QMG"),
        "long {length} high grey level emphasis",
        "sum(n (i j)^2) / N",
        lambda m: m.mean((m.level * m.length) ** 2),
    ),
    _Sum(
        ("glnu", "glnu", "glnu", "glnu"),
        ("R5YN", "JNSA", "VFT7", "FP8K"),
        "grey level non-uniformity",
        "sum over i of n_i^2 / N",
        lambda m: np.sum(m.by_level**2) / m.total,
    ),
    _Sum(
        ("glnu_norm", "glnu_norm", "glnu_norm", "glnu_norm"),
        ("OVBL", "Y1RO", "7HP3", "5SPA"),
        "normalised grey level non-uniformity",
        "sum over i of n_i^2 / N^2",
        lambda m: np.sum(m.by_level**2) / m.total**2,
    ),
    _Sum(
        ("rlnu", "zsnu", "zdnu", "dcnu"),
        ("W92Y", "4JP3", "V294", "Z87G"),
        "{length} non-uniformity",
        "sum over j of n_j^2 / N",
        lambda m: np.sum(m.by_length**2) / m.total,
    ),
    _Sum(
        ("rlnu_norm", "zsnu_norm", "zdnu_norm", "dcnu_norm"),
        ("IC23", "VB3A", "IATH", "OKJI"),
        "normalised {length} non-uniformity",
        "sum over j of n_j^2 / N^2",
        lambda m: np.sum(m.by_length**2) / m.total**2,
    ),
    _Sum(
        ("r_perc", "z_perc", "z_perc", "dc_perc"),
        ("9ZK5", "P30P", "VIWW", "6XV8"),
        "{length} percentage",
        "N / voxels",
        lambda m: over(m.total, m.voxels, "the number of voxels"),
    ),
    _Sum(
        ("gl_var", "gl_var", "gl_var", "gl_var"),
        ("8CE5", "BYLV", "QK93", "1PFV"),
        "grey level variance",
        "sum(p (i - mean i)^2), p = n / N",
        lambda m: m.variance(m.level),
    ),
    _Sum(
        ("rl_var", "zs_var", "zd_var", "dc_var"),
        ("SXLW", "3NSA", "7WT1", "DNX2"),
        "{length} variance",
        "sum(p (j - mean j)^2)",
        lambda m: m.variance(m.length),
    ),
    _Sum(
        ("rl_entr", "zs_entr", "zd_entr", "dc_entr"),
        ("HJ9O", "GU8N", "GBDU", "FCBV"),
        "{length} entropy",
        "-sum(p log2 p)",
        lambda m: entropy(m.p),
    ),
)
_FAMILIES = (
    ("rlm", "GLRLM", "run length"),
    ("szm", "GLSZM", "zone size"),
    ("dzm", "GLDZM", "zone distance"),
    ("ngl", "NGLDM", "dependence"),
)


def _features(column: int) -> tuple[Feature[Counted], ...]:
    prefix, family, length = _FAMILIES[column]
    return tuple(
        Feature(
            f"{prefix}_{s.endings[column]}",
            s.codes[column],
            f"{family} {s.name.format(length=length)}",
            f"{s.formula}; n of grey level i and {length} j, N = sum(n)",
            s.of,
        )
        for s in _SUMS
    )


RUN_LENGTH, SIZE_ZONE, DISTANCE_ZONE = _features(0), _features(1), _features(2)
DEPENDENCE = (
    *_features(3),
    Feature("ngl_dc_energy", "CAS9", "NGLDM dependence energy", "sum(p^2)", lambda m: np.sum(m.p**2)),
)
