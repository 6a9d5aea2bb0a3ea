"""What a cached key costs: the resident memory of each node, above what it has when idle, beside
redis-server's.

1,000,000 keys of 16 bytes with values of 64 are set at one node of three, each once. Then that node
has all of them: it is home to a third, and of the others it keeps the lines that it wrote, whose
values have gone home meanwhile. Each of the other two has what it is home to, and who may read it.
The memory is what the system sees (memory.py): what the way there has left behind is in it.
"""

from resp import pairs

import memory
from cache import REDIS
from cache_servers import FILL_LOAD, Lockstep, Redis, three_nodes
from rig import end_process, generate

CACHE_MEMORY = "memory of cached keys"
KEYS, VALUE_BYTES = 1000000, 64
HOLDER = "the node that was asked"
ROLES = (HOLDER, "another", "the third")


def each(work, server):
    generate("cache_load", work, server.ports[0], *FILL_LOAD, KEYS, VALUE_BYTES, "each")


def values_at(node):
    """How many it has itself. What it is home to and another owns is not among them."""
    stats = pairs(node.ask("DCACHE.STATS"))
    return sum(stats[state] for state in ("modified", "exclusive", "shared", "home-alone",
                                          "home-shared"))


def fill(lockstep, holder):
    each("set", lockstep)
    lockstep.come_to_rest()
    if values_at(holder) != KEYS:  # A lease was over, on a machine that was too busy for it.
        each("get", lockstep)
    if values_at(holder) != KEYS:
        raise RuntimeError(f"of {KEYS} keys {values_at(holder)} are at the node")


def part_memory(bench):
    """of 1,000,000 keys of 16 B with values of 64 B"""
    bench.progress.show("cache, memory", REDIS)
    redis = Redis()
    idle = memory.resident_kb(redis.process)
    each("set", redis)
    bench.figures.add(CACHE_MEMORY, REDIS, more_kb=memory.resident_kb(redis.process) - idle)
    end_process(redis.process)
    bench.progress.show("cache, memory", "lockstep")
    with three_nodes() as cluster:
        lockstep = Lockstep(cluster, cluster.nodes)
        idle = [memory.resident_kb(node) for node in cluster.nodes]
        fill(lockstep, cluster.nodes[0])
        for role, node, before in zip(ROLES, cluster.nodes, idle):
            bench.figures.add(CACHE_MEMORY, role, more_kb=memory.resident_kb(node) - before)
