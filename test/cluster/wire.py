"""A client that speaks PostgreSQL's protocol byte by byte: for what libpq never sends and never shows."""

import base64
import hashlib
import hmac
import secrets
import socket
import struct
from dataclasses import dataclass, field

PROTOCOL_3_0 = 196608
SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSSENC_REQUEST = struct.pack("!II", 8, 80877104)
NO_ANSWER_LIMIT = 60  # seconds


def cstr(text: str | bytes) -> bytes:
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def start_up(version: int = PROTOCOL_3_0, **parameters) -> bytes:
    body = struct.pack("!I", version) + b"".join(cstr(k) + cstr(v) for k, v in parameters.items()) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def cancel_request(pid: int, secret: bytes) -> bytes:
    return struct.pack("!III", 12 + len(secret), 80877102, pid) + secret


def query(sql: str) -> bytes:
    return message(b"Q", cstr(sql))


def parse(sql: str, name: str = "", types: tuple = ()) -> bytes:
    return message(b"P", cstr(name) + cstr(sql) + struct.pack("!H", len(types)) + struct.pack(f"!{len(types)}I", *types))


def bind(*values: str | None, statement: str = "", portal: str = "") -> bytes:
    body = cstr(portal) + cstr(statement) + struct.pack("!HH", 0, len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value.encode())) + value.encode()
    return message(b"B", body + struct.pack("!H", 0))


def describe_statement(name: str = "") -> bytes:
    return message(b"D", b"S" + cstr(name))


def describe_portal(name: str = "") -> bytes:
    return message(b"D", b"P" + cstr(name))


def execute(portal: str = "", rows: int = 0) -> bytes:
    return message(b"E", cstr(portal) + struct.pack("!I", rows))


def close_statement(name: str) -> bytes:
    return message(b"C", b"S" + cstr(name))


def close_portal(name: str) -> bytes:
    return message(b"C", b"P" + cstr(name))


def function_call(oid: int, *arguments: str) -> bytes:
    body = struct.pack("!IHH", oid, 0, len(arguments))
    for value in arguments:
        body += struct.pack("!i", len(value.encode())) + value.encode()
    return message(b"F", body + struct.pack("!H", 0))


SYNC = message(b"S")
FLUSH = message(b"H")
TERMINATE = message(b"X")
COPY_DONE = message(b"c")


def ask(sql: str, *values: str) -> bytes:
    """A whole extended exchange with the unnamed statement, up to Sync."""
    return parse(sql) + bind(*values) + describe_portal() + execute() + SYNC


@dataclass
class Message:
    """One message of the server."""
    kind: str
    body: bytes

    def values(self) -> tuple:
        """The columns of a DataRow, as text."""
        count, = struct.unpack_from("!H", self.body)
        at, found = 2, []
        for _ in range(count):
            length, = struct.unpack_from("!i", self.body, at)
            at += 4
            found.append(None if length < 0 else self.body[at:at + length].decode())
            at += max(length, 0)
        return tuple(found)

    def fields(self) -> dict[str, str]:
        """The fields of an ErrorResponse or NoticeResponse by their letters."""
        return {part[:1].decode(): part[1:].decode("utf-8", "replace") for part in self.body.split(b"\0") if part}

    def text(self) -> str:
        """The body of a message that is one string."""
        return self.body.rstrip(b"\0").decode()


@dataclass
class Answer:
    """The messages up to a ReadyForQuery (or the end of the connection)."""
    messages: list[Message] = field(default_factory=list)

    @property
    def kinds(self) -> str:
        return "".join(each.kind for each in self.messages)

    @property
    def rows(self) -> list[tuple]:
        return [each.values() for each in self.messages if each.kind == "D"]

    @property
    def one(self) -> str:
        ((value,),) = self.rows
        return value

    @property
    def tags(self) -> list[str]:
        return [each.text() for each in self.messages if each.kind == "C"]

    @property
    def error(self) -> dict[str, str] | None:
        """The fields of the error, if there is one; there are never two."""
        found = [each.fields() for each in self.messages if each.kind == "E"]
        assert len(found) <= 1, f"wanted one error at most, got {found} in {self.kinds}"
        return found[0] if found else None

    @property
    def notices(self) -> list[dict]:
        return [each.fields() for each in self.messages if each.kind == "N"]

    @property
    def status(self) -> str:
        """The transaction status that ReadyForQuery tells."""
        assert self.messages and self.messages[-1].kind == "Z", f"no ReadyForQuery in {self.kinds}"
        return self.messages[-1].body.decode()


class Scram:
    """The client's side of SCRAM-SHA-256, without channel binding (RFC 5802, RFC 7677)."""

    def __init__(self, password: str):
        self._password = password.encode()
        self._bare = f"n=,r={secrets.token_urlsafe(18)}"

    def first(self) -> str:
        return f"n,,{self._bare}"

    def last(self, challenge: str) -> str:
        told = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self._password, base64.b64decode(told["s"]), int(told["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        bare = f"c=biws,r={told['r']}"
        signed = f"{self._bare},{challenge},{bare}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return f"{bare},p={base64.b64encode(proof).decode()}"


class Wire:
    """One connection."""

    def __init__(self, port: int, host: str = "127.0.0.1", unix_path: str | None = None):
        if unix_path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(NO_ANSWER_LIMIT)
            self.socket.connect(unix_path)
        else:
            self.socket = socket.create_connection((host, port), timeout=NO_ANSWER_LIMIT)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = b""
        self.parameters: dict[str, str] = {}
        self.pid = 0
        self.secret = b""
        self.welcome = Answer()
        self._last = Answer()

    def __repr__(self):
        """Shown when a test fails."""
        texts = [each.fields() for each in self._last.messages if each.kind in "EN"]
        return f"<the last answer: {self._last.kinds[:100]} {self._last.rows[:5]} {texts}>"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.abort()

    def send(self, *parts: bytes) -> "Wire":
        self.socket.sendall(b"".join(parts))
        return self

    def log_in(self, **parameters) -> "Wire":
        """Start-up without a password; keeps what the server tells."""
        self.send(start_up(**parameters))
        self.welcome = self.answer()
        assert self.welcome.kinds.endswith("Z"), f"the start-up was refused: {self.welcome.messages}"
        for each in self.welcome.messages:
            if each.kind == "S":
                name, value = each.body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            elif each.kind == "K":
                self.pid, self.secret = struct.unpack_from("!I", each.body)[0], each.body[4:]
        return self

    def prove(self, password: str, **parameters) -> Answer:
        """Start-up with a password: the messages up to ReadyForQuery or to the end of the connection."""
        self.send(start_up(**parameters))
        scram = None
        got = self.answer(until="RZ")
        while got.messages and got.messages[-1].kind == "R":
            body = got.messages[-1].body
            method, = struct.unpack_from("!I", body)
            if method == 3:
                self.send(message(b"p", cstr(password)))
            elif method == 5:
                inner = hashlib.md5((password + parameters["user"]).encode()).hexdigest()
                self.send(message(b"p", cstr("md5" + hashlib.md5(inner.encode() + body[4:8]).hexdigest())))
            elif method == 10:
                scram = Scram(password)
                first = scram.first().encode()
                self.send(message(b"p", cstr("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
            elif method == 11:
                self.send(message(b"p", scram.last(body[4:].decode()).encode()))
            got = self.answer(until="RZ")
        return got

    def read_bytes(self, count: int) -> bytes | None:
        """Exactly so many bytes. None: the other side has closed."""
        while len(self._input) < count:
            try:
                received = self.socket.recv(1 << 16)
            except ConnectionResetError:
                received = b""
            if not received:
                return None
            self._input += received
        found, self._input = self._input[:count], self._input[count:]
        return found

    def read_to_end(self) -> bytes:
        """All that comes until the other side closes."""
        while True:
            try:
                received = self.socket.recv(1 << 16)
            except ConnectionResetError:
                received = b""
            if not received:
                return self._input
            self._input += received

    def read(self) -> Message | None:
        """The next message. None: the other side has closed."""
        head = self.read_bytes(5)
        if head is None:
            return None
        length, = struct.unpack("!I", head[1:])
        assert length >= 4, f"a message with length {length}"
        body = self.read_bytes(length - 4)
        assert body is not None, "the connection ended inside a message"
        return Message(head[:1].decode("latin-1"), body)

    def answer(self, until: str = "Z") -> Answer:
        """Messages up to one of the kinds in `until`, or to the end of the connection."""
        found = self._last = Answer()
        while (each := self.read()) is not None:
            found.messages.append(each)
            if each.kind in until:
                break
        return found

    def ask(self, *parts: bytes) -> Answer:
        return self.send(*parts).answer()

    def query(self, sql: str) -> Answer:
        return self.ask(query(sql))

    def is_closed(self) -> bool:
        """Waits for the end of the connection. False: a message came instead."""
        return self.read() is None

    def close(self) -> None:
        """Says goodbye."""
        self.send(TERMINATE)
        self.socket.close()

    def abort(self) -> None:
        """Goes without a word."""
        self.socket.close()
