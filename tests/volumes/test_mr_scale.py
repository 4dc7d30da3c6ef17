from __future__ import annotations

import numpy as np
import pytest

from her2node.errors import NotCalibrated
from her2node.volumes.mr import Scale, scaled


@pytest.mark.parametrize("scale", [Scale(1e38, 0.0), Scale(1e300, 0.0), Scale(-1e38, -1e38)])
def test_a_scale_that_leads_beyond_all_measure_is_refused(scale: Scale) -> None:
    with pytest.raises(NotCalibrated, match="beyond all measure"):
        scaled(np.array([[0, 4095]], dtype=np.uint16), scale)


def test_a_scale_is_applied() -> None:
    assert scaled(np.array([[0, 10]], dtype=np.uint16), Scale(0.5, -1.0)).tolist() == [[-1.0, 4.0]]
