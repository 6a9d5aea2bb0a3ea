"""The longest queue: ten million messages, half of them ready and half delayed by an hour, of which
each node keeps the order in memory; what that costs, and how soon all nodes answer again when they
were killed at once.

It is measured as the long queue is (queue_drain.py). The halves are pushed by turns, a tenth of all
at a time.
"""

from cluster import Cluster
from resp import pairs

import queue_drain
from queue_drain import QUEUE, LongQueue, add_memory, push, resident_kb
from queue_servers import settle

HUGE, HUGE_MEMORY = "a huge queue", "memory of a huge queue"
MESSAGES, QUICK_MESSAGES = 10000000, 1000000
TURNS = 10
HOUR_MS = 3600000


def fill(bench, held, messages):
    """How many a second, over all turns."""
    seconds = 0
    for turn in range(TURNS):
        bench.progress.show(f"queues, huge: {turn * messages // TURNS:,} of {messages:,} pushed")
        figures = push(held, messages // TURNS, *([HOUR_MS] if turn % 2 else []))
        seconds += figures["done"] / figures["rate"]
    return messages / seconds


def part_huge(bench):
    """ten million messages in one queue, ready and delayed: memory and restart"""
    messages = QUICK_MESSAGES if bench.quick else MESSAGES
    with Cluster(3) as cluster:
        settle(cluster)
        held = LongQueue(cluster)
        idle = resident_kb(held)
        rate = fill(bench, held, messages)
        bench.progress.show("queues, huge: all pushed; until all nodes have applied them")
        add_memory(bench, HUGE_MEMORY, held, idle, messages)
        bench.progress.show("queues, huge: all nodes are killed and started again")
        seconds = queue_drain.restart(held, messages // 2)
        delayed = pairs(cluster.nodes[0].ask("DQ.INFO", QUEUE))["delayed"]
        if delayed != messages // 2:
            raise RuntimeError(f"{delayed} messages are delayed after the restart")
        bench.figures.add(HUGE, queue_drain.LOCKSTEP, messages=messages, pushed_rate=rate,
                          restart_seconds=seconds)
