"""How many messages a second, beside redis-server's streams and beanstalkd, taking turns.

What is compared:

  PUSH        DQ.PUSH beside XADD and beanstalkd's put.
  POP         DQ.POP, then DQ.ACK, of messages that are there, beside XREADGROUP and XACK with one
              consumer group, and reserve and delete. DQ.POP can also acknowledge the one before in
              the same request: that is the column "ACK in POP".
  MESSAGE     A message pushed, popped and acknowledged, beside XADD, XREADGROUP and XACK, and
              beside put, reserve and delete.
  64 queues   The same through 64 queues, one in each shard, so that each node leads some. All
              clients are connected to one node, or a third of them to each. redis-server has 64
              streams.
  8 partitions  The same through one queue of 8 partitions, beside one stream.

A figure is of whole messages, and so is its time. queue_load.cc makes the load for all, and each
run begins and ends with empty queues. Three nodes with a synced write each stand beside one
redis-server and one beanstalkd that sync each write too. One queue's shard is led by the node that
is asked. beanstalkd, made for small jobs, takes part with up to 1 KB, and in one tube. It syncs
each change by itself, so that a pipeline is no gain to it, and 800 requests under way take seconds:
one size is enough there.
"""

from cluster import Cluster, ask

import queue_servers
from queue_servers import Beanstalkd, Lockstep, Redis, leader_of, one_a_shard, settle
from rig import FSYNC_ALWAYS, start_redis
from throughput import LEADER, SYNCED, Sized, take_turns

LOADS = [(1, 1), (1, 16), (50, 1), (50, 16)]
MANY_LOADS = [(50, 1), (50, 16)]
BEANSTALK_LOADS = {"100 B": LOADS, "1 KB": LOADS[:3]}
SIZES = {"100 B": 100, "1 KB": 1024, "16 KB": 16 * 1024}
SMALL = "100 B"
SECONDS = 0.6  # Times `seconds`: there are many measurements, and three repetitions of each.
MESSAGES_MAX = 50000  # So many of 100 bytes stand in a queue at the most.
BYTES_MAX = 32 << 20
BEANSTALK_MAX = 4000  # Messages put there to be popped: each costs it a sync.
QUEUE = "bench:queue"
WIDE_QUEUE, PARTITIONS = "bench:wide", 8

ONE, MANY, WIDE = "one queue", "64 queues", "8 partitions"
WORKS = ("push", "pop", "message")
COMBINED, BEANSTALK = "lockstep, ACK in POP", "beanstalkd, fsync"
ONE_NODE, THREE_NODES = "lockstep, one node", "lockstep, 3 nodes"


def series_name(work, size, shape):
    return f"{work.upper()} {size}" + ("" if shape == ONE else f", {shape}")


def sizes_of(work, shape):
    """Which sizes are measured."""
    return list(SIZES) if shape == ONE or work == "push" else [SMALL]


def counted(server, work, size):
    """A run with so many messages, which are there before if they are to be popped."""
    messages_max = BEANSTALK_MAX if isinstance(server, Beanstalkd) else MESSAGES_MAX

    def run(_, load, messages):
        if work != "push":
            server.fill(messages, size)
        figures = server.load(work, load, messages, size)
        server.empty()
        return figures
    return Sized(None, run, min(messages_max, BYTES_MAX // size))


class For:
    """A run for a time: of messages that do not stay, or of which so many cannot come."""

    def __init__(self, server, work, size):
        self.server, self.work, self.size = server, work, size

    def measure(self, load, seconds):
        figures = self.server.load(self.work, load, f"{seconds}s", self.size)
        self.server.empty()
        return {key: figures[key] for key in ("rate", "p50_ms", "p99_ms")}


def contestant(server, work, size):
    if work == "message" or (work == "push" and isinstance(server, Beanstalkd)):
        return For(server, work, size)
    return counted(server, work, size)


def series_of_one_queue(lockstep, redis, beanstalkd):
    series = []
    for work in WORKS:
        for size, size_bytes in SIZES.items():
            without = {LEADER: contestant(lockstep, work, size_bytes)}
            if work == "pop":
                without[COMBINED] = counted(lockstep, "pop-ack", size_bytes)
            without[SYNCED] = contestant(redis, work, size_bytes)
            with_it = {**without, BEANSTALK: contestant(beanstalkd, work, size_bytes)}
            series += [(series_name(work, size, ONE), [load],
                        with_it if load in BEANSTALK_LOADS.get(size, []) else without)
                       for load in LOADS]
    return series


def series_of_many_shards(shape, one_node, three_nodes, redis):
    servers = {ONE_NODE: one_node, THREE_NODES: three_nodes, SYNCED: redis}
    return [(series_name(work, size, shape), MANY_LOADS,
             {column: contestant(server, work, SIZES[size]) for column, server in servers.items()})
            for work in WORKS for size in sizes_of(work, shape)]


class SameShards:
    """The bench as take_turns() has it; but what must not change is who leads the shards."""

    def __init__(self, bench):
        self.bench = bench
        self.repetitions, self.seconds = bench.repetitions, bench.seconds * SECONDS
        self.progress, self.figures = bench.progress, bench.figures

    def keep_leader(self, stage, cluster, before):
        if queue_servers.shard_leaders(cluster.nodes[0])[0] == before:
            return
        self.bench.troubles.append(f"{stage}: a shard's leader changed meanwhile")
        settle(cluster)


def part_queues(bench):
    """messages beside redis-server's streams and beanstalkd"""
    port = start_redis(*FSYNC_ALWAYS)
    many = one_a_shard()
    with Cluster(3) as cluster:
        settle(cluster)
        ports = [node.port for node in cluster.nodes]
        leader = leader_of(cluster, QUEUE)
        ask(leader.port, "DQ.SET", WIDE_QUEUE, "partitions", PARTITIONS)
        wide = [WIDE_QUEUE]
        series = [
            *series_of_one_queue(Lockstep([leader.port], [QUEUE]), Redis([port], [QUEUE]),
                                 Beanstalkd()),
            *series_of_many_shards(MANY, Lockstep(ports[:1], many), Lockstep(ports, many),
                                   Redis([port], many)),
            *series_of_many_shards(WIDE, Lockstep(ports[:1], wide), Lockstep(ports, wide),
                                   Redis([port], wide))]
        leaders, _ = queue_servers.shard_leaders(cluster.nodes[0])
        take_turns(SameShards(bench), "queues", cluster, leaders, series)
