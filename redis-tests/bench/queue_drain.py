"""A long queue: how fast it is filled and drained, what it costs in memory, and how soon it answers
again when all nodes were killed while it was full.

The memory is what the system sees (memory.py). After the restart the files still are in the
system's cache, so a slow disk is not felt.
"""

import time

from cluster import Cluster
from resp import wait_until

from memory import ROLES, resident_kb
from queue_servers import leader_of, settle, shard_of
from rig import generate

DRAIN, DRAIN_MEMORY = "a long queue", "memory of a long queue"
PUSHED, DRAINED, RESTARTED = "pushed", "drained", "restarted"
QUEUE = "bench:long"
MESSAGES, QUICK_MESSAGES = 1000000, 100000
BYTES = 100
CLIENTS = 8
LIMIT_SECONDS = 120


def await_applied(cluster):
    """Until every node has the messages in its memory."""
    group = f"raft_group_shard-{shard_of(QUEUE)}"

    def same():
        seen = [dict(pair.split("=", 1) for pair in node.info("raft")[group].split(","))
                for node in cluster.nodes]
        return len({one[name] for one in seen for name in ("last", "applied")}) == 1
    wait_until(same, LIMIT_SECONDS, "all nodes have applied the same")


def fill(bench, cluster, messages):
    leader = leader_of(cluster, QUEUE)
    nodes = dict(zip(ROLES, (leader, cluster.others(leader)[0])))
    idle = {role: resident_kb(node) for role, node in nodes.items()}
    figures = generate("queue_bulk", "push", leader.port, CLIENTS, messages, BYTES, QUEUE)
    bench.figures.add(DRAIN, PUSHED, **figures)
    await_applied(cluster)
    for role, node in nodes.items():
        bench.figures.add(DRAIN_MEMORY, role, idle_kb=idle[role], messages=messages,
                          more_kb=resident_kb(node) - idle[role])


def restart(bench, cluster, messages):
    """All at once, without a farewell."""
    for node in cluster.nodes:
        node.kill()
    began = time.monotonic()
    for node in cluster.nodes:
        node.start()
    wait_until(lambda: cluster.nodes[0].ask("DQ.LEN", QUEUE) == messages, LIMIT_SECONDS,
               f"DQ.LEN answers {messages}")
    bench.figures.add(DRAIN, RESTARTED, seconds=time.monotonic() - began)


def drain(bench, cluster, messages):
    figures = generate("queue_bulk", "drain", leader_of(cluster, QUEUE).port, CLIENTS, QUEUE)
    if figures["done"] != messages:
        raise RuntimeError(f"of {messages} messages {figures['done']} came")
    bench.figures.add(DRAIN, DRAINED, **figures)


def part_drain(bench):
    """a queue of a million messages: filled, killed, drained"""
    messages = QUICK_MESSAGES if bench.quick else MESSAGES
    with Cluster(3) as cluster:
        settle(cluster)
        for stage, do in ((PUSHED, fill), (RESTARTED, restart), (DRAINED, drain)):
            bench.progress.show("queues, drain", f"{messages:,} messages {stage}")
            do(bench, cluster, messages)
            if stage == RESTARTED:
                cluster.wait_until_ok()
                settle(cluster)
