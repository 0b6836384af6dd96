"""Streams of messages, looked at as a whole: cut into messages, made comparable, shown to a reader."""

import re
import struct

from wire import Message

NAMES = {"Q": "Query", "P": "Parse", "B": "Bind", "D": "Describe", "E": "Execute", "C": "Close", "S": "Sync",
         "H": "Flush", "X": "Terminate", "d": "CopyData", "c": "CopyDone", "f": "CopyFail", "F": "FunctionCall"}
# What differs between two runs of the same script on two databases, in texts of errors and notices.
VARYING = re.compile(rb"(?<=process )\d+|(?<=PID )\d+|(?<=pg_temp_)\d+|(?<=transaction )\d+|(?<=database )\d+"
                     rb"|(?<=relation )\d+")

# A failed transaction refuses everything. Which of its functions says so depends on messages that the gate adds.
IN_FAILED_TRANSACTION = re.compile(rb"(\0C25P02\0M[^\0]*\0)F[^\0]*\0L[^\0]*\0R[^\0]*\0")


def split(stream: bytes) -> tuple[list[Message], bytes]:
    """The whole messages of a stream, and the bytes of the one that isn't."""
    found, at = [], 0
    while at + 5 <= len(stream):
        length, = struct.unpack_from("!I", stream, at + 1)
        if length < 4 or at + 1 + length > len(stream):
            break
        found.append(Message(stream[at:at + 1].decode("latin-1"), stream[at + 5:at + 1 + length]))
        at += 1 + length
    return found, stream[at:]


def cut(stream: bytes) -> list[bytes]:
    """The same, each message with its head. The stream must end at the end of a message."""
    found, at = [], 0
    while at < len(stream):
        length, = struct.unpack_from("!I", stream, at + 1)
        found.append(stream[at:at + 1 + length])
        at += 1 + length
    return found


def comparable(message: Message) -> Message:
    """A server's message without keys, process ids and ids of tables."""
    kind, body = message.kind, message.body
    if kind == "K":
        return Message(kind, b"")
    if kind == "A":
        return Message(kind, b"\0\0\0\0" + body[4:])
    if kind == "T":
        return Message(kind, _without_table_ids(body))
    if kind in "EN":
        return Message(kind, VARYING.sub(b"*", IN_FAILED_TRANSACTION.sub(rb"\1", body)))
    return message


def _without_table_ids(body: bytes) -> bytes:
    """RowDescription: a table is named by an id, which becomes 1."""
    count, = struct.unpack_from("!H", body)
    found, at = body[:2], 2
    for _ in range(count):
        end = body.index(b"\0", at) + 1
        table, = struct.unpack_from("!I", body, end)
        found += body[at:end] + struct.pack("!I", 1 if table else 0) + body[end + 4:end + 18]
        at = end + 18
    return found


def normal(stream: bytes) -> list[Message]:
    """A server's stream, ready to be compared. A message that is cut off stands at its end, as kind "cut off"."""
    messages, rest = split(stream)
    return [comparable(each) for each in messages] + ([Message("cut off", rest)] if rest else [])


# For people ----------------------------------------------------------------------------------------------------------

def shown(message: Message) -> str:
    """One line for a server's message."""
    if message.kind in "EN":
        fields = message.fields()
        return " ".join([message.kind, *(f"{letter}={fields[letter]!r}" for letter in "SCMDHPWFLR" if letter in fields)])
    body = message.body if len(message.body) <= 80 else message.body[:60] + b"... %d bytes" % len(message.body)
    return f"{message.kind} {body!r}"


def _asked(raw: bytes) -> str:
    kind, body = raw[:1].decode("latin-1"), raw[5:]
    shown_body = body if len(body) <= 300 else body[:200] + b"... %d bytes" % len(body)
    return f"{NAMES.get(kind, kind)} {shown_body!r}" if body else NAMES.get(kind, kind)


def script_text(script: list[bytes]) -> str:
    """A client's script, a line for each message; the same messages in a row count as one."""
    if len(script) > 200:
        return f"{script_text(script[:100])}\n    ... {len(script) - 100} more messages"
    lines, count = [], 0
    for number, raw in enumerate(script):
        count += 1
        if number + 1 < len(script) and script[number + 1] == raw:
            continue
        lines.append(f"    {_asked(raw)}" + (f"   ({count} times)" if count > 1 else ""))
        count = 0
    return "\n".join(lines)


def difference(wanted: list[Message], got: list[Message]) -> str:
    """Where two streams begin to differ, with what stands around; empty if they don't."""
    at = next((i for i, (a, b) in enumerate(zip(wanted, got)) if a != b), min(len(wanted), len(got)))
    if at == len(wanted) == len(got):
        return ""
    lines = [f"  the replies differ from message {at} on"]
    for title, stream in (("direct", wanted), ("through", got)):
        lines.append(f"  {title} ({len(stream)} messages): {''.join(m.kind for m in stream)[max(0, at - 30):at + 30]}")
        lines += [f"    {'>' if number == at else ' '} {number}: {shown(stream[number])}"
                  for number in range(max(0, at - 2), min(len(stream), at + 4))]
        lines += [f"    > {at}: the end"] if at >= len(stream) else []
    return "\n".join(lines)


# Which reply answers what --------------------------------------------------------------------------------------------

class NotAttributable(Exception):
    """COPY from the client: when its end is told depends on how much the server has read at once."""


def answered(script: list[bytes], stream: list[Message]) -> list[int]:
    """For each message of a script: how many messages of the server's stream have come when it is answered."""
    counts, at, skipping = [], 0, False

    def pass_over(last: str) -> str:
        nonlocal at
        while at < len(stream) and stream[at].kind not in last:
            if stream[at].kind == "G":
                raise NotAttributable
            at += 1
        kind = stream[at].kind if at < len(stream) else ""
        at += 1 if kind else 0
        return kind

    ends = {"P": "1E", "B": "2E", "C": "3E", "D": "TnE", "E": "CIsE", "F": "Z", "Q": "Z", "S": "Z"}
    for raw in script:
        kind = raw[:1].decode("latin-1")
        if kind in "QFS":
            # A Query behind an error in a unit is skipped like all the rest of it.
            if kind == "S" or not skipping:
                pass_over("Z")
            skipping = skipping and kind != "S"
        elif not skipping and kind in ends:
            skipping = pass_over(ends[kind]) == "E"
        counts.append(at)
    return counts
