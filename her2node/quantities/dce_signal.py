"""The signal of a DCE examination made ready: sequence, baseline, arrival, R1, and concentration block by block.

What settings may change stands in ``DceFactors``, and whatever was assumed is said in words that every result prints.
The curve that tells when the contrast comes is that of the given artery, else the mean of the voxels of the body that
rise most; the samples before it rises are the baseline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from her2node.errors import (
    EmptyRoi,
    InvalidAttribute,
    MissingAttribute,
    NoArterialInput,
    NoEnhancement,
    Refused,
    TooFewTimePoints,
)
from her2node.quantities import kinetics, relaxation
from her2node.quantities.bolus import Bolus, bolus_of
from her2node.quantities.kinetics import Floats, in_blocks
from her2node.volumes.dce import DceVolume, FlipAngleSeries
from her2node.volumes.volume import Bools
from her2node.volumes.volume import Floats as Voxels

Places = npt.NDArray[np.intp]

LEAST_ARTERIAL_RISE = 0.5
"""Share of the baseline by which the signal of an artery must rise."""
LEAST_BODY_RISE = 0.1
"""The same of the voxels that rise most, where no artery is given."""
FASTEST_SHARE = 0.01
"""Of the body: the voxels whose mean tells when contrast comes, where no artery is given."""
FEWEST_FASTEST = 10
FOOT = 0.002
"""Share of the peak from which on a sample belongs to the bolus, where noise does not hide it."""
CERTAIN = 3.0
"""Standard errors by which a curve must rise to have taken up contrast."""
_LEAST = 1e-6
UNSTEADY = 0.05
"""Share of the body's signal before contrast by which a first image lies above the others that was acquired before the
magnetisation was steady: of the steady signal an image has as much to a few per cent."""
_LEFT_OUT = "first image left out: far above the others before contrast, so not steady yet"
LONGEST_REPETITION_MS = 100.0
"""A spoiled echo of a dynamic is repeated sooner; a longer time is not that of the excitations."""


@dataclass(frozen=True)
class DceFactors:
    """What turns signal into transfer of contrast; set by the site and printed.

    ``model`` of the voxel maps: tofts, extended-tofts, patlak or 2cxm. ``relaxivity`` r1 in /s/mM, 0: by agent and
    field. ``haematocrit`` turns blood into plasma. ``t1_s`` of tissue where no flip angles were acquired, 1 s as in
    QIBA's reference object: a stomach's own T1 is not known better. ``blood_t1_s``, 0: by field. ``population_aif``
    where no artery is given: parker or georgiou.
    """

    model: str = "extended-tofts"
    relaxivity: float = 0.0
    haematocrit: float = 0.45
    t1_s: float = 1.0
    blood_t1_s: float = 0.0
    population_aif: str = "parker"
    correct_motion: bool = True
    """Whether time points are shifted onto each other before curves are taken."""

    @property
    def words(self) -> tuple[str, ...]:
        """As a report prints them, but for what the examination itself tells (``Signal.words``)."""
        return (f"haematocrit {self.haematocrit:g}",)


FACTORS = DceFactors()
"""What holds where a site sets nothing."""


@dataclass(frozen=True)
class Sequence:
    """A spoiled gradient echo, and r1 (/s/mM) of the agent at its field."""

    repetition_s: float
    flip_deg: float
    relaxivity: float
    blood_t1_s: float
    words: tuple[str, ...]


def sequence_of(volume: DceVolume, factors: DceFactors) -> Sequence:
    """The sequence of a dynamic. Raises MissingAttribute or InvalidAttribute, which name the keyword."""
    repetition_ms = _within("RepetitionTime", volume.repetition_time_ms, LONGEST_REPETITION_MS)
    flip_deg = _within("FlipAngle", volume.flip_angle_deg, 90.0)
    relaxivity = (
        relaxation.Told(factors.relaxivity, f"relaxivity {factors.relaxivity:g} /s/mM as set")
        if factors.relaxivity
        else relaxation.relaxivity_of(volume.contrast.agent, volume.field_strength_t)
    )
    blood = (
        relaxation.Told(factors.blood_t1_s, f"T1 of blood {factors.blood_t1_s:g} s as set")
        if factors.blood_t1_s
        else relaxation.blood_t1_of(volume.field_strength_t)
    )
    words = (f"spoiled gradient echo, TR {repetition_ms:g} ms, flip angle {flip_deg:g}", relaxivity.words)
    return Sequence(repetition_ms / 1000, flip_deg, relaxivity.value, blood.value, (*words, blood.words))


def _within(keyword: str, value: float | None, most: float) -> float:
    if value is None:
        raise MissingAttribute(keyword)
    if not 0 < value <= most:
        raise InvalidAttribute(f"{keyword} holds {value:g}, above 0 and at most {most:g} expected")
    return value


@dataclass(frozen=True)
class Signal:
    """An examination whose arrival is known, and how many images lie before it (``baseline``).

    ``sequence`` is the Refused that stands in its place where the header does not tell it. ``r1`` (slices, rows,
    columns) 1/s, NaN where a voxel has none; None where no flip angles were acquired.
    """

    volume: DceVolume
    factors: DceFactors
    body: Bools = field(repr=False)
    bolus: Bolus
    baseline: int
    sequence: Sequence | Refused
    r1: Voxels | None = field(repr=False)
    words: tuple[str, ...]

    @property
    def arrival_s(self) -> float:
        return self.bolus.arrival_s

    def curves(self, places: Places) -> Floats:
        """Signals (n, t) at places in the flat grid."""
        flat = self.volume.voxels.reshape(len(self.volume.times_s), -1)
        return np.ascontiguousarray(flat[:, places].T, dtype=np.float64)

    def mean_curve(self, places: Places) -> Floats:
        """The mean signal (1, t) of places, of which there is one at least."""
        total = sum((self.curves(some).sum(axis=0, keepdims=True) for some in in_blocks(places)), np.zeros(1))
        return np.asarray(total / len(places))

    def mean_concentration(self, places: Places) -> Floats | None:
        """The mean contrast (1, t) in mM of those places that have one at every time; None where none has."""
        total, count = np.zeros((1, len(self.volume.times_s))), 0
        for some in in_blocks(places):
            found = self.concentration(self.curves(some), self.rates(some))
            found = found[np.isfinite(found).all(axis=1)]
            total, count = total + found.sum(axis=0, keepdims=True), count + len(found)
        return total / count if count else None

    def before(self, curves: Floats) -> Floats:
        """The mean (n,) of the samples before contrast."""
        return np.asarray(curves[:, : self.baseline].mean(axis=1))

    def relative(self, curves: Floats) -> Floats:
        """Relative enhancement S / S0 - 1; NaN where there is no signal before."""
        before = self.before(curves)[:, np.newaxis]
        return np.divide(curves, before, out=np.full_like(curves, np.nan), where=before > 0) - 1

    def rising(self, curves: Floats) -> Bools:
        """Whether curves (n, t) take up contrast: the mean after the arrival lies ``CERTAIN`` standard errors above
        that before."""
        times_s = self.volume.times_s
        after = curves[:, times_s > self.arrival_s]
        before = self.before(curves)
        error = kinetics.noise(times_s, curves) * np.sqrt(1 / self.baseline + 1 / after.shape[1])
        return np.asarray(after.mean(axis=1) - before > np.maximum(CERTAIN * error, _LEAST * np.abs(before)))

    def rates(self, places: Places) -> Floats:
        """R1 (n,) before contrast; the same for all where no flip angles were acquired."""
        if self.r1 is None:
            return np.full(len(places), 1 / self.factors.t1_s)
        return np.asarray(self.r1.reshape(-1)[places], dtype=np.float64)

    def concentration(self, curves: Floats, rates: Floats) -> Floats:
        """Contrast (n, t) in mM; NaN where the signal permits none. Raises what stands in place of the sequence."""
        if isinstance(self.sequence, Refused):
            raise self.sequence
        one = self.sequence
        return relaxation.concentration(
            curves, self.before(curves), rates, one.flip_deg, one.repetition_s, one.relaxivity
        )

    def blocks(self) -> Iterator[Places]:
        """The places of the body, so many at a time."""
        return in_blocks(np.flatnonzero(self.body))


def signal_of(
    volume: DceVolume,
    flip_angles: FlipAngleSeries | Refused | None,
    factors: DceFactors,
    body: Bools,
    artery: Bools | None,
) -> Signal:
    """Prepare an examination. ``body`` and ``artery`` (slices, rows, columns). ``flip_angles`` is the Refused that says
    why flip angles which were acquired cannot be read, or None where there are none.

    Raises what ``bolus_of`` raises, EmptyRoi, and NoEnhancement where nothing in the body takes up contrast.
    """
    body = body & volume.valid
    bolus, count, words = _arrival(volume, body, artery)
    if _unsteady(volume, body, count):
        volume = _without_first(volume)
        try:
            bolus, count, words = _arrival(volume, body, artery)
        except TooFewTimePoints as error:
            raise TooFewTimePoints(f"{error.detail}; {_LEFT_OUT}") from error
        words = (_LEFT_OUT, *words)
    words = (*words, f"baseline of {count} image{'s' if count > 1 else ''}, arrival at {bolus.arrival_s:.1f} s")
    sequence, r1 = _physics(volume, flip_angles, factors, body)
    told = sequence.words if isinstance(sequence, Sequence) else ()
    words = (*told, _t1_words(flip_angles, factors), *words, *factors.words)
    return Signal(volume, factors, body, bolus, count, sequence, r1, words)


def _arrival(volume: DceVolume, body: Bools, artery: Bools | None) -> tuple[Bolus, int, tuple[str, ...]]:
    """The bolus, how many images lie before it, and how that was found."""
    curve, from_artery, words = _first_curve(volume, body, artery)
    bolus = bolus_of(volume.times_s, curve, LEAST_ARTERIAL_RISE if from_artery else LEAST_BODY_RISE)
    return bolus, _baseline(bolus, curve), words


def _unsteady(volume: DceVolume, body: Bools, count: int) -> bool:
    """Whether the first of ``count`` images before contrast is brighter than the others by more than their noise and
    ``UNSTEADY``. The artery does not tell it: blood flows in steady."""
    if count < 2 or not body.any():
        return False
    curve = np.array([image[body].mean(dtype=np.float64) for image in volume.voxels])
    others = float(curve[1:count].mean())
    chance = CERTAIN * float(kinetics.noise(volume.times_s, curve[np.newaxis])[0]) * np.sqrt(1 + 1 / (count - 1))
    return bool(curve[0] - others > max(chance, UNSTEADY * others))


def _without_first(volume: DceVolume) -> DceVolume:
    """All but the first time point, at the times that they had."""
    apart = len(volume.series_uids) == len(volume.times_s)
    return replace(
        volume,
        voxels=volume.voxels[1:],
        times_s=volume.times_s[1:],
        sources=volume.sources[1:],
        series_uids=volume.series_uids[1:] if apart else volume.series_uids,
    )


def _baseline(bolus: Bolus, curve: Floats) -> int:
    """Of the samples before the bolus those at whose end it has not begun to rise: an arterial foot of a few per cent
    of the peak would else raise the signal before contrast, and with it the concentration of all that follows."""
    risen = max(CERTAIN * float(kinetics.noise(bolus.times_s, curve[np.newaxis])[0]), FOOT * bolus.peak)
    count = bolus.baseline
    while count > 1 and curve[count - 1] - curve[: count - 1].mean() > risen:
        count -= 1
    return count


def _physics(
    volume: DceVolume, flip_angles: FlipAngleSeries | Refused | None, factors: DceFactors, body: Bools
) -> tuple[Sequence | Refused, Voxels | None]:
    """The sequence and R1, or why there are none: without them signal stays signal."""
    if isinstance(flip_angles, Refused):
        return flip_angles, None
    try:
        return sequence_of(volume, factors), None if flip_angles is None else _r1(flip_angles, body)
    except (MissingAttribute, InvalidAttribute) as error:
        return error, None


def _first_curve(volume: DceVolume, body: Bools, artery: Bools | None) -> tuple[Floats, bool, tuple[str, ...]]:
    """Relative enhancement (t,) where contrast comes first."""
    if artery is not None:
        mask = artery & volume.valid
        if not mask.any():
            raise EmptyRoi("the artery")
        return _relative(volume.voxels[:, mask].mean(axis=1, dtype=np.float64), "the artery"), True, ()
    if not body.any():
        raise NoEnhancement("there is no body in the image")
    flat = volume.voxels.reshape(len(volume.voxels), -1)
    places = np.flatnonzero(body)
    first = flat[0, places].astype(np.float64)
    total = sum((image[places].astype(np.float64) for image in flat), np.zeros(len(places)))
    rise = np.where(first > 0, total / len(flat) - first, 0.0)
    count = max(FEWEST_FASTEST, int(FASTEST_SHARE * len(places)))
    fastest = places[np.argsort(-rise, kind="stable")[:count]]
    words = (f"arrival by the {len(fastest)} voxels that rise most",)
    return _relative(flat[:, fastest].mean(axis=1, dtype=np.float64), "the body"), False, words


def _relative(curve: Floats, name: str) -> Floats:
    """Over the lowest sample, so that a curve that only falls shows how much."""
    if not curve.min() > 0:
        raise NoArterialInput(f"there is no signal in {name} in some image")
    return np.asarray(curve / curve.min() - 1)


def _r1(flip_angles: FlipAngleSeries, body: Bools) -> Voxels:
    """R1 (1/s) on the grid within the body. Raises InvalidAttribute, MissingAttribute."""
    repetition_ms = _within("RepetitionTime", flip_angles.repetition_time_ms, LONGEST_REPETITION_MS)
    angles = [_within("FlipAngle", angle, 90.0) for angle in flip_angles.flip_angles_deg]
    if len(set(angles)) < 2:
        raise MissingAttribute("a second FlipAngle, without which T1 cannot be had")
    found = np.full(body.shape, np.nan, dtype=np.float32)
    flat, places = flip_angles.voxels.reshape(len(angles), -1), np.flatnonzero(body)
    for some in in_blocks(places):
        signal = flat[:, some].astype(np.float64)
        found.reshape(-1)[some] = relaxation.by_flip_angles(signal, np.array(angles), repetition_ms / 1000).r1
    found.flags.writeable = False
    return found


def _t1_words(flip_angles: FlipAngleSeries | Refused | None, factors: DceFactors) -> str:
    if isinstance(flip_angles, Refused):
        return f"T1 of tissue not known: {flip_angles}"
    if flip_angles is None:
        return f"T1 of tissue {factors.t1_s:g} s assumed: there are no flip angles that it could be measured by"
    angles = ", ".join(f"{angle:g}" for angle in flip_angles.flip_angles_deg)
    return f"T1 by flip angles {angles} as prescribed, TR {flip_angles.repetition_time_ms:g} ms"
