"""How many requests a second, beside redis-server and etcd, taking turns.

What is compared:

  ACQUIRE   Each takes a lock that is free; SET sets a key that is not there. redis-benchmark draws
            the names from two thousand million, so that of a run's at most 100,000 hardly two are
            the same. After each run all locks are released and redis-server is emptied: else the
            tables would grow over the bench, and who is measured last would have the largest. With
            few names instead (-r 100000) most requests would only renew a lock that is held.
  RELEASE   Each releases a lock that is held, and DEL deletes a key that is there: both are put
            there before, unmeasured.
  CHECK     Of 1000 locks that are held, with their token, so that each answers 1; GET reads 1000
            keys. A CHECK is linearizable: the leader asks a majority whether it still leads.
  CYCLE     A client takes a lock and releases it, over and over: what locks are for. One round is
            two requests, the second sent when the first is answered. redis-server does it as many
            do with it: SET NX PX, then DEL. etcd does it by its own lock service (v3lock: a key
            with the client's lease, then its removal), over gRPC, a connection for each client.
            A table has as many locks as there are clients x pipeline.
  PUT       etcd's plain write, for scale.
  FDATASYNC The disk by itself: 300 bytes appended and synced. One client of a cluster can be faster
            than that: two of three nodes are enough, so that a slow sync of one is not felt, and
            their file does not grow with each write.

redis-benchmark makes the load where it can, load.cc and etcd_load.cc where it cannot. Both share
the cores with the servers; with 16 in a pipeline that is felt.
"""

import functools
import statistics

from cluster import Cluster, ask
from resp import Connection, Error

from rig import FSYNC_ALWAYS, TTL, generate, redis_benchmark, start_etcd, start_redis, sync_rate

LOADS = [(clients, pipeline) for clients in (1, 50, 200) for pipeline in (1, 16)]
ETCD_LOADS = [(1, 1), (50, 1)]
NAMES_MAX = 100000  # So many locks or keys at the most stand in a table.
STRANGERS = 2000000000
CHECKED = 1000

LEADER, FOLLOWER = "lockstep, leader", "lockstep, follower"
MEMORY, SYNCED = "redis, in memory", "redis, fsync always"
ETCD, DISK = "etcd, leader", "the disk"


def row_name(series, load):
    return f"{series} {load[0]}x{load[1]}"


def empty_redis(port):
    if ask(port, "FLUSHALL", timeout=60) != "OK":
        raise RuntimeError("redis-server was not emptied")


def acquire(port, load, requests):
    figures = redis_benchmark(port, load, requests, STRANGERS, "LOCK.ACQUIRE",
                              "bench:__rand_int__", "me", "TTL", str(TTL))
    released = ask(port, "LOCK.RELEASE", "bench:all", "me", "ALL", timeout=60)
    # A few names may have been drawn twice.
    if isinstance(released, Error) or released < requests * 0.999:
        raise RuntimeError(f"of {requests} locks {released} were held")
    return figures


def set_keys(port, load, requests):
    figures = redis_benchmark(port, load, requests, STRANGERS, "SET", "bench:__rand_int__", "me")
    empty_redis(port)
    return figures


def check(port, load, requests):
    names = [f"bench:{number:012}" for number in range(CHECKED)]
    token = ask(port, "LOCK.MACQUIRE", CHECKED, *names, "me", "TTL", TTL)
    with Connection(port) as connection:
        if connection.call("LOCK.CHECK", names[-1], token) != 1:
            raise RuntimeError(f"token {token!r} does not hold")
    return redis_benchmark(port, load, requests, CHECKED, "LOCK.CHECK", "bench:__rand_int__",
                           str(token))


def get(port, load, requests):
    with Connection(port) as connection:
        for number in range(CHECKED):
            connection.call("SET", f"bench:{number:012}", "me")
    return redis_benchmark(port, load, requests, CHECKED, "GET", "bench:__rand_int__")


def put_there_and_take(there, away, port, load, requests):
    generate("load", "each", port, load[0], 16, requests, there)
    return generate("load", "each", port, *load, requests, away)


release = functools.partial(put_there_and_take, f"LOCK.ACQUIRE bench:{{n}} c{{c}} TTL {TTL}",
                            "LOCK.RELEASE bench:{n} c{c}")
delete = functools.partial(put_there_and_take, "SET bench:{n} c{c}", "DEL bench:{n}")


class Sized:
    """A run is told a number of requests: as many as fill the time, but never more than
    `requests_max`; then there are several runs."""

    def __init__(self, port, run, requests_max=NAMES_MAX):
        self.port = port
        self.run = run
        self.requests_max = requests_max
        self.rates = {}

    def measure(self, load, seconds):
        if load not in self.rates:
            self.rates[load] = self.find_rate(load, seconds)
        smallest = load[0] * load[1]
        requests = min(self.requests_max, max(smallest, int(self.rates[load] * seconds)))
        runs, spent = [], 0
        while not runs or spent + requests / self.rates[load] / 2 < seconds:
            runs.append(self.run(self.port, load, requests))
            self.rates[load] = runs[-1]["rate"]
            spent += requests / runs[-1]["rate"]
        merged = {name: statistics.median(run[name] for run in runs)
                  for name in ("p50_ms", "p99_ms")}
        return {"rate": len(runs) * requests / spent, **merged}

    def find_rate(self, load, seconds):
        """By runs that grow until one takes a fourth of the time."""
        requests = load[0] * load[1] * 8
        while True:
            requests = min(requests, self.requests_max)
            rate = self.run(self.port, load, requests)["rate"]
            if requests / rate > seconds / 4 or requests == self.requests_max:
                return rate
            requests *= 4


class Timed:
    """A generator that is told the time."""

    def __init__(self, *words):
        self.words = words

    def measure(self, load, seconds):
        name, mode, port, *commands = self.words
        loads = load if name == "load" else load[:1]  # etcd's has no pipeline.
        figures = generate(name, mode, port, *loads, seconds, *commands)
        return {key: figures[key] for key in ("rate", "p50_ms", "p99_ms")}


class Disk:
    """No server: what a synced append by one writer costs here."""

    @staticmethod
    def measure(_, seconds):
        return sync_rate(seconds)


def take_turns(bench, part, cluster, leader, series):
    """`series`: name, loads, and whom to measure by column."""
    for repetition in range(bench.repetitions):
        stage = f"{part}: repetition {repetition + 1} of {bench.repetitions}"
        for name, loads, contestants in series:
            for load in loads:
                row = row_name(name, load)
                for column, contestant in contestants.items():
                    bench.progress.show(stage, f"{row}, {column}")
                    bench.figures.add(row, column, **contestant.measure(load, bench.seconds))
        bench.keep_leader(stage, cluster, leader)


def part_locks(bench):
    """ACQUIRE, RELEASE and CHECK beside redis-server, and the disk by itself"""
    memory = start_redis()
    synced = start_redis(*FSYNC_ALWAYS)
    with Cluster(3) as cluster:
        leader = cluster.leader()
        follower = cluster.others(leader)[0]
        take_turns(bench, "locks", cluster, leader, [
            ("FDATASYNC", [(1, 1)], {DISK: Disk()}),
            ("ACQUIRE", LOADS, {LEADER: Sized(leader.port, acquire),
                                FOLLOWER: Sized(follower.port, acquire),
                                MEMORY: Sized(memory, set_keys),
                                SYNCED: Sized(synced, set_keys)}),
            ("RELEASE", LOADS, {LEADER: Sized(leader.port, release),
                                MEMORY: Sized(memory, delete),
                                SYNCED: Sized(synced, delete)}),
            ("CHECK", LOADS, {LEADER: Sized(leader.port, check, requests_max=10**9),
                              MEMORY: Sized(memory, get, requests_max=10**9)}),
        ])


def part_cycles(bench):
    """a lock taken and released, beside redis-server and etcd"""
    ours = [f"LOCK.ACQUIRE bench:{{n}} c{{c}} TTL {TTL}", "LOCK.RELEASE bench:{n} c{c}"]
    theirs = [f"SET bench:{{n}} c{{c}} NX PX {TTL}", "DEL bench:{n}"]
    memory = start_redis()
    synced = start_redis(*FSYNC_ALWAYS)
    etcd = start_etcd()
    with Cluster(3) as cluster:
        leader = cluster.leader()
        redis = {MEMORY: Timed("load", "cycle", memory, *theirs),
                 SYNCED: Timed("load", "cycle", synced, *theirs)}
        lockstep = Timed("load", "cycle", leader.port, *ours)
        with_etcd = {LEADER: lockstep, **redis, ETCD: Timed("etcd_load", "cycle", etcd)}
        without = {LEADER: lockstep, **redis}
        take_turns(bench, "cycles", cluster, leader, [
            ("CYCLE", ETCD_LOADS, with_etcd),
            ("CYCLE", [load for load in LOADS if load not in ETCD_LOADS], without),
            ("PUT", ETCD_LOADS, {ETCD: Timed("etcd_load", "put", etcd)}),
        ])
