"""Clients that note each thing they ask and what they were told: the history that is judged.

A client that hears nothing, whose connection breaks or that is told UNCERTAIN knows nothing: what
it asked may have happened, or may yet. It goes on at another node, half the time under a new
owner's name, as a process does that starts anew, half the time as the same owner that asks again.

Lock names change every few seconds. So each is fought for by all, and yet has a history that can be
searched to its end.
"""

import random
import re
import threading
import time

from chaos_network import PORT, address
from resp import Closed, Connection, Error, pairs

NAMES_SECONDS = 4
LEASES = (1000, 2000, 3000, 20000)
LEASES_TO_OUTLIVE = (150, 400, 700, 1200)
LONG = 600000  # No run is so long.
CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 2.5
PROBE_SECONDS = 1.0
WATCH_SECONDS = 0.3
REFUSALS = {"CLUSTERDOWN", "TRYAGAIN"}  # It has not happened.
UNKNOWN = "?"
NOT_SENT = "-NOTSENT"


def now_us():
    return time.monotonic_ns() // 1000


def written(reply):
    """A reply as the judge reads it (tests/sim/judge.h)."""
    if reply is None:
        return "nil"
    if isinstance(reply, int):
        return f":{reply}"
    if isinstance(reply, Error):
        return f"-{reply.code}"
    info = pairs(reply)
    holders = [pairs(holder) for holder in info["holders"]]
    rows = [f"{h['owner']}:{h['mode'].lower()}:{h['token']}" for h in holders]
    return "{" + ",".join(rows) + "}" + str(len(info["waiters"]))


class Client(threading.Thread):
    """`home`: the node that it stays with; without it, it goes round."""

    def __init__(self, chaos, name, home=None, patience=ANSWER_SECONDS):
        super().__init__(name=name, daemon=True)
        self.chaos = chaos
        self.dice = random.Random(f"{chaos.seed} {name}")
        self.home = home
        self.node = home or self.dice.choice(chaos.node_ids)
        self.patience = patience
        self.connection = None
        self.lives = 0
        self.history = []
        self.outcomes = {}  # (verb, answer's sort) -> how often.
        self.grants_us = []
        self.surprises = []

    @property
    def owner(self):
        return f"{self.name}.{self.lives}"

    def run(self):
        try:
            while not self.chaos.ending.is_set():
                self.turn()
        except Exception as error:  # pylint: disable=broad-except
            self.surprises.append(f"{self.name}: {error!r}")
        finally:
            self.leave()

    def turn(self):
        raise NotImplementedError

    def fought_for(self, letters):
        """One of these names, as it is called for the time being."""
        age = int((time.monotonic() - self.chaos.began) / NAMES_SECONDS)
        return f"{self.dice.choice(letters)}.{age}"

    def rest(self, longest_ms):
        self.chaos.ending.wait(self.dice.uniform(0, longest_ms / 1000))

    def leave(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def move_on(self):
        self.leave()
        if not self.home:
            self.node = self.dice.choice(self.chaos.node_ids)

    def connect(self):
        try:
            self.connection = Connection(PORT, host=address(self.node), timeout=CONNECT_SECONDS)
            return True
        except OSError:
            self.move_on()
            self.rest(60)
            return False

    def ask(self, *words, block_ms=0):
        """The answer as the history has it."""
        if not self.connection and not self.connect():
            return NOT_SENT
        node = self.node
        self.connection.socket.settimeout(self.patience + block_ms / 1000)
        called_us = now_us()
        try:
            reply = self.connection.call(*words)
            returned_us = now_us() + 1
            answer = written(reply)
        except (OSError, Closed):
            returned_us = now_us() + 1
            reply, answer = None, UNKNOWN
            self.move_on()
        self.history.append(f"{self.name} {node} {called_us} {returned_us} {answer} "
                            + " ".join(map(str, words)))
        self.note(words[0], reply, answer, returned_us)
        return answer

    def note(self, verb, reply, answer, returned_us):
        sort = answer if answer[0] in "-?n" else "some" if answer not in (":0", "{}0") else "none"
        self.outcomes[verb, sort] = self.outcomes.get((verb, sort), 0) + 1
        if answer[0] == ":" and verb.endswith("ACQUIRE"):
            self.grants_us.append(returned_us)
        if isinstance(reply, Error):
            known = REFUSALS | {"UNCERTAIN", "UNBLOCKED", "DEADLOCK"}
            if reply.code not in known:
                self.surprises.append(f"{self.name}: {verb} is answered {reply}")
            # It is this node that has no majority, so a client with a list goes on to the next.
            elif reply.code in REFUSALS:
                self.move_on()
                self.rest(30)
        if self.knows_nothing(answer) and self.dice.random() < 0.5:
            self.lives += 1

    @staticmethod
    def knows_nothing(answer):
        return answer in (UNKNOWN, "-UNCERTAIN", "-UNBLOCKED")


class Worker(Client):
    """Fights for a few names with the others, in all the ways that there are."""

    def turn(self):
        way = self.dice.choices(
            [self.one_lock, self.outlive, self.upgrade, self.semaphore, self.many_at_once,
             self.one_after_the_other, self.look], [6, 2, 1, 2, 3, 3, 2])[0]
        way()
        self.rest(40)

    def acquire(self, name, *options, chance_to_wait=0.5, owner=None, leases=LEASES):
        block_ms = 0
        words = ["LOCK.ACQUIRE", name, owner or self.owner, *options,
                 "TTL", self.dice.choice(leases)]
        if self.dice.random() < chance_to_wait:
            block_ms = self.dice.randint(30, 900)
            words += ["BLOCK", block_ms]
        answer = self.ask(*words, block_ms=block_ms)
        return int(answer[1:]) if answer[0] == ":" else 0

    def one_lock(self):
        name, owner = self.fought_for("abc"), self.owner
        token = self.acquire(name, *(["SHARED"] if self.dice.random() < 0.4 else []))
        if not token:
            return
        self.hold(name, owner, token)
        with_token = ["TOKEN", token] if self.dice.random() < 0.5 else []
        self.ask("LOCK.RELEASE", name, owner, *with_token)

    def hold(self, name, owner, token):
        for _ in range(self.dice.choice([0, 1, 1, 3])):
            self.rest(50)
            what = self.dice.random()
            if what < 0.35:
                self.ask("LOCK.CHECK", name, token)
            elif what < 0.7:
                self.ask("LOCK.RENEW", name, owner, "TTL", self.dice.choice(LEASES))
            elif what < 0.8:
                self.ask("LOCK.RENEW", name, owner, "TTL", self.dice.choice(LEASES), "ALL")
            elif what < 0.9:
                self.acquire(name, owner=owner)  # Once more: the same token, or an upgrade.
            else:
                self.ask("LOCK.INFO", name)

    def outlive(self):
        """Waits until its lease is over, which it must not be a moment too early."""
        name = self.fought_for("abc")
        token = self.acquire(name, leases=LEASES_TO_OUTLIVE)
        if token and self.dice.random() < 0.3:
            self.rest(100)
            self.ask("LOCK.RENEW", name, self.owner, "TTL", self.dice.choice(LEASES_TO_OUTLIVE))
        while token and not self.chaos.ending.is_set():
            self.rest(40)
            if self.ask("LOCK.CHECK", name, token) != ":1":
                break

    def upgrade(self):
        name, owner = self.fought_for("abc"), self.owner
        if self.acquire(name, "SHARED") and self.acquire(name, owner=owner):
            self.acquire(name, "SHARED", chance_to_wait=0, owner=owner)
        self.ask("LOCK.RELEASE", name, owner)

    def semaphore(self):
        name, owner = self.fought_for("s"), self.owner
        token = self.acquire(name, "SHARED", "LIMIT", 2)
        if token:
            self.rest(60)
            self.ask("LOCK.RELEASE", name, owner, "TOKEN", token)

    def many_at_once(self):
        letters = self.dice.sample("xyz", self.dice.choice([2, 2, 3]))
        names, owner = [self.fought_for(letter) for letter in letters], self.owner
        block_ms = self.dice.choice([0, 300])
        answer = self.ask("LOCK.MACQUIRE", len(names), *names, owner,
                          *(["SHARED"] if self.dice.random() < 0.3 else []),
                          "TTL", self.dice.choice(LEASES),
                          *(["BLOCK", block_ms] if block_ms else []), block_ms=block_ms)
        if answer[0] == ":":
            self.rest(60)
            self.give_back(names, owner)

    def one_after_the_other(self):
        """In no order, so that circles close."""
        names = [self.fought_for(letter) for letter in self.dice.sample("xyz", 2)]
        owner = self.owner
        if self.acquire(names[0]):
            self.rest(20)
            self.acquire(names[1], chance_to_wait=0.9, owner=owner)
            self.rest(20)
            self.give_back(names, owner)

    def give_back(self, names, owner):
        if self.dice.random() < 0.5:
            self.ask("LOCK.RELEASE", names[0], owner, "ALL")
        else:
            for name in names:
                self.ask("LOCK.RELEASE", name, owner)

    def look(self):
        self.ask("LOCK.INFO", self.fought_for("abcsxyz"))


class Probe(Client):
    """Stays with its node and takes what nobody else wants: a grant, whenever there can be one."""

    def turn(self):
        name = f"probe.{self.name}.{len(self.history)}"
        if self.ask("LOCK.ACQUIRE", name, self.owner, "TTL", 1000)[0] == ":":
            self.ask("LOCK.RELEASE", name, self.owner)
        self.rest(40)


class Watcher(Client):
    """Stays with its node, however that fares, and asks it who holds what: it must never be told of
    the past. It asks again so soon that a node which was away finds a question younger than what
    has happened meanwhile."""

    def __init__(self, *arguments):
        super().__init__(*arguments, patience=WATCH_SECONDS)
        self.seen = ("", 0)  # A name, and a token that held it.

    def turn(self):
        name, token = self.seen
        if token and self.dice.random() < 0.3:
            self.ask("LOCK.CHECK", name, token)
        else:
            name = self.fought_for("abcxyz")
            found = re.search(r":(\d+)[,}]", self.ask("LOCK.INFO", name))
            self.seen = (name, int(found.group(1)) if found else 0)
        self.rest(40)


class Keeper(Client):
    """Takes locks that it never gives back: at the end each must still be held."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.kept = {}  # Name -> (owner, token).
        self.wanted = 0

    def turn(self):
        name = f"kept.{self.name}.{self.wanted}"
        owner = self.owner
        answer = self.ask("LOCK.ACQUIRE", name, owner, "TTL", LONG)
        if answer[0] == ":":
            self.kept[name] = (owner, int(answer[1:]))
        if answer[0] in ":n":
            self.wanted += 1
        if self.kept and self.dice.random() < 0.3:
            self.ask("LOCK.INFO", self.dice.choice(list(self.kept)))
        self.rest(150)

    def lost(self, nodes):
        """At the end: what is not held as it was granted, asked of each node in turn."""
        lost = []
        for i, (name, (owner, token)) in enumerate(self.kept.items()):
            self.home = self.node = nodes[i % len(nodes)]
            self.leave()
            answer = self.ask("LOCK.INFO", name)
            if answer != "{" + f"{owner}:exclusive:{token}" + "}0":
                lost.append(f"{name} of {owner}, token {token}: node {self.node} says {answer}")
        self.leave()
        return lost
