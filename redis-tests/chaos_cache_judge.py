#!/usr/bin/python3
"""What clients of the cache wrote down, and what must hold of it.

    redis-tests/chaos_cache_judge.py history      judges one that was kept once more

A line is an operation, or what was known of the nodes from an instant on:

    client node called returned answer command        in us of this machine's one clock

A call is noted before its first byte left, a return after its last byte came. Commands are Redis's,
and besides `CAS key new old` (WATCH, GET, MULTI, SET, EXEC; old may be `nil`) and `COPY key`: a
tracking client, told nothing else until the reply to a command in the same shard that it called
then, has a copy of what it read before. Answers: `:n`, `=text`, `nil`, `+OK`, `[=a,nil]`; `-CODE`:
an error that promises that nothing was changed; `?` or `?CODE`: nobody knows, and it returned when
the client gave up: it may have happened, may yet, or never. Of the nodes:

    nemesis 0 at at + nodes whole hurt new    From here on `whole` (1,2 or -) run and hear each
                                              other, and are enough; `hurt` may be to blame for a
                                              loss; new 1: because of a new fault.
    nemesis 0 at at + home shard node         Somebody takes that node for the shard's leader.

Each key is a register that may forget: at any instant it may become absent, but what was there
before never comes back. That is judged as Gibbons and Korach judge registers whose values are
written once (Testing Shared Memories, 1997). From the first return to the last call of those that
wrote or saw a value it was surely there, so no other value, and no nil, was there in that time, not
even for an instant. Everything reported is wrong; what is not found: that a swap (GETSET, GETDEL,
CAS) took something in between its two halves, unless two swaps took one value; that NX was refused
though nothing was there; and what is forgotten where somebody may be to blame for it.
"""

import bisect
import collections
import itertools
import sys
from dataclasses import dataclass

from cache_cases import shard_of

NEVER = float("inf")
MS = 1000
NIL = "nil"
UNSEEN = None
TOLD_MAX = 10  # Of one rule.
# A lease, with what this machine takes. If a fault begins before all has been well for a while: an
# election more, and links that have yet to come back.
WAIT_MAX, LATE_WAIT_MAX = 2500 * MS, 4500 * MS
SETTLED = 2000 * MS
DIRTY_MAX_AGE = 500 * MS
# Around what is known of the nodes: a signal takes a moment, and so does what is done now and then.
MARGIN = 300 * MS
# How long a link may take to come back once it could, and a node to notice what it has lost.
RECOVERED_AFTER = 3000 * MS
# Whoever has the key may have it a lease longer than its time, on each way that it goes.
TTL_SLACK = 8000 * MS


@dataclass(eq=False)
class Op:
    who: str
    node: int
    call: int
    end: int  # When it returned, or was given up.
    verb: str
    key: str
    wrote: str = UNSEEN
    saw: str = UNSEEN  # What was there before.
    empties: bool = False  # Nothing was there at some instant of it.
    is_known: bool = True
    is_refused: bool = False
    px: int = 0

    @property
    def ret(self):
        return self.end if self.is_known else NEVER

    @property
    def only_reads(self):
        return self.verb in ("GET", "MGET", "COPY")

    def __str__(self):
        told = f"saw {self.saw}" if self.saw is not UNSEEN else ""
        wrote = f"wrote {self.wrote}" if self.wrote is not UNSEEN else ""
        known = "" if self.is_known else "not known"
        return f"{self.who}@{self.node} {self.verb} {self.key} [{self.call} {self.end}] " + \
            ", ".join(filter(None, (told, wrote, known)))


@dataclass
class Cluster:
    """All that is known of one value of one key."""
    value: str
    first_end: float = NEVER
    last_call: float = -NEVER
    ender: Op = None
    caller: Op = None

    def add(self, op):
        if op.ret < self.first_end:
            self.first_end, self.ender = op.ret, op
        if op.call > self.last_call:
            self.last_call, self.caller = op.call, op

    def __str__(self):
        return f"{self.value} from ({self.ender}) to ({self.caller})"


class Spans:
    """Times at which something surely was there; asks which of them holds another one."""

    def __init__(self, clusters):
        self.sorted = sorted(clusters, key=lambda one: one.first_end)
        self.begins = [one.first_end for one in self.sorted]
        self.longest = list(itertools.accumulate(
            self.sorted, lambda one, other: max(one, other, key=lambda each: each.last_call)))

    def overlaps(self):
        for before, one in zip(self.longest, self.sorted[1:]):
            if one.first_end < before.last_call:
                yield before, one

    def around(self, begin, end):
        """One that began before and ended after; nothing, if there is none."""
        before = bisect.bisect_left(self.begins, begin)
        found = self.longest[before - 1] if before else None
        return found if found and found.last_call > end else None


def rollbacks(ops):
    """Of one key: what no order of events explains."""
    clusters = {}
    for op in ops:
        for value in {op.wrote, op.saw} - {UNSEEN, NIL}:
            clusters.setdefault(value, Cluster(value)).add(op)
    # What nobody has seen, and of which nobody knows whether it was written, says nothing.
    clusters = [each for each in clusters.values() if each.first_end != NEVER]
    sure = Spans(each for each in clusters if each.first_end < each.last_call)
    wrong = [f"{one} overlaps {other}" for one, other in sure.overlaps()]
    for each in clusters:
        if each.first_end >= each.last_call:
            around = sure.around(each.last_call, each.first_end)
            if around:
                wrong.append(f"{each}, in between {around}")
    for op in ops:
        around = sure.around(op.call, op.ret) if op.empties and op.is_known else None
        if around:
            wrong.append(f"({op}) finds nothing, in between {around}")
    return wrong


def words_of(answer):
    """An array's items, or the answer alone."""
    return answer[1:-1].split(",") if answer[0] == "[" else [answer]


def text_of(answer):
    return answer[1:] if answer[0] in "=:" else NIL


class History:
    def __init__(self, lines):
        self.keys = collections.defaultdict(list)  # -> its operations, answered or not.
        self.asked = {}  # (key, value) -> the Op that first asked for it.
        self.refused = collections.Counter()  # (key, value) -> how often that was refused.
        self.tries = collections.Counter()
        self.groups = []  # (line, keys, values) of each MGET.
        self.waits = []  # (Op, its keys)
        self.states = []  # (at, whole, hurt, new)
        self.homes = collections.defaultdict(list)  # Shard -> (at, node)
        self.outcomes = collections.Counter()
        self.figures = collections.Counter()
        self.answered = []  # When something was.
        self.longest = collections.Counter()  # By what was allowed.
        for line in lines:
            if line and not line.startswith("#"):
                self.read(*line.split())
        for ops in self.keys.values():
            ops.sort(key=lambda op: op.call)
        self.states.sort(key=lambda state: state[0])
        for seen in self.homes.values():
            seen.sort()
        self.hurt = self.hurt_spans()

    # What is written -----------------------------------------------------------------------------

    def read(self, who, node, call, end, answer, *command):
        if who == "nemesis":
            getattr(self, "on_" + command[0])(int(call), *command[1:])
            return
        verb, *arguments = command
        self.outcomes[verb, answer if answer[0] in "-?n" else "some"] += 1
        make = Op(who, int(node), int(call), int(end), verb, "")
        make.is_known = answer[0] != "?"
        make.is_refused = answer[0] == "-"
        if verb != "COPY" and answer[0] not in "-?":
            self.answered.append(make.end)
        ops = list(self.ops(make, answer, arguments))
        if verb != "COPY":
            self.waits.append((ops[0], [op.key for op in ops]))
        for op in ops:
            if op.wrote is not UNSEEN and op.verb != "INCR":
                self.asked.setdefault((op.key, op.wrote), op)
                self.tries[op.key, op.wrote] += 1
                self.refused[op.key, op.wrote] += op.is_refused
            if not op.is_refused:
                self.keys[op.key].append(op)
            elif not op.only_reads:  # It may have moved the line all the same.
                self.keys[op.key].append(self.one(op, op.key))

    @staticmethod
    def one(op, key, **more):
        return Op(op.who, op.node, op.call, op.end, op.verb, key, is_known=op.is_known,
                  is_refused=op.is_refused, **more)

    def ops(self, op, answer, words):
        if op.verb == "MSET":
            for key, value in zip(words[::2], words[1::2]):
                yield self.one(op, key, wrote=value)
        elif op.verb == "MGET":
            told = [text_of(each) for each in words_of(answer)] if answer[0] == "[" else []
            if told:
                self.groups.append((op, words, told))
            for key, value in itertools.zip_longest(words, told):
                yield self.one(op, key, saw=value, empties=value == NIL)
        else:
            yield self.op_of_one(op, answer, *words)

    def op_of_one(self, op, answer, key, *words):
        is_told = answer[0] not in "-?"
        old = text_of(answer) if is_told else UNSEEN
        if op.verb in ("GET", "COPY", "GETDEL"):
            return self.one(op, key, saw=old, empties=old == NIL or is_told and op.verb == "GETDEL")
        if op.verb == "GETSET":
            return self.one(op, key, wrote=words[0], saw=old, empties=old == NIL)
        if op.verb == "DEL":
            return self.one(op, key, empties=is_told)
        if op.verb == "INCR":
            return self.one(op, key, wrote=old)
        if op.verb == "CAS":
            if answer == ":0":
                return self.one(op, key)
            # Whether it happened or not: if it is not known, it did not see for certain.
            saw = words[1] if is_told else UNSEEN
            return self.one(op, key, wrote=words[0], saw=saw, empties=saw == NIL)
        return self.set_op(op, answer, key, *words)

    def set_op(self, op, answer, key, value, *options):
        px = int(options[options.index("PX") + 1]) * MS if "PX" in options else 0
        if answer == NIL:  # With NX: something was there. The value must never be seen.
            return self.one(op, key)
        return self.one(op, key, wrote=value, px=px, empties="NX" in options and answer == "+OK")

    def on_nodes(self, at, whole, hurt, new):
        sets = [frozenset(map(int, each.split(","))) if each != "-" else frozenset()
                for each in (whole, hurt)]
        self.states.append((at, *sets, new == "1"))

    def on_home(self, at, shard, node):
        self.homes[int(shard)].append((at, int(node)))

    def hurt_spans(self):
        """Node -> (from, until) of each time at which it may be to blame."""
        spans = collections.defaultdict(list)
        ends = [state[0] for state in self.states[1:]] + [NEVER]
        for (at, _, hurt, _), end in zip(self.states, ends):
            for node in hurt:
                spans[node].append((at - MARGIN, end + RECOVERED_AFTER))
        return spans

    # The rules -----------------------------------------------------------------------------------

    RULES = {
        "no key goes back to an older value, nor to one after it was not there": "rolled_back",
        "no tracking client has an old copy once it has heard all": "old_copies",
        "nobody sees what nobody wrote, or before it was written": "strangers",
        "what was refused has not happened": "refused_seen",
        "no two swaps take the same value": "taken_twice",
        "counters grow from answer to answer, or start anew": "miscounted",
        "keys that are written together are seen together": "torn",
        "no value outlives its time": "outlived",
        "nothing is forgotten but with the node that had it": "forgotten",
        f"nobody waits longer than {WAIT_MAX / 1e6} s for those that hear each other": "slow",
        f"each shard answers a write every {WAIT_MAX / 1e6} s while all but one node can": "silent",
    }

    def verdict(self):
        """(rule, what is against it) of each rule."""
        return [(rule, getattr(self, name)()[:TOLD_MAX]) for rule, name in self.RULES.items()]

    def told(self):
        figures = dict(self.figures)
        longest = {f"longest gap of {bound / 1e6} s": f"{gap / 1e6:.2f} s"
                   for bound, gap in self.longest.items()}
        return {"operations": len(self.waits), "keys": len(self.keys)} | figures | longest

    def lasting_keys(self):
        return sorted(key for key, ops in self.keys.items()
                      if not any(op.px for op in ops))

    def probes(self):
        """When a write of those was answered that can always write, by the tag of their keys."""
        writes = collections.defaultdict(list)
        for key, ops in self.keys.items():
            if "}probe." in key:
                writes[key[:key.index("}") + 1]] += [op.ret for op in ops
                                                    if op.wrote is not UNSEEN and op.is_known]
        return {tag: sorted(at) for tag, at in writes.items()}

    def registers(self):
        return {key: ops for key, ops in self.keys.items()
                if not any(op.verb == "INCR" for op in ops)}

    def rolled_back(self):
        wrong = []
        for key, ops in self.registers().items():
            sound = [op for op in ops if op.verb != "COPY"]
            self.figures["seen values"] += sum(op.saw not in (UNSEEN, NIL) for op in sound)
            self.figures["seen nils"] += sum(op.saw == NIL for op in sound)
            wrong += [f"{key}: {each}" for each in rollbacks(sound)]
        return wrong

    def old_copies(self):
        wrong = []
        for key, ops in self.registers().items():
            copies = [op for op in ops if op.verb == "COPY"]
            self.figures["copies"] += len(copies)
            if copies and not rollbacks([op for op in ops if op.verb != "COPY"]):
                wrong += [f"{key}: {each}" for each in rollbacks(ops)]
        return wrong

    def strangers(self):
        wrong = []
        for key, ops in self.registers().items():
            for op in ops:
                if op.saw in (UNSEEN, NIL):
                    continue
                asked = self.asked.get((key, op.saw))
                if not asked or asked.call > op.ret:
                    wrong.append(f"({op}), and that was written by ({asked})")
        return wrong

    def refused_seen(self):
        return [f"({op}), and that was refused" for key, ops in self.registers().items()
                for op in ops if op.saw not in (UNSEEN, NIL)
                and 0 < self.tries[key, op.saw] <= self.refused[key, op.saw]]

    def taken_twice(self):
        takers = collections.defaultdict(list)
        for key, ops in self.registers().items():
            for op in ops:
                if op.verb in ("GETSET", "GETDEL", "CAS") and op.saw not in (UNSEEN, NIL):
                    takers[key, op.saw].append(op)
        self.figures["swaps"] = len(takers)
        return [" and ".join(f"({op})" for op in ops) for ops in takers.values() if len(ops) > 1]

    def torn(self):
        self.figures["stamps together"] = sum(
            sum(value != NIL for value in told) > 1 for _, _, told in self.groups)
        return [f"({op}) and the others: {told}" for op, _, told in self.groups
                if len({value for value in told if value != NIL}) > 1]

    def outlived(self):
        wrong = []
        for key, ops in self.registers().items():
            for op in ops:
                asked = self.asked.get((key, op.saw))
                if asked and asked.px and asked.is_known:
                    self.figures["in their time"] += 1
                    if op.call > asked.end + asked.px + TTL_SLACK:
                        wrong.append(f"({op}), written by ({asked}) for {asked.px} us")
        return wrong

    # Counters ------------------------------------------------------------------------------------

    def miscounted(self):
        wrong = []
        for ops in self.keys.values():
            adds = [op for op in ops if op.verb == "INCR" and not op.is_refused]
            if adds:
                wrong += self.miscounted_of(ops, adds)
        return wrong

    def miscounted_of(self, ops, adds):
        """Whoever is told of no more than another was before has seen a new beginning; so whatever
        he was told of was added since that other one was called."""
        calls = sorted(op.call for op in adds)
        ends = sorted(op.ret for op in adds)

        def added(since, until):
            return bisect.bisect_right(calls, until) - bisect.bisect_left(ends, since)
        told = [(op, int(op.wrote if op.verb == "INCR" else op.saw)) for op in ops
                if op.is_known and (op.wrote if op.verb == "INCR" else op.saw) not in (UNSEEN, NIL)]
        self.figures["counts"] += len(told)
        wrong = [f"({op}) though there were {added(-NEVER, op.ret)} before" for op, number in told
                 if number > added(-NEVER, op.ret)]
        told.sort(key=lambda one: one[0].ret)
        for before, (op, number) in self.counted_before(told):
            # The one before is among those that were added since it was called.
            if added(before.call, op.ret) - (before.verb == "INCR") < number:
                wrong.append(f"({op}), after ({before})")
        return wrong + list(self.counted_up(told, added)) + self.counted_twice(told, added)

    @staticmethod
    def counted_up(told, added):
        """It is no more than the last one before, and what was added since that was called."""
        ends = [op.ret for op, _ in told]
        for op, number in told:
            at = bisect.bisect_left(ends, op.call) - 1
            if at < 0:
                continue
            before, least = told[at]
            if number > least + added(before.call, op.ret) - (before.verb == "INCR"):
                yield f"({op}), after ({before})"

    @staticmethod
    def counted_before(told):
        """Each count, and the last one that was answered before it was asked for and is no less."""
        ends = [op.ret for op, _ in told]
        highest = list(itertools.accumulate((number for _, number in told), max))
        for op, number in told:
            at = bisect.bisect_left(ends, op.call) - 1
            least = number if op.verb == "INCR" else number + 1
            while at >= 0 and highest[at] >= least:
                if told[at][1] >= least:
                    yield told[at][0], (op, number)
                    break
                at -= 1

    @staticmethod
    def counted_twice(told, added):
        wrong = []
        alike = collections.defaultdict(list)
        for op, number in told:
            if op.verb == "INCR":
                alike[number].append(op)
        for number, ops in alike.items():
            for one, other in itertools.pairwise(ops):
                if max(added(one.call, other.ret), added(other.call, one.ret)) - 1 < number:
                    wrong.append(f"({one}) and ({other})")
        return wrong

    # What was forgotten, and who had to wait -----------------------------------------------------

    def forgotten(self):
        wrong = []
        for key, ops in self.registers().items():
            if self.homes.get(shard_of(key)):
                wrong += self.forgotten_of(key, ops)
        return wrong

    def forgotten_of(self, key, ops):
        """Where one value alone can have been there, the last that was written before the nil."""
        changes = [op for op in ops if not op.only_reads and not op.is_refused and
                   (op.wrote is not UNSEEN or op.verb in ("DEL", "GETDEL"))]
        wrong, told = [], set()
        for op in ops:
            if op.saw != NIL or op.verb == "COPY":
                continue
            before = [each for each in changes if each.call <= op.ret]
            last = max(before, key=lambda each: each.call, default=None)
            if last is None or last.wrote is UNSEEN or last.px or last.ret >= op.call or \
                    last in told or any(each.ret >= last.call for each in before
                                       if each is not last):
                continue
            told.add(last)
            self.figures["forgotten"] += 1
            if not self.may_be_forgotten(key, ops, last, op):
                wrong.append(f"({last}), and then ({op}); {self.why_not(key, last, op)}")
        return wrong

    def was_hurt(self, node, begin, end):
        return any(since < end and until > begin for since, until in self.hurt[node])

    def homes_between(self, key, begin, end):
        seen = self.homes[shard_of(key)]
        first = max(0, bisect.bisect_left(seen, (begin,)) - 1)
        last = bisect.bisect_right(seen, (end, NEVER)) + 1
        return {node for _, node in seen[first:last]}

    def may_be_forgotten(self, key, ops, last, nil):
        """With a home goes all that nobody else has; with whoever might write, what was his for no
        longer than he may keep it to himself."""
        since = last.call - DIRTY_MAX_AGE - MARGIN
        if any(self.was_hurt(home, since, nil.ret)
               for home in self.homes_between(key, since, nil.ret)):
            return True
        return any(self.was_hurt(op.node, op.call - MARGIN, op.ret + DIRTY_MAX_AGE + MARGIN)
                   for op in ops if not op.only_reads and op.ret >= since and op.call <= nil.ret)

    def why_not(self, key, last, nil):
        homes = self.homes_between(key, last.call, nil.ret)
        hurt = {node: [span for span in spans if span[0] < nil.ret and span[1] > last.call]
                for node, spans in self.hurt.items()}
        return f"its home was {sorted(homes)}, hurt were { {n: s for n, s in hurt.items() if s} }"

    def periods(self, serves):
        """(begin, end, how long an answer may take) of each time in which these nodes serve and no
        new fault begins. A fault that finds links and leases that are not back yet costs more."""
        everybody = frozenset().union(*(whole for _, whole, _, _ in self.states))
        well_since, begin, bound = NEVER, None, 0
        end = max(op.end for op, _ in self.waits)
        for at, whole, _, new in [*self.states, (end, frozenset(), frozenset(), False)]:
            ends = begin is not None and (new or not serves(whole))
            if ends:
                yield begin, at, bound
            if serves(whole) and (ends or begin is None):
                begin, bound = at, WAIT_MAX if at - well_since > SETTLED else LATE_WAIT_MAX
            elif ends:
                begin = None
            well_since = min(well_since, at) if whole == everybody else NEVER

    def slow(self):
        """Also of one that was not answered before its client had no patience any more."""
        wrong = []
        periods = {node: list(self.periods(lambda whole, one=node: one in whole))
                   for node in {op.node for op, _ in self.waits}}
        for op, _ in self.waits:
            if op.end - op.call <= WAIT_MAX:
                continue
            self.figures["long waits"] += 1
            for begin, end, bound in periods[op.node]:
                since, until = max(op.call, begin), min(op.end, end)
                wait = until - since
                if wait > bound:
                    wrong.append(f"({op}) waits for {wait / 1e6:.2f} s")
        return wrong

    def silent(self):
        wrong = []
        for tag, writes in self.probes().items():
            for begin, end, bound in self.periods(bool):
                first, last = (bisect.bisect_left(writes, at) for at in (begin, end))
                times = [begin, *writes[first:last], end]
                gap, at = max((b - a, a) for a, b in itertools.pairwise(times))
                self.longest[bound] = max(self.longest[bound], gap)
                if gap > bound:
                    wrong.append(f"with {tag} no write is answered for {gap / 1e6:.2f} s from {at}")
        return wrong


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        history = History(lines.read().splitlines())
    found = history.verdict()
    print("  judged: " + ", ".join(f"{what} {number}" for what, number in history.told().items()))
    for rule, wrong in found:
        print(f"  {'FAILED ' if wrong else 'ok     '} {rule}")
        for each in wrong:
            print(f"          {each}")
    return 1 if any(wrong for _, wrong in found) else 0


if __name__ == "__main__":
    sys.exit(main())
