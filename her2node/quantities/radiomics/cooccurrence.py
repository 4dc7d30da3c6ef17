"""Grey level co-occurrence (IBSI LFYI): how often two grey levels lie next to each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from her2node.quantities.radiomics.feature import Feature, Floats, Integers, over
from her2node.quantities.radiomics.histogram import entropy


@lru_cache(maxsize=4)
def _differences_and_sums(levels: int) -> tuple[Integers, Integers]:
    """|i - j| and i + j - 2 of every cell of a matrix, flat."""
    i, j = np.indices((levels, levels))
    return np.abs(i - j).ravel(), (i + j).ravel()


@dataclass(frozen=True)
class Cooccurrence:
    """``pairs`` (levels, levels): how many neighbours have each pair of grey levels, counted both ways (symmetric)."""

    pairs: Integers

    @classmethod
    def merged(cls, parts: list[Cooccurrence]) -> Cooccurrence:
        return cls(np.sum([part.pairs for part in parts], axis=0))

    @cached_property
    def total(self) -> int:
        return int(self.pairs.sum())

    @cached_property
    def p(self) -> Floats:
        return np.asarray(self.pairs / self.total)

    @cached_property
    def levels(self) -> int:
        return len(self.pairs)

    @cached_property
    def i(self) -> Floats:
        return np.arange(1, self.levels + 1, dtype=np.float64)

    @cached_property
    def marginal(self) -> Floats:
        return np.asarray(self.p.sum(axis=1))

    @cached_property
    def mean(self) -> float:
        return float(self.i @ self.marginal)

    @cached_property
    def variance(self) -> float:
        return float((self.i - self.mean) ** 2 @ self.marginal)

    @cached_property
    def difference(self) -> Floats:
        """Probability of |i - j| = 0, 1, ..."""
        where, _ = _differences_and_sums(self.levels)
        return np.bincount(where, weights=self.p.ravel()).astype(np.float64)

    @cached_property
    def k(self) -> Floats:
        """0, 1, ...: the values of |i - j|."""
        return np.arange(self.levels, dtype=np.float64)

    @cached_property
    def sums(self) -> Floats:
        """Probability of i + j = 2, 3, ..."""
        _, where = _differences_and_sums(self.levels)
        return np.bincount(where, weights=self.p.ravel()).astype(np.float64)

    @cached_property
    def s(self) -> Floats:
        """2, 3, ...: the values of i + j."""
        return np.arange(2, 2 * self.levels + 1, dtype=np.float64)

    @cached_property
    def product(self) -> float:
        return float(self.i @ self.p @ self.i)

    @cached_property
    def joint_entropy(self) -> float:
        return entropy(self.p)

    @cached_property
    def marginal_entropy(self) -> float:
        return entropy(self.marginal)

    def moment(self, order: int) -> float:
        """sum(p (i + j - 2 mean)^order)."""
        return float(self.sums @ (self.s - 2 * self.mean) ** order)


def difference_variance(m: Cooccurrence) -> float:
    return float(m.difference @ (m.k - m.difference @ m.k) ** 2)


def sum_variance(m: Cooccurrence) -> float:
    return float(m.sums @ (m.s - m.sums @ m.s) ** 2)


def correlation(m: Cooccurrence) -> float:
    occupied = np.count_nonzero(m.marginal)
    return over(m.product - m.mean**2, m.variance if occupied > 1 else 0, "the variance of the grey levels")


def information_correlation_1(m: Cooccurrence) -> float:
    # HXY1 = -sum(p log2(p_i p_j)) is twice the entropy of the marginal, for the matrix is symmetric.
    return over(m.joint_entropy - 2 * m.marginal_entropy, m.marginal_entropy, "the entropy of the grey levels")


def information_correlation_2(m: Cooccurrence) -> float:
    information = max(2 * m.marginal_entropy - m.joint_entropy, 0.0)
    return float(np.sqrt(1 - np.exp(-2 * information)))


def inverse_variance(m: Cooccurrence) -> float:
    return float(np.sum(m.difference[1:] / m.k[1:] ** 2))


FEATURES: tuple[Feature[Cooccurrence], ...] = (
    Feature("cm_joint_max", "GYBY", "Joint maximum", "max(p)", lambda m: m.p.max()),
    Feature("cm_joint_avg", "60VM", "Joint average", "sum(i p)", lambda m: m.mean),
    Feature("cm_joint_var", "UR99", "Joint variance", "sum((i - mean)^2 p)", lambda m: m.variance),
    Feature("cm_joint_entr", "TU9B", "Joint entropy", "-sum(p log2 p)", lambda m: m.joint_entropy),
    Feature(
        "cm_diff_avg", "TF7R", "Difference average", "sum(k d), d_k = p(|i - j| = k)", lambda m: m.k @ m.difference
    ),
    Feature("cm_diff_var", "D3YU", "Difference variance", "sum((k - mean k)^2 d)", difference_variance),
    Feature("cm_diff_entr", "NTRS", "Difference entropy", "-sum(d log2 d)", lambda m: entropy(m.difference)),
    Feature("cm_sum_avg", "ZGXS", "Sum average", "sum(k s), s_k = p(i + j = k)", lambda m: m.s @ m.sums),
    Feature("cm_sum_var", "OEEB", "Sum variance", "sum((k - mean k)^2 s)", sum_variance),
    Feature("cm_sum_entr", "P6QZ", "Sum entropy", "-sum(s log2 s)", lambda m: entropy(m.sums)),
    Feature("cm_energy", "8ZQL", "Angular second moment", "sum(p^2)", lambda m: np.sum(m.p**2)),
    Feature("cm_contrast", "ACUI", "Contrast", "sum((i - j)^2 p)", lambda m: m.k**2 @ m.difference),
    Feature("cm_dissimilarity", "8S9J", "Dissimilarity", "sum(|i - j| p)", lambda m: m.k @ m.difference),
    Feature(
        "cm_inv_diff",
        "IB1Z",
        "Inverse difference",
        "sum(p / (1 + |i - j|))",
        lambda m: np.sum(m.difference / (1 + m.k)),
    ),
    Feature(
        "cm_inv_diff_norm",
        "NDRX",
        "Normalised inverse difference",
        "sum(p / (1 + |i - j| / Ng)), Ng the highest grey level of the region",
        lambda m: np.sum(m.difference / (1 + m.k / m.levels)),
    ),
    Feature(
        "cm_inv_diff_mom",
        "WF0Z",
        "Inverse difference moment",
        "sum(p / (1 + (i - j)^2))",
        lambda m: np.sum(m.difference / (1 + m.k**2)),
    ),
    Feature(
        "cm_inv_diff_mom_norm",
        "1QCO",
        "Normalised inverse difference moment",
        "sum(p / (1 + (i - j)^2 / Ng^2)), Ng the highest grey level of the region",
        lambda m: np.sum(m.difference / (1 + (m.k / m.levels) ** 2)),
    ),
    Feature("cm_inv_var", "E8JP", "Inverse variance", "sum over i != j of p / (i - j)^2", inverse_variance),
    Feature("cm_corr", "NI2N", "Correlation", "(sum(i j p) - mean^2) / variance", correlation),
    Feature("cm_auto_corr", "QWB0", "Autocorrelation", "sum(i j p)", lambda m: m.product),
    Feature("cm_clust_tend", "DG8W", "Cluster tendency", "sum((i + j - 2 mean)^2 p)", lambda m: m.moment(2)),
    Feature("cm_clust_shade", "7NFM", "Cluster shade", "sum((i + j - 2 mean)^3 p)", lambda m: m.moment(3)),
    Feature("cm_clust_prom", "AE86", "Cluster prominence", "sum((i + j - 2 mean)^4 p)", lambda m: m.moment(4)),
    Feature(
        "cm_info_corr1",
        "R8DG",
        "First measure of information correlation",
        "(HXY - HXY1) / HX, HX = -sum(p_i log2 p_i), HXY1 = -sum(p log2(p_i p_j))",
        information_correlation_1,
    ),
    Feature(
        "cm_info_corr2",
        "JN9H",
        "Second measure of information correlation",
        "sqrt(1 - exp(-2 (HXY2 - HXY))), HXY2 = -sum(p_i p_j log2(p_i p_j))",
        information_correlation_2,
    ),
)
