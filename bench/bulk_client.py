"""A client of the PostgreSQL protocol for bulk transfer and for idle connections.

psql and a driver would keep whole results in memory and use more CPU time than the proxy between.
"""

import socket

import wire

READY = wire.message(b"Z", b"I")[:5]  # the transaction state follows
COPY_CHUNK_BYTES = 8192  # as psql's \copy sends
_input = bytearray(1 << 20)  # of all clients: what they read is thrown away


class ServerError(Exception):
    """An ErrorResponse: its text."""


class Client:
    """One session as user postgres, without a password."""

    def __init__(self, port: int, database: str, timeout: float = 60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(wire.start_up(user="postgres", database=database))
        self._until_ready()

    def close(self) -> None:
        try:
            self.socket.sendall(wire.message(b"X"))
        except OSError:
            pass  # the server side may have gone first
        self.socket.close()

    def query(self, sql: str) -> int:
        """Runs `sql` and throws its result away; gives the bytes received."""
        self.socket.sendall(wire.query(sql))
        return self._until_ready()

    def copy_in(self, sql: str, row: bytes, row_count: int) -> int:
        """Sends `row_count` times the line `row` to a COPY FROM STDIN; gives the bytes sent."""
        self.socket.sendall(wire.query(sql))
        answer = self.socket.recv(8192)
        if answer[:1] != b"G":
            raise ServerError(_error_text(answer))
        rows_per_chunk = max(1, COPY_CHUNK_BYTES // len(row))
        batch = wire.message(b"d", row * rows_per_chunk) * 64
        batch_count = max(1, row_count // (rows_per_chunk * 64))
        for _ in range(batch_count):
            self.socket.sendall(batch)
        self.socket.sendall(wire.message(b"c"))
        self._until_ready()
        return batch_count * len(batch)

    def _until_ready(self) -> int:
        """Reads until ReadyForQuery ends the stream; an error in the first bytes is raised.

        Only the head and the last six bytes are looked at: the rows here hold no such bytes.
        """
        received, tail, head = 0, b"", b""
        while True:
            count = self.socket.recv_into(_input)
            if count == 0:
                raise ServerError(f"the connection was closed: {_error_text(head)}")
            received += count
            if len(head) < 512:
                head += _input[: min(count, 512)]
            tail = (tail + _input[max(0, count - 6):count])[-6:]
            if tail[:5] == READY:
                break
        if head[:1] == b"E":
            raise ServerError(_error_text(head))
        return received


def _error_text(message: bytes) -> str:
    """Message and detail of an ErrorResponse, or what came instead."""
    if message[:1] != b"E":
        return repr(message[:80])
    texts = [field[1:].decode(errors="replace") for field in message[5:].split(b"\0")
             if field[:1] in (b"M", b"D")]
    return "; ".join(texts) or "an error without a message"
