"""What is measured of a textured tumour, from DICOM on, is what the texture's formula says.

Every expected figure comes from the phantom's truth or from the autocorrelation of its texture: the code under test
has no part in it. Of periodic textures the tumour cuts boxes and waves at its border, of a random field it holds a
part only; that, and nothing else, is what the tolerances are for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from her2node import phantoms, quantities, rois, volumes
from her2node.dicom.codes import Quantity as Concept
from her2node.phantoms import Checker, Grating, PhantomOptions, PhantomStudy, Phase, RandomField, RoiForm
from her2node.quantities import radiomics, texture
from her2node.quantities.histogram import histogram_of
from her2node.quantities.quantity import Quantity
from her2node.quantities.radiomics.discretisation import FixedBinNumber, FixedBinSize
from her2node.quantities.radiomics.texture import Aggregation
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.selection.study import open_study
from her2node.volumes.volume import Volume
from tests.quantities import made

PIXEL_MM, SLICE_MM, BIN_HU = 1.0, 2.0, 5
TEXTURES = {
    "checker": Checker(20.0, (4 * PIXEL_MM, 4 * PIXEL_MM, 2 * SLICE_MM)),
    "grating": Grating(20.0, 12.0, (0.8, 0.6, 0.0)),
    "random": RandomField(15.0, 2.0, 5),
}
PERIODIC = ("checker", "grating")


@dataclass(frozen=True)
class Read:
    phantom: PhantomStudy
    volume: Volume
    roi: Roi

    @property
    def standard_errors(self) -> tuple[float, float]:
        """Of mean and variance; of periodic textures 1 % of what they are."""
        truth = self.phantom.truth.texture
        assert truth is not None
        return truth.standard_error or (0.01 * math.sqrt(truth.variance_hu2), 0.01 * truth.variance_hu2)

    def unlike(self) -> Iterator[tuple[int, float]]:
        """Of each of the 13 directions the pairs of neighbours in the region and their autocorrelation."""
        anatomy, mask = self.phantom.anatomy, np.pad(self.roi.mask, 1)
        assert anatomy.tumour.texture is not None
        for z, y, x in (step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)):
            both = np.count_nonzero(mask & np.roll(mask, (z, y, x), axis=(0, 1, 2)))
            yield both, anatomy.tumour.texture.correlation((x * PIXEL_MM, y * PIXEL_MM, z * SLICE_MM))

    @property
    def correlation(self) -> float:
        """Of neighbours, over all directions."""
        pairs = list(self.unlike())
        return sum(n * r for n, r in pairs) / sum(n for n, _ in pairs)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Read]:
    return {name: written_and_read(name, tmp_path_factory.mktemp(name)) for name in TEXTURES}


def written_and_read(name: str, folder: Path) -> Read:
    options = PhantomOptions(
        seed=3, phases=(Phase.PLAIN,), rows=256, columns=256, slices=36, slice_spacing_mm=SLICE_MM, noise_hu=0,
        pixel_spacing_mm=(PIXEL_MM, PIXEL_MM), rois=(RoiForm.BINARY,),
        anatomy=phantoms.varied(3).textured(TEXTURES[name]),
    )  # fmt: skip
    phantom = phantoms.make(options)
    phantoms.write(phantom, folder)
    study = open_study(sorted(folder.rglob("*.dcm")))
    series = study.series_of(phantom.roi_series.series_instance_uid)
    assert series is not None
    volume = volumes.build(series)
    (region,) = rois.given(study)
    return Read(phantom, volume, rois.lay(region, volume))


def by_tag(of: Read, discretisation: FixedBinSize | FixedBinNumber) -> dict[str, float]:
    configuration = replace(
        radiomics.shipped("ibsi-c"), interpolation=None, discretisation=discretisation,
        aggregations=(Aggregation.VOLUME_MERGED,), families=("stat", "ih", "cm"),
    )  # fmt: skip
    found = radiomics.measure(of.volume, of.roi, Role.PLAIN, configuration)
    names = {name.code: tag for tag, name in radiomics.catalogue(configuration).items()}
    return {names[one.code]: one.value for one in found if isinstance(one, Quantity)}


each = pytest.mark.parametrize("name", list(TEXTURES))


@each
def test_mean_spread_and_percentiles_are_those_of_the_texture(name: str, read: dict[str, Read]) -> None:
    of, truth = read[name], read[name].phantom.truth.texture
    assert truth is not None
    found = made.named(quantities.measure(of.volume, of.roi, Role.PLAIN))
    error, error_of_variance = of.standard_errors
    assert abs(found["Mean"] - of.phantom.truth.tumour.hu[Phase.PLAIN]) < 3 * error
    assert abs(found["Standard Deviation"] ** 2 - truth.variance_hu2 - 1 / 12) < 3 * error_of_variance
    for percent in (5, 10, 25, 75, 90, 95):
        about = found[f"Percentile {percent}"] - of.phantom.truth.tumour.hu[Phase.PLAIN]
        assert about == pytest.approx(truth.percentiles_hu[percent], abs=0.5 + 3 * error)


@each
def test_shape_and_entropy_of_the_histogram_are_those_of_the_distribution(name: str, read: dict[str, Read]) -> None:
    of, truth = read[name], read[name].phantom.truth.texture
    assert truth is not None
    values = of.volume.voxels[of.roi.mask]
    found = made.named(histogram_of(values, Concept.ATTENUATION, of.volume.unit, "T", None, ("1.2",), bin_width=BIN_HU))
    assert found["Skewness"] == pytest.approx(truth.skewness, abs=0.1)
    assert found["Kurtosis"] == pytest.approx(truth.kurtosis, abs=0.15)
    entropy = next(value for meaning, value in found.items() if "ntropy" in meaning)
    assert entropy == pytest.approx(truth.entropy_bits[Phase.PLAIN], abs=0.02 if name in PERIODIC else 0.06)


@each
def test_first_order_radiomics_are_those_of_the_distribution(name: str, read: dict[str, Read]) -> None:
    of, truth = read[name], read[name].phantom.truth.texture
    assert truth is not None
    found = by_tag(of, FixedBinSize(BIN_HU))
    assert abs(found["stat_var"] - truth.variance_hu2 - 1 / 12) < 3 * of.standard_errors[1]
    assert found["stat_skew"] == pytest.approx(truth.skewness, abs=0.1)
    assert found["stat_kurt"] == pytest.approx(truth.kurtosis, abs=0.15)
    # the bins begin at -1000 HU, a multiple of their width
    assert found["ih_entropy"] == pytest.approx(truth.entropy_bits[Phase.PLAIN], abs=0.02 if name in PERIODIC else 0.06)


def test_cooccurrence_of_a_checker_is_that_of_its_boxes(read: dict[str, Read]) -> None:
    """Two levels: a pair is unlike with probability (1 - r) / 2, and everything else follows."""
    of = read["checker"]
    found = by_tag(of, FixedBinNumber(2))
    unlike = (1 - of.correlation) / 2
    p = np.array([(1 - unlike) / 2, unlike / 2])
    assert found["cm_contrast_3D_comb"] == pytest.approx(unlike, rel=0.02)
    assert found["cm_dissimilarity_3D_comb"] == pytest.approx(unlike, rel=0.02)
    assert found["cm_corr_3D_comb"] == pytest.approx(of.correlation, abs=0.02)
    assert found["cm_joint_max_3D_comb"] == pytest.approx(p.max(), rel=0.02)
    assert found["cm_energy_3D_comb"] == pytest.approx(2 * (p**2).sum(), rel=0.01)
    assert found["cm_joint_entr_3D_comb"] == pytest.approx(-2 * (p * np.log2(p)).sum(), rel=0.005)
    assert found["cm_inv_diff_3D_comb"] == pytest.approx(1 - unlike / 2, rel=0.005)
    assert found["cm_joint_avg_3D_comb"] == pytest.approx(1.5, abs=0.01)
    assert found["cm_joint_var_3D_comb"] == pytest.approx(0.25, rel=0.005)


@pytest.mark.parametrize("name", ["grating", "random"])
def test_cooccurrence_of_a_continuous_texture_is_that_of_its_autocorrelation(name: str, read: dict[str, Read]) -> None:
    """Rounding into bins of width w adds w^2 / 12 to each variance (Sheppard), which pairs do not share."""
    of, variance = read[name], TEXTURES[name].variance_hu2
    found = by_tag(of, FixedBinSize(BIN_HU))
    rounding = BIN_HU**2 / 12
    assert found["cm_corr_3D_comb"] == pytest.approx(of.correlation * variance / (variance + rounding), abs=0.02)
    contrast = 2 * (variance * (1 - of.correlation) + rounding) / BIN_HU**2
    assert found["cm_contrast_3D_comb"] == pytest.approx(contrast, rel=0.05)


@pytest.mark.parametrize("name", PERIODIC)
def test_mazda_like_correlation_at_every_distance_is_the_autocorrelation(name: str, read: dict[str, Read]) -> None:
    """20 of them: five distances along rows, columns and both diagonals, in one slice."""
    of = read[name]
    found = {
        one.code.meaning: one.value
        for one in texture.measure(of.volume, of.roi, Role.PLAIN)
        if isinstance(one, Quantity)
    }
    for step, (x, y) in product(range(1, 6), ((1, 0), (0, 1), (1, 1), (1, -1))):
        value = found[f"S({step * x},{step * y})Correlat (MaZda-like)"]
        expected = TEXTURES[name].correlation((step * x * PIXEL_MM, step * y * PIXEL_MM, 0.0))
        assert value == pytest.approx(expected, abs=0.06), (step, x, y)
