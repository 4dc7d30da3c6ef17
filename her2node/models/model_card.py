"""CARD.md of every kind of package, in the sections of the model-card convention.

Source: Mitchell 2019, Proc FAT*: 220.
"""

from __future__ import annotations

from collections.abc import Mapping

HEADINGS = (
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
)
RESEARCH = (
    "Research software, not a medical device. HER2 decides on treatment, and only tissue tells it: nobody may be given "
    "or refused a test or a treatment on this answer."
)


def model_card(title: str, sections: Mapping[str, str]) -> str:
    """The card: every one of ``HEADINGS`` in its order, with what is said under it. Raises KeyError for one without."""
    parts = [f"# {title}", *(f"## {heading}\n\n{sections[heading].strip()}" for heading in HEADINGS)]
    return "\n\n".join(parts) + "\n"
