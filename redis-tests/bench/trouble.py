"""When something goes wrong: a leader dies, owners wait in a circle, many leases end at once."""

import functools
import importlib.machinery
import importlib.util
import json
import time

from cluster import Cluster, ROOT
from resp import Connection, Error, wait_until

from rig import TTL, finish, generate, start_generator

FAILOVER, DEADLOCK, LEASES = "failover gap", "deadlock", "leases that end at once"
LENGTHS = [2, 4, 8, 16, 32, 64]
LEASE_COUNT = 100000
LEASE_MS = 2000
CALM, STORM = "before", "meanwhile"
LIMIT_SECONDS = 120


@functools.cache
def failover_gap():
    """redis-tests/failover_gap, which is a program by itself, as a module."""
    path = str(ROOT / "redis-tests/failover_gap")
    loader = importlib.machinery.SourceFileLoader("failover_gap", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def part_failover(bench):
    """the leader is killed: how long until another node answers for its locks"""
    with Cluster(3) as cluster:
        for run in range(bench.failovers):
            bench.progress.show("failover", f"{run + 1} of {bench.failovers}")
            seconds = failover_gap().gap(cluster, run)
            bench.figures.add(FAILOVER, "3 nodes", gap_ms=seconds * 1000)


# A circle ----------------------------------------------------------------------------------------

def close_circle(leader, waiting, closing, tag):
    """Owner i holds lock i and waits for lock i + 1. The last, who began last and so is the victim,
    asks for the first one's lock; milliseconds until it hears so."""
    length = len(waiting) + 1
    owners = [f"{tag}:{i}" for i in range(length)]
    locks = [f"bench:{owner}" for owner in owners]
    for lock, owner in zip(locks, owners):
        closing.call("LOCK.ACQUIRE", lock, owner, "TTL", TTL)
    for i, connection in enumerate(waiting):
        connection.send("LOCK.ACQUIRE", locks[i + 1], owners[i], "TTL", TTL, "BLOCK", 0)
    wait_until(lambda: leader.info("locks")["lock_waiters"] == str(length - 1), LIMIT_SECONDS,
               f"{length - 1} wait")
    began = time.monotonic()
    reply = closing.call("LOCK.ACQUIRE", locks[0], owners[-1], "TTL", TTL, "BLOCK", 0)
    milliseconds = (time.monotonic() - began) * 1000
    if not isinstance(reply, Error) or reply.code != "DEADLOCK":
        raise RuntimeError(f"a circle of {length} was answered by {reply!r}")
    # From the victim backwards each has what it waited for once the one before it has let go.
    for i in reversed(range(length - 1)):
        if isinstance(waiting[i].reply(), Error):
            raise RuntimeError("not only the victim was told")
        closing.call("LOCK.RELEASE", locks[i], owners[i], "ALL")
    return milliseconds


def part_circles(bench):
    """how long until the victim of a circle is told, by the circle's length"""
    with Cluster(3) as cluster:
        leader = cluster.leader()
        connections = [Connection(cluster.nodes[i % 3].port) for i in range(max(LENGTHS))]
        closing = leader.connect()
        for circle in range(bench.circles):
            bench.progress.show("circles", f"{circle + 1} of {bench.circles} of each length")
            for length in LENGTHS:
                # Other owners each time: a victim is remembered, and would be older the next time.
                took = close_circle(leader, connections[:length - 1], closing,
                                    f"{length}:{circle}")
                bench.figures.add(DEADLOCK, f"{length} owners", told_ms=took)
        for connection in [*connections, closing]:
            connection.close()


# Leases ------------------------------------------------------------------------------------------

def bystander(node, seconds):
    """Another client, which takes the lock that it has, over and over: the same way through the
    log, and the number of locks stays."""
    return start_generator("load", "cycle", node.port, 1, 1, seconds,
                           f"LOCK.ACQUIRE bench:bystander it TTL {TTL}")


def watch_the_end(node):
    """The times at which the first of the leases was seen to have ended, and the last."""
    first = None
    deadline = time.monotonic() + LIMIT_SECONDS
    with node.connect() as connection:
        while time.monotonic() < deadline:
            fields = connection.call("INFO", "locks")
            held = int(fields.split("locks_held:")[1].split()[0]) - 1  # The bystander's.
            now = time.monotonic()
            if held < LEASE_COUNT and first is None:
                first = now
            if held == 0:
                return first, now
    raise RuntimeError(f"{held} leases have not ended")


def part_leases(bench):
    """100,000 leases that end at the same instant, and what another client feels"""
    with Cluster(3) as cluster:
        leader = cluster.leader()
        leader.ask("LOCK.ACQUIRE", "bench:bystander", "it", "TTL", TTL)
        for repetition in range(bench.repetitions):
            stage = f"leases: repetition {repetition + 1} of {bench.repetitions}"
            bench.progress.show(stage)
            generate("load", "each", leader.port, 50, 16, LEASE_COUNT,
                     f"LOCK.ACQUIRE bench:{{n}} me TTL {TTL}")
            calm = finish_bystander(bystander(leader, LEASE_MS / 1000))
            bench.figures.add(LEASES, CALM, **calm)
            # One operation, so they have one end, to the millisecond.
            renewed = leader.ask("LOCK.RENEW", "bench:all", "me", "TTL", LEASE_MS, "ALL",
                                 timeout=60)
            due = time.monotonic() + LEASE_MS / 1000
            if renewed != LEASE_COUNT:
                raise RuntimeError(f"{renewed!r} leases were renewed")
            process = bystander(leader, LEASE_MS / 1000 + 2)
            first, last = watch_the_end(leader)
            storm = finish_bystander(process)
            bench.figures.add(LEASES, STORM, **storm, late_ms=(first - due) * 1000,
                              from_first_to_last_ms=(last - first) * 1000)
            bench.keep_leader(stage, cluster, leader)


def finish_bystander(process):
    return json.loads(finish(process))
