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
    0.268275, 0.243621, 0.226936, 0.214942, 0.205873, 0.198711, 0.192851, 0.187915, 0.183656, 0.179906, 0.176553,
    0.173512, 0.170724, 0.168144, 0.165739, 0.163481, 0.161351, 0.159333, 0.157413, 0.155580, 0.153825, 0.152142,
    0.150523, 0.148964, 0.147459, 0.146006, 0.144600, 0.143239, 0.141921, 0.140641, 0.139399,
)  # fmt: skip
"""cm2/g at 40, 45 ... 190 keV; with 1 g/ml also the linear attenuation in 1/cm."""
_IODINE = (
    22.0958, 16.2613, 12.3235, 9.56292, 7.57700, 6.11570, 5.01561, 4.17064, 3.51029, 2.98629, 2.56526,
    2.22310, 1.94217, 1.70937, 1.51474, 1.35070, 1.21143, 1.09239, 0.989994, 0.901405, 0.824342, 0.756967,
    0.697781, 0.645557, 0.599286, 0.558129, 0.521386, 0.488469, 0.458881, 0.432203, 0.408077,
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
