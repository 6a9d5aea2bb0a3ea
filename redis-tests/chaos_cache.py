"""Clients of the cache that note each thing they ask and what they were told: the history that
chaos_cache_judge.py judges.

All keys carry one of a few tags, so that few shards are under fire at a time. Some are there from
beginning to end, others for a few seconds only: what nobody knows of them then ends with them.
"""

import re
import time

from cache_cases import shard_of
from chaos_clients import UNKNOWN, Client, now_us
from chaos_nemesis import Nemesis
from resp import Closed, Error, pairs, wait_until

TAGS = "abcdef"
NAMES_SECONDS = 10
PATIENCE = (1.0, 2.5, 7.0)  # Seconds; a command waits five for its keys.
WATCH_SECONDS = 0.3
SAMPLE_SECONDS = 0.15
STAMPS = 4  # Keys that are written together.
TIMES_MS = (100, 300, 1000, 2500)
KEPT_READ, KEPT_ALONE = 150, 2.0  # So many of the last ones; seconds.
NOT_SENT = "-NOTSENT"
END_SECONDS = 15
BATCH = 200
NOTHING_CHANGED = re.compile(r"nothing was changed|nothing has happened|Transaction discarded")
# Sent before any command was run: a node that is about to end, or has just begun.
PASSING = {"CLUSTERDOWN", "TRYAGAIN", "EXECABORT", "LOADING", "UNCERTAIN", "UNBLOCKED"}


def written(reply):
    """A reply as the judge reads it."""
    if reply is None:
        return "nil"
    if isinstance(reply, int):
        return f":{reply}"
    if isinstance(reply, Error):
        return ("-" if NOTHING_CHANGED.search(reply) else "?") + reply.code
    if isinstance(reply, list):
        return "[" + ",".join(map(written, reply)) + "]"
    return "+OK" if reply == "OK" else f"={reply}"


class CacheClient(Client):
    """`home`: the node that it stays with; without it, it goes round."""

    def __init__(self, chaos, name, home=None, patience=None):
        super().__init__(chaos, name, home, patience)
        self.patient = patience
        self.values = 0

    def new_value(self):
        self.values += 1
        return f"{self.name}.{self.values}"

    def key(self, kind, for_ever=False):
        """The first tags are wanted more than the others."""
        tag = self.dice.choice(TAGS[:2] + TAGS)
        if for_ever or self.dice.random() < 0.4:
            return f"{{{tag}}}{kind}"
        age = int((time.monotonic() - self.chaos.began) / NAMES_SECONDS)
        return f"{{{tag}}}{kind}.{age}"

    def connect(self):
        self.patience = self.patient or self.dice.choice(PATIENCE)
        if not super().connect():
            return False
        try:
            return self.greet()
        except (OSError, Closed):
            self.move_on()
            return False

    def greet(self):
        """What is to be said first."""
        return True

    def ask(self, *words, block_ms=0):
        return self.ask_as(words, words)

    def ask_as(self, noted, words):
        """The answer as the history has it, under the command `noted`."""
        if not self.connection and not self.connect():
            return NOT_SENT
        node = self.node
        called_us = now_us()
        reply, answer = self.call(words)
        returned_us = now_us() + 1
        if noted[0] == "CAS" and answer[0] not in "-?":
            answer = ":0" if reply is None else ":1"
        if noted[0] == "MSET" and answer == "[+OK" + ",+OK" * (STAMPS - 1) + "]":
            answer = "+OK"
        elif noted[0] == "MSET" and answer[0] not in "-?+":
            self.surprises.append(f"{self.name}: {words} is answered {reply}")
        self.log(node, called_us, returned_us, answer, noted)
        self.look_at(noted[0], reply, answer)
        return answer

    def call(self, words):
        self.connection.socket.settimeout(self.patience)
        try:
            reply = self.connection.call(*words)
            return reply, written(reply)
        except (OSError, Closed):
            self.move_on()
            return None, UNKNOWN

    def log(self, node, called_us, returned_us, answer, noted):
        self.history.append(f"{self.name} {node} {called_us} {returned_us} {answer} "
                            + " ".join(map(str, noted)))

    def look_at(self, verb, reply, answer):
        if isinstance(reply, Error):
            # That a node promises nothing is right only when it ends in the middle of something.
            if reply.code not in PASSING or answer[0] == "?" and reply.code == "CLUSTERDOWN":
                self.surprises.append(f"{self.name}: {verb} is answered {reply}")
            self.move_on()
            self.rest(30)
        elif not self.home and self.dice.random() < 0.03:
            self.move_on()


class User(CacheClient):
    """Does all that there is to a few keys."""

    def turn(self):
        what = self.dice.choices(
            [self.read, self.write, self.write_if_none, self.swap, self.delete, self.take,
             self.count, self.look_at_count, self.stamp, self.look_at_stamps, self.for_a_while,
             self.look_for_a_while, self.compare_and_set, self.keep, self.look_at_kept],
            [8, 5, 2, 2, 1, 1, 6, 2, 2, 5, 2, 4, 4, 3, 5])[0]
        what()
        self.rest(40)

    def read(self):
        self.ask("GET", self.key("reg"))

    def write(self):
        self.ask("SET", self.key("reg"), self.new_value())

    def write_if_none(self):
        self.ask("SET", self.key("reg"), self.new_value(), "NX")

    def swap(self):
        self.ask("GETSET", self.key("reg"), self.new_value())

    def delete(self):
        self.ask("DEL", self.key("reg"))

    def take(self):
        self.ask("GETDEL", self.key("reg"))

    def count(self):
        self.ask("INCR", self.key("count"))

    def look_at_count(self):
        self.ask("GET", self.key("count"))

    def stamps(self):
        """Keys in as many shards."""
        age = int((time.monotonic() - self.chaos.began) / NAMES_SECONDS)
        return [f"{{{tag}}}stamp.{age}" for tag in TAGS[:STAMPS]]

    def stamp(self):
        value = self.new_value()
        words = [word for key in self.stamps() for word in (key, value)]
        if self.dice.random() < 0.6:
            self.ask("MSET", *words)
        elif self.queue([("SET", *pair) for pair in zip(words[::2], words[1::2])]):
            self.ask_as(("MSET", *words), ("EXEC",))

    def look_at_stamps(self):
        keys = self.stamps()
        self.ask("MGET", *self.dice.sample(keys, self.dice.randint(2, STAMPS)))

    def for_a_while(self):
        self.ask("SET", self.key("px"), self.new_value(), "PX", self.dice.choice(TIMES_MS))

    def look_for_a_while(self):
        self.ask("GET", self.key("px"))

    def quietly(self, *words):
        """What the judge need not know. Nothing, if it was not answered as it should."""
        if not self.connection and not self.connect():
            return None
        reply, answer = self.call(words)
        if answer[0] in "-?":
            self.look_at(words[0], reply, answer)
            self.leave()  # With all that was queued and watched.
            return None
        return answer

    def queue(self, commands):
        return self.quietly("MULTI") and all(self.quietly(*words) for words in commands)

    def compare_and_set(self):
        key, value = self.key("cas"), self.new_value()
        if not self.quietly("WATCH", key):
            return
        connection, old = self.connection, self.ask("GET", key)
        if old[0] in "-?" or self.connection is not connection:
            self.leave()
            return
        self.rest(10)
        if self.queue([("SET", key, value)]):
            self.ask_as(("CAS", key, value, old.removeprefix("=")), ("EXEC",))

    # Keys that are written once, by one, and left alone for a while: so it is known who has them.

    def keep(self):
        key = f"{{{self.dice.choice(TAGS)}}}kept.{self.new_value()}"
        if self.ask("SET", key, self.new_value()) == "+OK":
            self.chaos.kept.append((time.monotonic(), key))

    def look_at_kept(self):
        now = time.monotonic()
        left_alone = [key for at, key in self.chaos.kept[-KEPT_READ:] if now - at > KEPT_ALONE]
        if left_alone:
            self.ask("GET", self.dice.choice(left_alone))


class Watcher(User):
    """Stays with its node, however that fares, and asks it for what others write: it must never be
    told of the past. It asks again so soon that a node which was away finds a question younger than
    what has happened meanwhile."""

    def __init__(self, chaos, name, home):
        super().__init__(chaos, name, home, WATCH_SECONDS)

    def turn(self):
        self.dice.choice([self.read, self.read, self.look_at_stamps, self.look_at_count,
                          self.look_for_a_while, self.look_at_kept])()
        self.rest(30)


class Probe(CacheClient):
    """Stays with its node and writes a key of its own in one shard: that can always be done."""

    def __init__(self, chaos, node, tag):
        super().__init__(chaos, f"p{node}{tag}", node)
        self.only_key = f"{{{tag}}}probe.{node}"

    def turn(self):
        self.ask("SET", self.only_key, self.new_value())
        self.rest(200)


class Tracker(CacheClient):
    """Keeps copies of what it reads, for as long as it hears nothing else of them."""

    def greet(self):
        self.copies = {}
        self.connection.socket.settimeout(self.patience)
        told = [self.connection.call("HELLO", 3), self.connection.call("CLIENT", "TRACKING", "ON")]
        if any(isinstance(each, Error) for each in told):
            self.move_on()
            return False
        return True

    def turn(self):
        tag = TAGS[self.dice.randrange(3)]
        kind = self.dice.choice(["reg", "reg", "cas"])
        key = f"{{{tag}}}{kind}"
        if not self.connection and not self.connect():
            return
        connection, node, called_us = self.connection, self.node, now_us()
        answer = self.ask("GET", key)
        returned_us = now_us() + 1
        if answer[0] in "-?" or self.connection is not connection:
            self.leave()  # Copies go with the connection that keeps them.
            return
        self.hear()
        # Of this shard: one lease is good for all of it.
        for other, value in self.copies.items():
            if other != key and other.startswith(f"{{{tag}}}"):
                self.log(node, called_us, returned_us, value, ("COPY", other))
        if key in self.copies:
            self.log(node, called_us, returned_us, self.copies[key], ("COPY", key))
        self.copies[key] = answer
        self.rest(25)

    def hear(self):
        """Pushes that came before the reply."""
        for push in self.connection.pushes:
            if push[0] != "invalidate":
                self.surprises.append(f"{self.name} is pushed {push}")
            elif push[1] is None:
                self.copies.clear()
            else:
                for key in push[1]:
                    self.copies.pop(key, None)
        self.connection.pushes.clear()


class Sampler(CacheClient):
    """Asks the nodes in turn who leads the shards of the tags."""

    def __init__(self, chaos, name):
        super().__init__(chaos, name)
        self.patient = WATCH_SECONDS
        self.shards = {f"shard-{shard_of(f'{{{tag}}}')}" for tag in TAGS}

    def turn(self):
        self.chaos.ending.wait(SAMPLE_SECONDS)
        self.move_on()
        if not self.connect():
            return
        status, answer = self.call(("CLUSTER", "STATUS"))
        if answer[0] in "-?":
            return
        at = now_us()
        for group in map(pairs, pairs(status)["groups"]):
            if group["name"] in self.shards and group["leader"]:
                shard = group["name"].removeprefix("shard-")
                self.history.append(f"nemesis 0 {at} {at} + home {shard} {group['leader']}")


class Last(CacheClient):
    """When all is over: whether every node says the same of all that there is."""

    def __init__(self, chaos, node):
        super().__init__(chaos, f"end{node}", node, END_SECONDS)

    def number(self, *words):
        """As it is told, or in the map that is told."""
        if not self.connection and not self.connect():
            return None
        reply, _ = self.call(words)
        return pairs(reply)["violations"] if isinstance(reply, list) else reply

    def read_all(self, keys):
        values = {}
        for at in range(0, len(keys), BATCH):
            values |= self.read_many(keys[at:at + BATCH])
        return values

    def read_many(self, keys):
        called_us = now_us()
        for key in keys:
            self.connection.send("GET", key)
        answers = [written(self.connection.reply()) for _ in keys]
        for key, answer in zip(keys, answers):
            self.log(self.home, called_us, now_us() + 1, answer, ("GET", key))
        return dict(zip(keys, answers))


def disagreements(chaos, keys):
    """What speaks against it that all nodes know the same, and have found nothing wrong."""
    lasts = {node: Last(chaos, node) for node in chaos.node_ids}
    told = {node: last.number("DCACHE.STATS") for node, last in lasts.items()}
    against = [f"node {node} counts {number} violations" for node, number in told.items()
               if number != 0]
    # The last keys that have a time to live end meanwhile.
    sizes = {}

    def agree():
        sizes.update((node, last.number("DBSIZE")) for node, last in lasts.items())
        return isinstance(sizes[1], int) and len(set(sizes.values())) == 1
    try:
        wait_until(agree, END_SECONDS, "the same DBSIZE")
    except AssertionError as error:
        against.append(f"{error}: {sizes}")
    values = {node: last.read_all(keys) for node, last in lasts.items()}
    for key in keys:
        told = {node: each[key] for node, each in values.items()}
        if len(set(told.values())) > 1 or any(each[0] in "-?" for each in told.values()):
            against.append(f"{key} is told as {told}")
    for last in lasts.values():
        last.leave()
    return against, [line for last in lasts.values() for line in last.history]


class CacheNemesis(Nemesis):
    """Hurts whoever is the home of some of the keys, and writes down for the judge who can serve
    and who may be to blame."""

    between = (0, 0.1, 0.5, 2.2, 2.2)  # The last two: long enough for all to be well again.

    def __init__(self, chaos):
        self.lines = []
        self.told_to_end = set()
        super().__init__(chaos)

    def leader(self):
        name = f"shard-{shard_of(f'{{{self.dice.choice(TAGS)}}}')}"
        for node in self.cluster.nodes:
            if node.id not in self.serving():
                continue
            status = node.ask("CLUSTER", "STATUS", timeout=1)
            groups = [] if status is None or isinstance(status, Error) else pairs(status)["groups"]
            for group in map(pairs, groups):
                if group["name"] == name and group["leader"]:
                    return group["leader"]
        return 0

    def terminate(self, node):
        self.told_to_end.add(node)
        return super().terminate(node)

    def hurt(self):
        """Whoever ends in order passes on what it has, if nothing else happens at that time."""
        cut = {end for way in self.cuts for end in way} - {0}
        ends = [node for node in cut if all(node in way for way in self.cuts)]
        hurt = self.paused | (self.down - self.told_to_end) | \
            (set(ends) if len(ends) == 1 else cut)
        return hurt | self.told_to_end if hurt else hurt

    def note(self, what, fault):
        super().note(what, fault)
        self.told_to_end &= self.down
        at, hurt = self.changes[-1][0], self.hurt()
        whole = set(self.ids) - hurt - self.down
        whole -= {node for node in whole if {(0, node), (node, 0)} & self.cuts}
        if len(whole) < self.chaos.nodes_needed(len(self.ids)):
            whole = set()
        sets = [",".join(map(str, sorted(each))) or "-" for each in (whole, hurt)]
        self.lines.append(f"nemesis 0 {at} {at} + nodes {sets[0]} {sets[1]} {int(fault)}")

    def over(self):
        """What comes now is no client's affair."""
        at = self.changes[-1][0]
        self.lines.append(f"nemesis 0 {at} {at} + nodes - - 0")
