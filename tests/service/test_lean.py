from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
from her2node.service.lean import DECODERS, without_decoders
without_decoders()
import {module}
import pydicom
print(*(name for name in DECODERS if sys.modules.get(name) is not None))
"""


@pytest.mark.parametrize("module", ["her2node.intake.receivers", "her2node.delivery.courier"])
def test_receiver_and_courier_run_without_the_decoders_of_pixels(module: str) -> None:
    code = CODE.format(module=module)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_service_package_itself_loads_no_decoder_before_it_can_be_kept_out() -> None:
    code = "import sys, her2node.cli, her2node.service.lean; print('pydicom' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
