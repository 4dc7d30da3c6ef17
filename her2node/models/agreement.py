"""Whether several packages say the same of one study, in words. They are never combined into one number."""

from __future__ import annotations

from collections.abc import Sequence

from her2node.models.prediction import Category, Prediction

_ORDER = (Category.LIKELY, Category.INDETERMINATE, Category.UNLIKELY)


def agreement(predictions: Sequence[Prediction]) -> str:
    """A plain summary of two or more predictions; '' for fewer.

    A package that is answered for several values of what nobody entered stands with all its categories. Packages
    disagree when one can only be likely and another only unlikely, agree when all say one and the same category.
    """
    if len(predictions) < 2:
        return ""
    said = "; ".join(f"{prediction.package.name} {_words(_of(prediction))}" for prediction in predictions)
    return f"{len(predictions)} packages gave an estimate: {said}. {_judged([_of(p) for p in predictions])} {_APART}"


_APART = "They are not combined: each stands on a cohort, a prior and inputs of its own."


def _of(prediction: Prediction) -> frozenset[Category]:
    return frozenset(answer.category for answer in prediction.answers)


def _words(categories: frozenset[Category]) -> str:
    named = [category.value for category in _ORDER if category in categories]
    return named[0] if len(named) == 1 else f"{' or '.join(named)} (depending on what nobody has entered)"


def _judged(said: Sequence[frozenset[Category]]) -> str:
    if len(set(said)) == 1 and len(said[0]) == 1:
        return "They agree."
    if {frozenset({Category.LIKELY}), frozenset({Category.UNLIKELY})} <= set(said):
        return "They contradict each other."
    if any(len(categories) > 1 for categories in said):
        return "Whether they agree depends on what nobody has entered."
    return "They do not say the same."
