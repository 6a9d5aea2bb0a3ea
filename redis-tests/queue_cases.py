"""What the tests of queues begin with: a queue of one's own, and a POP's answer as rows."""

import itertools
from typing import NamedTuple

from cases import ClusterTest
from resp import Bulk, Error, pairs, wait_until


class Row(NamedTuple):
    queue: str
    receipt: str
    body: str
    attempt: int
    more: dict  # What FULL adds.


def rows_of(reply):
    """The answer of a POP; nil is no row."""
    if isinstance(reply, Error):
        raise AssertionError(reply)
    return [Row(*row[:4], pairs(row[4]) if len(row) > 4 else {}) for row in reply or []]


class QueueTest(ClusterTest):
    def setUp(self):
        self.queue = self.lock_name()
        self.dead = self.queue + "!dead"
        self.turn = itertools.cycle(self.cluster.nodes)
        self.connections = {node.id: self.connect(node) for node in self.cluster.nodes}

    def do(self, line, *words):
        """Each command through the next node; `words` are those that may hold blanks."""
        return self.connections[next(self.turn).id].call(*line.split(), *words)

    def push(self, body, options=""):
        message_id = self.do(f"DQ.PUSH {self.queue} {body} {options}")
        self.assertIsInstance(message_id, Bulk, message_id)
        return message_id

    def pop(self, options="COUNT 100", queue=None):
        return rows_of(self.do(f"DQ.POP {queue or self.queue} {options}"))

    def take(self, options=""):
        """The one that there must be."""
        rows = self.pop(options)
        self.assertEqual(len(rows), 1, rows)
        return rows[0]

    def bodies(self, options="COUNT 100"):
        return [row.body for row in self.pop(options)]

    def ack(self, *rows):
        return self.do(f"DQ.ACK {self.queue} " + " ".join(row.receipt for row in rows))

    def nack(self, row, options="", *words):
        return self.do(f"DQ.NACK {row.queue} {row.receipt} {options}", *words)

    def set(self, options):
        self.assertEqual(self.do(f"DQ.SET {self.queue} {options}"), "OK")

    def length(self, queue=None):
        return self.do(f"DQ.LEN {queue or self.queue}")

    def info(self, field):
        """Of a queue that is not there, nothing is nothing."""
        told = self.do(f"DQ.INFO {self.queue}")
        return 0 if told is None else pairs(told)[field]

    def block(self, connection, options=""):
        """A POP waits on it, and the cluster knows it already."""
        before = self.info("waiters")
        connection.send(*f"DQ.POP {self.queue} BLOCK 0 {options}".split())
        wait_until(lambda: self.info("waiters") == before + 1, 5, "the POP waits")

    def blocked(self, options="", node=None):
        connection = self.connect(node or next(self.turn))
        self.block(connection, options)
        return connection
