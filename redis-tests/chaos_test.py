"""What chaos says of time and majorities, on cases made by hand."""

import unittest

from chaos_nemesis import has_majority, longest_gap

UP, FAULT, NONE = (True, False), (True, True), (False, True)


def gap(grants, *changes, **options):
    return longest_gap(grants, [(at, *what) for at, what in changes], **options)


class Gap(unittest.TestCase):
    def test_it_is_the_longest_time_from_one_grant_to_the_next(self):
        self.assertEqual(gap([1, 2, 7, 9], (0, UP), (10, NONE)), (5, 2))

    def test_it_counts_up_to_the_end_and_from_the_beginning(self):
        self.assertEqual(gap([1], (0, UP), (8, NONE)), (7, 1))
        self.assertEqual(gap([6, 7], (0, UP), (8, NONE)), (6, 0))

    def test_without_a_majority_no_time_counts(self):
        self.assertEqual(gap([1, 2, 20, 21], (0, UP), (3, NONE), (18, UP), (22, NONE)), (2, 18))

    def test_a_late_grant_does_not_begin_a_gap_where_there_is_no_majority(self):
        self.assertEqual(gap([1, 4, 20], (0, UP), (3, NONE), (19, UP), (21, NONE)), (2, 1))

    def test_a_new_fault_begins_anew_unless_it_is_not_to_count(self):
        changes = [(0, UP), (4, FAULT), (9, UP), (20, NONE)]
        self.assertEqual(gap([1, 10, 19], *changes), (9, 10))
        self.assertEqual(gap([1, 10, 11, 12, 19], *changes), (7, 12))
        self.assertEqual(gap([1, 10, 11, 12, 19], *changes, faults_count=False), (9, 1))


class Majority(unittest.TestCase):
    def test_it_takes_more_than_half_of_all_nodes(self):
        self.assertTrue(has_majority(3, {1, 3}, set()))
        self.assertFalse(has_majority(3, {3}, set()))
        self.assertFalse(has_majority(4, {1, 2}, set()))

    def test_more_may_be_needed(self):
        self.assertTrue(has_majority(5, {1, 2, 3, 5}, set(), 4))
        self.assertFalse(has_majority(5, {1, 2, 3}, set(), 4))

    def test_each_must_hear_each(self):
        self.assertFalse(has_majority(3, {1, 2}, {(2, 1)}))
        self.assertTrue(has_majority(3, {1, 2, 3}, {(2, 1)}))
        self.assertTrue(has_majority(5, {1, 2, 3, 4}, {(4, 1), (1, 4), (4, 2)}))
        self.assertFalse(has_majority(3, {1, 2, 3}, {(1, 2), (2, 3), (3, 1)}))

    def test_clients_must_reach_one_of_them(self):
        self.assertTrue(has_majority(3, {1, 2}, {(0, 1)}))
        self.assertFalse(has_majority(3, {1, 2}, {(0, 1), (2, 0)}))
