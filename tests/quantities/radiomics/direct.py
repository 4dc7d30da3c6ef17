"""IBSI's definitions written out voxel by voxel, slow and without any of the engine's mathematics."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np

Place = tuple[int, int, int]
STEPS = [step for step in product((-1, 0, 1), repeat=3) if step != (0, 0, 0)]
IN_PLANE = [step for step in STEPS if step[0] == 0]


def region(levels: np.ndarray) -> dict[Place, int]:
    """Grey level by voxel; 0 is outside."""
    return {tuple(map(int, at)): int(levels[tuple(at)]) for at in np.argwhere(levels)}


def moved(at: Place, step: Place, times: int = 1) -> Place:
    return at[0] + times * step[0], at[1] + times * step[1], at[2] + times * step[2]


def cooccurrence(levels: np.ndarray, step: Place) -> Counter[tuple[int, int]]:
    """Ordered pairs of neighbours along a step, both ways."""
    found: Counter[tuple[int, int]] = Counter()
    inside = region(levels)
    for at, level in inside.items():
        for direction in (step, moved((0, 0, 0), step, -1)):
            other = inside.get(moved(at, direction))
            if other is not None:
                found[level, other] += 1
    return found


def runs(levels: np.ndarray, step: Place) -> Counter[tuple[int, int]]:
    """(level, length) of every run along a step."""
    found: Counter[tuple[int, int]] = Counter()
    inside = region(levels)
    for at, level in inside.items():
        if inside.get(moved(at, step, -1)) == level:
            continue
        length = 1
        while inside.get(moved(at, step, length)) == level:
            length += 1
        found[level, length] += 1
    return found


def zones(levels: np.ndarray, steps: list[Place]) -> list[tuple[int, set[Place]]]:
    """Connected sets of one level."""
    inside, found = region(levels), []
    left = set(inside)
    while left:
        begin = left.pop()
        zone, front = {begin}, [begin]
        while front:
            at = front.pop()
            for step in steps:
                other = moved(at, step)
                if other in left and inside[other] == inside[begin]:
                    left.remove(other)
                    zone.add(other)
                    front.append(other)
        found.append((inside[begin], zone))
    return found


def depth(at: Place, mask: np.ndarray, *, in_plane: bool) -> int:
    """City-block steps from a voxel to the nearest place outside the mask; beyond the image is outside."""
    outside = [
        place
        for place in product(*(range(-1, n + 1) for n in mask.shape))
        if not (all(0 <= p < n for p, n in zip(place, mask.shape, strict=True)) and mask[place])
        and (place[0] == at[0] or not in_plane)
    ]
    return min(sum(abs(p - a) for p, a in zip(place, at, strict=True)) for place in outside)


def neighbours(levels: np.ndarray, steps: list[Place]) -> list[tuple[int, list[int]]]:
    """The level of every voxel and those of its neighbours in the region."""
    inside = region(levels)
    return [
        (level, [inside[moved(at, step)] for step in steps if moved(at, step) in inside])
        for at, level in inside.items()
    ]


def moran_and_geary(x: np.ndarray, mask: np.ndarray, spacing: tuple[float, float, float]) -> tuple[float, float]:
    """Both by the double sum over voxels."""
    places, values = np.argwhere(mask) * np.asarray(spacing), x[mask]
    n, mean = len(values), values.mean()
    weights = products = differences = 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                w = 1 / float(np.linalg.norm(places[i] - places[j]))
                weights += w
                products += w * (values[i] - mean) * (values[j] - mean)
                differences += w * (values[i] - values[j]) ** 2
    energy = float(((values - mean) ** 2).sum())
    return n * products / (weights * energy), (n - 1) * differences / (2 * weights * energy)


def sphere_mean(image: np.ndarray, at: Place, spacing: tuple[float, float, float], radius_mm: float) -> float:
    places = np.indices(image.shape).reshape(3, -1).T
    distance = np.linalg.norm((places - np.asarray(at)) * np.asarray(spacing), axis=1)
    return float(image.ravel()[distance <= radius_mm].mean())
