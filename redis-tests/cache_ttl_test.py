"""Times to live: whichever node is asked, and however often a key moves between nodes."""

import itertools
import random
import time

from cache_cases import CacheTest, Crew, shard_of
from resp import SLOWDOWN, Connection

MOVES = 200
ERROR_MS = 10 * SLOWDOWN  # Of a time to live, by this machine's clock, the asking included.
LATE_MS = 50 * SLOWDOWN


def now_ms():
    return time.monotonic() * 1000


class CacheTtl(CacheTest):
    def assert_ttl(self, node, key, deadline, error=ERROR_MS):
        """`deadline`: (earliest, latest), in now_ms()."""
        began = now_ms()
        ttl = node.ask("PTTL", key)
        ended = now_ms()
        self.assertGreaterEqual(ttl, deadline[0] - ended - error, f"too short, at {node!r}")
        self.assertLessEqual(ttl, deadline[1] - began + error, f"too long, at {node!r}")

    def timed(self, node, ttl, *command):
        """Between when a time to live that this sets may end."""
        began = now_ms()
        reply = node.ask(*command)
        self.assertIn(reply, ("OK", 1), command)
        return began + ttl, now_ms() + ttl

    def test_a_key_that_was_seen_to_be_gone_is_seen_by_nobody_any_more(self):
        ttls = {key: random.Random(i).randrange(150, 1500)
                for i, key in enumerate(self.keys_of_all(20))}
        deadlines, reads = {}, {key: [] for key in ttls}
        crew = Crew()

        def read(node):
            with Connection(node.port) as connection:
                while crew.goes_on:
                    mine = random.sample(sorted(ttls), 6)
                    for key in mine:
                        began = now_ms()
                        there = connection.call("GET", key)
                        reads[key].append((began, now_ms(), there))

        writers = [self.connect(node) for node in self.cluster.nodes]
        for (key, ttl), connection in zip(ttls.items(), itertools.cycle(writers)):
            began = now_ms()
            self.assertEqual(connection.call("SET", key, "v", "PX", ttl), "OK")
            deadlines[key] = (began + ttl, now_ms() + ttl)
        for node in self.cluster.nodes * 2:
            crew.add(read, node)
        crew.run_for(2.5)
        self.assertEqual(crew.trouble, [])
        self.judge(deadlines, reads)

    def judge(self, deadlines, reads):
        for key, (earliest, latest) in deadlines.items():
            self.assertGreater(len(reads[key]), 20)
            self.assertEqual({there for _, _, there in reads[key]}, {"v", None}, key)
            gone = min(ended for _, ended, there in reads[key] if there is None)
            last = max(began for began, _, there in reads[key] if there is not None)
            self.assertLessEqual(last, gone, f"{key}: nil, and then its value")
            self.assertGreaterEqual(gone, earliest, f"{key} has gone too early")
            self.assertLessEqual(last, latest + LATE_MS, f"{key} has gone too late")

    def test_a_key_that_moves_from_node_to_node_keeps_its_deadline(self):
        for home in self.cluster.nodes:
            key, = self.keys_of(home, 1, str(home.id))
            deadline = self.timed(self.cluster.node(1), 20000, "SET", key, "", "PX", "20000")
            connections = [self.connect(node) for node in self.cluster.nodes]
            for i in range(MOVES):
                self.assertEqual(connections[i % 3].call("APPEND", key, "x"), i + 1)
            # The last who wrote it knows it from the home; who only reads must not stop later.
            self.assert_ttl(self.cluster.nodes[(MOVES - 1) % 3], key, deadline)

    def test_every_node_tells_the_same_time_to_live(self):
        for home, writer in itertools.product(self.cluster.nodes, repeat=2):
            key, = self.keys_of(home, 1, f"{home.id}{writer.id}")
            self.write(writer, key, "v")
            self.assertEqual(writer.ask("EXPIRE", key, 100), 1)
            self.assertEqual([node.ask("GET", key) for node in self.cluster.nodes], ["v"] * 3)
            told = [node.ask("TTL", key) for node in self.cluster.nodes]
            self.assertEqual(told, [100] * 3, f"home {home!r}, set at {writer!r}")

    def test_a_time_to_live_that_one_node_changes_is_changed_for_all(self):
        for home in self.cluster.nodes:
            key, = self.keys_of(home, 1, str(home.id))
            others = self.cluster.nodes
            for changer in others:
                self.write(changer, key, "v")
                for node in others:
                    self.assertEqual(node.ask("PTTL", key), -1)
                deadline = self.timed(changer, 4000, "EXPIRE", key, 4)
                for node in others:  # The 2 % by which a clock may be wrong.
                    self.assert_ttl(node, key, deadline, ERROR_MS + 80)
                self.assertEqual(others[0].ask("PERSIST", key), 1)
                for node in others:
                    self.assertEqual(node.ask("PTTL", key), -1)
                self.assertEqual(changer.ask("GETEX", key, "PX", 3000), "v")
                self.assertEqual(others[1].ask("SET", key, "w", "KEEPTTL"), "OK")
                for node in others:
                    self.assertIn(node.ask("PTTL", key), range(2500, 3001))
                self.assertEqual(others[2].ask("PEXPIREAT", key, 1), 1)
                for node in others:
                    self.assertIsNone(node.ask("GET", key))
                    self.assertEqual(node.ask("PTTL", key), -2)

    def test_a_node_that_only_caches_a_key_lets_it_expire_by_itself_and_one_may_set_it_anew(self):
        keys = self.keys_of_all(5)
        for key in keys:
            self.write(self.cluster.node(1), key, "old")
            self.assertEqual(self.cluster.node(2).ask("PEXPIRE", key, 300), 1)
            for node in self.cluster.nodes:
                self.assertEqual(node.ask("GET", key), "old")
        connections = [self.connect(node) for node in self.cluster.nodes]
        won = dict.fromkeys(keys, 0)
        deadline = now_ms() + 300 + LATE_MS + 200
        while now_ms() < deadline:
            for key in keys:
                for connection in connections:
                    connection.send("SET", key, "new", "NX", "PX", 60000)
                won[key] += sum(connection.reply() == "OK" for connection in connections)
        self.assertEqual(won, dict.fromkeys(keys, 1))
        for node in self.cluster.nodes:
            self.assertEqual(set(self.read_many(node, keys).values()), {"new"})

    def test_a_deadline_moves_with_the_home(self):
        keys = self.keys_of(self.cluster.node(1), 30)
        deadlines = {key: self.timed(self.cluster.node(2), 30000, "SET", key, "v", "PX", "30000")
                     for key in keys}
        for to in (3, 2, 1):
            for shard in sorted(set(map(shard_of, keys))):
                self.move(shard, to)
            for key in keys:
                self.assert_ttl(self.cluster.node(to), key, deadlines[key])
