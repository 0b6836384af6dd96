#!/usr/bin/python3
"""Runs the driver tests, in the way of test/cluster/run.py and with its options.

    test/drivers/run.py --program build/debug/pgtorii [module [part of a test's name]]
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "cluster"))

import run  # noqa: E402  the one of test/cluster, which comes first in sys.path now

run.HERE = HERE
sys.exit(run.main())
