"""Drivers for Go, where Go and they are there."""

from pathlib import Path

import harness
from play import PROGRAMS, build, check, prepare, works  # noqa: F401  the runner calls prepare
from run import Skip

STANDBYS = 1
GO_PACKAGES = Path("/usr/share/gocode/src/github.com")


def check_go(cluster, program: str, package: str, debian: str) -> None:
    if not works("go", "version") or not (GO_PACKAGES / package).exists():
        raise Skip(f"there is no golang-go or {debian}; `test/run drivers` installs them")
    directory = harness.make_directory()
    environment = {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": "", "GOCACHE": str(directory / "cache")}
    build("go", "build", "-o", directory / program, PROGRAMS / f"{program}.go", **environment)
    check(cluster, program, [directory / program])


def test_pgx(cluster):
    check_go(cluster, "go_pgx", "jackc/pgx/v4", "golang-github-jackc-pgx-v4-dev")


def test_lib_pq(cluster):
    check_go(cluster, "go_pq", "lib/pq", "golang-github-lib-pq-dev")
