"""The strength of an MR scanner's magnet, in tesla, whichever unit the header gives it in."""

from __future__ import annotations

from pydicom.dataset import Dataset

from her2node.dicom.attributes import number
from her2node.errors import InvalidAttribute

GAUSS_PER_TESLA = 1e4
STRONGEST_T = 25.0
"""No magnet for patients or animals is stronger."""
WEAKEST_T = 0.005
"""5 mT, 50 gauss: no clinical scanner is weaker."""


def field_strength_t(ds: Dataset) -> tuple[float | None, tuple[str, ...]]:
    """MagneticFieldStrength (0018,0087) in tesla, None where the header says nothing, and the rule that was applied.

    The Standard's unit is tesla (PS3.3 C.8.3.1); scanners of the nineties wrote gauss, as 3500 or 15000. A number that
    is no strength in tesla is taken for gauss, and told. Raises InvalidAttribute for what is neither.
    """
    given = number(ds, "MagneticFieldStrength")
    if not given:
        return None, ()
    if WEAKEST_T <= given <= STRONGEST_T:
        return given, ()
    if WEAKEST_T * GAUSS_PER_TESLA <= given <= STRONGEST_T * GAUSS_PER_TESLA:
        tesla = given / GAUSS_PER_TESLA
        return tesla, (f"MagneticFieldStrength {given:g} is taken for gauss: {tesla:g} T",)
    raise InvalidAttribute(f"MagneticFieldStrength holds {given:g}, which is a strength in neither tesla nor gauss")
