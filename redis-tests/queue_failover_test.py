"""Nodes die while their clients push and wait; queues and what is in them stay."""

import itertools
import threading
import time

from cases import LONG
from load import RETRY_CODES
from queue_cases import QueueTest, rows_of
from resp import SLOWDOWN, Bulk, Closed, Connection, Error, pairs, wait_until

NODE_TIMEOUT_MS = 1500


class Pusher(threading.Thread):
    """Pushes through one node until it is gone, and remembers what was answered an id."""

    def __init__(self, node, queue, name):
        super().__init__(name=name, daemon=True)
        self.node = node
        self.queue = queue
        self.acknowledged = []
        self.unknown = []  # They may have happened.

    def run(self):
        try:
            with Connection(self.node.port) as connection:
                for i in itertools.count():
                    body = f"{self.name}-{i}"
                    self.unknown.append(body)
                    if isinstance(connection.call("DQ.PUSH", self.queue, body), Bulk):
                        self.acknowledged.append(self.unknown.pop())
        except (OSError, Closed):
            pass


class QueueFailover(QueueTest):
    settings = {"node_timeout": NODE_TIMEOUT_MS}

    def setUp(self):
        self.cluster.wait_until_ok()
        super().setUp()

    def bring_back(self, *nodes):
        for node in nodes:
            if not node.is_running:
                node.start()
        self.cluster.wait_until_ok()

    def insist(self, node, line):
        """Until there is an answer that is no passing trouble."""
        def answered():
            reply = node.ask(*line.split())
            is_passing = isinstance(reply, Error) and reply.code in RETRY_CODES
            return None if reply is None or is_passing else [reply]
        return wait_until(answered, 20, f"{node!r} answers {line}")[0]

    def shard_leader(self):
        """The node that leads the shard of this test's queue: a message's id begins with it."""
        message_id = self.push("first")
        self.assertEqual(self.do(f"DQ.DEL {self.queue} {message_id}"), 1)
        groups = self.cluster.node(1).status()["groups"]
        name = "shard-" + message_id.split(".", maxsplit=1)[0]
        return self.cluster.node(next(group["leader"] for group in groups if group["name"] == name))

    def test_after_a_power_cut_of_the_whole_cluster_every_acknowledged_push_is_there(self):
        queues = [f"{self.queue}/{i}" for i in range(3)]
        pushers = [Pusher(node, queue, f"{node.id}{i}") for node in self.cluster.nodes
                   for i, queue in enumerate(queues)]
        for pusher in pushers:
            pusher.start()
        wait_until(lambda: all(len(pusher.acknowledged) > 40 for pusher in pushers), 20,
                   "all have pushed")
        for node in self.cluster.nodes:
            node.process.kill()
        for node in self.cluster.nodes:
            node.kill()
        for pusher in pushers:
            pusher.join()
        self.bring_back(*self.cluster.nodes)

        for queue in queues:
            popped = []
            with self.cluster.node(2).connect() as connection:
                while rows := rows_of(connection.do(f"DQ.POP {queue} COUNT 500 LEASE {LONG}")):
                    popped += [row.body for row in rows]
            self.assertEqual(len(popped), len(set(popped)), "one push happened twice")
            for pusher in (each for each in pushers if each.queue == queue):
                mine = [body for body in popped if body.startswith(pusher.name + "-")]
                self.assertEqual([body for body in mine if body not in pusher.unknown],
                                 pusher.acknowledged)
        print(f"          {sum(len(each.acknowledged) for each in pushers)} pushes were answered "
              "before the power was cut")

    def test_whatever_the_state_of_a_message_is_a_power_cut_does_not_change_it(self):
        self.do(f"DQ.MPUSH {self.queue} 3 dead leased ready")
        self.push("delayed", f"DELAY {LONG}")
        self.assertEqual(self.nack(self.take(), "DEAD ERROR", "too bad"), 1)
        leased = self.take(f"LEASE {LONG}")
        first = self.push("named", "ID order-7")
        for node in self.cluster.nodes:
            node.kill()
        self.bring_back(*self.cluster.nodes)
        QueueTest.setUp(self)  # The old connections are gone.
        self.assertEqual(self.push("named", "ID order-7"), first)
        self.assertEqual(self.ack(leased), 1)
        self.assertEqual(self.bodies(), ["ready", "named"])
        self.assertEqual((self.info("delayed"), self.length(self.dead)), (1, 1))
        [letter] = map(pairs, self.do(f"DQ.PEEK {self.dead} COUNT 10"))
        self.assertEqual((letter["body"], letter["error"]), ("dead", "too bad"))

    def test_consumers_that_wait_get_what_is_pushed_after_the_death_of_their_shards_leader(self):
        leader = self.shard_leader()
        survivors = self.cluster.others(leader)
        waiting = [self.blocked(f"LEASE {LONG}", node) for node in survivors * 3]
        leader.kill()
        self.addCleanup(self.bring_back, leader)
        began = time.monotonic()
        bodies = [f"work-{i}" for i in range(len(waiting))]
        for body, node in zip(bodies, itertools.cycle(survivors)):
            self.insist(node, f"DQ.PUSH {self.queue} {body} ID {body}")
        rows = [row for connection in waiting for row in rows_of(connection.reply())]
        print(f"          the shard's leader died: all who waited were served "
              f"{time.monotonic() - began:.2f} s later")
        self.assertEqual(sorted(row.body for row in rows), bodies)
        self.assertEqual({row.attempt for row in rows}, {1})
        receipts = " ".join(row.receipt for row in rows)
        self.assertEqual(self.insist(survivors[0], f"DQ.ACK {self.queue} {receipts}"), len(rows))

    def test_a_lease_outlives_the_leader_of_its_shard_and_is_no_shorter(self):
        leader = self.shard_leader()
        near, far = self.cluster.others(leader)
        self.push("work")
        worker = self.connect(near)
        began = time.monotonic()
        [row] = rows_of(worker.do(f"DQ.POP {self.queue} LEASE 4000"))
        leader.kill()
        self.addCleanup(self.bring_back, leader)
        info = pairs(self.insist(far, f"DQ.INFO {self.queue}"))
        if time.monotonic() - began < 4:
            self.assertEqual((info["leased"], info["ready"]), (1, 0))
        self.assertEqual(self.insist(far, f"DQ.ACK {self.queue} {row.receipt}"), 1)

    def test_what_went_to_a_waiter_of_a_dead_node_comes_to_the_next_as_attempt_one(self):
        leader = self.shard_leader()
        doomed, other = self.cluster.others(leader)
        self.blocked(f"LEASE {LONG}", doomed)
        doomed.kill()
        self.addCleanup(self.bring_back, doomed)
        began = time.monotonic()
        self.insist(other, f"DQ.PUSH {self.queue} work")
        with other.connect() as connection:
            [row] = rows_of(connection.do(f"DQ.POP {self.queue} BLOCK 0"))
        self.assertEqual((row.body, row.attempt), ("work", 1))
        # The dead node's waits end once it has not been heard for node-timeout.
        self.assertLess(time.monotonic() - began, NODE_TIMEOUT_MS / 1000 + 3 * SLOWDOWN)
