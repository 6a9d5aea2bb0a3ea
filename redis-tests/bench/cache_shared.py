"""One set of keys for the clients of three nodes, beside redis-server, taking turns.

What is compared:

  READ       A client process at each of three nodes, all reading the same 1000 keys, beside three
             at one redis-server. Each node has copies of its own, so no message may pass between
             nodes on account of a read: those that DCACHE.STATS counts on all nodes are told.
  WRITE      The same three set these keys, drawn alike: each write takes its key away from another
             node, more often than not.
  ONE KEY    The same three increment one key.
  COUNT      1000 connections, a third of them at each node, increment one key. Their sum must be
             what was answered, to the last one.

The load is cache_load.cc's. Three processes of it share the cores with three nodes, or with one
redis-server: the sum that is told is of the cores that they leave. It is of many clients, so with
16 in a pipeline there are 2400 or 16000 commands under way, and the time of one is their queue's.
"""

import json

from cache import SMALL, SIZES, HELD, REDIS
from cache_servers import Lockstep, Meter, Redis, Together, three_nodes
from queue_servers import shard_leaders
from queues import SameShards, THREE_NODES
from rig import finish, start_generator
from throughput import take_turns

LOADS = [(50, 1), (50, 16)]
COUNT_LOADS = [(1000, 1), (1000, 16)]
READ, WRITE, ONE_KEY, COUNT = "READ", "WRITE", "ONE KEY", "COUNT"
NUMBER = "num:000000000000"  # cache_load.cc's first.


class Reads:
    """Once each node has all of them."""

    def __init__(self, server):
        self.server = server
        self.together = Together(server, "get", HELD, SIZES[SMALL], "uniform")

    def measure(self, load, seconds):
        self.server.held = None  # Others have written them since.
        self.server.hold(HELD, SIZES[SMALL])
        return self.together.measure(load, seconds)


class Count:
    def __init__(self, server):
        self.server = server

    def measure(self, load, seconds):
        self.server.do("SET", NUMBER, 0)
        meter = Meter(self.server)
        ports = ",".join(map(str, self.server.ports))
        figures = json.loads(finish(start_generator("cache_load", "incr", ports, *load, 1, 0,
                                                    "uniform", seconds)))
        counted = self.server.do("GET", NUMBER)
        if counted != str(figures["done"]):
            raise RuntimeError(f"{figures['done']} increments were answered, and the sum is "
                               f"{counted!r}")
        return {**{key: figures[key] for key in ("rate", "p50_ms", "p99_ms")},
                **meter.figures(figures["done"])}


def part_shared(bench):
    """three nodes' clients read and write the same keys; 1000 connections count"""
    redis = Redis(clients=3)
    with three_nodes() as cluster:
        servers = {THREE_NODES: Lockstep(cluster, cluster.nodes), REDIS: redis}
        kinds = ((READ, LOADS, Reads),
                 (WRITE, LOADS, lambda s: Together(s, "set", HELD, SIZES[SMALL], "uniform")),
                 (ONE_KEY, LOADS, lambda s: Together(s, "incr", 1, 0, "uniform")),
                 (COUNT, COUNT_LOADS, Count))
        series = [(name, loads, {column: make(server) for column, server in servers.items()})
                  for name, loads, make in kinds]
        leaders, _ = shard_leaders(cluster.nodes[0])
        take_turns(SameShards(bench), "cache, shared", cluster, leaders, series)
