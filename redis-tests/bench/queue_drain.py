"""A long queue: how fast it is filled and drained, what it costs in memory, and how soon it answers
again when all nodes were killed while it was full; beside a stream of redis-server, which syncs
each write.

The memory is what the system sees (memory.py). After the restart the files still are in the
system's cache, so a slow disk is not felt. Lockstep is filled by DQ.MPUSH and drained by DQ.POP
with the ACK of those before, redis-server by pipelines of XADD, and of XACK and XREADGROUP
(queue_bulk.cc); what has been acknowledged stays in its stream.
"""

import time

from cluster import Cluster, ask, end_process, free_port, make_folder
from resp import wait_until

import memory
from queue_servers import Redis, leader_of, settle, shard_of
from rig import FSYNC_ALWAYS, START_SECONDS, generate, run_redis
from throughput import SYNCED

DRAIN, DRAIN_MEMORY = "a long queue", "memory of a long queue"
LOCKSTEP = "lockstep, 3 nodes"
ROLES = ("leader", "follower", "other follower")
QUEUE = "bench:long"
MESSAGES, QUICK_MESSAGES = 1000000, 100000
BYTES = 100
CLIENTS = 8
LIMIT_SECONDS = 300


class LongQueue:
    """Of three nodes."""
    kind = "lockstep"

    def __init__(self, cluster):
        self.cluster = cluster
        self.leader = leader_of(cluster, QUEUE)
        self.nodes = dict(zip(ROLES, (self.leader, *cluster.others(self.leader))))

    def port(self):
        return leader_of(self.cluster, QUEUE).port

    def has_another_leader(self):
        return leader_of(self.cluster, QUEUE) is not self.leader

    def processes(self):
        return self.nodes

    def await_applied(self):
        """Until every node has the messages in its memory."""
        group = f"raft_group_shard-{shard_of(QUEUE)}"

        def same():
            seen = [dict(pair.split("=", 1) for pair in node.info("raft")[group].split(","))
                    for node in self.cluster.nodes]
            return len({one[name] for one in seen for name in ("last", "applied")}) == 1
        wait_until(same, LIMIT_SECONDS, "all nodes have applied the same")

    def kill(self):
        """All at once, without a farewell."""
        for node in self.cluster.nodes:
            node.kill()

    def start(self):
        for node in self.cluster.nodes:
            node.start()

    def serves(self, messages):
        """Each node answers for the queue, whoever leads it."""
        return all(node.ask("DQ.LEN", QUEUE) == messages for node in self.cluster.nodes)

    def await_calm(self):
        self.cluster.wait_until_ok()
        settle(self.cluster)


class LongStream:
    """Of one redis-server."""
    kind = "redis"

    def __init__(self):
        self.number, self.folder = free_port(), make_folder()
        self.start()
        wait_until(lambda: ask(self.number, "PING") == "PONG", START_SECONDS,
                   "redis-server answers")
        Redis([self.number], [QUEUE])  # With a consumer group.

    def port(self):
        return self.number

    def has_another_leader(self):
        return False

    def processes(self):
        return {SYNCED: self.process}

    def await_applied(self):
        pass

    def kill(self):
        end_process(self.process)

    def start(self):
        self.process = run_redis(self.number, self.folder, *FSYNC_ALWAYS)

    def serves(self, messages):
        return ask(self.number, "XLEN", QUEUE) == messages

    def await_calm(self):
        pass


def resident_kb(held):
    return {name: memory.resident_kb(process) for name, process in held.processes().items()}


def push(held, messages, *delay):
    return generate("queue_bulk", "push", held.kind, held.port(), CLIENTS, messages, BYTES, QUEUE,
                    *delay)


def restart(held, messages):
    """Seconds until `messages` are told to be ready."""
    held.kill()
    began = time.monotonic()
    held.start()
    wait_until(lambda: held.serves(messages), LIMIT_SECONDS,
               f"{messages} messages are there after the restart")
    return time.monotonic() - began


def drain(held, messages):
    figures = generate("queue_bulk", "drain", held.kind, held.port(), CLIENTS, QUEUE)
    if figures["done"] != messages:
        raise RuntimeError(f"of {messages} messages {figures['done']} came")
    return figures


def add_memory(bench, row, held, idle, messages):
    held.await_applied()
    for name, kb in resident_kb(held).items():
        bench.figures.add(row, name, idle_kb=idle[name], messages=messages,
                          more_kb=kb - idle[name])
    if held.has_another_leader():
        bench.troubles.append(f"{row}: the leader changed meanwhile")


def measure(bench, column, held, messages):
    def show(what):
        bench.progress.show(f"queues, drain: {column}", f"{messages:,} messages {what}")

    idle = resident_kb(held)
    show("pushed")
    pushed = push(held, messages)
    add_memory(bench, DRAIN_MEMORY, held, idle, messages)
    show("there after a restart")
    seconds = restart(held, messages)
    held.await_calm()
    show("popped")
    drained = drain(held, messages)
    bench.figures.add(DRAIN, column, messages=messages, pushed_rate=pushed["rate"],
                      restart_seconds=seconds, drained_rate=drained["rate"])


def part_drain(bench):
    """a queue of a million messages: filled, killed, drained; beside a stream"""
    messages = QUICK_MESSAGES if bench.quick else MESSAGES
    with Cluster(3) as cluster:
        settle(cluster)
        measure(bench, LOCKSTEP, LongQueue(cluster), messages)
    measure(bench, SYNCED, LongStream(), messages)
