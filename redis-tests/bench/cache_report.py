"""What was measured of the cache: tables and targets."""

import cache
import cache_hits
import cache_memory
import cache_miss
import cache_shared
from cache import HELD, LEAN, MANY, REDIS, SMALL, UNIFORM, series_name
from queues import ONE_NODE, THREE_NODES
from tables import cell, divided, ratio
from throughput import row_name

ONE_NODE_WORDS = {
    "get": "GET", "set": "SET", "incr": "INCR",
    "mset": f"MSET of {cache.KEYS_IN_MSET} keys",
}
SHARED_WORDS = {
    cache_shared.READ: f"three nodes' clients read the same {HELD} keys",
    cache_shared.WRITE: f"three nodes' clients write the same {HELD} keys",
    cache_shared.ONE_KEY: "three nodes' clients increment one key",
    cache_shared.COUNT: "1000 connections at three nodes increment one key; the sum is exact",
}
LABEL_WIDTH, WIDTH = 34, 36


def rows_of(figures, kinds):
    """Label and name of what was measured of them: (label, series, loads)."""
    rows = [(f"{label}{load[0]:>8} x {load[1]:<4}", row_name(series, load))
            for label, series, loads in kinds for load in loads]
    return [(label, row) for label, row in rows if row in figures.rows]


def one_node_rows(figures, work):
    kinds = [(f"{size if kind in cache.SIZED_WORKS else '':>8}{law:>9}",
              series_name(kind, size, law), cache.LOADS)
             for kind, size, law in cache.kinds() if kind == work]
    return rows_of(figures, kinds)


def shared_rows(figures, series):
    loads = cache_shared.COUNT_LOADS if series == cache_shared.COUNT else cache_shared.LOADS
    return rows_of(figures, [(" " * 17, series, loads)])


def cache_ratios(figures):
    """Of whatever stands beside redis-server."""
    rows = [(row, ONE_NODE) for work in cache.WORKS for _, row in one_node_rows(figures, work)]
    rows += [(row, THREE_NODES) for series in SHARED_WORDS
             for _, row in shared_rows(figures, series)]
    return {row: {column: ratio(figures, (row, column), (row, REDIS))} for row, column in rows}


# Targets -----------------------------------------------------------------------------------------

def held(work, law, load):
    """At one node, of keys that it holds, beside redis-server."""
    row = row_name(series_name(work, SMALL, law), load)
    return lambda figures: ratio(figures, (row, ONE_NODE), (row, REDIS))


def hot(load):
    row = row_name(cache_shared.READ, load)
    return lambda figures: ratio(figures, (row, THREE_NODES), (row, REDIS))


def messages_of_reads(figures):
    rows = [row for _, row in shared_rows(figures, cache_shared.READ)]
    return max((figures.worst(row, THREE_NODES, "messages") for row in rows), default=None)


def memory_mb(figures):
    return divided(figures.median(cache_memory.CACHE_MEMORY, cache_memory.HOLDER, "more_kb"), 1024)


TARGETS = [
    ("GET 64 B uniform 50x1 / redis in memory", ">=", 1, held("get", UNIFORM, (50, 1))),
    ("SET 64 B uniform 50x1 / redis in memory", ">=", 1, held("set", UNIFORM, (50, 1))),
    # An ordinary client is no faster than redis-server here, and would make all servers equal.
    ("GET 64 B lean 50x16 / redis in memory", ">=", 1.2, held("get", LEAN, (50, 16))),
    ("SET 64 B lean 50x16 / redis in memory", ">=", 1.2, held("set", LEAN, (50, 16))),
    ("3 nodes read the same keys, 50x1 / one redis", ">=", 1, hot((50, 1))),
    ("3 nodes read the same keys, 50x16 / one redis", ">=", 1, hot((50, 16))),
    ("messages between nodes while they read these", "<", 1, messages_of_reads),
    ("1,000,000 cached keys of 16 + 64 B, MB on their node", "<", 150, memory_mb),
    ("1000x16 increment one key at 3 nodes, a second", ">=", 50000,
     lambda f: f.median(row_name(cache_shared.COUNT, (1000, 16)), THREE_NODES)),
]


# Tables ------------------------------------------------------------------------------------------

def print_rates(figures, title, rows, ours):
    if not rows:
        return
    beside = cache_ratios(figures)
    print(f"\n{title}")
    print(f"{'clients x pipeline':>{LABEL_WIDTH}}{ours:>{WIDTH}}{'asked':>8}{REDIS:>{WIDTH}}")
    for label, row in rows:
        both = [with_processor(figures, row, column) for column in (ours, REDIS)]
        times = beside[row][ours]
        asked = figures.median(row, ours, "asked")
        print(f"{label:<{LABEL_WIDTH}}{both[0] + (f' x{times:.2f}' if times else ''):>{WIDTH}}"
              f"{asked or 0:>7.1%}{both[1]:>{WIDTH + 1}}")


def with_processor(figures, row, column):
    spent = figures.median(row, column, "cpu_us")
    return cell(figures, row, column).replace(")", f", {spent:.2f} us)") if spent else "-"


def print_cases(figures):
    rows = [row for row in cache_miss.ROWS if row in figures.rows]
    if not rows:
        return
    print("\nOne client, one command at a time, by what was done with the key before, and where: "
          "median\nand p99, ms. Three nodes: a key's home, A and B.")
    print(f"{'':<48}{THREE_NODES:>22}{REDIS:>22}")
    for row in rows:
        times = [[figures.median(row, column, name) for name in ("p50_ms", "p99_ms")]
                 for column in (THREE_NODES, REDIS)]
        cells = [f"{p50:.3f} ({p99:.3f})" for p50, p99 in times]
        print(f"  {row:<46}{cells[0]:>22}{cells[1]:>22}")


def print_hits(figures):
    for trace in cache_hits.TRACES:
        rows = [(room, cache_hits.row_of(trace, room)) for room in cache_hits.ROOMS]
        rows = [(room, row) for room, row in rows if row in figures.rows]
        if rows:
            print(f"\nHit ratio, {trace}, by room for so many of 100 keys:")
        for room, row in rows:
            sieve, lru = (figures.median(row, column, "ratio")
                          for column in (cache_hits.SIEVE, cache_hits.LRU))
            print(f"{room:>6}: SIEVE {sieve:.3f}, LRU {lru:.3f}, x{sieve / lru:.2f}")


def print_memory(figures):
    for role, each in figures.rows.get(cache_memory.CACHE_MEMORY, {}).items():
        more = each["more_kb"][0]
        print(f"  {cache_memory.KEYS:,} cached keys, {role}: {more / 1024:.1f} MB more than idle, "
              f"{more * 1024 / cache_memory.KEYS:.0f} bytes each")


def print_cache(figures):
    one_node = [(words, one_node_rows(figures, work)) for work, words in ONE_NODE_WORDS.items()]
    shared = [(words, shared_rows(figures, series)) for series, words in SHARED_WORDS.items()]
    if any(rows for _, rows in one_node + shared):
        print(f"\nCache: commands a second, the median of their times, the processor time of all "
              f"the server's\nprocesses for one, how many times (x) the rate of {REDIS}; and how "
              f"many had to ask another\nnode, or to wait for one that did. uniform: {HELD} keys, "
              f"which the node holds; lean: the same from\na client that costs next to "
              f"nothing; Zipf: {MANY:,} keys.")
    for column, each in figures.rows.get(cache.IDLE, {}).items():
        spent = each["percent"][0]
        processes = "its three processes take" if column == ONE_NODE else "it takes"
        print(f"With no client {processes} {spent:.1f} % of a core; {column}.")
    for words, rows in one_node:
        print_rates(figures, f"{words}, all clients at one node:", rows, ONE_NODE)
    for words, rows in shared:
        print_rates(figures, f"{words[0].upper()}{words[1:]}:", rows, THREE_NODES)
    print_cases(figures)
    print_hits(figures)
