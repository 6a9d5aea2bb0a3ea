"""A backlog that is larger than the memory that its nodes give it: its bodies stay on the disks."""

import random

from cases import not_sanitized, unless_stalled
from queue_cases import QueueTest
from server_test import resident_megabytes

BODY_BYTES = 16 * 1024
AT_ONCE = 64  # 1 MB.
MESSAGES = 100 * AT_ONCE
HALF = MESSAGES // 2
# Of each node: the store's buffers, a log of 1 MB, and what is under way. Without a limit it would
# be all of the 100 MB.
GROWTH_MEGABYTES = 60


def body_of(number):
    return random.Random(number).randbytes(BODY_BYTES)


class Backlog(QueueTest):
    settings = {"dq-memory": "1mb", "raft-log-max-bytes": "1mb"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.idle = {node: resident_megabytes(node.pid) for node in cls.cluster.nodes}

    def setUp(self):
        super().setUp()
        self.growth = 0
        self.do(f"DQ.DROP {self.queue} FORCE")  # Of an attempt before.

    @not_sanitized("a sanitizer's memory is its own")
    @unless_stalled
    def test_what_memory_does_not_hold_comes_back_from_the_disks_whole_and_in_order(self):
        self.push_all()
        self.assertEqual((self.length(), self.info("bytes")), (MESSAGES, MESSAGES * BODY_BYTES))
        pushed = self.growth
        self.pop_all()
        print(f"          {MESSAGES * BODY_BYTES >> 20} MB were pushed; no node grew by more than "
              f"{pushed:.0f} MB, nor by {self.growth:.0f} MB until all was back")
        self.assertEqual((self.length(), self.info("leased"), self.info("bytes")), (0, 0, 0))
        self.assertEqual((self.info("acked"), self.info("failed")), (MESSAGES - HALF, 0))

    def push_all(self):
        for first in range(0, MESSAGES, AT_ONCE):
            bodies = [body_of(number) for number in range(first, first + AT_ONCE)]
            ids = self.do(f"DQ.MPUSH {self.queue} {AT_ONCE}", *bodies)
            self.assertEqual(len(ids), AT_ONCE, ids)
            self.measure()

    def pop_all(self):
        """One half is done as it is delivered, the other acknowledged with the next POP."""
        number, acks, rows = 0, "", []
        while number < HALF:
            number = self.check(number, self.pop(f"COUNT {min(AT_ONCE, HALF - number)} NOACK"))
        while number < MESSAGES:
            rows = self.pop(f"COUNT {AT_ONCE} {acks}")
            number = self.check(number, rows)
            acks = f"ACK {len(rows)} " + " ".join(row.receipt for row in rows)
        self.assertEqual(self.ack(*rows), len(rows))

    def check(self, number, rows):
        """That they are the messages from that number on; the number after them."""
        self.assertTrue(rows, f"nothing comes for message {number}")
        for number, row in enumerate(rows, start=number):
            self.assertEqual(row.attempt, 1)
            self.assertTrue(row.body.encode("utf-8", "surrogateescape") == body_of(number),
                            f"message {number} is not as it was pushed")
        self.measure()
        return number + 1

    def measure(self):
        for node, idle in self.idle.items():
            self.growth = max(self.growth, resident_megabytes(node.pid) - idle)
        self.assertLess(self.growth, GROWTH_MEGABYTES)
