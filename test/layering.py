#!/usr/bin/python3
"""Checks that folders include only what the design allows, and that the repository keeps its own rules of form."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Who may include whom; core/base is for all. A folder may include itself.
ALLOWED = {
    "core/base": set(),
    "config": set(),
    "protocol": set(),
    "core/runtime": {"config"},
    "ha": {"config", "protocol", "core/runtime"},
    "routing": {"config", "protocol"},
    "core": {"config", "protocol", "core/runtime", "ha", "routing"},
    "admin": {"config", "protocol", "core/runtime", "ha", "routing", "core"},
}
# Files with a wider view, by design.
EXCEPTIONS = {("core/main.cpp", "admin")}
ROUTING_MAY = "ha/cluster_view.hpp"  # data only
IO_FREE = ("config", "protocol", "routing")
IO_HEADERS = re.compile(r"<(boost/asio|boost/beast|spdlog|openssl/ssl|sys/socket|sys/epoll)")


def folder_of(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "core" and parts[1] in ("base", "runtime") else parts[0]


def problems():
    files = [path for folder in ALLOWED for path in (ROOT / folder).glob("*.[hc]pp")]
    for path in files:
        name = str(path.relative_to(ROOT))
        here = folder_of(name)
        text = path.read_text()
        for number, line in enumerate(text.splitlines(), 1):
            found = re.match(r'\s*#include "([^"]+)"', line)
            if found:
                there = folder_of(found[1])
                is_fine = (there in ALLOWED[here] | {here, "core/base"} or (name, there) in EXCEPTIONS or
                           (here == "routing" and found[1] == ROUTING_MAY))
                if not (ROOT / found[1]).exists():
                    yield f"{name}:{number}: no such header: {found[1]}"
                elif not is_fine:
                    yield f"{name}:{number}: {here} may not include {there}"
            if here in IO_FREE and IO_HEADERS.search(line) and line.lstrip().startswith("#include"):
                yield f"{name}:{number}: {here} has no I/O"
            if here == "ha" and IO_HEADERS.search(line) and line.lstrip().startswith("#include") and "_io." not in name:
                yield f"{name}:{number}: I/O of ha belongs into files named *_io"
        if path.suffix == ".hpp" and "#pragma once" not in text.splitlines()[0:1]:
            yield f"{name}:1: a header begins with #pragma once"
        if re.search(r"\bco_spawn\s*\(", text) and name not in ("core/runtime/task_group.hpp", "core/runtime/task_group.cpp"):
            yield f"{name}: only task_group calls co_spawn"
        if "asio::detached" in text:
            yield f"{name}: asio::detached is banned"


found = list(problems())
print("\n".join(found))
print(f"{len(found)} problems")
sys.exit(1 if found else 0)
