"""What the judge of the cache says of histories made by hand: right ones pass, and of each kind of
wrong one it finds exactly that."""

import unittest

from cache_cases import shard_of
from chaos_cache_judge import MS, History


class Told:
    """A history in the making; times are milliseconds."""

    def __init__(self):
        self.lines = []

    def ask(self, call, ret, answer, *words, who="c", node=1):
        self.lines.append(" ".join(map(str, (who, node, call * MS, ret * MS, answer, *words))))
        return self

    def one(self, at, answer, *words, **more):
        """Answered 1 ms later."""
        return self.ask(at, at + 1, answer, *words, **more)

    def set(self, at, value, *options, key="k", **more):
        return self.one(at, "+OK", "SET", key, value, *options, **more)

    def get(self, at, value, key="k", **more):
        return self.one(at, value if value == "nil" else f"={value}", "GET", key, **more)

    def incr(self, at, number, **more):
        return self.one(at, f":{number}", "INCR", "n", **more)

    def nodes(self, at, whole="1,2,3", hurt="-", new=0):
        return self.one(at, "+", "nodes", whole, hurt, new, who="nemesis", node=0)

    def home(self, at, node, key="k"):
        return self.one(at, "+", "home", shard_of(key), node, who="nemesis", node=0)


class Judge(unittest.TestCase):
    def against(self, told):
        found = History(told.lines).verdict()
        return sorted(History.RULES[rule] for rule, wrong in found if wrong)

    def right(self, told):
        self.assertEqual(self.against(told), [])

    def wrong(self, told, *rules):
        self.assertEqual(self.against(told), sorted(rules))


class Registers(Judge):
    def test_what_follows_what_was_written_and_what_is_forgotten_for_good_is_right(self):
        self.right(Told().set(10, "a").get(20, "a").set(30, "b").get(40, "b"))
        self.right(Told().set(10, "a").get(20, "nil").get(30, "nil").set(40, "b").get(50, "b"))

    def test_an_older_value_after_a_newer_one_was_answered_is_wrong(self):
        self.wrong(Told().set(10, "a").set(20, "b").get(30, "a"), "rolled_back")

    def test_an_older_value_after_a_newer_one_was_seen_is_wrong_though_its_write_is_not_known(self):
        told = Told().set(10, "a").ask(20, 99, "?", "SET", "k", "b").get(30, "b")
        self.right(told)
        self.wrong(told.get(40, "a"), "rolled_back")

    def test_an_older_value_after_nothing_was_seen_is_wrong(self):
        self.wrong(Told().set(10, "a").get(20, "nil").get(30, "a"), "rolled_back")
        self.wrong(Told().set(10, "a").one(20, "[=x,nil]", "MGET", "j", "k").set(15, "x", key="j")
                   .get(30, "a"), "rolled_back")
        self.wrong(Told().set(10, "a").one(20, ":1", "DEL", "k").get(30, "a"), "rolled_back")
        self.wrong(Told().set(10, "a").one(20, "=a", "GETDEL", "k").get(30, "a"), "rolled_back")
        self.wrong(Told().set(10, "a").set(20, "b", "NX").get(30, "a"), "rolled_back")

    def test_what_overlaps_may_have_come_in_either_order(self):
        both = Told().ask(10, 50, "+OK", "SET", "k", "a").ask(10, 50, "+OK", "SET", "k", "b")
        self.right(both.get(60, "a"))
        self.right(Told().set(10, "a").ask(20, 50, "+OK", "SET", "k", "b").get(30, "a"))
        self.right(Told().set(10, "a").ask(20, 40, "nil", "GET", "k").ask(30, 50, "=a", "GET", "k"))

    def test_readers_of_two_values_that_take_turns_are_wrong_even_while_both_are_written(self):
        both = Told().ask(10, 90, "+OK", "SET", "k", "a").ask(10, 90, "+OK", "SET", "k", "b")
        self.wrong(both.get(20, "a").get(30, "b").get(40, "a"), "rolled_back")

    def test_a_write_that_nobody_knows_of_may_come_at_any_time_or_never_but_once(self):
        lost = Told().ask(10, 20, "?", "SET", "k", "a").set(30, "b").get(40, "b")
        self.right(lost)
        self.right(lost.get(50, "a"))
        self.wrong(lost.get(60, "b"), "rolled_back")

    def test_what_nobody_wrote_or_wrote_later_is_not_seen(self):
        self.wrong(Told().get(10, "a"), "strangers")
        self.wrong(Told().get(10, "a").set(20, "a"), "strangers")
        self.wrong(Told().set(5, "a").one(10, "nil", "SET", "k", "b", "NX").get(20, "b"),
                   "strangers")
        self.wrong(Told().set(10, "a", key="j").get(20, "a"), "strangers")

    def test_what_was_refused_is_not_seen(self):
        refused = Told().one(10, "-CLUSTERDOWN", "SET", "k", "a")
        self.right(refused)
        self.wrong(refused.get(20, "a"), "refused_seen")
        self.wrong(Told().one(10, "-EXECABORT", "CAS", "k", "a", "nil").get(20, "a"),
                   "refused_seen")


class Swaps(Judge):
    def test_each_value_is_taken_once(self):
        begun = Told().set(10, "a").one(20, "=a", "GETSET", "k", "b").get(30, "b")
        self.right(begun)
        self.right(begun.one(40, ":1", "CAS", "k", "c", "b").one(50, ":0", "CAS", "k", "d", "b"))
        self.wrong(Told().set(10, "a").ask(20, 30, "=a", "GETSET", "k", "b")
                   .ask(20, 30, ":1", "CAS", "k", "c", "a"), "taken_twice")

    def test_a_swap_takes_what_is_there(self):
        self.wrong(Told().set(10, "a").set(20, "b").one(30, ":1", "CAS", "k", "c", "a"),
                   "rolled_back")
        self.wrong(Told().set(10, "a").one(20, ":1", "CAS", "k", "b", "nil").get(30, "a"),
                   "rolled_back")

    def test_a_swap_that_failed_or_is_not_known_takes_nothing_for_sure(self):
        self.right(Told().set(10, "a").one(20, ":0", "CAS", "k", "b", "a").get(30, "a"))
        self.right(Told().set(10, "a").one(20, "?", "CAS", "k", "b", "a").get(30, "a")
                   .get(40, "b"))
        self.wrong(Told().set(10, "a").one(20, ":0", "CAS", "k", "b", "a").get(30, "b"),
                   "strangers")


class Counters(Judge):
    def test_they_grow_or_start_anew(self):
        self.right(Told().incr(10, 1).incr(20, 2).incr(30, 1).incr(40, 2).incr(50, 3))
        self.right(Told().incr(10, 1).one(20, "?", "INCR", "n").incr(30, 3))
        self.right(Told().ask(10, 30, ":2", "INCR", "n").ask(10, 30, ":1", "INCR", "n"))

    def test_they_do_not_fall_back(self):
        self.wrong(Told().incr(10, 1).incr(20, 2).incr(30, 3).incr(40, 3), "miscounted")
        self.wrong(Told().incr(10, 1).incr(20, 2).one(30, "=1", "GET", "n"), "miscounted")
        self.wrong(Told().incr(10, 1).incr(20, 2).incr(30, 1).one(40, "=2", "GET", "n"),
                   "miscounted")

    def test_nobody_is_told_the_same(self):
        self.wrong(Told().incr(10, 1).ask(20, 40, ":2", "INCR", "n")
                   .ask(20, 40, ":2", "INCR", "n", who="d"), "miscounted")

    def test_they_count_no_more_than_was_added(self):
        self.wrong(Told().incr(10, 1).incr(20, 3), "miscounted")
        self.wrong(Told().incr(10, 1).one(20, "-CLUSTERDOWN", "INCR", "n").incr(30, 3),
                   "miscounted")


class Several(Judge):
    def written(self):
        return Told().one(10, "+OK", "MSET", "j", "a", "k", "a") \
            .one(20, "+OK", "MSET", "j", "b", "k", "b")

    def test_what_is_written_together_is_seen_together_or_forgotten(self):
        self.right(self.written().one(30, "[=b,=b]", "MGET", "j", "k"))
        self.right(self.written().one(30, "[=b,nil]", "MGET", "j", "k"))
        self.right(Told().one(10, "+OK", "MSET", "j", "a", "k", "a")
                   .ask(20, 40, "+OK", "MSET", "j", "b", "k", "b")
                   .ask(20, 40, "[=a,=a]", "MGET", "j", "k"))

    def test_half_of_it_is_wrong(self):
        self.wrong(Told().one(10, "+OK", "MSET", "j", "a", "k", "a")
                   .ask(20, 40, "+OK", "MSET", "j", "b", "k", "b")
                   .ask(20, 40, "[=a,=b]", "MGET", "j", "k"), "torn")

    def test_an_older_one_is_wrong(self):
        self.wrong(self.written().one(30, "[=a,=a]", "MGET", "j", "k"), "rolled_back")


class Times(Judge):
    def test_a_value_goes_by_its_time_and_does_not_come_back(self):
        begun = Told().set(10, "a", "PX", 100)
        self.right(begun.get(60, "a").get(130, "nil"))
        self.wrong(begun.get(150, "a"), "rolled_back")

    def test_a_value_that_stays_on_and_on_is_wrong(self):
        self.right(Told().set(10, "a", "PX", 100).get(2000, "a"))
        self.wrong(Told().set(10, "a", "PX", 100).get(8200, "a"), "outlived")


class Copies(Judge):
    def test_a_copy_is_as_good_as_a_read(self):
        self.right(Told().set(10, "a").one(20, "=a", "COPY", "k").set(30, "b"))
        self.right(Told().set(10, "a").ask(20, 40, "=a", "COPY", "k").set(30, "b"))

    def test_a_copy_of_which_nothing_was_told_is_wrong(self):
        self.wrong(Told().set(10, "a").set(20, "b").one(30, "=a", "COPY", "k"), "old_copies")
        self.wrong(Told().one(10, "nil", "GET", "k").set(20, "b").get(25, "b")
                   .one(30, "nil", "COPY", "k").get(40, "b"), "old_copies")


class Forgotten(Judge):
    """Written at node 2; its home is node 1."""

    def written(self, at=10_000):
        return Told().nodes(0).home(1, 1).set(at, "a", node=2)

    def after(self, hurt, at, told=None, until=None):
        told = (told or self.written()).nodes(at, whole="-", hurt=hurt, new=1)
        if until:
            told.nodes(until)
        return told

    def test_without_a_fault_nothing_is_forgotten(self):
        self.right(self.written())
        self.wrong(self.written().get(12_000, "nil"), "forgotten")

    def test_with_its_home_it_may_be(self):
        self.right(self.after("1", 11_000).get(12_000, "nil"))
        self.right(self.after("3", 10_900, self.written().home(10_500, 3)).get(12_000, "nil"))

    def test_with_its_writer_it_may_be_only_within_half_a_second(self):
        self.right(self.after("2", 10_400).get(12_000, "nil"))
        self.wrong(self.after("2", 11_500).get(12_000, "nil"), "forgotten")
        self.right(self.after("2", 11_500, self.written().one(11_200, "nil", "SET", "k", "b", "NX",
                                                              node=2)).get(12_000, "nil"))

    def test_with_another_node_it_may_not_be(self):
        self.wrong(self.after("3", 10_400).get(12_000, "nil"), "forgotten")

    def test_what_was_over_long_before_is_no_excuse_and_what_has_just_ended_is_one(self):
        self.right(self.after("1", 7_000, until=8_000).get(12_000, "nil"))
        self.wrong(self.after("1", 2_000, until=3_000).get(12_000, "nil"), "forgotten")

    def test_what_may_have_been_deleted_or_ended_is_not_forgotten(self):
        self.right(self.written().one(11_000, ":1", "DEL", "k").get(12_000, "nil"))
        self.right(self.written().ask(5, 6, "?", "DEL", "k").get(12_000, "nil"))
        self.right(Told().nodes(0).home(1, 1).set(10, "a", "PX", 100).get(12_000, "nil"))


class Waits(Judge):
    def test_an_answer_comes_within_a_lease(self):
        self.right(Told().nodes(0).ask(10, 2400, "+OK", "SET", "k", "a"))
        told = Told().nodes(0).nodes(5_000, "1,2", "3", 1)
        self.right(told.ask(5_010, 7_400, "+OK", "SET", "k", "a"))
        self.wrong(told.ask(5_010, 7_600, "+OK", "SET", "k", "b"), "slow")
        self.wrong(told.ask(5_010, 7_600, "?", "SET", "k", "c"), "slow")
        self.wrong(told.ask(5_010, 7_600, "-CLUSTERDOWN", "SET", "k", "c"), "slow")

    def test_at_a_node_that_is_hurt_or_while_others_are_missing_it_may_take_longer(self):
        told = Told().nodes(0).nodes(5_000, "1,2", "3", 1)
        self.right(told.ask(5_010, 9_000, "+OK", "SET", "k", "a", node=3))
        told = Told().nodes(0).nodes(5_000, "-", "1,2,3", 1).nodes(9_000)
        self.right(told.ask(5_010, 11_000, "+OK", "SET", "k", "a"))
        self.wrong(told.ask(5_010, 14_000, "+OK", "SET", "k", "b"), "slow")

    def test_a_new_fault_begins_anew_and_one_right_after_another_costs_more(self):
        told = Told().nodes(0).nodes(5_000, "1,2", "3", 1).nodes(7_000).nodes(7_100, "1,3", "2", 1)
        self.right(told.ask(5_010, 7_400, "+OK", "SET", "k", "a"))
        self.right(told.ask(7_110, 11_400, "+OK", "SET", "k", "b"))
        self.wrong(told.ask(7_110, 11_700, "+OK", "SET", "k", "c"), "slow")

    def test_each_shard_goes_on(self):
        def writes(*times):
            told = Told().nodes(0, new=1)
            for at in times:
                told.set(at, f"v{at}", key="{a}probe.1")
            return told.nodes(10_000, "-", "1,2,3", 1)
        self.right(writes(1_000, 3_000, 6_000, 8_000))
        self.wrong(writes(1_000, 8_000), "silent")


if __name__ == "__main__":
    unittest.main()
