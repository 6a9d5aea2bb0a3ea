"""Locks that several want, and several locks at once."""

from cluster import Cluster
from resp import wait_until

from rig import TTL, generate

HANDOVER, SHARED, SEVERAL = "hand-over", "shared", "three at once"
CLIENTS = 50
HANDOVER_SECONDS = 3  # Times `seconds`: one at a time is slow, and its p99 wants many.


def clients_column(clients):
    return f"{clients} client{'s' if clients > 1 else ''}"


def no_one_waits(cluster):
    return cluster.leader().info("locks")["lock_waiters"] == "0"


def part_handover(bench):
    """one lock with 50 in line for it, on all three nodes"""
    with Cluster(3) as cluster:
        ports = ",".join(str(node.port) for node in cluster.nodes)
        for repetition in range(bench.repetitions):
            bench.progress.show(f"handover: repetition {repetition + 1} of {bench.repetitions}")
            seconds = bench.seconds * HANDOVER_SECONDS
            figures = generate("handover", ports, CLIENTS, seconds)
            bench.figures.add(HANDOVER, clients_column(CLIENTS), **figures)
            # Who waited left with the generator; the last holder did not, for a grant without BIND
            # outlives its connection.
            wait_until(lambda: no_one_waits(cluster), 10, "nobody waits")
            cluster.leader().ask("LOCK.REVOKE", "bench:hot")


def part_shared(bench):
    """50 clients who share one lock; three locks at once by MACQUIRE"""
    shared = [f"LOCK.ACQUIRE bench:shared c{{c}} SHARED TTL {TTL}",
              "LOCK.RELEASE bench:shared c{c}"]
    several = [f"LOCK.MACQUIRE 3 x:{{n}} y:{{n}} z:{{n}} c{{c}} TTL {TTL}",
               "LOCK.RELEASE x:{n} c{c} ALL"]
    with Cluster(3) as cluster:
        leader = cluster.leader()
        for repetition in range(bench.repetitions):
            stage = f"shared: repetition {repetition + 1} of {bench.repetitions}"
            bench.progress.show(stage)
            for row, clients, commands in ((SHARED, CLIENTS, shared), (SEVERAL, 1, several),
                                           (SEVERAL, CLIENTS, several)):
                figures = generate("load", "cycle", leader.port, clients, 1, bench.seconds,
                                   *commands)
                bench.figures.add(row, clients_column(clients), **figures)
            bench.keep_leader(stage, cluster, leader)
