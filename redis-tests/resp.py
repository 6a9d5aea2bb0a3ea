"""A client so small that nothing is hidden in it: bytes out, replies in, each with its type.

Client libraries smooth things over (a status becomes True, a map a dict); the tests of the protocol
want to see what was really sent. Bulk strings are bytes; in text form they are compared with str
through surrogateescape, so that binary names survive.
"""

import os
import socket
import time

# How many times slower than an ordinary build the server is: sanitizers cost. Each limit of time is
# longer by that; what a test makes happen takes as long as ever.
SLOWDOWN = float(os.environ.get("LOCKSTEP_SLOWDOWN", "1"))
SANITIZED = SLOWDOWN != 1
DEPTH_MAX = 8  # hiredis 0.14 reads no deeper, so the server must not nest deeper.


class Status(str):
    """+OK"""


class Bulk(str):
    """$5 hello"""


class Verbatim(Bulk):
    """=9 txt:hello"""


class Error(str):
    """-ERR syntax error. Returned, not raised: most tests want to look at it."""

    @property
    def code(self):
        return self.split(" ", 1)[0]


class Array(list):
    """*2"""


class Set(list):
    """~2"""


class Push(list):
    """>3, out of turn"""


class Map(dict):
    """%2"""


class Closed(Exception):
    """The server closed the connection."""


def text(raw):
    return raw.decode("utf-8", "surrogateescape")


def raw_bytes(argument):
    if isinstance(argument, bytes):
        return argument
    return str(argument).encode("utf-8", "surrogateescape")


def encode(*arguments):
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in map(raw_bytes, arguments):
        parts.append(b"$%d\r\n%s\r\n" % (len(argument), argument))
    return b"".join(parts)


def pairs(reply):
    """A record as a dict: a map in RESP3, a flat array in RESP2."""
    if isinstance(reply, Map):
        return reply
    if not isinstance(reply, list) or len(reply) % 2:
        raise ValueError(f"not a record: {reply!r}")
    return dict(zip(reply[::2], reply[1::2]))


class Connection:
    def __init__(self, port, protocol=2, timeout=15, receive_buffer=None, depth_max=DEPTH_MAX,
                 host="127.0.0.1"):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout * SLOWDOWN)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.at = 0
        self.pushes = []
        self.depth_max = depth_max
        if protocol != 2:
            hello = self.call("HELLO", protocol)
            if isinstance(hello, Error):
                raise RuntimeError(hello)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, *arguments):
        self.send_raw(encode(*arguments))

    def call(self, *arguments):
        self.send(*arguments)
        return self.reply()

    def do(self, line):
        """The same with the words of one line: do("LOCK.ACQUIRE jobs alice TTL 5000")."""
        return self.call(*line.split())

    def reply(self):
        """The next reply; pushes that come before it are kept in `pushes`."""
        while True:
            value = self.read_value(0)
            if not isinstance(value, Push):
                return value
            self.pushes.append(value)

    def push(self):
        """The next push message (or, in RESP2, the next message of a subscription)."""
        return self.pushes.pop(0) if self.pushes else self.read_value(0)

    def is_quiet(self, seconds):
        """True if nothing arrives for so long."""
        if self.at < len(self.buffer):
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(before)

    def rest(self):
        """All that arrives until the server closes."""
        data = self.buffer[self.at:]
        self.buffer, self.at = b"", 0
        while True:
            try:
                piece = self.socket.recv(65536)
            except ConnectionError:
                return data
            if not piece:
                return data
            data += piece

    # Reading ---------------------------------------------------------------------------------------

    def fill(self):
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise Closed()
        self.buffer = self.buffer[self.at:] + piece
        self.at = 0

    def read_line(self):
        while (end := self.buffer.find(b"\r\n", self.at)) < 0:
            self.fill()
        line = self.buffer[self.at:end]
        self.at = end + 2
        if b"\r" in line or b"\n" in line:
            raise ValueError(f"a bare CR or LF in a reply line: {line!r}")
        return line

    def read_bytes(self, size):
        while len(self.buffer) - self.at < size + 2:
            self.fill()
        data = self.buffer[self.at:self.at + size]
        if self.buffer[self.at + size:self.at + size + 2] != b"\r\n":
            raise ValueError("a bulk string that does not end in CRLF")
        self.at += size + 2
        return text(data)

    def read_value(self, depth):
        if depth > self.depth_max:
            raise ValueError("a reply nested deeper than hiredis reads")
        line = self.read_line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return Status(text(rest))
        if kind == b"-":
            return Error(text(rest))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else Bulk(self.read_bytes(int(rest)))
        if kind == b"*" and rest == b"-1":
            return None
        if kind in b"*~>":
            kind_of = {b"*": Array, b"~": Set, b">": Push}[kind]
            return kind_of(self.read_value(depth + 1) for _ in range(int(rest)))
        if kind == b"%":
            return Map((self.read_value(depth + 1), self.read_value(depth + 1))
                       for _ in range(int(rest)))
        return self.read_resp3_scalar(kind, rest)

    def read_resp3_scalar(self, kind, rest):
        if kind == b"_" and not rest:
            return None
        if kind == b"#" and rest in (b"t", b"f"):
            return rest == b"t"
        if kind == b",":
            return float(rest)
        if kind == b"=":
            return Verbatim(self.read_bytes(int(rest))[4:])  # Without "txt:".
        # Big numbers, bulk errors, attributes: redis-cli 7.0 dies of them.
        raise ValueError(f"a type that clients do not know: {kind + rest!r}")


def shape(value):
    """What kind of reply this is, without what it says: to compare with another server's."""
    if isinstance(value, Map):
        return {str(key): shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [type(value).__name__, shape(value[0]) if value else None]
    return "nil" if value is None else type(value).__name__


def wait_until(fact, seconds, what):
    """Polls until `fact()` is true and returns what it gave; a failure tells what was awaited."""
    deadline = time.monotonic() + seconds * SLOWDOWN
    while True:
        value = fact()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * SLOWDOWN:g} s: {what}")
        time.sleep(0.005)
