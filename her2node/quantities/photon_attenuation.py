"""How iodine and water attenuate photons, and what a milligram of iodine in a millilitre adds in Hounsfield units.

Total mass attenuation coefficients (photoelectric, coherent and incoherent) of Elam, Ravel and Sieber, Radiat. Phys.
Chem. 63 (2002) 121, as XrayDB 4.5.8 (public domain) tabulates them, for 40 to 190 keV: the energies of virtual
mono-energetic images, all above iodine's K edge at 33.2 keV. Between the nodes a cubic spline of the logarithms is
within 2e-5 of the source. Scanners calibrate on phantoms of their own, so their maps may differ by some per cent.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.interpolate import CubicSpline

from her2node.errors import InvalidAttribute

LOWEST_KEV, HIGHEST_KEV, _STEP_KEV = 40.0, 190.0, 5.0
_WATER = (
    0.26827494, 0.24362082, 0.22693574, 0.21494239, 0.20587255, 0.19871116, 0.19285149, 0.18791505,
    0.18365562, 0.1799065, 0.1765528, 0.17351186, 0.17072359, 0.16814407, 0.16573865, 0.16348126,
    0.16135144, 0.15933293, 0.15741259, 0.15557965, 0.15382521, 0.1521418, 0.15052312, 0.14896374,
    0.14745931, 0.14600598, 0.14460037, 0.14323947, 0.14192059, 0.1406413, 0.1393994,
)  # fmt: skip
"""cm2/g at 40, 45 ... 190 keV; with 1 g/ml also the linear attenuation in 1/cm."""
_IODINE = (
    22.095842, 16.261348, 12.32351, 9.5629165, 7.5769999, 6.1157037, 5.0156067, 4.1706404,
    3.5102868, 2.9862878, 2.5652594, 2.2231027, 1.9421651, 1.7093744, 1.5147391, 1.3507013,
    1.2114325, 1.0923892, 0.98999414, 0.90140456, 0.82434233, 0.75696716, 0.69778143, 0.64555725,
    0.59928588, 0.5581288, 0.52138568, 0.48846854, 0.45888128, 0.43220335, 0.40807668,
)  # fmt: skip


def hu_of_iodine(kev: float) -> float:
    """Hounsfield units that 1 mg/ml of iodine adds to water at a photon energy: (mu/rho of iodine) / (mu/rho of water).

    From HU = 1000 (mu / mu of water - 1), 1 mg/ml = 1e-3 g/ml and water at 1 g/ml. Raises InvalidAttribute below 40 and
    above 190 keV.
    """
    if not LOWEST_KEV <= kev <= HIGHEST_KEV:
        raise InvalidAttribute(f"{kev:g} keV: attenuation is known from {LOWEST_KEV:g} to {HIGHEST_KEV:g} keV")
    return float(np.exp(_log_ratio()(np.log(kev))))


@cache
def _log_ratio() -> CubicSpline:
    energies = np.arange(LOWEST_KEV, HIGHEST_KEV + _STEP_KEV / 2, _STEP_KEV)
    return CubicSpline(np.log(energies), np.log(np.array(_IODINE) / np.array(_WATER)))
