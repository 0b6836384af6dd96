"""node-postgres, where there are node and npm, and npm has its registry."""

import shutil
import subprocess

import harness
from play import PROGRAMS, check, prepare, works  # noqa: F401  the runner calls prepare
from run import Skip

STANDBYS = 1
PACKAGES = ("pg@8.23.1", "pg-cursor@2.22.1", "pg-copy-streams@7.0.0")


def test_node(cluster):
    if not works("node", "--version") or not works("npm", "--version"):
        raise Skip("there is no node or no npm")
    directory = harness.make_directory()
    shutil.copy(PROGRAMS / "node_pg.js", directory)  # node looks for packages beside the program
    try:
        fetched = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", *PACKAGES],
                                 cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        raise Skip("npm's registry does not answer") from None
    if fetched.returncode:
        print(fetched.stderr[-2000:])
        raise Skip("npm could not fetch the packages")
    check(cluster, "node_pg", ["node", directory / "node_pg.js"])
