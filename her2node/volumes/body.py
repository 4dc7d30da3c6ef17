"""The patient's body as PET needs it: weight, size, sex, and the masses by which uptake is normalised."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from her2node.dicom.attributes import number, text
from her2node.errors import InvalidAttribute, MissingAttribute

_GRAMS_ABOVE = 1000.0
_WEIGHTS_KG = 2.0, 400.0
"""From a newborn to more than a scanner's table carries. A size written into the weight (1.75) falls out."""
_BODY_MASS_INDICES = 5.0, 150.0
"""kg/m2 that no living patient leaves. Weight and size that changed places (175 kg, 70 cm) do."""
OF_BOTH_SEXES = "PatientSex is O: the mean of both sexes' masses is taken"


@dataclass(frozen=True)
class Body:
    """What the header says. Weight and size are None where it says nothing; a mass that needs them raises then."""

    weight: float | None
    size_m: float | None
    sex: str

    @property
    def weight_kg(self) -> float:
        """Raises MissingAttribute."""
        if self.weight is None:
            raise MissingAttribute("PatientWeight")
        return self.weight

    @property
    def size_cm(self) -> float:
        """Raises MissingAttribute."""
        if self.size_m is None:
            raise MissingAttribute("PatientSize")
        return 100 * self.size_m

    @property
    def lean_morgan_kg(self) -> float:
        """Lean body mass: M 1.10 W - 120 (W/H)^2, F 1.07 W - 148 (W/H)^2; W kg, H cm (Morgan and Bray 1994)."""
        ratio = (self.weight_kg / self.size_cm) ** 2
        return self._by_sex(1.10 * self.weight_kg - 120 * ratio, 1.07 * self.weight_kg - 148 * ratio)

    @property
    def lean_james_kg(self) -> float:
        """Lean body mass: M 1.10 W - 128 (W/H)^2, F 1.07 W - 148 (W/H)^2 (James 1976)."""
        ratio = (self.weight_kg / self.size_cm) ** 2
        return self._by_sex(1.10 * self.weight_kg - 128 * ratio, 1.07 * self.weight_kg - 148 * ratio)

    @property
    def lean_janmahasatian_kg(self) -> float:
        """Lean body mass: M 9270 W / (6680 + 216 BMI), F 9270 W / (8780 + 244 BMI) (Janmahasatian 2005)."""
        bmi = self.weight_kg / (self.size_cm / 100) ** 2
        return self._by_sex(9270 * self.weight_kg / (6680 + 216 * bmi), 9270 * self.weight_kg / (8780 + 244 * bmi))

    @property
    def ideal_kg(self) -> float:
        """Ideal body weight: M 48 + 1.06 (H - 152), F 45.5 + 0.91 (H - 152)."""
        return self._by_sex(48.0 + 1.06 * (self.size_cm - 152), 45.5 + 0.91 * (self.size_cm - 152))

    @property
    def surface_cm2(self) -> float:
        """Body surface: 10^4 x 0.007184 W^0.425 H^0.725 (Du Bois 1916)."""
        return float(1e4 * 0.007184 * self.weight_kg**0.425 * self.size_cm**0.725)

    def _by_sex(self, male: float, female: float) -> float:
        """For PatientSex O the mean of both (IBSI-SUV). Raises MissingAttribute, InvalidAttribute."""
        if self.sex not in ("M", "F", "O"):
            raise MissingAttribute("PatientSex")
        found = {"M": male, "F": female, "O": (male + female) / 2}[self.sex]
        if found <= 0:
            raise InvalidAttribute(f"PatientWeight {self.weight_kg:g} kg with PatientSize {self.size_cm:g} cm")
        return found


def body_of(header: Dataset) -> tuple[Body, tuple[str, ...]]:
    """The body as the header describes it, and the rules that were applied to read it: a weight above 1000 is in grams,
    a size above 3 in centimetres.

    Raises InvalidAttribute for a negative weight or size, and for what is then no body: a weight outside 2 to 400 kg
    or, where the size is known, a body-mass index outside 5 to 150 kg/m2. SUV is proportional to the weight, so such a
    number would change every value, and no other attribute would tell.
    """
    notes: tuple[str, ...] = ()
    weight = _positive(header, "PatientWeight")
    if weight is not None and weight > _GRAMS_ABOVE:
        notes = (f"PatientWeight {weight:g} is taken for grams",)
        weight /= 1000
    size = _positive(header, "PatientSize")
    if size is not None and size > 3:
        notes = (*notes, f"PatientSize {size:g} is taken for centimetres")
        size /= 100
    _need_human(weight, size)
    return Body(weight, size, text(header, "PatientSex").upper()), notes


def _need_human(weight: float | None, size: float | None) -> None:
    if weight is None:
        return
    low, high = _WEIGHTS_KG
    if not low <= weight <= high:
        raise InvalidAttribute(f"PatientWeight of {weight:g} kg: no patient's, which are of {low:g} to {high:g} kg")
    low, high = _BODY_MASS_INDICES
    if size is not None and not low <= (index := weight / size / size) <= high:
        raise InvalidAttribute(
            f"PatientWeight of {weight:g} kg with PatientSize of {size:g} m: a body-mass index of {index:.3g} kg/m2, "
            f"and no patient's is outside {low:g} to {high:g}"
        )


def _positive(header: Dataset, keyword: str) -> float | None:
    found = number(header, keyword)
    if found is not None and found < 0:
        raise InvalidAttribute(f"{keyword} holds {found:g}")
    return found or None
