"""The cache as one node's clients feel it, beside redis-server, taking turns.

What is compared:

  GET, SET, INCR, MSET   The same commands, byte for byte, with values of 64 B and 1 KB; an MSET has
             ten keys, and counts as one. All clients are at one node of three, which leads the
             shards of a third of the keys; of the others it keeps lines.
  uniform    1000 keys, drawn alike by redis-benchmark. The node holds them all: what is written so
             often stays with it. Of this are the targets without a pipeline,
  lean       and of this those with one: the same keys from a client that costs next to nothing
             (cache_lean.cc), so that it is the server that limits.
  Zipf       20,000 keys, drawn by Zipf's law with exponent 0.99 (cache_load.cc). Most of them are
             written so seldom that they go home meanwhile (dcache-dirty-max-age), and are asked for
             again; how many of the commands had to ask stands beside them.

Servers and load share the machine, and with few cores it is an ordinary client that limits: so the
processor time of a command is told too. It is user's and system's time of all of the server's processes, of
three nodes against one, and what they do without any client is in it; that is told by itself.
"""

import time

from cache_servers import (Lockstep, Meter, Redis, Together, processor_seconds,
                           three_nodes)
from queue_servers import shard_leaders
from queues import ONE_NODE, SameShards
from rig import generate, redis_benchmark
from throughput import MEMORY, Sized, take_turns

LOADS = [(50, 1), (50, 16)]
SMALL = "64 B"
SIZES = {SMALL: 64, "1 KB": 1024}
WORKS = ("get", "set", "mset", "incr")
SIZED_WORKS = ("get", "set", "mset")
UNIFORM, ZIPF, LEAN = "uniform", "Zipf", "lean"
HELD, MANY = 1000, 20000
LEAN_KINDS = [("get", SMALL), ("set", SMALL)]
KEYS_IN_MSET = 10  # cache_load.cc has as many.
WARM_LOAD, WARM_REQUESTS, WARM_SECONDS = (50, 16), 5000, 0.02
REDIS = MEMORY
IDLE, IDLE_SECONDS = "without any client", 1.5  # The system counts in steps of 10 ms.


def work_name(work, size):
    return work.upper() + (f" {size}" if work in SIZED_WORKS else "")


def series_name(work, size, law):
    return f"{work_name(work, size)} {law}"


def command(work, size):
    """For redis-benchmark."""
    key, value = "key:__rand_int__", "x" * size
    return {"get": ["GET", key], "set": ["SET", key, value], "incr": ["INCR", "num:__rand_int__"],
            "mset": ["MSET", *[key, value] * KEYS_IN_MSET]}[work]


class Uniform:
    """By redis-benchmark, which is told a number of requests."""

    def __init__(self, server, work, size):
        self.server, self.words, self.done = server, command(work, size), 0
        self.sized = Sized(server.ports[0], self.run, requests_max=10**9)

    def run(self, port, load, requests):
        self.done += requests
        return redis_benchmark(port, load, requests, HELD, *self.words)

    def measure(self, load, seconds):
        self.run(self.server.ports[0], WARM_LOAD, WARM_REQUESTS)  # What is to be held is held.
        self.done = 0
        meter = Meter(self.server)
        figures = self.sized.measure(load, seconds)
        return {**figures, **meter.figures(self.done)}


class Lean:
    """By cache_lean.cc."""

    def __init__(self, server, *work):
        self.server, self.work = server, work

    def measure(self, load, seconds):
        self.run(WARM_LOAD, WARM_SECONDS)
        meter = Meter(self.server)
        figures = self.run(load, seconds)
        return {**{key: figures[key] for key in ("rate", "p50_ms", "p99_ms")},
                **meter.figures(figures["done"])}

    def run(self, load, seconds):
        work, size = self.work
        return generate("cache_lean", work, self.server.ports[0], *load, HELD, size, seconds)


class Prepared:
    """A contestant whose server holds all keys, with values of its size, before it is measured."""

    def __init__(self, contestant, size):
        self.contestant, self.size = contestant, size

    def measure(self, load, seconds):
        self.contestant.server.hold(MANY, self.size)
        return self.contestant.measure(load, seconds)


def contestant_of(server, work, size, law):
    contestants = {UNIFORM: lambda: Uniform(server, work, size),
                   LEAN: lambda: Lean(server, work, size),
                   ZIPF: lambda: Together(server, work, MANY, size, "zipf")}
    return Prepared(contestants[law](), size)


def kinds():
    """Work, size, law; sizes first, so that values are written anew but twice a repetition."""
    return [(work, size, law) for size in SIZES for work in WORKS
            if work in SIZED_WORKS or size == SMALL
            for law in (UNIFORM, LEAN, ZIPF) if law != LEAN or (work, size) in LEAN_KINDS]


def measure_idle(bench, servers):
    before = {column: processor_seconds(server.pids) for column, server in servers.items()}
    began = time.monotonic()
    time.sleep(IDLE_SECONDS)
    seconds = time.monotonic() - began
    for column, server in servers.items():
        spent = processor_seconds(server.pids) - before[column]
        bench.figures.add(IDLE, column, percent=100 * spent / seconds)


def part_cache(bench):
    """GET, SET, INCR and MSET at one node beside redis-server"""
    redis = Redis()
    with three_nodes() as cluster:
        servers = {ONE_NODE: Lockstep(cluster, cluster.nodes[:1]), REDIS: redis}
        measure_idle(bench, servers)
        series = [(series_name(*kind), LOADS,
                   {column: contestant_of(server, kind[0], SIZES[kind[1]], kind[2])
                    for column, server in servers.items()})
                  for kind in kinds()]
        leaders, _ = shard_leaders(cluster.nodes[0])
        take_turns(SameShards(bench), "cache", cluster, leaders, series)
