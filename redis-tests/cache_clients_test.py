"""The cache through clients as they come: redis-benchmark and redis-cli, ioredis and node-redis,
and the Node libraries that cache in Redis. The scenarios of those are in cache_clients.mjs.

Not here: what needs SCAN, KEYS or FLUSHDB of the cache's keys (clear of cache-manager, all of
connect-redis), and Lua (RateLimiterRedis of rate-limiter-flexible with a duration): the server has
none yet."""

import json

from node_clients_test import NodeClientTest, add_tests
from redis_cli_test import RedisTools

REQUESTS = 1600  # A multiple of 16: of a pipeline that is no part is left out.


@add_tests
class NodeCaches(NodeClientTest):
    script = "cache_clients.mjs"


class Tools(RedisTools):
    TESTS = "ping,set,get,incr,mset"

    def test_the_benchmark_of_redis_runs_as_it_stands_on_each_node(self):
        for node in self.cluster.nodes:
            for way in (["-P", 1], ["-P", 16], ["-P", 16, "-r", 10000], ["-P", 16, "-r", 10000,
                        "--threads", 2], ["-c", 200, "-P", 4], ["-3", "-P", 16]):
                measured = self.benchmark("-n", REQUESTS, "-t", self.TESTS, *way, node=node.id)
                self.assertEqual(set(measured), {"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR",
                                                 "MSET (10 keys)"})

    def test_the_benchmark_in_cluster_mode_routes_by_key(self):
        self.benchmark("-n", REQUESTS, "-P", 16, "-r", 10000, "-t", "set,get,incr", "--cluster")

    def test_what_the_benchmark_counts_is_there_afterwards(self):
        key = self.lock_name()
        for node in self.cluster.nodes:
            self.benchmark("-n", REQUESTS, "-P", 16, "INCR", key, node=node.id)
        for node in self.cluster.nodes:
            self.assertEqual(self.cli("GET", key, node=node.id), f"{3 * REQUESTS}\n")

    def test_redis_cli_sets_gets_and_prints_as_ever(self):
        key = self.lock_name()
        self.assertEqual(self.cli("SET", key, "hello"), "OK\n")
        self.assertEqual(self.cli("GET", key, node=2), "hello\n")
        self.assertEqual(self.cli("--no-raw", "GET", key, node=3), '"hello"\n')
        self.assertEqual(self.cli("--no-raw", "GET", key + "none"), "(nil)\n")
        self.assertEqual(self.cli("-x", "SET", key, stdin="from a pipe", node=2), "OK\n")
        self.assertEqual(self.cli("--no-raw", "STRLEN", key), "(integer) 11\n")
        self.assertEqual(self.cli("MSET", key + "a", 1, key + "b", 2), "OK\n")
        self.assertEqual(self.cli("--no-raw", "MGET", key + "a", key + "c", key + "b", node=3),
                         '1) "1"\n2) (nil)\n3) "2"\n')
        self.assertEqual(self.cli("-r", 3, "INCR", key + "a", node=2), "2\n3\n4\n")
        self.assertIn("ERR value is not an integer", self.cli("INCR", key, node=3))
        self.cli("-e", "INCR", key, code=1)
        self.assertEqual(self.cli(node=2, stdin=f"MULTI\nINCR {key}a\nGET {key}a\nEXEC\n"),
                         "OK\nQUEUED\nQUEUED\n5\n5\n")
        meta = json.loads(self.cli("-3", "--json", "DCACHE.GET", key + "a", "META", node=2))
        self.assertEqual((meta["value"], meta["ttl"], meta["state"] in "MES"), ("5", -1, True))
        self.assertEqual(self.cli("DEL", key, key + "a", key + "b", node=3), "3\n")

    def test_a_mass_insertion_in_pipe_mode_is_all_there(self):
        keys = [self.lock_name(f"/{i}") for i in range(3000)]
        raw = "".join(f"*3\r\n$3\r\nSET\r\n${len(key)}\r\n{key}\r\n$1\r\nx\r\n" for key in keys)
        self.assertIn("errors: 0, replies: 3000", self.cli("--pipe", stdin=raw))
        lines = "".join(f"GET {key}\n" for key in keys)
        self.assertEqual(self.cli(stdin=lines, node=3).split(), ["x"] * 3000)
