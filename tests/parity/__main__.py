"""``bash tests/parity/run``: comparisons, and what is refused; the exit status is 0 when all that is required holds."""

from __future__ import annotations

import argparse
import sys

from tests.parity import hostile, importing, nnunet

parser = argparse.ArgumentParser(prog="tests/parity/run")
parser.add_argument("--seeds", type=int, default=5, help="networks and images of each plan")
sys.exit(hostile.main() + importing.main() + nnunet.main(parser.parse_args().seeds))
