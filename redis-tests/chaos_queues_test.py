"""What the judge of queues says of histories made by hand: right ones pass, and of each kind of
wrong one it finds exactly that."""

import unittest

from chaos_queue_judge import MS, History
from chaos_queue_pool import HEARD_AFTER, SILENT_AFTER, silences

class Told:
    """A history in the making; `at` are milliseconds."""

    def __init__(self):
        self.lines = []

    def write(self, at, who, what, *words):
        self.lines.append(" ".join(map(str, (at * MS, who, what, *words))))
        return self

    def ask(self, at, body, group="-", delay=0, retry=0):
        return self.write(at, "p", "pushing", "q", body, group, delay, retry)

    def push(self, at, body, message, group="-", delay=0, retry=0):
        """Asked for at `at`, answered 1 ms later."""
        self.ask(at, body, group, delay, retry)
        return self.write(at + 1, "p", "pushed", body, message)

    def get(self, at, body, receipt, who="c", attempt=1, lease=1000, node=1, tied=0, queue="q"):
        """So too."""
        return self.write(at + 1, who, "got", queue, receipt, attempt, body, at * MS, lease, node,
                          tied)

    def ack(self, at, receipt, who="c", told="acked"):
        self.write(at, who, "acking", receipt)
        return self.write(at + 1, who, told, receipt) if told else self

    def nack(self, at, receipt, how="fail"):
        self.write(at, "c", "nacking", receipt, how)
        return self.write(at + 1, "c", "nacked", receipt)


def one(body="a", **options):
    """A message `0.1`, pushed at 10."""
    return Told().push(10, body, "0.1", **options)


class Judge(unittest.TestCase):
    def against(self, told):
        found = History(told.lines).verdict()
        return sorted(History.RULES[rule] for rule, wrong in found if wrong)

    def right(self, told):
        self.assertEqual(self.against(told), [])

    def wrong(self, told, *rules):
        self.assertEqual(self.against(told), sorted(rules))


class Pushes(Judge):
    def test_what_is_consumed_or_dead_is_not_lost(self):
        self.right(one().get(20, "a", "0.1.1").ack(30, "0.1.1"))
        self.right(one().get(20, "a", "0.1.1").ack(30, "0.1.1", told=""))
        self.right(one().get(20, "a", "0.1.1").ack(30, "0.1.1", told="settled"))
        self.right(one(retry=1).get(20, "a", "0.1.1").nack(30, "0.1.1")
                   .write(99, "pool", "dead", "q", "0.1", 1, 1, "a"))

    def test_what_nobody_got_or_nobody_acknowledged_is_lost(self):
        self.wrong(one(), "vanished")
        self.wrong(one().get(20, "a", "0.1.1"), "vanished")
        self.wrong(one().get(20, "a", "0.1.1").ack(30, "0.1.1", told="stale"), "vanished")

    def test_what_is_still_there_is_not_lost_and_neither_is_more(self):
        self.right(one().write(99, "pool", "counted", "q", 1, 0, 0, 1))
        self.wrong(one().push(12, "b", "0.2").write(99, "pool", "counted", "q", 2, 0, 0, 1),
                   "miscounted")

    def test_of_what_was_not_answered_nothing_is_known(self):
        self.right(Told().ask(10, "a"))
        self.right(Told().ask(10, "a").get(20, "a", "0.1.1").ack(30, "0.1.1"))

    def test_what_was_refused_each_time_is_not_delivered(self):
        refused = Told().ask(10, "a").write(11, "p", "refused", "a")
        self.right(refused)
        self.wrong(refused.get(20, "a", "0.1.1").ack(30, "0.1.1"), "strangers")
        self.right(Told().ask(10, "a").ask(20, "a").write(21, "p", "refused", "a")
                   .get(30, "a", "0.1.1").ack(40, "0.1.1"))

    def test_what_was_never_pushed_or_pushed_elsewhere_is_not_delivered(self):
        self.wrong(Told().get(20, "a", "0.1.1").ack(30, "0.1.1"), "strangers")
        self.wrong(one().get(20, "a", "0.1.1").ack(30, "0.1.1")
                   .get(40, "a", "0.1.2", queue="other"), "strangers")
        self.wrong(Told().get(5, "a", "0.1.1").push(10, "a", "0.1").ack(30, "0.1.1"),
                   "strangers", "vanished")

    def test_an_id_that_is_tried_again_is_one_message(self):
        self.right(Told().ask(5, "a").push(10, "a", "0.1").get(20, "a", "0.1.1")
                   .ack(30, "0.1.1"))
        self.wrong(Told().ask(5, "a").push(10, "a", "0.2").get(20, "a", "0.1.1")
                   .ack(30, "0.1.1"), "twins")
        self.wrong(Told().ask(5, "a").ask(6, "a").get(20, "a", "0.1.1").ack(30, "0.1.1")
                   .get(40, "a", "0.2.1").ack(50, "0.2.1"), "twins", "after_ack")

    def test_two_pushes_are_two_messages(self):
        self.wrong(one().push(12, "b", "0.1").get(20, "a", "0.1.1").ack(30, "0.1.1")
                   .get(40, "b", "0.1.2").ack(50, "0.1.2"), "twins")


class Acks(Judge):
    def test_what_is_asked_for_after_the_ack_or_leased_after_it_is_wrong(self):
        done = one().get(20, "a", "0.1.1").ack(30, "0.1.1")
        self.wrong(done.get(32, "a", "0.1.2"), "after_ack")

    def test_a_later_lease_is_wrong_whatever_the_times_are(self):
        self.wrong(one().write(50, "d", "got", "q", "0.1.2", 1, "a", 15 * MS, 9, 1, 0)
                   .get(20, "a", "0.1.1").ack(30, "0.1.1"), "after_ack")

    def test_an_ack_of_a_later_lease_may_be_answered_before_an_earlier_pop(self):
        self.right(one().write(50, "d", "got", "q", "0.1.1", 1, "a", 15 * MS, 9, 1, 0)
                   .get(40, "a", "0.1.2", attempt=2).ack(45, "0.1.2"))

    def test_an_ack_on_the_way_counts_unless_the_next_lease_was_given_before(self):
        told = one().get(20, "a", "0.1.1").ack(30, "0.1.1", told="settled")
        self.wrong(told.get(40, "a", "0.1.2").ack(50, "0.1.2"), "after_ack")
        self.right(one().get(20, "a", "0.1.1", lease=5).ack(40, "0.1.1", told="settled")
                   .get(30, "a", "0.1.2", lease=5, attempt=2)
                   .get(50, "a", "0.1.3", attempt=3).ack(60, "0.1.3"))

    def test_one_receipt_goes_to_one_and_one_message_is_acknowledged_once(self):
        self.wrong(one().get(20, "a", "0.1.1").ack(30, "0.1.1").get(21, "a", "0.1.1", who="d"),
                   "after_ack")
        self.wrong(one().get(20, "a", "0.1.1").ack(30, "0.1.1").ack(40, "0.1.1"), "after_ack")
        self.right(one().get(20, "a", "0.1.1").ack(30, "0.1.1", told="").ack(40, "0.1.1"))

    def test_what_is_acknowledged_is_not_dead(self):
        self.wrong(one(retry=1).get(20, "a", "0.1.1").ack(30, "0.1.1")
                   .write(99, "pool", "dead", "q", "0.1", 1, 1, "a"), "after_ack")


class Leases(Judge):
    def twice(self, second, **options):
        """Given again at `second`; the first lease surely ends at 1020."""
        return one().get(20, "a", "0.1.1", **options) \
            .get(second, "a", "0.1.2", who="d", attempt=2).ack(second + 5, "0.1.2", who="d")

    def test_a_message_comes_again_after_its_lease_and_no_sooner(self):
        self.right(self.twice(1021))
        self.right(self.twice(1016))  # Stamps are not so exact.
        self.wrong(self.twice(900), "overlaps")

    def test_it_comes_again_as_soon_as_its_client_lets_it_go(self):
        self.right(self.twice(900).write(800, "c", "nacking", "0.1.1", "fail"))
        self.wrong(self.twice(900).write(950, "c", "nacking", "0.1.1", "fail"), "overlaps")

    def test_whoever_vanishes_keeps_its_lease_unless_it_is_tied(self):
        for line in ((800, "c", "left"), (800, "pool", "killed", "c")):
            self.wrong(self.twice(900).write(*line), "overlaps")
            self.right(self.twice(900, tied=1).write(*line))
            self.wrong(self.twice(700, tied=1).write(*line), "overlaps")

    def test_a_node_that_dies_loses_what_is_tied_to_it_and_answers_that_it_just_gave(self):
        dies = (800, "nemesis", "lost", 1)
        self.right(self.twice(900).write(*dies))
        self.wrong(self.twice(900).write(800, "nemesis", "lost", 2), "overlaps")
        self.wrong(self.twice(900).write(15, "nemesis", "lost", 1), "overlaps")
        dies = (1800, "nemesis", "lost", 1)
        self.wrong(self.twice(1900, lease=9000).write(*dies), "overlaps")
        self.right(self.twice(1900, lease=9000, tied=1).write(*dies))
        self.right(self.twice(1900, lease=9000).write(25, "nemesis", "hurt", 1).write(*dies))

    def test_a_node_that_may_be_taken_for_dead_may_lose_what_it_gave(self):
        self.right(self.twice(900).write(800, "nemesis", "silent", 1, 2000 * MS))
        self.right(self.twice(900).write(5, "nemesis", "silent", 1, 2000 * MS))
        self.wrong(self.twice(900).write(5, "nemesis", "silent", 1, 15 * MS), "overlaps")

    def test_an_extended_lease_is_longer_and_one_that_was_shortened_shorter(self):
        longer = self.twice(1500).write(900, "c", "touching", "0.1.1", 1000)
        self.right(longer)
        self.wrong(longer.write(902, "c", "touched", "0.1.1"), "overlaps")
        self.right(self.twice(500).write(30, "c", "touching", "0.1.1", 100))

    def test_a_group_has_one_message_under_way(self):
        def two(group):
            return one(group=group).get(20, "a", "0.1.1").ack(300, "0.1.1") \
                .push(21, "b", "0.2", group="g").get(100, "b", "0.2.1").ack(200, "0.2.1")
        self.wrong(two("g"), "overlaps", "out_of_order")
        self.right(two("h"))


class Waiting(Judge):
    """A message that is there from 11 until somebody asks at 700."""

    def nothing(self, asked, answered, block, queues="q", **options):
        return one(**options).get(700, "a", "0.1.1").ack(710, "0.1.1") \
            .write(answered, "d", "nil", queues, asked * MS, block)

    def test_who_is_told_that_there_is_nothing_has_not_been_passed_over(self):
        self.wrong(self.nothing(20, 25, 0), "passed_over")
        self.wrong(self.nothing(5, 200, 190), "passed_over")
        self.wrong(self.nothing(20, 25, 0, "other,q"), "passed_over")

    def test_nothing_is_the_answer_before_the_push_and_after_the_lease(self):
        self.right(self.nothing(5, 25, 0))
        self.right(self.nothing(5, 25, 8))  # Its wait may have ended just before.
        self.right(self.nothing(600, 705, 90))
        self.right(self.nothing(20, 25, 0, "other"))

    def test_what_is_delayed_or_in_a_group_or_may_have_been_given_before_is_not_looked_at(self):
        self.right(self.nothing(20, 25, 0, delay=10))
        self.right(self.nothing(20, 25, 0, group="g"))
        self.right(one().get(700, "a", "0.1.2").ack(710, "0.1.2")
                   .write(25, "d", "nil", "q", 20 * MS, 0))


class Groups(Judge):
    def pair(self, **options):
        return one(group="g", **options).push(12, "b", "0.2", group="g") \
            .get(40, "b", "0.2.1").ack(50, "0.2.1")

    def test_nothing_passes_what_is_ahead(self):
        self.right(self.pair().get(20, "a", "0.1.1").ack(30, "0.1.1"))
        self.wrong(self.pair().get(60, "a", "0.1.1").ack(70, "0.1.1"), "out_of_order")

    def test_what_is_ahead_has_left_once_its_ack_is_on_the_way_and_no_sooner(self):
        self.right(self.pair().get(20, "a", "0.1.1").ack(39, "0.1.1", told=""))
        self.wrong(self.pair().get(20, "a", "0.1.1", lease=15).ack(70, "0.1.1"), "out_of_order")

    def test_what_is_ahead_is_not_delivered_after_those_behind_it(self):
        self.wrong(self.pair().get(20, "a", "0.1.1").ack(30, "0.1.1", told="")
                   .get(60, "a", "0.1.2").ack(70, "0.1.2"), "out_of_order")

    def test_what_is_dead_is_out_of_the_way_after_its_last_lease(self):
        dead = (99, "pool", "dead", "q", "0.1", 1, 1, "a")
        self.right(self.pair(retry=1).get(20, "a", "0.1.1", lease=5).write(*dead))
        self.wrong(self.pair(retry=1).get(60, "a", "0.1.1", lease=5).write(*dead), "out_of_order")
        self.right(self.pair(retry=9).get(20, "a", "0.1.1").nack(30, "0.1.1", "dead")
                   .write(*dead))

    def test_whose_push_was_not_answered_before_the_next_was_asked_for_has_no_place(self):
        self.right(Told().ask(10, "a", "g").push(12, "b", "0.1", group="g")
                   .get(40, "b", "0.1.1").ack(50, "0.1.1").get(60, "a", "0.2.1")
                   .ack(70, "0.2.1"))


class Numbers(Judge):
    def test_nothing_comes_before_its_delay_is_over(self):
        def told(at):
            return one(delay=100).get(at, "a", "0.1.1").ack(at + 5, "0.1.1")
        self.right(told(110))
        self.wrong(told(60), "early")

    def again(self, attempt, how):
        return one(retry=3).get(20, "a", "0.1.1").nack(30, "0.1.1", how) \
            .get(40, "a", "0.1.2", attempt=attempt).ack(50, "0.1.2")

    def test_a_failure_is_counted_and_what_is_given_back_is_none(self):
        self.right(self.again(2, "fail"))
        self.wrong(self.again(1, "fail"), "miscounted_failures")
        self.right(self.again(1, "release"))
        self.wrong(self.again(2, "release"), "miscounted_failures")
        self.wrong(self.again(2, "dead"), "miscounted_failures")

    def test_a_lease_that_runs_out_is_a_failure_and_one_that_was_not_had_is_none(self):
        def twice(attempt, *lines, tied=0):
            told = one().get(20, "a", "0.1.1", tied=tied, lease=500) \
                .get(600, "a", "0.1.2", attempt=attempt).ack(700, "0.1.2")
            for line in lines:
                told.write(*line)
            return told
        gone = (550, "nemesis", "lost", 1)
        self.right(twice(2))
        self.wrong(twice(1), "miscounted_failures")
        self.right(twice(1, (580, "c", "nacking", "0.1.1", "release")))
        self.right(twice(1, gone))
        self.right(twice(1, (550, "nemesis", "silent", 1, 900 * MS)))
        self.right(twice(1, (30, "pool", "killed", "c")))
        self.wrong(twice(1, (400, "pool", "killed", "c")), "miscounted_failures")
        self.wrong(twice(1, (400, "c", "left"), tied=1), "miscounted_failures")

    def test_no_lease_fails_twice_and_none_is_beyond_the_last_attempt(self):
        self.wrong(one().get(20, "a", "0.1.1", attempt=2).ack(30, "0.1.1"),
                   "miscounted_failures")
        self.wrong(one(retry=1).get(20, "a", "0.1.2", attempt=2).ack(30, "0.1.2"),
                   "miscounted_failures")

    def test_what_is_dead_has_failed_as_often_as_it_may(self):
        def dead(failures, deliveries, **options):
            return one(**options).get(20, "a", "0.1.1") \
                .write(99, "pool", "dead", "q", "0.1", failures, deliveries, "a")
        self.right(dead(2, 2, retry=2))
        self.wrong(dead(1, 2, retry=2), "miscounted_failures")
        self.wrong(dead(1, 2), "miscounted_failures")
        self.wrong(dead(2, 1, retry=2), "strangers")
        self.right(dead(1, 1, retry=2).nack(30, "0.1.1", "dead"))

    def counted(self, *numbers):
        return one().get(20, "a", "0.1.1").ack(30, "0.1.1", told="").ask(12, "b") \
            .write(99, "pool", "counted", "q", *numbers)

    def test_the_cluster_counts_what_clients_know_and_at_most_what_they_do_not(self):
        self.right(self.counted(1, 1, 0, 0))
        self.wrong(self.counted(2, 1, 0, 0), "miscounted")  # One is gone without a trace.
        self.wrong(self.counted(0, 0, 0, 0), "miscounted")
        self.wrong(self.counted(3, 1, 0, 2), "miscounted")
        self.wrong(self.counted(2, 2, 0, 0), "miscounted")
        self.wrong(self.counted(2, 1, 1, 0), "miscounted")


class Figures(Judge):
    def test_it_tells_how_much_it_had_to_judge(self):
        told = one(group="g").push(12, "b", "0.2", group="g", delay=5).ask(13, "c") \
            .get(20, "a", "0.1.1").ack(30, "0.1.1").get(40, "b", "0.2.1").ack(50, "0.2.1")
        history = History(told.lines)
        history.verdict()
        figures = history.told()
        self.assertEqual({what: figures[what] for what in (
            "pushes answered", "unknown", "consumed", "with some ahead", "delays kept",
            "certain leases")}, {"pushes answered": 2, "unknown": 1, "consumed": 2,
                                 "with some ahead": 1, "delays kept": 1, "certain leases": 2})


class Silences(unittest.TestCase):
    def of(self, *touched):
        """Of node 1; the times are seconds."""
        return [(begin / 1e9, until / 1e9) for begin, until in silences(
            [(at * 10**9, set(nodes)) for at, nodes in touched], 1)]

    def test_a_node_is_silent_from_a_while_after_its_fault_to_a_while_after_that_has_ended(self):
        begin, until = SILENT_AFTER / 1e9, HEARD_AFTER / 1e9
        self.assertEqual(self.of((0, [1, 2]), (9, [2]), (30, [])), [(begin, 9 + until)])
        self.assertEqual(self.of((0, [2]), (9, []), (30, [])), [])
        self.assertEqual(self.of((0, [1]), (1, []), (30, [])), [])

    def test_faults_that_follow_one_another_closely_are_one_silence(self):
        begin, until = SILENT_AFTER / 1e9, HEARD_AFTER / 1e9
        self.assertEqual(self.of((0, [1]), (3, []), (4, [1]), (7, []), (30, [])),
                         [(begin, 7 + until)])
        self.assertEqual(self.of((0, [1]), (3, []), (9, [1]), (12, []), (30, [])), [])
