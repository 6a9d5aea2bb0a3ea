"""How many messages a second, beside redis-server's streams, taking turns.

What is compared:

  PUSH      DQ.PUSH to one queue beside XADD to one stream, by redis-benchmark. After each run the
            queue and the stream are emptied.
  MESSAGE   A message pushed, popped and acknowledged through one queue, beside XADD, XREADGROUP and
            XACK with one consumer group, by queue_load.cc.

Three nodes with a synced write each stand beside one redis-server that syncs each write too. The
queue's shard is led by the node that is asked.
"""

from cluster import Cluster, ask
from resp import Connection, Error

from rig import generate, redis_benchmark, start_redis
from throughput import LEADER, SYNCED, Sized, take_turns

LOADS = [(1, 1), (50, 1), (50, 16)]
SIZES = {"100 B": 100, "1 KB": 1024, "16 KB": 16 * 1024}
MESSAGES_MAX = 50000  # So many of 100 bytes stand in a queue at the most.
BYTES_MAX = 32 << 20
QUEUE, STREAM = "bench:queue", "bench:stream"


def push(body, port, load, requests):
    figures = redis_benchmark(port, load, requests, 1, "DQ.PUSH", QUEUE, body)
    while True:
        purged = ask(port, "DQ.PURGE", QUEUE, timeout=60)
        if isinstance(purged, Error):
            raise RuntimeError(f"the queue was not emptied: {purged}")
        if purged == 0:
            return figures


def add(body, port, load, requests):
    figures = redis_benchmark(port, load, requests, 1, "XADD", STREAM, "*", "body", body)
    with Connection(port) as connection:
        connection.call("DEL", STREAM)
    return figures


class Through:
    def __init__(self, kind, port, size):
        self.kind, self.port, self.size = kind, port, size

    def measure(self, load, seconds):
        figures = generate("queue_load", self.kind, self.port, *load, seconds, self.size)
        return {key: figures[key] for key in ("rate", "p50_ms", "p99_ms")}


def leader_of(cluster, queue):
    """The node that leads the queue's shard."""
    slot = ask(cluster.nodes[0].port, "CLUSTER", "KEYSLOT", queue)
    for first, last, (_, port, *_), *_ in ask(cluster.nodes[0].port, "CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return next(node for node in cluster.nodes if node.port == port)
    raise RuntimeError("no node leads the shard of " + queue)


def part_queues(bench):
    """messages beside redis-server's streams"""
    synced = start_redis("--appendonly", "yes", "--appendfsync", "always")
    with Cluster(3) as cluster:
        leader = leader_of(cluster, QUEUE)
        series = []
        for name, size in SIZES.items():
            body = "x" * size
            most = min(MESSAGES_MAX, BYTES_MAX // size)
            series.append((f"PUSH {name}", LOADS, {
                LEADER: Sized(leader.port, lambda *a, b=body: push(b, *a), most),
                SYNCED: Sized(synced, lambda *a, b=body: add(b, *a), most)}))
            series.append((f"MESSAGE {name}", LOADS, {
                LEADER: Through("lockstep", leader.port, size),
                SYNCED: Through("redis", synced, size)}))
        take_turns(bench, "queues", cluster, cluster.leader(), series)
