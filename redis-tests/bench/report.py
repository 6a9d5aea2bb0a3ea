"""What was measured: tables and targets for people, JSON for programs, and a drawing."""

import json
import statistics
import subprocess

import cache
import cache_report
import memory
import queue_drain
import queue_huge
import queue_wake
import queues
import trouble
import waiting
from queues import BEANSTALK, COMBINED, ONE_NODE, THREE_NODES
from rig import OUT
from tables import cell, divided, ratio
from throughput import DISK, ETCD, FOLLOWER, LEADER, LOADS, MEMORY, SYNCED, row_name

COLUMNS = [LEADER, FOLLOWER, COMBINED, ONE_NODE, THREE_NODES, MEMORY, SYNCED, ETCD, BEANSTALK, DISK]
SERIES = {  # In the order of the tables: what each is beside.
    "FDATASYNC": "300 bytes appended and synced, one after the other",
    "ACQUIRE": "LOCK.ACQUIRE of a free lock beside SET of a new key",
    "RELEASE": "LOCK.RELEASE of a held lock beside DEL of a key that is there",
    "CHECK": "LOCK.CHECK of a held lock beside GET",
    "CYCLE": "ACQUIRE, then RELEASE, beside SET NX and DEL, and etcd's Lock and Unlock by gRPC",
    "PUT": "etcd's Put by gRPC, for scale",
}
QUEUE_WORKS = {  # Beside redis-server's words, and beside beanstalkd's.
    "push": ("DQ.PUSH beside XADD", "put"),
    "pop": ("DQ.POP, then DQ.ACK, of what is there, beside XREADGROUP and XACK",
            "reserve and delete"),
    "message": ("pushed, popped and acknowledged, beside XADD, XREADGROUP and XACK",
                "put, reserve and delete"),
}
QUEUE_SHAPES = {
    queues.ONE: "one queue, whose leader is asked",
    queues.MANY: "64 queues, one in each shard, beside as many streams",
    queues.WIDE: "one queue of 8 partitions, beside one stream",
}
WIDTH = 22
QUEUE_WIDTH = 25


def ratios(figures):
    """Of whatever stands beside redis-server's streams."""
    names = [row for shape in QUEUE_SHAPES for work in QUEUE_WORKS
             for _, _, row in queue_rows(figures, work, shape)]
    return {row: {column: ratio(figures, (row, column), (row, SYNCED))
                  for column in figures.rows[row] if column != SYNCED}
            for row in names}


def queue_rows(figures, work, shape):
    """Size, load and name of what was measured of it."""
    rows = [(size, load, row_name(queues.series_name(work, size, shape), load))
            for size in queues.sizes_of(work, shape) for load in queues.LOADS]
    return [each for each in rows if each[2] in figures.rows]


def most(figures, row, columns, name, least_messages=0):
    """The largest of several; nothing if one is missing, or was measured with fewer messages."""
    values = [figures.median(row, column, name) for column in columns]
    messages = [figures.median(row, column, "messages") or 0 for column in columns]
    return max(values) if None not in values and min(messages) >= least_messages else None


def lock_memory_mb(figures):
    return divided(most(figures, memory.LOCKS, memory.ROLES, "more_kb"), 1024)


def long_memory_mb(figures):
    return divided(most(figures, queue_drain.DRAIN_MEMORY, queue_drain.ROLES, "more_kb",
                        queue_drain.MESSAGES), 1024)


def long_restart_seconds(figures):
    return most(figures, queue_drain.DRAIN, [queue_drain.LOCKSTEP], "restart_seconds",
                queue_drain.MESSAGES)


def huge_memory_gb(figures):
    return divided(most(figures, queue_huge.HUGE_MEMORY, queue_drain.ROLES, "more_kb",
                        queue_huge.MESSAGES), 1024 * 1024)


def wake_ms(figures):
    return most(figures, queue_wake.WAKE, (queue_wake.AT_LEADER, queue_wake.AT_FOLLOWER), "p50_ms")


# What it is, what is wanted of it, and how it is told from the figures.
TARGETS = [
    ("ACQUIRE 50x16 / redis in memory, SET 50x16", ">=", 0.25,
     lambda f: ratio(f, ("ACQUIRE 50x16", LEADER), ("ACQUIRE 50x16", MEMORY))),
    ("ACQUIRE 50x1 / redis fsync always, SET 50x1", ">=", 2,
     lambda f: ratio(f, ("ACQUIRE 50x1", LEADER), ("ACQUIRE 50x1", SYNCED))),
    ("CYCLE 50x1 / etcd's Lock and Unlock, 50 clients", ">=", 20,
     lambda f: ratio(f, ("CYCLE 50x1", LEADER), ("CYCLE 50x1", ETCD))),
    ("ACQUIRE 1x1 / the disk's fdatasync rate", ">=", 0.5,
     lambda f: ratio(f, ("ACQUIRE 1x1", LEADER), ("FDATASYNC 1x1", DISK))),
    ("CHECK 50x1 / redis in memory, GET 50x1", ">=", 0.5,
     lambda f: ratio(f, ("CHECK 50x1", LEADER), ("CHECK 50x1", MEMORY))),
    ("memory of 100,000 locks, MB", "<", 40, lock_memory_mb),
    ("PUSH 100 B 50x16 / redis fsync always, XADD 50x16", ">=", 0.6,
     lambda f: ratio(f, ("PUSH 100 B 50x16", LEADER), ("PUSH 100 B 50x16", SYNCED))),
    ("messages of 100 B through one queue, 50x16, a second", ">=", 30000,
     lambda f: f.median("MESSAGE 100 B 50x16", LEADER)),
    ("from push to a waiting consumer, median, ms", "<", 5, wake_ms),
    ("1,000,000 messages of 100 B, MB a node beyond idle", "<", 150, long_memory_mb),
    ("1,000,000 queued, nodes killed: s until all serve", "<", 5, long_restart_seconds),
    ("10,000,000 queued, GB of 1024 MB a node beyond idle", "<", 1, huge_memory_gb),
    *cache_report.TARGETS,
]


def judge(figures):
    rows = []
    for title, sense, wanted, tell in TARGETS:
        value = tell(figures)
        met = value is not None and (value >= wanted if sense == ">=" else value < wanted)
        verdict = "not measured" if value is None else "met" if met else "falls short"
        rows.append({"target": title, "wanted": f"{sense} {wanted:g}", "measured": value,
                     "verdict": verdict})
    return rows


# Tables ------------------------------------------------------------------------------------------

def columns_of(figures, rows):
    return [column for column in COLUMNS if any(column in figures.rows[row] for row in rows)]


def print_series(figures, series, words):
    loads = [load for load in LOADS if row_name(series, load) in figures.rows]
    if not loads:
        return
    columns = columns_of(figures, [row_name(series, load) for load in loads])
    print(f"\n{series}: {words}")
    print(f"{'  clients x pipeline':<22}" + "".join(f"{column:>{WIDTH}}" for column in columns))
    for load in loads:
        cells = [cell(figures, row_name(series, load), column) for column in columns]
        print(f"{load[0]:>10} x {load[1]:<9}" + "".join(f"{each:>{WIDTH}}" for each in cells))


def print_queues(figures):
    beside = ratios(figures)
    if not beside:
        return
    print(f"\nQueues: messages a second, the median of their times, and how many times (x) the rate "
          f"of\n{SYNCED}. Each is synced: by two nodes of three, by redis-server, by beanstalkd.")
    for shape, shape_words in QUEUE_SHAPES.items():
        for work, (words, tube_words) in QUEUE_WORKS.items():
            rows = queue_rows(figures, work, shape)
            if rows:
                columns = columns_of(figures, [row for _, _, row in rows])
                too = f", and beanstalkd's {tube_words}" if BEANSTALK in columns else ""
                print(f"\n{work.upper()}, {shape_words}:\n  {words}{too}")
                print_queue_table(figures, rows, columns, beside)


def print_queue_table(figures, rows, columns, beside):
    print("   size  clients x pipeline"
          + "".join(f"{column:>{QUEUE_WIDTH}}" for column in columns))
    above = None
    for size, load, row in rows:
        cells = [cell(figures, row, column, beside[row].get(column)) for column in columns]
        print(f"{size if size != above else '':>7}{load[0]:>10} x {load[1]:<6}"
              + "".join(f"{each:>{QUEUE_WIDTH}}" for each in cells))
        above = size


def print_waiting(figures):
    for row, what in ((waiting.HANDOVER, "hot lock, from a release to the next grant elsewhere"),
                      (waiting.SHARED, "ACQUIRE SHARED and RELEASE of one lock"),
                      (waiting.SEVERAL, "MACQUIRE of 3 and RELEASE ALL")):
        for column in figures.rows.get(row, {}):
            rate, p50, p99 = (figures.median(row, column, name)
                              for name in ("rate", "p50_ms", "p99_ms"))
            print(f"  {what}; {column}: {rate:,.0f} a second, median {p50:.2f} ms, "
                  f"p99 {p99:.2f} ms")


def print_trouble(figures):
    for each in figures.rows.get(trouble.FAILOVER, {}).values():
        gaps = each["gap_ms"]
        print(f"  failover gap: median {statistics.median(gaps):.0f} ms, longest "
              f"{max(gaps):.0f} ms of {len(gaps)}")
    if trouble.DEADLOCK in figures.rows:
        told = [f"{column.split()[0]}: {figures.median(trouble.DEADLOCK, column, 'told_ms'):.2f}"
                for column in figures.rows[trouble.DEADLOCK]]
        print(f"  deadlock, ms until the victim is told, by owners in the circle: "
              f"{', '.join(told)}")
    if trouble.LEASES in figures.rows:
        def of(column, name):
            return figures.median(trouble.LEASES, column, name)
        print(f"  {trouble.LEASE_COUNT:,} leases end at once: the first "
              f"{of(trouble.STORM, 'late_ms'):.0f} ms after its time, the last "
              f"{of(trouble.STORM, 'from_first_to_last_ms'):.0f} ms after the first; another "
              f"client's\n    longest LOCK.ACQUIRE meanwhile {of(trouble.STORM, 'max_ms'):.0f} ms, "
              f"before {of(trouble.CALM, 'max_ms'):.0f} ms")


def print_memory(figures):
    for role, each in figures.rows.get(memory.LOCKS, {}).items():
        more = each["more_kb"][0]
        print(f"  {memory.LOCK_COUNT:,} locks, {role}: {more / 1024:.1f} MB more than idle "
              f"({each['idle_kb'][0] / 1024:.1f} MB), {more * 1024 / memory.LOCK_COUNT:.0f} bytes "
              f"each")
    for role, each in figures.rows.get(memory.WAITERS, {}).items():
        more, before = each["more_kb"][0], each["connections_kb"][0]
        count = each["connections"][0]
        print(f"  {memory.WAITER_COUNT:,} who wait, {role}: {more / 1024:.1f} MB, "
              f"{more * 1024 / memory.WAITER_COUNT:.0f} bytes each; its {count:,} connections "
              f"before: {before / 1024:.1f} MB")


def print_wake(figures):
    for column in figures.rows.get(queue_wake.WAKE, {}):
        p50, p99 = (figures.median(queue_wake.WAKE, column, name) for name in ("p50_ms", "p99_ms"))
        print(f"  {queue_wake.WAKE}; {column}: median {p50:.2f} ms, p99 {p99:.2f} ms")


def long_queues(figures):
    """Of each that was measured: its columns' heads, its figures, and memory by node."""
    kinds = ((queue_drain.DRAIN, queue_drain.DRAIN_MEMORY, ""),
             (queue_huge.HUGE, queue_huge.HUGE_MEMORY, ", half delayed"))
    for row, memory_row, more in kinds:
        for column, each in figures.rows.get(row, {}).items():
            nodes = queue_drain.ROLES if column == queue_drain.LOCKSTEP else [column]
            kb = [figures.median(memory_row, node, "more_kb") for node in nodes]
            heads = (f"{each['messages'][0]:,}{more}", column)
            yield heads, {name: values[0] for name, values in each.items()}, kb


def print_long_queues(figures):
    columns = list(long_queues(figures))
    if not columns:
        return

    def line(title, cells):
        print(f"{title:<52}" + "".join(f"{each:>{QUEUE_WIDTH}}" for each in cells))

    def of(name, form):
        return [form.format(each[name]) if name in each else "-" for _, each, _ in columns]
    print(f"\nLong queues: filled, killed (-9, all nodes at once), and drained by "
          f"{queue_drain.CLIENTS} clients.")
    line(f"  messages of {queue_drain.BYTES} B", [heads[0] for heads, _, _ in columns])
    line("", [heads[1] for heads, _, _ in columns])
    line("  pushed a second, a thousand at a time", of("pushed_rate", "{:,.0f}"))
    line("  popped and acknowledged a second, 100 at a time", of("drained_rate", "{:,.0f}"))
    line("  seconds from the start after the kill to serving", of("restart_seconds", "{:.1f}"))
    line("  MB more than idle: leader / each follower",
         [" / ".join(f"{node / 1024:,.0f}" for node in kb) for _, _, kb in columns])
    line("  bytes a message, where they are most",
         [f"{max(kb) * 1024 / each['messages']:.0f}" for _, each, kb in columns])


def print_report(figures, troubles):
    if any(row_name(series, load) in figures.rows for series in SERIES for load in LOADS):
        print("Requests (for CYCLE: rounds) a second, and the median of their times; of several "
              "repetitions the median.\nLockstep: three nodes, each request synced by two before "
              "its answer. etcd: three members, as they come.")
    for series, words in SERIES.items():
        print_series(figures, series, words)
    print_queues(figures)
    print_long_queues(figures)
    cache_report.print_cache(figures)
    print()
    print_waiting(figures)
    print_wake(figures)
    print_trouble(figures)
    print_memory(figures)
    cache_report.print_memory(figures)
    print(f"\n{'target':<52}{'wanted':>10}{'measured':>12}")
    for row in judge(figures):
        value = "-" if row["measured"] is None else f"{row['measured']:.2f}"
        print(f"{row['target']:<52}{row['wanted']:>10}{value:>12}   {row['verdict']}")
    for each in troubles:
        print(f"\nTrouble: {each}")


# Files -------------------------------------------------------------------------------------------

def write_json(figures, machine, troubles):
    path = OUT / "figures.json"
    whole = {"machine": machine, "figures": figures.rows,
             "ratios": {**ratios(figures), **cache_report.cache_ratios(figures)},
             "targets": judge(figures), "troubles": troubles}
    path.write_text(json.dumps(whole, indent=1) + "\n")
    return path


def panel_of_rows(figures, name, title, rows):
    """`rows`: what stands below the bars, and whose rates they are."""
    columns = columns_of(figures, [row for _, row in rows])
    lines = [f"${name} << END", " ".join(f'"{column}"' for column in ["load", *columns])]
    for label, row in rows:
        rates = [figures.median(row, column) for column in columns]
        lines.append(" ".join([f'"{label}"', *(f"{r:.0f}" if r else "NaN" for r in rates)]))
    bars = [f"${name} using {i + 2}:xtic(1) title columnheader({i + 2}) "
            f"linetype {COLUMNS.index(column) + 1}" for i, column in enumerate(columns)]
    return [*lines, "END", f'set title "{title}"', "set style data histograms",
            "set logscale y", "set yrange [10:*]", "plot " + ", ".join(bars)]


def panel_of_series(figures, series):
    rows = [(f"{load[0]}x{load[1]}", row_name(series, load)) for load in LOADS]
    return panel_of_rows(figures, series, f"{series}: a second, by clients x pipeline",
                         [(label, row) for label, row in rows if row in figures.rows])


def panels_of_cache(figures):
    """A panel for each load, of keys that are held."""
    for clients, pipeline in cache.LOADS:
        rows = [(work.upper() + ("" if size == cache.SMALL else " 1K"),
                 row_name(cache.series_name(work, size, law), (clients, pipeline)))
                for work, size, law in cache.kinds() if law == cache.UNIFORM]
        rows = [(label, row) for label, row in rows if row in figures.rows]
        if rows:
            title = f"Cache, held keys of 64 B, or 1K: a second, {clients}x{pipeline}"
            yield panel_of_rows(figures, f"CACHE{pipeline}", title, rows)


def panel_of_circles(figures):
    rows = [f"{column.split()[0]} {figures.median(trouble.DEADLOCK, column, 'told_ms'):.4f}"
            for column in figures.rows[trouble.DEADLOCK]]
    return ["$CIRCLES << END", *rows, "END",
            'set title "DEADLOCK: ms until it is told, by owners in the circle"',
            "unset logscale", "set logscale x 2", "set yrange [0:*]", 'set format y "%g"',
            "plot $CIRCLES using 1:2 with linespoints notitle"]


def draw(figures):
    """Nothing if there is nothing to draw."""
    panels = [panel_of_series(figures, series)
              for series in ("ACQUIRE", "RELEASE", "CHECK", "CYCLE")
              if row_name(series, LOADS[0]) in figures.rows]
    panels += panels_of_cache(figures)
    if trouble.DEADLOCK in figures.rows:  # The last: it alone has no logarithmic y.
        panels.append(panel_of_circles(figures))
    if not panels:
        return None
    across = min(2, len(panels))
    down = (len(panels) + 1) // 2
    path = OUT / "figures.svg"
    script = [f"set terminal svg size {620 * across},{400 * down} background 'white'",
              f"set output '{path}'", "set style fill solid 0.8", "set grid ytics",
              "set key outside bottom center horizontal", 'set format y "%.0s%c"',
              f"set multiplot layout {down},{across}"]
    for panel in panels:
        script += panel
    subprocess.run(["gnuplot"], input="\n".join([*script, "unset multiplot", ""]), text=True,
                   check=True)
    return path
