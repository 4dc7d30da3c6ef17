"""How sure an answer is by Venn-Abers prediction: what share of cases with this score was positive among cases that the
model had not seen.

Both ends are isotonic regressions of those cases' labels on their scores, the new case among them: as negative for the
lower end, as positive for the upper. Where cases are exchangeable and one model of other cases scored them all, the end
that the case's own label would choose is a calibrated probability, whatever the model. No distribution is assumed, and
there is no level of confidence. ``training.certainty`` makes the steps, the node only looks them up.
Source: Vovk 2014, Proc UAI 30:829; Vovk 2015, NIPS 28:892 (inductive and cross Venn-Abers predictors).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_Ends = Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class VennAbers:
    """Both ends as steps over the log odds of the package's answer at its own prior.

    ``low[i]`` holds from ``low_from[i - 1]`` to ``low_from[i]``, the first and the last without end; ``high`` alike. On
    a step's edge the further end counts. ``source`` says which cases were scored, and how.
    """

    low: _Ends
    high: _Ends
    source: Annotated[str, Field(min_length=1)]
    low_from: tuple[float, ...] = ()
    high_from: tuple[float, ...] = ()

    def of(self, log_odds: float) -> tuple[float, float]:
        """Both ends at a score."""
        return self.low[bisect_left(self.low_from, log_odds)], self.high[bisect_right(self.high_from, log_odds)]


def flaws(said: VennAbers) -> Iterator[str]:
    """What is wrong with steps that a type lets pass."""
    for edges, ends in ((said.low_from, said.low), (said.high_from, said.high)):
        if len(ends) != len(edges) + 1:
            yield "has steps in venn_abers that are not one more than their edges"
            return
        if any(a >= b for a, b in pairwise(edges)) or any(a > b for a, b in pairwise(ends)):
            yield "has steps in venn_abers that do not ascend"
            return
    if any(low > said.of(edge)[1] for edge, low in zip((-math.inf, *said.low_from), said.low, strict=True)):
        yield "has a lower end in venn_abers above the upper one"
