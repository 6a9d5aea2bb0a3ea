"""Options of cached keys by prefix (DCACHE.NS), on nodes that share them through their log."""

import time

from cache_cases import CacheFailoverTest, Crew, Writer
from resp import SLOWDOWN, Error, pairs, wait_until

DEFAULTS = {"class": "back", "reads": "shared", "ttl": 0, "maxmemory": 0, "policy": "sieve",
            "onnolease": "error"}


class Spaces(CacheFailoverTest):
    def setUp(self):
        super().setUp()
        self.prefix = self.lock_name("/")
        self.addCleanup(self.cluster.node(1).ask, "DCACHE.NS", "DEL", self.prefix)

    def set(self, *options):
        """Until every node goes by it: it hears within a heartbeat of the group."""
        self.assertEqual(self.cluster.node(1).ask("DCACHE.NS", "SET", self.prefix, *options), "OK")
        for node in self.cluster.nodes:
            self.assertEqual(node.ask("DCACHE.NS", "GET", self.prefix)[1], self.prefix)
        time.sleep(0.5 * SLOWDOWN)

    def test_what_one_node_sets_all_nodes_show(self):
        one, two, three = self.cluster.nodes
        self.assertEqual(one.ask("DCACHE.NS", "SET", self.prefix, "TTL", 5000, "READS",
                                 "exclusive"), "OK")
        wanted = {"prefix": self.prefix, **DEFAULTS, "ttl": 5000, "reads": "exclusive"}
        for node in self.cluster.nodes:
            self.assertEqual(pairs(node.ask("DCACHE.NS", "GET", self.prefix)), wanted)
            self.assertIn(wanted, [pairs(row) for row in node.ask("DCACHE.NS", "LIST")])
        self.assert_error(two.ask("DCACHE.NS", "SET", self.prefix, "CLASS", "front"), "ERR")
        self.assertEqual(three.ask("DCACHE.NS", "DEL", self.prefix), 1)
        self.assertIsNone(one.ask("DCACHE.NS", "GET", self.prefix))

    def test_keys_of_a_prefix_end_by_themselves(self):
        ttl = int(700 * SLOWDOWN)
        self.set("TTL", ttl)
        for node in self.cluster.nodes:
            key = f"{self.prefix}{node.id}"
            self.assertEqual(node.ask("SET", key, "v"), "OK")
            self.assertLessEqual(node.ask("PTTL", key), ttl)
            self.assertGreater(node.ask("PTTL", key), 0)
            self.assertEqual(node.ask("SET", f"other-{key}", "v"), "OK")
            self.assertEqual(node.ask("PTTL", f"other-{key}"), -1)
        time.sleep(0.8 * SLOWDOWN)
        for node in self.cluster.nodes:
            keys = [f"{self.prefix}{other.id}" for other in self.cluster.nodes]
            self.assertEqual(node.ask("EXISTS", *keys), 0)

    def test_a_reader_may_own_what_nobody_else_has(self):
        self.set("READS", "exclusive")
        home, reader, third = self.cluster.nodes
        key, = self.keys_of(home, 1)
        self.assertTrue(key.startswith(self.prefix), key)
        self.assertEqual(home.ask("SET", key, "v"), "OK")
        self.assertEqual(self.state(reader, key), "E")
        self.assertEqual(third.ask("GET", key), "v")
        self.assertEqual(third.ask("SET", key, "w"), "OK")
        self.assertEqual([node.ask("GET", key) for node in self.cluster.nodes], ["w"] * 3)

    def test_flush_erases_the_keys_of_a_prefix_and_no_others(self):
        keys = [f"{self.prefix}{i}" for i in range(200)]
        others = [f"not-{key}" for key in keys]
        for i, (key, other) in enumerate(zip(keys, others)):
            node = self.cluster.nodes[i % 3]
            self.assertEqual(node.ask("MSET", key, "v", other, "v"), "OK")
        self.assertEqual(self.cluster.node(2).ask("DCACHE.NS", "FLUSH", self.prefix), "OK")
        for node in self.cluster.nodes:
            self.assertEqual(node.ask("EXISTS", *keys), 0)
            self.assertEqual(node.ask("EXISTS", *others), 200)

    def test_a_prefix_takes_no_more_memory_than_it_may(self):
        self.set("MAXMEMORY", 100_000, "POLICY", "noeviction")
        home = self.cluster.node(1)
        keys = self.keys_of(home, 400)
        replies = [home.ask("SET", key, "x" * 1000) for key in keys]
        refused = [reply for reply in replies if reply != "OK"]
        self.assertGreater(replies.count("OK"), 50)
        self.assertGreater(len(refused), 250)
        for reply in refused:
            self.assertEqual(str(reply), "OOM command not allowed when used memory > 'maxmemory'.")
        self.set("POLICY", "lru")
        for key in keys:
            self.assertEqual(home.ask("SET", key, "x" * 1000), "OK")
        there = [home.ask("EXISTS", key) for key in keys]
        self.assertLess(sum(there), 120)
        # Each of the home's shards has an order of its own.
        self.assertGreater(sum(there[-40:]), 30)
        self.assertLess(sum(there[:200]), 20)

    def test_a_read_may_miss_where_its_home_is_away(self):
        self.set("ONNOLEASE", "miss")
        home, reader, third = self.cluster.nodes
        self.assertEqual(reader.ask("SET", f"{self.prefix}warm", "v"), "OK")
        for node in (home, third):
            node.freeze()
        try:
            wait_until(lambda: reader.ask("GET", f"{self.prefix}warm") is None,
                       10 * SLOWDOWN, "a miss")
            began = time.monotonic()
            self.assertIsNone(reader.ask("GET", f"{self.prefix}warm"))
            self.assertLess(time.monotonic() - began, 1.0 * SLOWDOWN)
            self.assertIsInstance(reader.ask("SET", f"{self.prefix}warm", "w"), Error)
        finally:
            for node in (home, third):
                node.thaw()
        self.cluster.wait_until_ok()

    def test_of_class_home_what_a_dead_node_was_answered_is_there(self):
        owner, home, other = self.cluster.nodes
        self.set("CLASS", "home")
        keys = self.keys_of(home, 5) + self.keys_of(other, 5)
        crew = Crew()
        writer = Writer(owner, keys)
        crew.add(writer.run, crew)
        crew.start()
        wait_until(lambda: min(writer.asked.values()) > 20, 10, "all are written again and again")
        owner.kill()
        crew.stop()
        self.assertEqual(crew.trouble, [])
        for node in (other, home):
            for key, told in self.read_many(node, keys).items():
                _, acknowledged = writer.acknowledged[key]
                self.assertIn(told, (str(acknowledged), str(writer.asked[key])), key)

    def test_a_lock_of_a_client_library_outlives_the_node_that_it_was_asked_of(self):
        one, two, three = self.cluster.nodes
        locks = [f"lock:{self.prefix}{n}" for n in range(30)]
        for lock in locks:  # As redis-py's Lock, or any that Redis's manual describes.
            self.assertEqual(one.ask("SET", lock, "token", "NX", "PX", 60_000), "OK")
        one.kill()
        for node in (two, three):
            for lock in locks:
                self.assertIsNone(node.ask("SET", lock, "other", "NX", "PX", 60_000), lock)
                self.assertEqual(node.ask("GET", lock), "token")
