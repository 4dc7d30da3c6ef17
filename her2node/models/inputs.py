"""From quantities and entered values to the inputs of a package: every case that is still possible."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from her2node.dicom.codes import Code, Dce
from her2node.errors import (
    InputMissing,
    InputRefused,
    QuantityAmbiguous,
    QuantityMissing,
    Refused,
    ScannerUnknown,
)
from her2node.models.applicability import Played, check
from her2node.models.manifest import SCANNER, Manifest, QuantityInput, ReaderInput
from her2node.models.prediction import Flag, InputUsed
from her2node.models.units import convert
from her2node.models.wanted import ScannerInput
from her2node.quantities.quantity import NotMeasured, Quantity

_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0, "是": 1.0, "有": 1.0, "否": 0.0, "无": 0.0}
LARGEST_ALTERNATIVES = 64
_NEVER_UNNAMED = Dce.OF_PHASES, Dce.RATIO_OF_PHASES
"""Methods that bear the code of another quantity: what they count from the first image, the others count from the
arrival of the contrast."""


@dataclass(frozen=True)
class Where:
    """Where a package's quantities are measured: the tumour's tracking id, and the series chosen for each role.

    ``passed_over``: series of its phases that are reconstructed for others; what was measured with them is not meant.
    ``scanners``: those that its series were made on, Manufacturer and ManufacturerModelName, each once.
    """

    tumour: str | None
    series_uids: Mapping[Played, str]
    passed_over: frozenset[str] = frozenset()
    scanners: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """``cases``: every set of inputs that is possible, in the order of the manifest's inputs and their values.
    ``open_inputs``: those that a reader has not entered. ``flags``: values outside the package's usual ranges, and
    what the measured ones are flagged with."""

    cases: tuple[tuple[InputUsed, ...], ...]
    open_inputs: tuple[str, ...]
    flags: tuple[Flag, ...]


def gather(
    manifest: Manifest,
    quantities: Sequence[Quantity],
    not_measured: Sequence[NotMeasured],
    where: Where,
    entered: Mapping[str, str],
) -> Inputs:
    """All inputs of a package.

    Raises InputRefused for an entered value that the package does not allow, InputMissing for one that is missing and
    has no list of values, ScannerUnknown, OutsideIntendedUse beyond a hard limit, UnknownUnit, QuantityAmbiguous, and
    for a quantity that could not be measured the reason why.
    """
    choices: list[tuple[InputUsed, ...]] = []
    flags: list[Flag] = []
    for given in manifest.inputs:
        if isinstance(given, QuantityInput):
            quantity = _wanted(given, quantities, not_measured, where)
            used: tuple[InputUsed, ...] = (_measured(given, quantity),)
            flags += (Flag("measurement", f"{given.name}: {flag}") for flag in quantity.flags)
        elif isinstance(given, ScannerInput):
            used = (_scanner(given, where, entered),)
        else:
            used = tuple(_from_reader(given, entered))
        if used[0].source != "assumed":
            flags += check("input-range", given.name, used[0].value, given.unit, given.limits)
        choices.append(used)
    if math.prod(map(len, choices)) > LARGEST_ALTERNATIVES:
        raise InputMissing(", ".join(used[0].name for used in choices if used[0].source == "assumed"))
    open_inputs = tuple(used[0].name for used in choices if used[0].source == "assumed")
    return Inputs(tuple(product(*choices)), open_inputs, tuple(flags))


def entered_value(given: ReaderInput, said: str) -> float:
    """What a reader entered as a number (1/0, yes/no, true/false, 是/否). Raises InputRefused."""
    try:
        value = _WORDS[said.strip().lower()] if said.strip().lower() in _WORDS else float(said)
    except ValueError as error:
        raise InputRefused(f"{given.name} = '{said}' is no number") from error
    allowed = value in given.values if given.values else math.isfinite(value)
    if not allowed:
        wanted = f"one of {', '.join(f'{v:g}' for v in given.values)}" if given.values else "a number"
        raise InputRefused(f"{given.name} = '{said}', {wanted} expected")
    return value


def scanner_of(where: Where, told: str) -> str:
    """The scanner by the name that training, evaluation and the node know it by: what a reader or a table tells of it,
    else what the headers of all series tell alike. Raises ScannerUnknown."""
    names = (told.strip(),) if told.strip() else tuple(filter(None, where.scanners))
    if len(names) == 1:
        return names[0]
    why = f"the series were made on {' and '.join(names)}" if names else "the headers tell neither maker nor model"
    raise ScannerUnknown(why, remedy=f"say {SCANNER}=NAME")


def _scanner(given: ScannerInput, where: Where, entered: Mapping[str, str]) -> InputUsed:
    told = entered.get(given.name, "")
    name = scanner_of(where, told)
    if name not in given.scanners:
        known = ", ".join(given.scanners)
        raise ScannerUnknown(name, remedy=f"harmonised are {known}; if it is one of them, enter {given.name}=NAME")
    source = "entered" if told.strip() else "header"
    return InputUsed(given.name, float(given.scanners.index(name)), given.unit, source, method=name)


def _from_reader(given: ReaderInput, entered: Mapping[str, str]) -> Iterator[InputUsed]:
    if given.name in entered:
        yield InputUsed(given.name, entered_value(given, entered[given.name]), given.unit, "entered")
    elif given.values:
        yield from (InputUsed(given.name, value, given.unit, "assumed") for value in given.values)
    else:
        raise InputMissing(given.name, remedy=f"enter {given.name}=VALUE: {given.meaning}")


def _wanted(
    given: QuantityInput, quantities: Sequence[Quantity], not_measured: Sequence[NotMeasured], where: Where
) -> Quantity:
    """The one quantity that is meant: measured in the tumour on the chosen series of the role, by the one method, which
    the package has to name where its code alone does not say what is meant."""
    series_uid = where.series_uids[given.role, given.phase]
    mine = [one for one in quantities if one.roi == where.tumour and series_uid in one.series_uids]
    mine = [one for one in mine if where.passed_over.isdisjoint(one.series_uids)]
    found = [quantity for quantity in mine if _is(given, quantity)]
    if not found:
        raise _why_not(given, not_measured, where.tumour, series_uid)
    if len(found) > 1:
        methods = ", ".join(quantity.method.meaning if quantity.method else "no named method" for quantity in found)
        raise QuantityAmbiguous(f"{given.name} ({given.code.meaning}, {given.role}): {methods}")
    if given.method is None and any(_by(method, found[0].method) for method in _NEVER_UNNAMED):
        raise QuantityAmbiguous(
            f"{given.name} ({given.code.meaning}, {given.role}): measured in a few phases from the first image on, and "
            "the package names no method"
        )
    return found[0]


def _measured(given: QuantityInput, quantity: Quantity) -> InputUsed:
    value = convert(quantity.value, quantity.unit.value, given.unit)
    method = quantity.method.meaning if quantity.method else ""
    return InputUsed(given.name, value, given.unit, "measured", quantity.series_uids, method)


def _is(given: QuantityInput, quantity: Quantity) -> bool:
    """By code value and scheme; meanings are for people. A method counts only where the package names one."""
    wanted = (given.role, given.phase, _key(given.code), _key(given.modifier))
    phase = quantity.phase if given.phase else None
    if wanted != (quantity.role, phase, _key(quantity.code), _key(quantity.modifier)):
        return False
    return given.method is None or _by(given.method, quantity.method)


def _is_of(given: QuantityInput, refusal: NotMeasured) -> bool:
    if _key(refusal.code) != _key(given.code) or _key(refusal.modifier) not in (None, _key(given.modifier)):
        return False
    return given.method is None or refusal.method is None or _by(given.method, refusal.method)


def _by(wanted: Code, method: Code | None) -> bool:
    """Whether ``method`` is the wanted one, or one of the family ``NAME*``."""
    if method is None or method.scheme != wanted.scheme:
        return False
    family, star, _ = wanted.value.partition("*")
    return method.value.startswith(family) if star else method.value == wanted.value


def _key(code: Code | None) -> tuple[str, str] | None:
    return None if code is None else (code.value, code.scheme)


def _why_not(given: QuantityInput, not_measured: Sequence[NotMeasured], tumour: str | None, series_uid: str) -> Refused:
    """The refusal of this quantity, else that of its series or ROI, else that nobody measures it. A refusal that names
    no modifier or no method is of them all."""
    mine = [refusal for refusal in not_measured if refusal.role is given.role and refusal.roi in (tumour, "")]
    mine = [refusal for refusal in mine if not refusal.series_uids or series_uid in refusal.series_uids]
    mine = [refusal for refusal in mine if given.phase is None or refusal.phase is given.phase]
    exact = [refusal for refusal in mine if _is_of(given, refusal)]
    whole = [refusal for refusal in mine if refusal.code is None]
    for refusal in (*exact, *whole):
        return refusal.refused
    how = f" by {given.method.meaning}" if given.method else ""
    return QuantityMissing(f"{given.name} ({given.code.meaning}{how}, {given.role}) was not measured")
