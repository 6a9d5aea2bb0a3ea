"""Servers that are measured as caches: what they hold, and what a command takes of processors."""

import contextlib
import json
import os
import pathlib
import statistics

from cluster import Cluster, ask, free_port, make_folder
from resp import pairs, wait_until

from queue_servers import leader_of, settle
from rig import START_SECONDS, finish, generate, run_redis, start_generator

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
FILL_LOAD = (50, 16)
CALM_SECONDS = 30
WARM_SECONDS = 0.5
# Of DCACHE.STATS: the commands that had to ask another node, and whatever nodes tell each other.
ASKED = ("misses",)
MESSAGES = ("misses", "upgrades", "invalidations-sent", "invalidations-received", "recalls-sent",
            "recalls-received")


def processor_seconds(pids):
    """User's and system's time of all of them, since they began."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_A_SECOND


class Server:
    """`ports`: where clients ask, a client process at each; `pids`: whose time is counted."""
    writes_go_home = False

    def __init__(self, ports, pids):
        self.ports, self.pids = ports, pids
        self.held = None

    def do(self, *command):
        return ask(self.ports[0], *command, timeout=60)

    def come_to_rest(self):
        pass

    def hold(self, keys, size):
        """The keys with values of that size, written and read by those who will ask for them."""
        if self.held == (keys, size):
            return
        self.held = keys, size
        each = (*FILL_LOAD, keys, size, "each")
        generate("cache_load", "set", self.ports[0], *each)
        self.come_to_rest()
        for port in dict.fromkeys(self.ports):
            generate("cache_load", "get", port, *each)

    def counts(self, _):
        """How often the nodes did what is named, all together."""
        return 0


class Redis(Server):
    def __init__(self, clients=1):
        port = free_port()
        self.process = run_redis(port, make_folder())
        wait_until(lambda: ask(port, "PING") == "PONG", START_SECONDS, "redis-server answers")
        super().__init__([port] * clients, [self.process.pid])


class Lockstep(Server):
    writes_go_home = True

    def __init__(self, cluster, nodes):
        self.nodes = cluster.nodes
        super().__init__([node.port for node in nodes], [node.pid for node in cluster.nodes])

    def stats(self):
        return [pairs(node.ask("DCACHE.STATS")) for node in self.nodes]

    def come_to_rest(self):
        """Until what was written has gone home: not while something is measured."""
        def calm():
            return all(each["modified"] + each["moving"] == 0 for each in self.stats())
        wait_until(calm, CALM_SECONDS, "what was written has gone home")

    def counts(self, names):
        return sum(each[name] for each in self.stats() for name in names)


@contextlib.contextmanager
def three_nodes(**options):
    """With the leaders of shards, and so the homes of keys, where they stay."""
    with Cluster(3, **options) as cluster:
        settle(cluster)
        yield cluster


def tag_at(cluster, node):
    """What keys begin with whose home that node is."""
    tags = (f"{{{number}}}" for number in range(1000))
    return next(tag for tag in tags if leader_of(cluster, tag[1:-1]) is node)


class Meter:
    """What a server's processors did, and its nodes told each other, for so many commands."""

    def __init__(self, server):
        self.server = server
        self.before = self.read()

    def read(self):
        counts = [self.server.counts(names) for names in (ASKED, MESSAGES)]
        return processor_seconds(self.server.pids), *counts

    def figures(self, commands):
        seconds, asked, messages = (now - before for now, before in zip(self.read(), self.before))
        return {"cpu_us": seconds * 1e6 / commands, "asked": asked / commands,
                "messages": messages}


def load_together(server, work, load, keys, size, law, seconds):
    """A client process at each of the server's ports, at once: what they have done together."""
    meter = Meter(server)
    processes = [start_generator("cache_load", work, port, *load, keys, size, law, seconds)
                 for port in server.ports]
    each = [json.loads(finish(process)) for process in processes]
    return {"rate": sum(one["rate"] for one in each),
            "p50_ms": statistics.median(one["p50_ms"] for one in each),
            "p99_ms": max(one["p99_ms"] for one in each),
            **meter.figures(sum(one["done"] for one in each))}


class Together:
    """What take_turns() measures. Writes are not counted before some have had the time to go home
    (dcache-dirty-max-age)."""

    def __init__(self, server, work, *keys):
        self.server, self.work, self.keys = server, work, keys

    def measure(self, load, seconds):
        if self.work != "get" and self.server.writes_go_home:
            load_together(self.server, self.work, load, *self.keys, WARM_SECONDS)
        return load_together(self.server, self.work, load, *self.keys, seconds)
