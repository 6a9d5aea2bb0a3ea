"""What is done to the nodes, in an order that a seed draws, and when the cluster had to serve.

Mostly a minority is hurt at a time: then the rest must go on granting (`longest_gap`). Sometimes
all are: then nothing can be granted, but nothing may be lost either.
"""

import itertools
import random
import subprocess
import time

from chaos_network import CLIENTS
from cluster import end_process
from resp import wait_until

START_SECONDS = 20
STOP_SECONDS = 20
LONG_ENOUGH = (0.05, 0.3, 0.8, 1.5, 3.0, 5.0)  # Shorter and longer than an election.
BETWEEN = (0, 0, 0.1, 0.5, 1.0, 2.0)


def has_majority(size, serving, cuts, needed=None):
    """Whether some majority of nodes is serving, each hears each, and clients reach one of it.

    `needed`: so many nodes instead of a majority.
    """
    def linked(one, other):
        return (one, other) not in cuts and (other, one) not in cuts
    return any(all(linked(*pair) for pair in itertools.combinations(group, 2))
               and any(linked(CLIENTS, node) for node in group)
               for group in itertools.combinations(sorted(serving), needed or size // 2 + 1))


def longest_gap(grants_us, changes, faults_count=True):
    """The longest time without a grant while there was a majority, and when it began.

    `changes` are (when, whether there is a majority from then on, whether that is a new fault). The
    time counts from the last grant, or from when the majority came back, or a new fault began.
    """
    longest, began, since = 0, 0, None
    events = [(at, True, False, True) for at in grants_us] + \
        [(*change, False) for change in changes]
    for at, majority, fault, grant in sorted(events):
        if since is not None and at - since > longest:
            longest, began = at - since, since
        if not majority:
            since = None
        elif grant:
            since = None if since is None else at
        elif since is None or (fault and faults_count):
            since = at
    return longest, began


class Trouble(AssertionError):
    """A node does what no fault explains."""


class Nemesis:
    # A deck of cards: each comes as often as it is here before any comes again.
    FOR_ONE = ["kill", "kill", "kill_twice", "pause", "pause", "pause", "isolate", "isolate",
               "unplug", "deaf", "mute", "terminate"]
    FOR_ALL = ["link", "half_link", "chase", "come_back", "come_back", "kill_all", "pause_all",
               "scatter"]
    between = BETWEEN

    def __init__(self, chaos):
        self.chaos = chaos
        self.cluster = chaos.cluster
        self.ids = chaos.node_ids
        self.dice = random.Random(chaos.seed)
        self.deck = []
        self.down = set()
        self.paused = set()
        self.cuts = set()
        self.counts = dict.fromkeys(["kills", "pauses", "cuts", "terminations", "restarts"], 0)
        self.changes = []
        self.story = []
        self.note("begin", fault=False)

    # The order of things -------------------------------------------------------------------------

    def go_on(self):
        """One fault, from its beginning to its end and a while longer."""
        self.check_alive()
        if not self.deck:
            self.deck = self.FOR_ONE + self.FOR_ALL
            self.dice.shuffle(self.deck)
        card = self.deck.pop()
        if card in self.FOR_ALL:
            getattr(self, card)()
        else:
            victims = self.victims()
            undo = [getattr(self, card if i == 0 else self.dice.choice(self.FOR_ONE))(victim)
                    for i, victim in enumerate(victims)]
            self.stay()
            for each in undo:
                each()
        self.chaos.sleep(self.dice.choice(self.between))

    def victims(self):
        """A minority; mostly the leader is in it."""
        number = self.dice.randint(1, (len(self.ids) - 1) // 2)
        victims = self.dice.sample(self.ids, number)
        leader = self.leader() if self.dice.random() < 0.6 else 0
        if leader and leader not in victims:
            victims[0] = leader
        return victims

    def leader(self):
        serving = [node for node in self.cluster.nodes if node.id in self.serving()]
        return next(filter(None, (node.leader_id() for node in serving)), 0)

    def stay(self):
        self.chaos.sleep(self.dice.choice(LONG_ENOUGH) * self.dice.uniform(0.8, 1.2))

    def end_all(self):
        """All is well again, as far as we can make it so."""
        self.cut(set(), "heal all")
        for node in list(self.paused):
            self.thaw(node)
        for node in list(self.down):
            self.start(node)

    # What is known of it -------------------------------------------------------------------------

    def serving(self):
        return set(self.ids) - self.down - self.paused

    def note(self, what, fault):
        at_us = time.monotonic_ns() // 1000
        majority = has_majority(len(self.ids), self.serving(), self.cuts,
                                self.chaos.nodes_needed(len(self.ids)))
        self.changes.append((at_us, majority, fault))
        self.story.append(f"{at_us} {what}" + ("" if majority else " (no majority)"))

    def check_alive(self):
        for node in self.cluster.nodes:
            if node.id not in self.down and not node.is_running:
                raise Trouble(f"{node!r} has ended by itself, code {node.process.returncode}")

    # One node ------------------------------------------------------------------------------------

    def node(self, node):
        return self.cluster.node(node)

    def start(self, node):
        self.counts["restarts"] += 1
        self.node(node).start()
        self.story.append(f"{time.monotonic_ns() // 1000} start {node}")
        self.await_start(node)

    def await_start(self, node):
        def is_there():
            if not self.node(node).is_running:
                raise Trouble(f"node {node} does not start, code {self.node(node).process.poll()}")
            return self.node(node).ask("PING") == "PONG"
        wait_until(is_there, START_SECONDS, f"node {node} answers after its start")
        self.down.discard(node)
        self.note(f"{node} answers", fault=False)

    def kill(self, *nodes):
        """kill -9. What is given back brings them back."""
        for node in nodes:
            self.counts["kills"] += 1
            self.down.add(node)
            self.node(node).process.kill()
        self.note(f"kill {nodes}", fault=True)
        for node in nodes:
            end_process(self.node(node).process)
        return lambda: self.start_all(nodes)

    def start_all(self, nodes):
        for node in nodes:
            self.counts["restarts"] += 1
            self.node(node).start()
        for node in nodes:
            self.await_start(node)

    def kill_twice(self, node):
        """And once more while it starts."""
        self.kill(node)
        self.node(node).start()
        self.chaos.sleep(self.dice.uniform(0, 0.15))
        return self.kill(node)

    def terminate(self, node):
        self.counts["terminations"] += 1
        self.down.add(node)
        self.note(f"terminate {node}", fault=True)
        try:
            code = self.node(node).terminate(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            code = "none"
        if code != 0:
            raise Trouble(f"node {node} is told to stop: exit code {code}")
        return lambda: self.start(node)

    def pause(self, *nodes):
        for node in nodes:
            self.counts["pauses"] += 1
            self.node(node).freeze()
            self.paused.add(node)
        self.note(f"pause {nodes}", fault=True)
        return lambda: [self.thaw(node) for node in nodes]

    def thaw(self, node):
        self.node(node).thaw()
        self.paused.discard(node)
        self.note(f"go on {node}", fault=False)

    # The network ---------------------------------------------------------------------------------

    def cut(self, ways, what):
        """These ways besides what is cut already; none at all: everything is healed."""
        if ways:
            self.counts["cuts"] += 1
            self.cuts |= ways
            self.note(what, fault=True)  # Before it is done: the time counts from then.
        self.cluster.network.set_cuts(self.cuts if ways else set())
        if not ways:
            self.cuts = set()
            self.note(what, fault=False)
        return lambda: self.heal(ways)

    def heal(self, ways):
        self.cluster.network.set_cuts(self.cuts - ways)
        self.cuts -= ways
        self.note("heal", fault=False)

    def from_to(self, sources, sinks):
        return {(one, other) for one in sources for other in sinks if one != other}

    def isolate(self, node):
        """From the other nodes; clients still reach it."""
        return self.cut(self.from_to([node], self.ids) | self.from_to(self.ids, [node]),
                        f"isolate {node}")

    def unplug(self, node):
        ends = [CLIENTS, *self.ids]
        return self.cut(self.from_to([node], ends) | self.from_to(ends, [node]), f"unplug {node}")

    def deaf(self, node):
        return self.cut(self.from_to(self.ids, [node]), f"deaf {node}")

    def mute(self, node):
        return self.cut(self.from_to([node], self.ids), f"mute {node}")

    # More than one -------------------------------------------------------------------------------

    def link(self):
        one, other = self.dice.sample(self.ids, 2)
        heal = self.cut({(one, other), (other, one)}, f"cut {one} - {other}")
        self.stay()
        heal()

    def half_link(self):
        one, other = self.dice.sample(self.ids, 2)
        heal = self.cut({(one, other)}, f"cut {one} -> {other}")
        self.stay()
        heal()

    def chase(self):
        """Whoever leads is killed, time and again."""
        for _ in range(3):
            undo = self.kill(self.leader() or self.dice.choice(self.ids))
            self.chaos.sleep(self.dice.uniform(0.5, 2.5))
            undo()

    def come_back(self):
        """As soon as those who were cut off are back the leader dies: so they are needed at once,
        whatever TCP makes of the links that were cut."""
        leader = self.leader() or self.ids[0]
        others = [node for node in self.ids if node != leader]
        away = self.dice.sample(others, (len(self.ids) - 1) // 2)
        heal = self.cut(self.from_to(away, self.ids) | self.from_to(self.ids, away),
                        f"isolate {away} each")
        self.chaos.sleep(self.dice.uniform(1, 8))
        heal()
        undo = self.kill(leader)
        self.chaos.sleep(self.dice.uniform(2, 4))
        undo()

    def kill_all(self):
        undo = self.kill(*self.ids)
        self.chaos.sleep(self.dice.uniform(0, 1))
        undo()
        self.chaos.sleep(3)

    def pause_all(self):
        undo = self.pause(*self.ids)
        self.chaos.sleep(self.dice.uniform(0.5, 3))
        undo()
        self.chaos.sleep(2)

    def scatter(self):
        """Nobody hears anybody."""
        heal = self.cut(self.from_to(self.ids, self.ids), "scatter")
        self.stay()
        heal()
        self.chaos.sleep(3)
