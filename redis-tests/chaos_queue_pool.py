"""The producers and consumers of chaos: started, killed, stopped, ended; and who hurts the nodes,
as far as it is the queues' affair."""

import collections
import itertools
import random
import signal
import subprocess
import sys
import time

import cluster
from chaos_nemesis import Nemesis, Trouble
from chaos_network import CLIENTS, address
from chaos_queue_judge import MS
from chaos_queues import ANSWER_SECONDS, QUEUES
from resp import Error, pairs, wait_until

PROGRAM = cluster.ROOT / "redis-tests/chaos_queues.py"
PRODUCERS, CONSUMERS = 20, 20
HURT_EVERY = (0.2, 1.0)  # Seconds from one to the next of them all.
PAUSES = (0.2, 1.0, 3.0, 6.0)  # Shorter and longer than a lease.
END_SECONDS = 20
DRAIN_SECONDS = 60
PEEK_ROWS = 100
SLOTS = 16384
# node-timeout, and a bit less; and how long a link may take to come back once it could.
SILENT_AFTER, HEARD_AFTER = 4500 * MS, 3000 * MS


def silences(touched, node):
    """(from, until) of each time at which some other node may have heard nothing of this one for
    node-timeout. One fault after the other may be one silence, if the links had no time to come
    back in between."""
    spans = []
    for (begin, nodes), (end, _) in itertools.pairwise(touched):
        if node not in nodes:
            continue
        if spans and begin - spans[-1][1] < HEARD_AFTER:
            spans[-1][1] = end
        else:
            spans.append([begin, end])
    return [(begin + SILENT_AFTER, end + HEARD_AFTER) for begin, end in spans
            if end - begin > SILENT_AFTER]


class QueueNemesis(Nemesis):
    """Hurts whoever leads the shard of a queue, and writes down for the judge when a node's clients
    may have lost what they had from it."""

    def __init__(self, chaos):
        self.lines = []
        self.touched = []  # (when, the nodes that stand still or have a cable cut)
        super().__init__(chaos)

    def write(self, what, *words, at=None):
        self.lines.append(" ".join(map(str, (at or time.monotonic_ns(), "nemesis", what, *words))))

    def leader(self):
        asked = [node for node in self.cluster.nodes if node.id in self.serving()]
        name = f"shard-{self.dice.choice(self.chaos.pool.shards)}"
        return next(filter(None, (self.leader_of(name, node) for node in asked)), 0)

    @staticmethod
    def leader_of(name, node):
        status = node.ask("CLUSTER", "STATUS", timeout=1)
        groups = [] if status is None or isinstance(status, Error) else pairs(status)["groups"]
        return next((group["leader"] for group in map(pairs, groups) if group["name"] == name), 0)

    def kill(self, *nodes):
        for node in nodes:
            self.write("lost", node)
        return super().kill(*nodes)

    def terminate(self, node):
        self.write("lost", node)
        return super().terminate(node)

    def note(self, what, fault):
        super().note(what, fault)
        cut = {node for way in self.cuts for node in way} - {CLIENTS}
        before = self.touched[-1][1] if self.touched else set()
        self.touched.append((time.monotonic_ns(), self.paused | cut))
        for node in (self.paused | cut) - before:
            self.write("hurt", node)

    def write_silences(self):
        self.touched.append((time.monotonic_ns(), set()))
        for node in self.ids:
            for begin, until in silences(self.touched, node):
                self.write("silent", node, until, at=begin)


class Pool:
    """A worker has a number, which says where it is at home, and a name for each of its lives."""

    def __init__(self, chaos):
        self.chaos = chaos
        self.dice = random.Random(f"pool {chaos.seed}")
        self.folder = chaos.cluster.folder / "pool"
        self.folder.mkdir()
        self.lives = itertools.count(1)
        self.processes = {}  # Name -> process.
        self.paused = {}  # Name -> when it goes on.
        self.read = collections.Counter()  # Log -> so many bytes of it are counted.
        self.counts = collections.Counter()
        self.next_hurt = 0
        self.lines = []
        self.shards = self.make_queues()

    # The processes -------------------------------------------------------------------------------

    def start_all(self):
        for number in range(PRODUCERS):
            self.start("produce", number)
        for number in range(CONSUMERS):
            self.start("consume", number)

    def start(self, role, number):
        name = f"{role}-{number}-{next(self.lives)}"
        hosts = ",".join(address(node) for node in self.chaos.node_ids)
        with open(self.folder / f"{name}.err", "wb") as trouble:
            self.processes[name] = cluster.start_process(
                [sys.executable, "-B", PROGRAM, role, name, number, self.chaos.seed,
                 self.folder / f"{name}.log", hosts], stdout=trouble, stderr=trouble)

    def tend(self):
        """Called again and again by whoever started them: they end with that thread."""
        self.check_alive()
        for name, at in list(self.paused.items()):
            if time.monotonic() > at:
                self.go_on(name)
        if time.monotonic() > self.next_hurt and self.chaos.left() > 0:
            self.next_hurt = time.monotonic() + self.dice.uniform(*HURT_EVERY)
            name = self.dice.choice(sorted(self.processes))
            hurt = self.kill if self.dice.random() < 0.5 else self.pause
            hurt(name)

    def kill(self, name):
        """kill -9, also of one that stands still; another comes for it."""
        self.write("killed", name)
        cluster.end_process(self.processes.pop(name))
        self.paused.pop(name, None)
        self.counts["kills"] += 1
        role, number, _ = name.split("-")
        self.start(role, int(number))

    def pause(self, name):
        if name not in self.paused:
            self.processes[name].send_signal(signal.SIGSTOP)
            self.counts["pauses"] += 1
            self.paused[name] = time.monotonic() + self.dice.choice(PAUSES)

    def go_on(self, name):
        self.processes[name].send_signal(signal.SIGCONT)
        del self.paused[name]

    def check_alive(self):
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise Trouble(f"{name} has ended by itself, code {process.returncode}\n"
                              + self.trouble(name))

    def trouble(self, name):
        return (self.folder / f"{name}.err").read_text(errors="replace")

    def end(self, role):
        """They finish what they have begun."""
        mine = {name: process for name, process in self.processes.items() if name.startswith(role)}
        for name, process in mine.items():
            if name in self.paused:
                self.go_on(name)
            process.terminate()
        for name, process in mine.items():
            try:
                code = process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                raise Trouble(f"{name} does not end") from None
            if code != 0:
                raise Trouble(f"{name} ends with code {code}\n" + self.trouble(name))
            cluster.end_process(self.processes.pop(name))

    def kill_all(self):
        """After a failure."""
        while self.processes:
            cluster.end_process(self.processes.popitem()[1])

    # What they have written ----------------------------------------------------------------------

    def write(self, what, *words):
        self.lines.append(" ".join(map(str, (time.monotonic_ns(), "pool", what, *words))))

    def count(self):
        """What is new in their logs."""
        for log in self.folder.glob("*.log"):
            with open(log, "rb") as lines:
                lines.seek(self.read[log])
                new = lines.read()
            self.read[log] += len(new)
            for what in ("pushed", "got"):
                self.counts[what] += new.count(f" {what} ".encode())
        return self.counts

    def history(self):
        lines = list(self.lines)
        for log in self.folder.glob("*.log"):
            lines += log.read_text().splitlines()
        return lines

    # The queues ----------------------------------------------------------------------------------

    def insist(self, *words):
        """Until there is an answer that is no passing trouble. At any node: all know the same."""
        def answered():
            node = self.dice.choice(self.chaos.cluster.nodes)
            reply = node.ask(*words, timeout=ANSWER_SECONDS)
            return None if reply is None or isinstance(reply, Error) else [reply]
        return wait_until(answered, END_SECONDS, f"an answer to {' '.join(map(str, words))}")[0]

    def make_queues(self):
        """The shards that they are in."""
        groups = pairs(self.insist("CLUSTER", "STATUS"))["groups"]
        number = sum(pairs(group)["name"].startswith("shard-") for group in groups)
        shards = set()
        for queue in QUEUES:
            options = [word for option in queue.options().items() for word in option]
            self.insist("DQ.SET", queue.name, *options)
            shards.add(self.insist("CLUSTER", "KEYSLOT", queue.name) * number // SLOTS)
        return sorted(shards)

    def info(self, queue):
        info = pairs(self.insist("DQ.INFO", queue))
        info["left"] = sum(info[state] for state in ("ready", "delayed", "leased"))
        return info

    def left(self):
        """How much there is to do in each."""
        return {queue.name: self.info(queue.name)["left"] for queue in QUEUES}

    def drain(self):
        """What is against it."""
        before, since = self.left(), time.monotonic()
        try:
            wait_until(lambda: not any(self.left().values()), DRAIN_SECONDS, "all is done")
        except AssertionError as error:
            return [f"{error}; there are {self.left()}"]
        print(f"  {', '.join(f'{number} in {name}' for name, number in before.items())}: done "
              f"{time.monotonic() - since:.1f} s after the last push", flush=True)
        return []

    def write_end(self):
        """What the cluster says of it, for the judge."""
        for queue in QUEUES:
            info = self.info(queue.name)
            self.write("counted", queue.name,
                       *(info[what] for what in ("pushed", "acked", "dead", "left")))
            for letter in self.dead(queue.name):
                self.write("dead", queue.name, letter["message"], letter["failures"],
                           letter["deliveries"], letter["body"])

    def dead(self, queue):
        first = []
        while rows := self.insist("DQ.PEEK", queue, "COUNT", PEEK_ROWS, "STATE", "DEAD", *first):
            letters = [pairs(row) for row in rows]
            yield from letters
            shard, number = letters[-1]["message"].split(".")
            first = ["FROM", f"{shard}.{int(number) + 1}"]
