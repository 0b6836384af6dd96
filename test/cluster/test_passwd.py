"""`pgtorii passwd` beside PostgreSQL, libpq and Debian's pg_enc and pg_md5."""

import os
import pty
import subprocess
from pathlib import Path

import harness
from gate import Gate

STANDBYS = 0

# Prepared by SASLprep, prohibited by it, or beyond what it knows: libpq and the server must agree with us.
PASSWORDS = ("secret", "I\u00adX", "\u2168", "u\u0308ber", "\u00a0x\u3000", "\u0627" "1", "\u0221", "se\u00f1or\u0007", "\ufdfa",
             "\u00ad", "\ue000", "a'b\"c\\d$e:f")


def passwd(*arguments, typed: str = "") -> str:
    told = subprocess.run([str(Gate.program), "passwd", *(str(each) for each in arguments)], input=typed,
                          capture_output=True, text=True, timeout=harness.WAIT_LIMIT)
    assert told.returncode == 0, told
    return told.stdout.rstrip("\n")


def test_a_verifier_is_as_good_as_postgresqls(cluster):
    """A server with our verifier lets in by the password what libpq makes of it."""
    server = cluster.primary
    hba = server.directory / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text("host all checked 127.0.0.1/32 scram-sha-256\n" + before)
    server.run("CREATE ROLE checked LOGIN; SELECT pg_reload_conf()")
    try:
        for password in PASSWORDS:
            server.run(f"ALTER ROLE checked PASSWORD '{passwd('--scram', typed=password)}'")
            with server.session(user="checked", password=password) as session:
                assert session.one("SELECT 1") == 1, ascii(password)
    finally:
        hba.write_text(before)
        server.run("SELECT pg_reload_conf(); DROP ROLE checked")


def test_entries_are_those_of_pg_enc_and_pg_md5():
    confs = {}
    for name in ("ours", "theirs"):
        confs[name] = harness.make_directory() / "pgpool.conf"
        confs[name].write_text("pool_passwd = 'pool_passwd'\n")  # pg_enc knows no other name
    for number, password in enumerate(each for each in PASSWORDS if "\u0007" not in each):
        enc, md5 = f"e{number}", f"m{number}"
        passwd("-m", "-f", confs["ours"], "-K", "a key", "-u", enc, typed=password)
        passwd("-m", "-f", confs["ours"], "--md5", "-u", md5, typed=password)
        for program, user in ((("pg_enc", "-K", "a key"), enc), (("pg_md5",), md5)):
            subprocess.run([Path("/usr/sbin") / program[0], *program[1:], "-m", "-f", confs["theirs"], "-u", user,
                            password], stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=harness.WAIT_LIMIT)
    ours, theirs = (confs[name].parent / "pool_passwd" for name in ("ours", "theirs"))
    assert ours.read_text() == theirs.read_text()
    assert ours.stat().st_mode & 0o777 == 0o600


def test_a_terminal_does_not_show_what_is_typed():
    child, terminal = pty.fork()
    if child == 0:
        os.execv(Gate.program, [str(Gate.program), "passwd", "--pcp"])
    shown = b""
    try:
        while b"password: " not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, b"secret\n")
        while more := os.read(terminal, 1000):
            shown += more
    except OSError:  # its end
        pass
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0 and b"5ebe2294ecd0e0f08eab7690d2a6ee69" in shown, shown
    assert b"secret" not in shown, shown
