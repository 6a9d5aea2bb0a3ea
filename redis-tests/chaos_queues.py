"""A process that pushes into the queues of chaos, or works on what is in them, in all the ways that
there are, while nodes and processes like itself are hurt (chaos_queue_pool.py starts and hurts it).

    chaos_queues.py produce|consume name number seed log host,host,...

It writes down what it is about to ask and what it was told (chaos_queue_judge.py says how), line by
line: a kill -9 takes nothing that was written.

A client that hears nothing, whose connection breaks or that is told UNCERTAIN knows nothing. With
an ID a push is tried again then, until an id is answered; without one it is left as it is. What was
refused has not happened, so it may be tried again in any case.
"""

import itertools
import os
import random
import signal
import sys
import time
from typing import NamedTuple

from resp import Closed, Connection, Error, pairs

PORT = 7379
CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 2.5
REFUSALS = {"CLUSTERDOWN", "TRYAGAIN"}  # It has not happened; another node may be better off.
LEASES_MS = (400, 1000, 2000, 3000)
BLOCKS_MS = (20, 80, 400)
OWN_GROUPS, SHARED_GROUPS = 4, 8
ACK_TRIES = 5
TOLD, REFUSED, UNKNOWN = "told", "refused", "unknown"
# What is given back, or never acknowledged, comes again soon: a run has little time.
OPTIONS = {"backoff-base": 50, "backoff-max": 500, "maxlen": 60}
NEVER_DEAD = 1_000_000


class Queue(NamedTuple):
    """What its messages are like: chances, as producers and consumers throw dice for them."""
    name: str
    ids: float = 0.5
    groups: float = 0
    delays: float = 0
    priorities: float = 0
    nacks: float = 0.06
    retry: int = 0  # 0: however often it fails, it never dies.

    def options(self):
        return OPTIONS | {"retry": self.retry or NEVER_DEAD}


QUEUES = [
    Queue("{plain}a"),
    Queue("groups", ids=0.7, groups=1, delays=0.05, priorities=0.2),
    Queue("later", delays=0.7, priorities=0.5),
    Queue("{plain}b", priorities=0.5),  # In one shard with the other: one POP may name both.
    Queue("brittle", groups=0.5, delays=0.1, nacks=0.4, retry=2),
    # It gets more and more partitions, for which no ID of before may be remembered.
    Queue("wide", ids=0, groups=0.6),
]
WIDE, WIDEST = "wide", 8


class Client:
    """One node at a time. `home`: where it goes back to, so that each node has some."""

    def __init__(self, name, number, seed, log, hosts):
        self.name = name
        self.number = number
        self.dice = random.Random(f"{seed} {name}")
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.hosts = hosts
        self.home = self.node = number // len(QUEUES) % len(hosts) + 1
        self.connection = None
        self.ending = False
        signal.signal(signal.SIGTERM, self.end)

    def end(self, *_):
        self.ending = True

    def chance(self, part):
        return self.dice.random() < part

    def note(self, what, *words):
        os.write(self.log, " ".join(map(str, (time.monotonic_ns(), self.name, what, *words)))
                 .encode() + b"\n")

    def rest(self, longest_ms):
        """What the work itself takes, and the time between two jobs."""
        if not self.ending:
            time.sleep(self.dice.uniform(0, longest_ms / 1000))

    def leave(self):
        if self.connection:
            self.note("left")
            self.connection.close()
        self.connection = None

    def move_on(self):
        self.leave()
        self.node = self.home if self.chance(0.4) else self.dice.randint(1, len(self.hosts))

    def connect(self):
        try:
            self.connection = Connection(PORT, host=self.hosts[self.node - 1],
                                         timeout=CONNECT_SECONDS)
            return True
        except OSError:
            self.move_on()
            self.rest(60)
            return False

    def ask(self, verb, *words, block_ms=0):
        """(TOLD, what) or (REFUSED or UNKNOWN, nothing)."""
        if not self.connection and not self.connect():
            return REFUSED, None
        self.connection.socket.settimeout(ANSWER_SECONDS + block_ms / 1000)
        try:
            reply = self.connection.call(verb, *words)
        except (OSError, Closed):
            self.note("told", verb, "?")
            self.move_on()
            return UNKNOWN, None
        if not isinstance(reply, Error):
            self.note("told", verb, "nil" if reply is None else "none" if reply == 0 else "some")
            return TOLD, reply
        self.note("told", verb, f"-{reply.code}")
        return self.refused(verb, words[0], reply), None

    def refused(self, verb, queue, error):
        if error.code in REFUSALS:
            self.move_on()
            self.rest(60)
            return REFUSED
        if error.code == "LIMIT" and verb == "DQ.PUSH":  # Whoever pushes has to wait.
            self.note("full", queue)
            self.rest(100)
            return REFUSED
        if error.code == "ERR" and verb == "DQ.SET":
            return REFUSED  # Whoever was killed in this place has got more partitions since.
        # UNBLOCKED: the node of a POP that waits is told to end.
        if error.code != "UNCERTAIN" and (error.code, verb) != ("UNBLOCKED", "DQ.POP"):
            self.note("surprise", verb, "is answered", error)
        self.move_on()
        return UNKNOWN


class Producer(Client):
    """Each has a queue that it mostly pushes to: so a shard that stands still holds up a few."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.numbers = itertools.count(1)

    def run(self):
        while not self.ending:
            if self.number == 0 and self.chance(0.04):
                self.widen()
            self.push()
            if self.node != self.home and self.chance(0.1):
                self.leave()
                self.node = self.home
            self.rest(140)
        self.leave()

    def widen(self):
        """Refused while messages of before are where they do not belong any more."""
        sort, info = self.ask("DQ.INFO", WIDE)
        if sort == TOLD:
            wanted = pairs(info)["partitions"] + self.dice.choice([1, 1, 2])
            self.ask("DQ.SET", WIDE, "partitions", min(wanted, WIDEST))

    def group(self):
        """One that only it pushes to, or one that all push to."""
        if self.chance(0.3):
            return f"all.{self.dice.randrange(SHARED_GROUPS)}"
        return f"{self.name}.{self.dice.randrange(OWN_GROUPS)}"

    def push(self):
        queue = QUEUES[self.number % len(QUEUES)] if self.chance(0.9) else self.dice.choice(QUEUES)
        body = f"{self.name}/{next(self.numbers)}"
        group = self.group() if self.chance(queue.groups) else ""
        delay_ms = self.dice.choice([1, 30, 300, 1200]) if self.chance(queue.delays) else 0
        has_id = self.chance(queue.ids)
        words = [queue.name, body, *(["GROUP", group] if group else []),
                 *(["DELAY", delay_ms] if delay_ms else []), *(["ID", body] if has_id else [])]
        if self.chance(queue.priorities):
            words += ["PRIORITY", self.dice.randrange(10)]
        may_have_happened = False
        while True:
            self.note("pushing", queue.name, body, group or "-", delay_ms, queue.retry)
            sort, message_id = self.ask("DQ.PUSH", *words)
            if sort == TOLD:
                return self.note("pushed", body, message_id)
            if sort == REFUSED:
                self.note("refused", body)
            may_have_happened |= sort == UNKNOWN
            gives_up = sort == REFUSED and (self.ending or self.chance(0.2))
            if not has_id and may_have_happened or not may_have_happened and gives_up:
                return None


class Consumer(Client):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.acks = {queue.name: [] for queue in QUEUES}  # For the next POP from there.

    def run(self):
        while not self.ending:
            self.take()
        for queue, receipts in self.acks.items():
            if receipts:
                self.ack(queue, receipts)
        self.leave()

    def take(self):
        waiting = [queue for queue in QUEUES if self.acks[queue.name]]
        queue = self.dice.choice(waiting if waiting and self.chance(0.8) else QUEUES)
        both = "plain" in queue.name and self.chance(0.5)
        names = [queue.name] + [each.name for each in QUEUES
                                if both and "plain" in each.name and each != queue]
        acks = self.acks[queue.name]
        for receipt in acks:
            self.note("acking", receipt)
        tied, lease_ms = self.chance(0.25), self.dice.choice(LEASES_MS)
        block_ms = self.dice.choice(BLOCKS_MS) if self.chance(0.8) else 0
        node, asked = self.node, time.monotonic_ns()
        sort, rows = self.ask(
            "DQ.POP", *names, "COUNT", self.dice.choice([1, 1, 2, 4]), "LEASE", lease_ms, "FULL",
            *(["TIED"] if tied else []), *(["BLOCK", block_ms] if block_ms else []),
            *(["ACK", len(acks), *acks] if acks else []), block_ms=block_ms)
        if sort == TOLD and not rows:
            self.note("nil", ",".join(names), asked, block_ms)
        got = [row[:4] for row in rows or []]
        for name, receipt, body, attempt in got:
            self.note("got", name, receipt, attempt, body, asked, lease_ms, node, int(tied))
        if sort == TOLD:
            for receipt in acks:
                self.note("settled", receipt)
        # An answer that was lost took perhaps no ACK with it, so they are sent again.
        if sort == TOLD or self.chance(0.2):
            acks.clear()
        for row in rows or []:
            self.look_at(row)
        self.work_on(queue, got, lease_ms)
        if not block_ms:
            self.rest(30)

    def look_at(self, row):
        _, receipt, body, attempt, details = row
        details = pairs(details)
        told = (details["deliveries"], details["failures"] + 1, details["id"] or body)
        if told != (int(receipt.rpartition(".")[2]), attempt, body):
            self.note("surprise", "POP tells", row)

    def work_on(self, queue, got, lease_ms):
        """Mostly all goes well. `fates`: what else there is."""
        done = {}
        for name, receipt, *_ in got:
            self.rest(15)
            fate = self.dice.choices(
                [self.finish, self.nack, self.touch, self.outlive, self.forget, self.vanish],
                [0.88 - queue.nacks, queue.nacks, 0.06, 0.02, 0.02, 0.02])[0]
            how = fate(name, receipt, lease_ms, queue)
            if how == "vanished":
                return
            if how == "done":
                done.setdefault(name, []).append(receipt)
        for name, receipts in done.items():
            if self.chance(0.4):
                self.acks[name] += receipts
            else:
                self.ack(name, receipts)

    def finish(self, *_):
        return "done"

    def nack(self, name, receipt, _, queue):
        how = "release" if self.chance(0.25) else "dead" if queue.retry and self.chance(0.2) \
            else "fail"
        words = {"fail": ["ERROR", "bad luck"], "release": ["RELEASE"], "dead": ["DEAD"]}[how]
        if how != "dead" and self.chance(0.3):
            words += ["DELAY", self.dice.choice([0, 20, 200])]
        self.note("nacking", receipt, how)
        _, number = self.ask("DQ.NACK", name, receipt, *words)
        if number == 1:
            self.note("nacked", receipt)

    def touch(self, name, receipt, *_):
        """Works on for a while."""
        lease_ms = self.dice.choice(LEASES_MS)
        self.note("touching", receipt, lease_ms)
        sort, told = self.ask("DQ.TOUCH", name, lease_ms, receipt)
        if sort == TOLD and told == [lease_ms]:
            self.note("touched", receipt)
        self.rest(100)
        return "done"

    def outlive(self, name, receipt, lease_ms, _):
        """Its lease is over, or nearly; what it does then may count or not."""
        time.sleep(lease_ms / 1000 * self.dice.choice([0.9, 1.01, 1.1]))
        return "done"

    def forget(self, *_):
        """And the connection stays."""

    def vanish(self, *_):
        """It dies in the middle of its work, and another comes."""
        self.move_on()
        return "vanished"

    def ack(self, name, receipts):
        for _ in range(ACK_TRIES):
            for receipt in receipts:
                self.note("acking", receipt)
            sort, number = self.ask("DQ.ACK", name, *receipts)
            if sort == TOLD:
                told = "acked" if number == len(receipts) else "stale" if number == 0 else "settled"
                for receipt in receipts:
                    self.note(told, receipt)
                return
            if not self.ending and self.chance(0.2):
                return


if __name__ == "__main__":
    roles = {"produce": Producer, "consume": Consumer}
    client = roles[sys.argv[1]](sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5],
                                sys.argv[6].split(","))
    client.run()
