"""How often a cache finds what it is asked for if it has room for a part of the keys only: SIEVE,
which is what Lockstep evicts by, beside LRU.

Measured in one process, on Lockstep's own table of lines (cache_hits.cc): what is compared is the
choice of what goes, and nodes would add nothing but time. 100,000 keys by Zipf's law with exponent
0.99. With scans: now and then comes a walk over 5000 others, each asked for once; these are a fifth
of all requests, and found by neither.
"""

from rig import generate

REQUESTS, KEYS, EXPONENT = 2000000, 100000, 0.99
TRACES = {"Zipf": (0, 0), "Zipf with scans": (20000, 5000)}
ROOMS = (1, 2, 5, 10, 20)  # Of a hundred keys.
SIEVE, LRU = "sieve", "lru"


def row_of(trace, room):
    return f"hits, {trace}, room for {room} %"


def part_hits(bench):
    """the hit ratio of SIEVE beside LRU"""
    for trace, scans in TRACES.items():
        for room in ROOMS:
            row = row_of(trace, room)
            bench.progress.show("cache, hits", row)
            hits = generate("cache_hits", REQUESTS, KEYS, EXPONENT, *scans, KEYS * room // 100)
            for column in (SIEVE, LRU):
                bench.figures.add(row, column, ratio=hits[column])
