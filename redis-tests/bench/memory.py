"""What a lock and a waiter cost: the resident memory of a node, above what it has when idle.

It is what the system sees: the log and its store are in it as well as the table.
"""

import pathlib
import re
import subprocess

from cluster import Cluster
from resp import wait_until

from rig import TTL, end_process, generate, start_generator

LOCKS, WAITERS = "memory of locks", "memory of waiters"
LOCK_COUNT = 100000
WAITER_COUNT = 10000
ROLES = ("leader", "follower")
LIMIT_SECONDS = 60


def resident_kb(node):
    status = pathlib.Path(f"/proc/{node.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))


def pair(cluster):
    leader = cluster.leader()
    return leader, cluster.others(leader)[0]


def await_count(cluster, field, count):
    wait_until(lambda: all(node.info("locks").get(field) == str(count) for node in cluster.nodes),
               LIMIT_SECONDS, f"all nodes have {field} {count}")


def measure_locks(bench):
    with Cluster(3) as cluster:
        nodes = pair(cluster)
        idle = [resident_kb(node) for node in nodes]
        generate("load", "each", nodes[0].port, 50, 16, LOCK_COUNT,
                 f"LOCK.ACQUIRE bench:{{n}} c{{c}} TTL {TTL}")
        await_count(cluster, "locks_held", LOCK_COUNT)
        for role, node, before in zip(ROLES, nodes, idle):
            bench.figures.add(LOCKS, role, idle_kb=before, more_kb=resident_kb(node) - before)


def listen(process, wanted):
    said = process.stdout.readline().strip()
    if said != wanted:
        raise RuntimeError(f"load wait: {said}{process.stderr.read()}")


def measure_waiters(bench):
    """Each waits on a connection of its own, a third of them at each node. First all connect and
    are answered, so that the connections' memory is told from the waits'."""
    with Cluster(3) as cluster:
        nodes = pair(cluster)
        nodes[0].ask("LOCK.ACQUIRE", "bench:hot", "holder", "TTL", TTL)
        idle = [resident_kb(node) for node in nodes]
        share = [WAITER_COUNT // 3 + (i < WAITER_COUNT % 3) for i in range(3)]
        generators = [
            start_generator("load", "wait", node.port, count,
                            f"LOCK.ACQUIRE bench:hot n{node.id}:{{c}} TTL {TTL} BLOCK 0",
                            stdin=subprocess.PIPE)
            for node, count in zip(cluster.nodes, share)]
        for process in generators:
            listen(process, "connected")
        connected = [resident_kb(node) for node in nodes]
        for process in generators:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in generators:
            listen(process, "sent")
        await_count(cluster, "lock_waiters", WAITER_COUNT)
        for role, node, before, base in zip(ROLES, nodes, idle, connected):
            bench.figures.add(WAITERS, role, connections_kb=base - before,
                              more_kb=resident_kb(node) - base,
                              connections=share[node.id - 1])
        for process in generators:
            end_process(process)


def part_memory(bench):
    """of 100,000 locks that are held, and of 10,000 who wait"""
    bench.progress.show("memory", f"{LOCK_COUNT} locks")
    measure_locks(bench)
    bench.progress.show("memory", f"{WAITER_COUNT} who wait")
    measure_waiters(bench)
