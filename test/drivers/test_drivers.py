"""Drivers that Debian has, and test/run installs."""

from pathlib import Path

import harness
from play import PROGRAMS, build, check, must_have, prepare, works  # noqa: F401  the runner calls prepare

STANDBYS = 1


def check_python(cluster, program: str, module: str, *packages: str) -> None:
    must_have(works("/usr/bin/python3", "-c", f"import {module}"), *packages)
    check(cluster, program, ["/usr/bin/python3", PROGRAMS / f"{program}.py"])


def test_psycopg(cluster):
    check_python(cluster, "python_psycopg", "psycopg", "python3-psycopg")


def test_asyncpg(cluster):
    check_python(cluster, "python_asyncpg", "asyncpg", "python3-asyncpg")


def test_odbc(cluster):
    must_have(bool(list(Path("/usr/lib").glob("*/odbc/psqlodbcw.so"))), "odbc-postgresql")
    check_python(cluster, "odbc_pyodbc", "pyodbc", "python3-pyodbc", "unixodbc")


def test_perl(cluster):
    must_have(works("/usr/bin/perl", "-MDBD::Pg", "-e", "1"), "libdbd-pg-perl")
    check(cluster, "perl_dbd", ["/usr/bin/perl", PROGRAMS / "perl_dbd.pl"])


def test_ruby(cluster):
    must_have(works("/usr/bin/ruby", "-rpg", "-e", "0"), "ruby", "ruby-pg")
    check(cluster, "ruby_pg", ["/usr/bin/ruby", PROGRAMS / "ruby_pg.rb"])


def test_jdbc(cluster):
    jars = [Path("/usr/share/java") / name for name in ("postgresql.jar", "eclipse-jdt-core.jar")]
    must_have(works("java", "-version") and all(jar.exists() for jar in jars), "openjdk-17-jre-headless",
              "libpostgresql-jdbc-java", "ecj")
    classes = harness.make_directory()
    build("java", "-cp", jars[1], "org.eclipse.jdt.internal.compiler.batch.Main", "-17", "-nowarn", "-proc:none",
          "-cp", jars[0], "-d", classes, PROGRAMS / "Jdbc.java")
    check(cluster, "Jdbc", ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{classes}:{jars[0]}", "Jdbc"])
