"""How many messages a second, beside redis-server's streams and beanstalkd, taking turns.

What is compared:

  PUSH        DQ.PUSH beside XADD and beanstalkd's put.
  POP         DQ.POP, then DQ.ACK, of messages that are there, beside XREADGROUP and XACK with one
              consumer group. DQ.POP can also acknowledge the one before in the same request: that
              is the column "ACK in POP".
  MESSAGE     A message pushed, popped and acknowledged, beside XADD, XREADGROUP and XACK, and
              beside put, reserve and delete.
  64 queues   The same through 64 queues, one in each shard, so that each node leads some. All
              clients are connected to one node, or a third of them to each. redis-server has 64
              streams.
  8 partitions  The same through one queue of 8 partitions, beside one stream.

A figure is of whole messages, and so is its time. queue_load.cc makes the load for all, and each
run begins and ends with empty queues. Three nodes with a synced write each stand beside one
redis-server and one beanstalkd that sync each write too. One queue's shard is led by the node that
is asked. beanstalkd, made for small jobs, takes part with up to 1 KB. It syncs each change by
itself, so that a pipeline is no gain to it, and 800 requests under way take seconds: one size is
enough there.
"""

from cluster import Cluster, ask

import queue_servers
from queue_servers import Beanstalkd, Lockstep, Redis, leader_of, one_a_shard, settle
from rig import start_redis
from throughput import LEADER, SYNCED, Sized, take_turns

LOADS = [(1, 1), (50, 1), (50, 16)]
MANY_LOADS = [(50, 1), (50, 16)]
BEANSTALK_LOADS = {"100 B": LOADS, "1 KB": [(1, 1), (50, 1)]}
SIZES = {"100 B": 100, "1 KB": 1024, "16 KB": 16 * 1024}
SMALL = "100 B"
MANY = "64 queues"
MESSAGES_MAX = 50000  # So many of 100 bytes stand in a queue at the most.
BYTES_MAX = 32 << 20
QUEUE = "bench:queue"
WIDE, WIDE_QUEUE, PARTITIONS = "8 partitions", "bench:wide", 8

COMBINED, BEANSTALK = "lockstep, ACK in POP", "beanstalkd, fsync"
ONE_NODE, THREE_NODES = "lockstep, one node", "lockstep, 3 nodes"


def counted(server, work, size):
    """A run with so many messages, which are there before if they are to be popped."""
    def run(_, load, messages):
        if work != "push":
            server.fill(messages, size)
        figures = server.load(work, load, messages, size)
        server.empty()
        return figures
    return Sized(None, run, min(MESSAGES_MAX, BYTES_MAX // size))


class For:
    """A run for a time: of messages that do not stay, or of which so many cannot come."""

    def __init__(self, server, work, size):
        self.server, self.work, self.size = server, work, size

    def measure(self, load, seconds):
        figures = self.server.load(self.work, load, f"{seconds}s", self.size)
        self.server.empty()
        return {key: figures[key] for key in ("rate", "p50_ms", "p99_ms")}


def series_of_one_queue(lockstep, redis, beanstalkd):
    series = []
    for name, size in SIZES.items():
        with_it = BEANSTALK_LOADS.get(name, [])
        for work in ("push", "message"):
            both = {LEADER: lockstep, SYNCED: redis}
            two = {column: counted(server, work, size) if work == "push" else
                   For(server, work, size) for column, server in both.items()}
            three = {**two, BEANSTALK: For(beanstalkd, work, size)}
            series += [(f"{work.upper()} {name}", [load], three if load in with_it else two)
                       for load in LOADS]
    size = SIZES[SMALL]
    pops = (f"POP {SMALL}", LOADS, {LEADER: counted(lockstep, "pop", size),
                                    COMBINED: counted(lockstep, "pop-ack", size),
                                    SYNCED: counted(redis, "pop", size)})
    return [*series, pops]


def series_of_many_shards(name, one_node, three_nodes, redis):
    servers = {ONE_NODE: one_node, THREE_NODES: three_nodes, SYNCED: redis}
    size = SIZES[SMALL]
    return [(f"PUSH {name}", MANY_LOADS, {
                column: counted(server, "push", size) for column, server in servers.items()}),
            (f"MESSAGE {name}", MANY_LOADS, {
                column: For(server, "message", size) for column, server in servers.items()})]


class SameShards:
    """The bench as take_turns() has it; but what must not change is who leads the shards."""

    def __init__(self, bench):
        self.bench = bench
        self.repetitions, self.seconds = bench.repetitions, bench.seconds
        self.progress, self.figures = bench.progress, bench.figures

    def keep_leader(self, stage, cluster, before):
        if queue_servers.shard_leaders(cluster.nodes[0])[0] == before:
            return
        self.bench.troubles.append(f"{stage}: a shard's leader changed meanwhile")
        settle(cluster)


def part_queues(bench):
    """messages beside redis-server's streams and beanstalkd"""
    port = start_redis("--appendonly", "yes", "--appendfsync", "always")
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
