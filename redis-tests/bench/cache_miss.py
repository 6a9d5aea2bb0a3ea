"""What one command costs by where its key is: one client at a time, by the state of the line.

Each case is a few steps on nodes by turns, over and over, with another key of the same home each
time; the last step is timed (cache_steps.cc). The home is the node that leads the key's shard, A
and B are the others. Beside them are the same steps at redis-server.

Among them is how long an invalidation takes: a SET is answered when the nodes that could show the
old value no longer do. The last two: a key that two nodes increment in turn, so that it goes to and
fro; and how long until a client with CLIENT TRACKING at another node is told that a key which it
has read was written, beside redis-server's own tracking.
"""

from cache import REDIS
from cache_servers import Lockstep, Redis, tag_at, three_nodes
from queues import THREE_NODES
from rig import generate

ROUNDS, QUICK_ROUNDS = 1000, 200
VALUE = "x" * 64
HOME, A, B = 0, 1, 2

# What is done to a key: who, and what; the last step is the one that is timed.
GET, SET = "GET {key}", f"SET {{key}} {VALUE}"
READ_BY_ALL = [(HOME, SET), (A, GET), (B, GET)]
CASES = {
    "GET, held here": [(HOME, SET), (A, GET), (A, GET)],
    "GET, its home has it": [(HOME, SET), (A, GET)],
    "GET, there is no such key": [(A, GET)],
    "GET at the home, of what A wrote": [(A, SET), (HOME, GET)],
    "GET at B, of what A wrote": [(A, SET), (B, GET)],
    "SET, owned here": [(A, SET), (A, SET)],
    "SET of a new key": [(A, SET)],
    "SET at B, of what A wrote": [(A, SET), (B, SET)],
    "SET at A, of what A has read from the home": [(HOME, SET), (A, GET), (A, SET)],
    "SET at the home, of what A and B have read": [*READ_BY_ALL, (HOME, SET)],
    "SET at A, of what A and B have read": [*READ_BY_ALL, (A, SET)],
}
PING_PONG = "INCR of one key, by A and B in turn"
TOLD = "a client with TRACKING is told"
ROWS = [*CASES, PING_PONG, TOLD]


def run_steps(ports, rounds, steps, key):
    """`key` has {n} in it, or is one for all rounds."""
    lines = [f"{place} {command.format(key=key)}" for place, command in steps]
    lines[-1] = "!" + lines[-1]
    return generate("cache_steps", "steps", rounds, ",".join(map(str, ports)), *lines)


def ping_pong(ports, rounds, key):
    lines = [f"!{place} INCR {key}" for place in (A, B)]
    return generate("cache_steps", "steps", rounds, ",".join(map(str, ports)), *lines)


def measure(bench, column, ports, tag, repetition):
    rounds = QUICK_ROUNDS if bench.quick else ROUNDS
    stage = f"cache, miss: repetition {repetition + 1} of {bench.repetitions}"
    for number, (case, steps) in enumerate(CASES.items()):
        bench.progress.show(stage, f"{case}, {column}")
        figures = run_steps(ports, rounds, steps, f"{tag}:{repetition}:{number}:{{n}}")
        bench.figures.add(case, column, **figures)
    bench.progress.show(stage, column)
    bench.figures.add(PING_PONG, column, **ping_pong(ports, rounds, f"{tag}:ball"))
    told = generate("cache_steps", "told", rounds, ports[A], ports[B], f"{tag}:told")
    bench.figures.add(TOLD, column, **told)


def part_miss(bench):
    """what a miss, an invalidation, and a key's way to and fro cost"""
    redis = Redis(clients=3)
    with three_nodes() as cluster:
        lockstep = Lockstep(cluster, cluster.nodes)
        tag = tag_at(cluster, cluster.nodes[HOME])
        for repetition in range(bench.repetitions):
            measure(bench, THREE_NODES, lockstep.ports, tag, repetition)
            measure(bench, REDIS, redis.ports, tag, repetition)
