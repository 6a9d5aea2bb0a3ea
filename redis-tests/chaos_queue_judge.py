#!/usr/bin/python3
"""What producers and consumers of queues wrote down, and what must hold of it.

    redis-tests/chaos_queue_judge.py history      judges one that was kept once more

A line is what somebody knew at an instant: when (ns of this machine's one clock), who, what.

    pushing  queue body group delay_ms retry   Is about to ask. Group "-": none; retry 0: it never
                                               dies. Again for each try, which only an ID allows.
    pushed   body message                      Was answered: the message's id.
    refused  body                              Was answered: this try has not happened.
    full     queue                             And that is why.
    got      queue receipt attempt body asked_at lease_ms node tied
    nil      queue,queue... asked_at block_ms  A POP got nothing.
    acking   receipt                           Is about to ask. Then, if it was answered: `acked`
                                               (it counted), `stale` (it did not) or `settled` (one
                                               of both: an ACK inside POP is not told which).
    nacking  receipt fail|release|dead         Then, if it counted, `nacked`.
    touching receipt ms                        Then, if it was still leased, `touched`.
    left                                       Is about to close its connection.
    told     verb sort                         Any answer, to be counted; "?": none.
    surprise word ...                          An answer that must not be.

    killed   worker           What follows is written by who hurts them: is about to kill -9.
    lost     node             Is about to end it, with its connections.
    hurt     node             It stands still from here, or a cable of it is cut.
    silent   node until       Some other node may take it for dead from here until then.
    dead     queue message failures deliveries body      At the end, from PEEK.
    counted  queue pushed acked dead left                At the end, from INFO.

What no line says is not known: it may have happened, or not, or may have later. So all times are
bounds: a lease began after the POP was asked for and before it was answered, an ACK had its effect
after it was sent and before it was answered. Only what no order of events within these bounds can
explain counts as wrong. A message that comes again after its lease, or as soon as its client is
gone, is not: at least once.
"""

import bisect
import collections
import itertools
import sys
from dataclasses import dataclass, field

NO_GROUP = "-"
NEVER = float("inf")
MS = 10**6
# Leases and delays are counted from the leader's stamp, which is no earlier than the request, and
# cluster time is in whole milliseconds, ahead of this clock by 3 at most.
SLACK = 5 * MS
# So long it may take, while nothing happens to its node, until the cluster knows that an answer has
# arrived: an election.
UNHEARD = 1500 * MS
# So long after an answer its node may still take it for one that its client has not read.
UNREAD = 200 * MS
TOLD_MAX = 10  # Of one rule.


@dataclass
class Asked:
    """An ACK or a NACK of one receipt, sent once."""
    number: int
    sent: int
    how: str = ""
    told: str = ""
    told_at: float = NEVER


@dataclass
class Delivery:
    receipt: str
    attempt: int
    body: str
    asked: int
    got: int
    until: float  # The lease lasts at least as long, as far as time alone goes.
    worker: str
    node: str
    tied: bool
    let_go: float = NEVER  # When its client first sent what may have ended it.

    @property
    def message(self):
        return self.receipt.rpartition(".")[0]

    @property
    def number(self):
        """The leases of a message are numbered from 1: no clock and no slow answer blurs that."""
        return int(self.receipt.rpartition(".")[2])


@dataclass
class Message:
    """By its body, which was pushed once, but for tries under the same ID."""
    queue: str
    body: str
    group: str
    delay: int
    retry: int
    asked: int
    tries: int = 0
    refusals: int = 0
    pushed: float = NEVER  # When its id was first answered.
    ids: set = field(default_factory=set)
    deliveries: list = field(default_factory=list)
    acks: list = field(default_factory=list)
    nacks: list = field(default_factory=list)
    failures: int = -1  # Of a dead one.

    @property
    def is_pushed(self):
        return self.pushed != NEVER

    @property
    def is_refused(self):
        return self.tries == self.refusals

    @property
    def is_dead(self):
        return self.failures >= 0

    def may_be_done(self):
        return any(ack.told != "stale" for ack in self.acks)

    def is_done(self):
        return any(ack.told == "acked" for ack in self.acks)

    def first_got(self):
        return min((each.got for each in self.deliveries), default=NEVER)

    def stays_until(self):
        """No sooner has it left its group: acknowledged, or dead after `retry` leases."""
        ends = [ack.sent for ack in self.acks]
        ends += [nack.sent for nack in self.nacks if nack.how == "dead"]
        if self.retry:
            ends.append(max((each.asked for each in self.deliveries if each.number <= self.retry),
                            default=self.asked))
        # While it is delivered it has not left either.
        return max([min(ends, default=NEVER), *(each.asked for each in self.deliveries)])


def words(line):
    at, who, what, *rest = line.split()
    return int(at), who, what, rest


class History:
    def __init__(self, lines):
        self.messages = {}  # By body.
        self.receipts = {}  # -> Delivery
        self.open = {}  # (worker, receipt) -> the latest Asked of either sort.
        self.touching = {}  # (worker, receipt) -> what `until` becomes.
        self.bodies = collections.defaultdict(set)  # Message's id -> bodies.
        self.left = collections.defaultdict(list)  # Worker -> when its connections ended.
        self.lost = collections.defaultdict(list)  # Node -> when it was.
        self.hurt = collections.defaultdict(list)
        self.silent = collections.defaultdict(list)  # Node -> (from, until)
        self.full = collections.defaultdict(list)  # Queue -> when it was told to be.
        self.counted = {}
        self.outcomes = collections.Counter()  # (verb, sort) -> how often.
        self.surprises = []
        self.strange = []  # What no rule below asks for.
        self.given_twice = []
        self.nils = []  # (who, queues, asked at, until when it surely waited, answered at)
        self.figures = collections.Counter()
        for at, who, what, rest in sorted(map(words, lines), key=lambda line: line[0]):
            getattr(self, "on_" + what)(at, who, *rest)

    # What is written -----------------------------------------------------------------------------

    def on_pushing(self, at, _, queue, body, group, delay_ms, retry):
        message = self.messages.setdefault(
            body, Message(queue, body, group, int(delay_ms) * MS, int(retry), at))
        message.tries += 1

    def on_pushed(self, at, _, body, message_id):
        message = self.messages[body]
        message.pushed = min(message.pushed, at)
        self.name(message, message_id)

    def on_refused(self, _, __, body):
        self.messages[body].refusals += 1

    def on_full(self, at, _, queue):
        self.full[queue].append(at)

    def name(self, message, message_id):
        message.ids.add(message_id)
        self.bodies[message_id].add(message.body)

    def known(self, queue, body):
        """Nothing, if it was never asked for."""
        message = self.messages.get(body)
        if not message or message.queue != queue:
            self.strange.append(f"{body} is in {queue}, and was never pushed there")
            return None
        return message

    def on_got(self, at, who, queue, receipt, attempt, body, asked, lease_ms, node, tied):
        message = self.known(queue, body)
        if not message:
            return
        delivery = Delivery(receipt, int(attempt), body, int(asked), at,
                            int(asked) + int(lease_ms) * MS, who, node, tied == "1")
        if receipt in self.receipts:
            self.given_twice.append(f"lease {receipt} of {body} is given to "
                                    f"{self.receipts[receipt].worker} and to {who}")
            return
        self.receipts[receipt] = delivery
        message.deliveries.append(delivery)
        self.name(message, delivery.message)

    def on_nil(self, at, who, queues, asked, block_ms):
        """It waits from when it is asked for, at the earliest, and all of its time."""
        wait = max(0, int(block_ms) * MS - SLACK)
        self.nils.append((who, queues.split(","), int(asked), int(asked) + wait, at))

    def of(self, receipt):
        """Nothing for a message that nobody pushed: that is told already."""
        delivery = self.receipts.get(receipt)
        return (delivery, self.messages[delivery.body]) if delivery else (None, None)

    def let_go(self, at, who, receipt, how, among):
        delivery, message = self.of(receipt)
        if delivery:
            delivery.let_go = min(delivery.let_go, at)
            self.open[who, receipt] = Asked(delivery.number, at, how)
            getattr(message, among).append(self.open[who, receipt])

    def on_acking(self, at, who, receipt):
        self.let_go(at, who, receipt, "ack", "acks")

    def on_nacking(self, at, who, receipt, how):
        self.let_go(at, who, receipt, how, "nacks")

    def answered(self, at, who, receipt, told):
        if (who, receipt) in self.open:
            asked = self.open.pop((who, receipt))
            asked.told, asked.told_at = told, at

    def on_acked(self, at, who, receipt):
        self.answered(at, who, receipt, "acked")

    def on_settled(self, at, who, receipt):
        self.answered(at, who, receipt, "settled")

    def on_stale(self, at, who, receipt):
        self.answered(at, who, receipt, "stale")

    def on_nacked(self, at, who, receipt):
        self.answered(at, who, receipt, "nacked")

    def on_touching(self, at, who, receipt, lease_ms):
        delivery, _ = self.of(receipt)
        if delivery:
            extended = at + int(lease_ms) * MS
            self.touching[who, receipt] = extended
            delivery.until = min(delivery.until, extended)  # It may be shorter than before.

    def on_touched(self, _, who, receipt):
        delivery, _ = self.of(receipt)
        if delivery:
            delivery.until = self.touching.pop((who, receipt))

    def on_told(self, _, __, verb, sort):
        self.outcomes[verb, sort] += 1

    def on_surprise(self, _, who, *told):
        self.surprises.append(f"{who}: {' '.join(told)}")

    def on_left(self, at, who):
        self.left[who].append(at)

    def on_killed(self, at, _, worker):
        self.left[worker].append(at)

    def on_lost(self, at, _, node):
        self.lost[node].append(at)

    def on_hurt(self, at, _, node):
        self.hurt[node].append(at)

    def on_silent(self, at, _, node, until):
        self.silent[node].append((at, int(until)))

    def on_dead(self, _, __, queue, message_id, failures, deliveries, body):
        message = self.known(queue, body)
        if not message:
            return
        message.failures = int(failures)
        self.name(message, message_id)
        last = max((each.number for each in message.deliveries), default=0)
        if max(last, message.failures) > int(deliveries):
            self.strange.append(f"{body} is dead after {failures} failures of {deliveries} leases, "
                                f"and lease {last} of it was given")

    def on_counted(self, _, __, queue, *numbers):
        self.counted[queue] = tuple(map(int, numbers))

    # The rules -----------------------------------------------------------------------------------

    RULES = {
        "every push that was answered is consumed, or dead": "vanished",
        "what was refused or never asked for is not delivered": "strangers",
        "one push, however often its ID was tried, is one message": "twins",
        "what was acknowledged is not delivered any more": "after_ack",
        "nobody has a message, or one of its group, while another surely has it": "overlaps",
        "groups keep their order": "out_of_order",
        "no POP is told that there is nothing while there is": "passed_over",
        "nothing comes before its delay is over": "early",
        "failures are counted, and what is dead has failed often enough": "miscounted_failures",
        "the cluster has counted the same": "miscounted",
    }

    def verdict(self):
        """(rule, what is against it)"""
        found = [(rule, getattr(self, name)()) for rule, name in self.RULES.items()]
        return [(rule, wrong[:TOLD_MAX] + ([f"and {len(wrong) - TOLD_MAX} more"]
                                           if len(wrong) > TOLD_MAX else []))
                for rule, wrong in found]

    def pushes_us(self, queue):
        """When one was answered. That the queue is full is an answer too, and as hard to give."""
        answered = [each.pushed for each in self.messages.values()
                    if each.is_pushed and each.queue == queue]
        return sorted(at // 1000 for at in answered + self.full[queue])

    def told(self):
        """How much there was to judge: a rule that never had a case proves nothing."""
        messages, figures = self.messages.values(), self.figures
        consumed = [each for each in messages if each.deliveries]
        figures["pushes answered"] = sum(each.is_pushed for each in messages)
        figures["refused"] = sum(each.is_refused for each in messages)
        figures["unknown"] = sum(not (each.is_pushed or each.is_refused) for each in messages)
        figures["tried again"] = sum(each.tries > 1 for each in messages)
        figures["consumed"] = len(consumed)
        figures["dead"] = sum(each.is_dead for each in messages)
        figures["deliveries again"] = len(self.receipts) - len(consumed)
        for sort in ("acked", "settled", "stale"):
            figures[sort] = sum(ack.told == sort for each in messages for ack in each.acks)
        return dict(figures)

    def vanished(self):
        return [f"{each.body}, {min(each.ids)}: pushed at {each.pushed}, delivered "
                f"{len(each.deliveries)} times, and gone without an ACK that can have counted"
                for each in self.messages.values()
                if each.is_pushed and not each.may_be_done() and not each.is_dead
                and not self.left_in(each.queue)]

    def left_in(self, queue):
        """It was not drained: which ones are there nobody has looked at, but how many."""
        return self.counted.get(queue, (0,))[-1]

    def strangers(self):
        return self.strange + [f"{each.body} was refused, and is there all the same"
                               for each in self.messages.values()
                               if each.is_refused and (each.deliveries or each.is_dead)]

    def twins(self):
        return [f"{each.body} is {' and '.join(sorted(each.ids))}"
                for each in self.messages.values() if len(each.ids) > 1] + \
            [f"{message_id} is {' and '.join(sorted(bodies))}"
             for message_id, bodies in self.bodies.items() if len(bodies) > 1]

    def after_ack(self):
        wrong = list(self.given_twice)
        for each in self.messages.values():
            counted = [ack for ack in each.acks if ack.told == "acked"]
            if len(counted) > 1:
                wrong.append(f"{each.body} was acknowledged {len(counted)} times")
            if counted and each.is_dead:
                wrong.append(f"{each.body} was acknowledged at {counted[0].told_at}, and is dead")
            for ack, delivery in itertools.product(each.acks, each.deliveries):
                if self.is_after(ack, delivery):
                    wrong.append(f"{each.body}: lease {ack.number} was acknowledged ({ack.told}) "
                                 f"from {ack.sent} to {ack.told_at}, and {delivery.worker} got "
                                 f"{delivery.receipt}, asked for at {delivery.asked}")
        return wrong

    @staticmethod
    def is_after(ack, delivery):
        late = delivery.asked > ack.told_at
        if ack.told == "acked":
            return late or delivery.number > ack.number
        # Either it counted, or the next lease had been given already.
        return ack.told != "" and late and delivery.number == ack.number + 1

    def overlaps(self):
        """Of each message and of each group: a group has one message under way at a time."""
        spans = collections.defaultdict(list)
        for delivery in self.receipts.values():
            message, end = self.messages[delivery.body], self.surely_until(delivery)
            if end <= delivery.got:
                continue
            self.figures["certain leases"] += 1
            spans[delivery.message].append((delivery.got, end, delivery))
            if message.group != NO_GROUP:
                spans[message.queue, message.group].append((delivery.got, end, delivery))
        wrong = []
        for of_one in spans.values():
            of_one.sort(key=lambda span: span[:2])
            latest = of_one[0]
            for span in of_one[1:]:
                if span[0] < latest[1]:
                    wrong.append(" while ".join(
                        f"{each.worker} has {each.receipt} ({each.body}) from {begin} to {end}"
                        for begin, end, each in (latest, span)))
                latest = max(latest, span, key=lambda span: span[1])
        return sorted(set(wrong))

    def surely_until(self, delivery):
        """A node that ends takes with it what is tied to its connections, and also an answer of
        which it could not tell the cluster any more that it has arrived: that goes to the next."""
        node, asked = delivery.node, delivery.asked
        ends = [delivery.until - SLACK, delivery.let_go]
        ends += [at for at in self.lost[node] if at > asked and (
            delivery.tied or at < delivery.got + UNHEARD
            or any(asked < hurt < at for hurt in self.hurt[node]))]
        ends += [max(begin, asked) for begin, until in self.silent[node] if until > asked]
        if delivery.tied:
            ends += [at for at in self.left[delivery.worker] if at > asked]
        return min(ends)

    def out_of_order(self):
        groups = collections.defaultdict(list)
        for each in self.messages.values():
            if each.group != NO_GROUP:
                groups[each.queue, each.group].append(each)
        wrong = []
        for of_one in groups.values():
            # Of unknown outcome, it may have come in at any later time.
            ahead = sorted((each for each in of_one if each.is_pushed), key=lambda m: m.pushed)
            answered = [each.pushed for each in ahead]
            longest = list(itertools.accumulate(
                ahead, lambda one, other: max(one, other, key=Message.stays_until)))
            for each in filter(lambda one: one.deliveries, of_one):
                before = bisect.bisect_left(answered, each.asked)
                self.figures["with some ahead"] += before > 0
                if before and longest[before - 1].stays_until() > each.first_got():
                    wrong.append(f"{each.body} was delivered at {each.first_got()} though "
                                 f"{longest[before - 1].body}, pushed before it into "
                                 f"{each.group}, was there until "
                                 f"{longest[before - 1].stays_until()} or later")
        return wrong

    def passed_over(self):
        """Of messages that nothing holds up: from when the push was answered, at the latest, until
        the first lease was asked for, at the earliest."""
        ready = collections.defaultdict(list)
        for each in self.messages.values():
            first = min(each.deliveries, key=lambda delivery: delivery.number, default=None)
            if each.is_pushed and not each.delay and each.group == NO_GROUP and first \
                    and first.number == 1:
                ready[each.queue].append((each.pushed, first.asked, each.body))
        longest = {}
        for queue, spans in ready.items():
            spans.sort()
            longest[queue] = list(itertools.accumulate(
                spans, lambda one, other: max(one, other, key=lambda span: span[1])))
        wrong = []
        for who, queues, asked, waited, at in self.nils:
            for queue in queues:
                before = bisect.bisect_left(ready[queue], (waited,))
                if not before:
                    continue
                self.figures["nothing, judged"] += 1
                pushed, leased, body = longest[queue][before - 1]
                if leased > at:
                    wrong.append(f"{who} asked {queue} at {asked}, waited until {waited} and was "
                                 f"told at {at} that there is nothing; {body} was there from "
                                 f"{pushed} to {leased}")
        return wrong

    def early(self):
        delayed = [each for each in self.messages.values() if each.delay and each.deliveries]
        self.figures["delays kept"] = len(delayed)
        return [f"{each.body} came {(each.first_got() - each.asked) // MS} ms after it was pushed "
                f"with DELAY {each.delay // MS}" for each in delayed
                if each.first_got() - each.asked < each.delay - SLACK]

    def miscounted_failures(self):
        wrong = []
        for each in self.messages.values():
            each.deliveries.sort(key=lambda delivery: delivery.number)
            for delivery in each.deliveries:
                if not 1 <= delivery.attempt <= min(delivery.number, each.retry or NEVER):
                    wrong.append(f"{each.body}: attempt {delivery.attempt} at lease "
                                 f"{delivery.receipt}, RETRY {each.retry or 'never ends'}")
            for one, other in itertools.pairwise(each.deliveries):
                fewest, most = self.failures_between(each, one, other)
                if not fewest <= other.attempt - one.attempt <= most:
                    wrong.append(f"{each.body}: attempt {one.attempt} at {one.receipt}, "
                                 f"{other.attempt} at {other.receipt}; that must be {fewest} to "
                                 f"{most} failures")
            if each.is_dead and not self.may_be_dead(each):
                wrong.append(f"{each.body} is dead after {each.failures} failures, "
                             f"RETRY {each.retry or 'never ends'}")
        return wrong

    def failures_between(self, message, one, other):
        """The fewest and the most that can be; the most is less than none if it was to be dead."""
        most = other.number - one.number  # Each lease fails once at most.
        fewest = int(self.surely_failed(one, other))
        self.figures["leases run out"] += fewest
        for nack in message.nacks:
            if nack.number != one.number or nack.told != "nacked":
                continue
            self.figures["nacks counted"] += 1
            fewest += nack.how == "fail"
            most -= nack.how == "release"
            if nack.how == "dead":
                most = -1
        return fewest, most

    def surely_failed(self, one, other):
        """It came again though it was not given back, and nobody had gone too early to have it: the
        lease was over, or what it was tied to was closed."""
        asked, got = one.asked, other.got
        node_gone = any(asked < at < got for at in self.lost[one.node]) or \
            any(begin < got and until > asked for begin, until in self.silent[one.node])
        unread = any(asked < at < one.got + UNREAD for at in self.left[one.worker])
        return one.let_go > got and not node_gone and not unread

    @staticmethod
    def may_be_dead(message):
        told_so = any(nack.how == "dead" for nack in message.nacks)
        last = max((each.attempt for each in message.deliveries), default=1)
        return message.failures >= last - 1 and \
            (told_so or 0 < message.retry <= message.failures)

    def miscounted(self):
        """What nobody was told is between these, too: a push that vanished behind an ACK whose
        answer was lost."""
        wrong = []
        for queue, (pushed, acked, dead, left) in self.counted.items():
            mine = [each for each in self.messages.values() if each.queue == queue]
            for what, number, least, most in (
                    ("pushed", pushed, sum(each.is_pushed for each in mine),
                     sum(not each.is_refused for each in mine)),
                    ("acked", acked, sum(each.is_done() for each in mine),
                     sum(each.may_be_done() for each in mine)),
                    ("dead", dead, *[sum(each.is_dead for each in mine)] * 2)):
                if not least <= number <= most:
                    wrong.append(f"{queue} counts {number} {what}; it must be {least} to {most}")
            if pushed != acked + dead + left:
                wrong.append(f"{queue}: {pushed} pushed, but {acked} acked, {dead} dead and {left} "
                             "there")
        return wrong


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        history = History(lines)
    found = history.verdict()
    print("  judged: " + ", ".join(f"{what} {number}" for what, number in history.told().items()))
    for rule, wrong in found:
        print(f"  {'FAILED ' if wrong else 'ok     '} {rule}")
        for each in wrong:
            print(f"          {each}")
    return 1 if any(wrong for _, wrong in found) else 0


if __name__ == "__main__":
    sys.exit(main())
