"""What the queues promise, asked of three nodes at once: every step goes to another node."""

import itertools
import statistics
import time

from cases import LONG, unless_stalled
from queue_cases import QueueTest, rows_of
from resp import SLOWDOWN, Bulk, Error, pairs, wait_until

HANDOVERS = 34  # Over each way from one node to another, of which there are six.
HANDOVER_SECONDS = 0.005 * SLOWDOWN  # What is promised.
AT_ONCE_SECONDS = 0.5 * SLOWDOWN


class Queues(QueueTest):
    @unless_stalled
    def test_a_message_pushed_on_one_node_reaches_at_once_who_waits_on_another(self):
        seconds = []
        for pusher, waiter in list(itertools.permutations((1, 2, 3), 2)) * HANDOVERS:
            waiting = self.connections[waiter]
            waiting.send(*f"DQ.POP {self.queue} BLOCK 0".split())
            # Through the third node: the two that are measured do nothing else.
            other = self.connections[6 - pusher - waiter]
            wait_until(lambda: (told := other.do(f"DQ.INFO {self.queue}"))
                       and pairs(told)["waiters"] == 1, 5, "it waits")
            began = time.monotonic()
            self.connections[pusher].send("DQ.PUSH", self.queue, "work")
            [row] = rows_of(waiting.reply())
            seconds.append(time.monotonic() - began)
            self.assertIsInstance(self.connections[pusher].reply(), Bulk)
            self.assertEqual((row.body, row.attempt), ("work", 1))
            self.assertEqual(other.do(f"DQ.ACK {self.queue} {row.receipt}"), 1)
        median = statistics.median(seconds)
        print(f"          from a PUSH to a POP that waits on another node: median "
              f"{median * 1000:.2f} ms, slowest {max(seconds) * 1000:.1f} ms, of {len(seconds)}")
        self.assertLess(median, HANDOVER_SECONDS)

    def test_messages_come_out_as_they_were_pushed_and_as_many_as_were_asked_for(self):
        ids = [self.push(f"m{i}") for i in range(6)]
        self.assertEqual(len(set(ids)), 6)
        self.assertEqual(self.length(), 6)
        rows = self.pop("COUNT 4")
        self.assertEqual([(row.queue, row.body, row.attempt) for row in rows],
                         [(self.queue, f"m{i}", 1) for i in range(4)])
        self.assertEqual(self.bodies(""), ["m4"])  # One, if nobody says how many.
        self.assertEqual(self.ack(*rows, rows[0]), 4)
        self.assertEqual(self.ack(*rows), 0)
        self.assertEqual(self.bodies(), ["m5"])
        self.assertEqual(self.bodies(), [])

    # Failing --------------------------------------------------------------------------------------

    def test_what_is_not_acknowledged_comes_again_after_its_lease_as_attempt_two(self):
        self.set("backoff-base 200 backoff-jitter 0")
        waited = []
        for _ in range(3):
            self.push("work")
            began = time.monotonic()
            self.assertEqual(self.take("LEASE 400").attempt, 1)
            again = self.take("BLOCK 0")
            waited.append(time.monotonic() - began)
            self.assertEqual((again.body, again.attempt), ("work", 2))
            self.assertEqual(self.ack(again), 1)
        self.assertGreaterEqual(min(waited), 0.6)
        # The least of three: this machine has delays of its own.
        self.assertLess(min(waited), 0.6 + 0.4 * SLOWDOWN, waited)

    def test_each_failure_waits_longer_than_the_one_before_up_to_a_limit(self):
        self.set("backoff-base 150 backoff-factor 3 backoff-max 450 backoff-jitter 0")
        self.push("work")
        row = self.take()
        for failures, expected in enumerate((0.15, 0.45, 0.45), start=1):
            began = time.monotonic()
            self.assertEqual(self.nack(row), 1)
            row = self.take("BLOCK 0")
            waited = time.monotonic() - began
            self.assertEqual(row.attempt, failures + 1)
            self.assertGreaterEqual(waited, expected)
            self.assertLess(waited, expected + 0.5 * SLOWDOWN)
        self.assertEqual(self.nack(row, "DELAY 0"), 1)  # Whoever fails may know better.
        self.assertEqual(self.take().attempt, 5)

    def test_after_its_last_failure_a_message_is_dead_with_its_last_error_and_move_revives_it(self):
        self.set("retry 3 backoff-base 0")
        self.push("letter", "GROUP g")
        for attempt in (1, 2, 3):
            row = self.take()
            self.assertEqual(row.attempt, attempt)
            self.assertEqual(self.nack(row, "ERROR", f"reason number {attempt}"), 1)
        self.assertEqual(self.pop(), [])
        self.assertEqual((self.length(), self.length(self.dead), self.info("dead")), (0, 1, 1))

        [letter] = map(pairs, self.do(f"DQ.PEEK {self.dead} COUNT 10"))
        self.assertEqual((letter["body"], letter["failures"], letter["error"]),
                         ("letter", 3, "reason number 3"))
        [row] = self.pop("FULL", self.dead)
        self.assertEqual((row.queue, row.body), (self.dead, "letter"))
        self.assertEqual((row.more["failures"], row.more["error"]), (3, "reason number 3"))
        self.assertEqual(self.nack(row, "RELEASE"), 1)

        self.assertEqual(self.do(f"DQ.MOVE {self.dead} {self.queue}"), 1)
        self.assertEqual((self.length(), self.length(self.dead)), (1, 0))
        row = self.take("FULL")
        self.assertEqual((row.body, row.attempt, row.more["failures"]), ("letter", 1, 0))

    def test_a_message_may_have_its_own_number_of_attempts_or_be_given_up_at_once(self):
        self.set("backoff-base 0")
        self.push("twice", "RETRY 2")
        for _ in range(2):
            self.assertEqual(self.nack(self.take()), 1)
        self.push("hopeless")
        self.assertEqual(self.nack(self.take(), "DEAD ERROR", "no such user"), 1)
        letters = map(pairs, self.do(f"DQ.PEEK {self.dead} COUNT 10"))
        self.assertEqual([(letter["body"], letter["failures"]) for letter in letters],
                         [("twice", 2), ("hopeless", 1)])
        self.set("dead drop")
        self.push("dropped")
        self.nack(self.take(), "DEAD")
        self.assertEqual((self.length(), self.length(self.dead)), (0, 2))

    def test_a_late_acknowledgement_counts_unless_the_message_was_leased_again(self):
        self.set(f"backoff-base {LONG}")
        self.push("late")
        late = self.take("LEASE 50")
        wait_until(lambda: self.info("delayed") == 1, 5, "the lease is over")
        self.assertEqual(self.ack(late), 1)
        self.assertEqual(self.info("delayed"), 0)

        self.set("backoff-base 0")
        self.push("too-late")
        first = self.take("LEASE 50")
        second = self.take("BLOCK 0")
        self.assertNotEqual(first.receipt, second.receipt)
        self.assertEqual(self.ack(first), 0)
        self.assertEqual(self.ack(second), 1)

    def test_touch_gives_a_lease_more_time_and_tells_of_one_that_is_lost(self):
        self.do(f"DQ.MPUSH {self.queue} 2 kept done")
        kept, done = self.pop("COUNT 2 LEASE 60000")
        self.assertEqual(self.ack(done), 1)
        touched = self.do(f"DQ.TOUCH {self.queue} 300000 {kept.receipt} {done.receipt}")
        self.assertEqual(touched[1], -1)
        self.assertTrue(290000 < touched[0] <= 300000, touched)
        self.do(f"DQ.TOUCH {self.queue} 1 {kept.receipt}")
        wait_until(lambda: self.info("leased") == 0, 5, "the lease is over")
        self.assertEqual(self.do(f"DQ.TOUCH {self.queue} 300000 {kept.receipt}"), [-1])

    def test_what_is_released_has_not_failed_and_regains_its_place(self):
        self.do(f"DQ.MPUSH {self.queue} 3 a b c")
        first, second = self.pop("COUNT 2")
        self.assertEqual(self.nack(second, "RELEASE"), 1)
        self.assertEqual(self.nack(first, "RELEASE"), 1)
        self.assertEqual(self.nack(first, "RELEASE"), 0)  # It is not his any more.
        self.assertEqual([(row.body, row.attempt) for row in self.pop()],
                         [("a", 1), ("b", 1), ("c", 1)])
        self.assertEqual(self.info("failed"), 0)

    # Pushing --------------------------------------------------------------------------------------

    def test_a_push_with_an_id_happens_once_within_the_window(self):
        first = self.push("a", "ID order-7")
        self.assertEqual(self.push("b", "ID order-7"), first)
        self.assertNotEqual(self.push("other", "ID order-8"), first)
        rows = self.pop()
        self.assertEqual([row.body for row in rows], ["a", "other"])
        self.assertEqual(self.ack(*rows), 2)
        self.assertEqual(self.push("c", "ID order-7"), first)  # Done is no reason to do it again.
        self.assertEqual((self.length(), self.info("duplicates")), (0, 2))

        for connection in self.connections.values():
            connection.send(*f"DQ.PUSH {self.queue} together ID order-9".split())
        ids = {connection.reply() for connection in self.connections.values()}
        self.assertEqual((len(ids), self.length()), (1, 1), ids)

    def test_an_id_is_forgotten_after_the_window(self):
        self.set("dedup-window 150")
        began = time.monotonic()
        first = self.push("a", "ID order-7")
        wait_until(lambda: self.push("a", "ID order-7") != first, 5, "the id is forgotten")
        self.assertGreaterEqual(time.monotonic() - began, 0.15)

    def test_a_group_is_done_one_by_one_in_order_and_a_failing_head_holds_it(self):
        for body in ("a1", "b1", "a2", "b2", "a3"):
            self.push(body, f"GROUP {body[0]}")
        self.push("free")
        a1, b1, free = self.pop()
        self.assertEqual([a1.body, b1.body, free.body], ["a1", "b1", "free"])
        self.assertEqual(self.nack(a1, "DELAY 500"), 1)
        self.assertEqual(self.pop(), [])  # Neither a2, whose head has failed, nor b2.
        self.assertEqual(self.ack(b1), 1)
        self.assertEqual(self.take().body, "b2")
        again = self.take("BLOCK 0")
        self.assertEqual((again.body, again.attempt), ("a1", 2))
        self.assertEqual(self.pop(), [])
        self.assertEqual(self.ack(again), 1)
        self.assertEqual(self.nack(self.take(), "DEAD"), 1)
        self.assertEqual(self.take().body, "a3")

    def test_group_concurrency_lets_so_many_of_a_group_be_under_way(self):
        self.set("group-concurrency 2")
        self.do(f"DQ.MPUSH {self.queue} 4 1 2 3 4 GROUP g")
        rows = self.pop()
        self.assertEqual([row.body for row in rows], ["1", "2"])
        self.assertEqual(self.ack(rows[1]), 1)
        self.assertEqual(self.bodies(), ["3"])

    def test_the_highest_priority_comes_first_and_then_the_order_of_pushes(self):
        for body, priority in (("p0", 0), ("p5", 5), ("p9", 9), ("p5-later", 5), ("p9-later", 9)):
            self.push(body, f"PRIORITY {priority}")
        self.push("usual")
        first = self.take()
        self.assertEqual(self.nack(first, "RELEASE"), 1)
        self.assertEqual(self.bodies(), ["p9", "p9-later", "p5", "p5-later", "p0", "usual"])

    def test_a_delayed_message_comes_when_its_delay_is_over(self):
        waited = []
        for _ in range(3):
            began = time.monotonic()
            self.push("later", "DELAY 400")
            told = (self.length(), self.info("delayed"), self.pop())
            if time.monotonic() - began < 0.4:
                self.assertEqual(told, (0, 1, []))
            row = self.take("BLOCK 0")
            waited.append(time.monotonic() - began)
            self.assertEqual((row.body, row.attempt), ("later", 1))
            self.ack(row)
        self.assertGreaterEqual(min(waited), 0.4)
        self.assertLess(min(waited), 0.4 + 0.4 * SLOWDOWN, waited)

    def test_a_message_that_nobody_took_within_its_ttl_is_gone(self):
        self.push("brief", "TTL 100")
        self.push("lasting")
        wait_until(lambda: self.info("expired") == 1, 5, "its time is over")
        self.assertEqual(self.bodies(), ["lasting"])

    def test_mpush_pushes_all_or_none(self):
        ids = self.do(f"DQ.MPUSH {self.queue} 3 a b c PRIORITY 2")
        self.assertEqual(len(set(ids)), 3)
        self.set("maxlen 4")
        self.assert_error(self.do(f"DQ.MPUSH {self.queue} 2 d e"), "LIMIT")
        self.assertEqual(self.bodies(), ["a", "b", "c"])

    def test_a_full_queue_refuses_or_drops_its_oldest_as_its_user_chose(self):
        self.set("maxlen 2")
        self.push("a")
        self.push("b")
        refusal = self.assert_error(self.do(f"DQ.PUSH {self.queue} c"), "LIMIT")
        self.assertIn("maxlen", refusal)
        self.assertEqual(self.length(), 2)
        self.set("overflow drop-oldest")
        self.push("c")
        self.assertEqual(self.bodies(), ["b", "c"])

    def test_a_fenced_push_is_refused_once_a_newer_token_was_seen(self):
        self.push("a", "FENCE 7")
        self.assert_error(self.do(f"DQ.PUSH {self.queue} b FENCE 6"), "FENCED")
        self.push("c", "FENCE 7")
        self.push("d")
        self.assertEqual(self.bodies(), ["a", "c", "d"])

    def test_bodies_names_and_headers_are_any_bytes(self):
        a, b = self.connections[1], self.connections[2]
        queue = self.queue.encode() + b"\x00\r\n\xff {tag} \xe2\x82\xac"
        for body in (b"\x00\r\n*-1\r\n\xff", b"", b"x" * (1 << 20)):
            a.call("DQ.PUSH", queue, body, "HEADERS", 1, b"\r\n\x00", b"\xff")
            [row] = rows_of(b.call("DQ.POP", queue, "FULL", "NOACK"))
            self.assertEqual(row.body.encode("utf-8", "surrogateescape"), body)
            self.assertEqual(row.queue.encode("utf-8", "surrogateescape"), queue)
            self.assertEqual(pairs(row.more["headers"]), {"\r\n\x00": "\udcff"})
        refusal = self.assert_error(a.call("DQ.PUSH", queue, b"x" * ((1 << 20) + 1)), "LIMIT")
        self.assertIn("dq-max-message", refusal)
        self.assertIsInstance(a.call("DQ.PUSH", "n" * 1024, "x"), Bulk)
        self.assertIn("1024", a.call("DQ.PUSH", "n" * 1025, "x"))

    def test_a_queue_that_must_be_made_first_is_made_by_set(self):
        for connection in self.connections.values():
            self.assertEqual(connection.do("CONFIG SET dq-auto-create no"), "OK")
            self.addCleanup(connection.do, "CONFIG SET dq-auto-create yes")
        self.assert_error(self.do(f"DQ.PUSH {self.queue} a"), "ERR")
        self.set("lease 5000")
        self.push("b")
        self.assertEqual(self.bodies(), ["b"])

    # Waiting --------------------------------------------------------------------------------------

    def test_a_wait_that_is_not_served_in_time_is_nil(self):
        waited = []
        for _ in range(3):
            began = time.monotonic()
            self.assertIsNone(self.do(f"DQ.POP {self.queue} BLOCK 300"))
            waited.append(time.monotonic() - began)
            self.assertEqual(self.info("waiters"), 0)
        self.assertGreaterEqual(min(waited), 0.3)
        self.assertLess(min(waited), 0.3 + 0.7 * SLOWDOWN, waited)

    def test_client_unblock_ends_a_wait_like_a_timeout_or_with_an_error(self):
        operator = self.connections[2]
        for how, expected in (("TIMEOUT", None),
                              ("ERROR", "UNBLOCKED client unblocked via CLIENT UNBLOCK")):
            waiting = self.connect(2)
            number = waiting.do("CLIENT ID")
            self.block(waiting)
            self.assertEqual(operator.do(f"CLIENT UNBLOCK {number} {how}"), 1)
            self.assertEqual(waiting.reply(), expected)
            wait_until(lambda: self.info("waiters") == 0, 5, "it waits no more")
        self.push("work")
        self.assertEqual(self.length(), 1)

    def test_what_comes_after_a_wait_on_the_same_connection_is_answered_after_it(self):
        waiting = self.blocked(node=1)
        waiting.send("PING")
        waiting.send("DQ.LEN", self.queue)
        self.assertTrue(waiting.is_quiet(0.1))
        self.push("work")
        self.assertEqual([row.body for row in rows_of(waiting.reply())], ["work"])
        self.assertEqual((waiting.reply(), waiting.reply()), ("PONG", 0))

    def test_inside_multi_nothing_waits_for_queues_are_no_part_of_a_transaction(self):
        connection = self.connections[2]
        self.assertEqual(connection.do("MULTI"), "OK")
        self.assert_error(connection.do(f"DQ.PUSH {self.queue} work"), "ERR")
        self.assert_error(connection.do(f"DQ.POP {self.queue} BLOCK 0"), "ERR")
        self.assert_error(connection.do("EXEC"), "EXECABORT")
        self.assertEqual((self.length(), self.info("waiters")), (0, 0))

    def test_the_queues_of_one_pop_are_tried_from_left_to_right(self):
        a, b = (f"{{{self.queue}}}/{letter}" for letter in "ab")
        self.do(f"DQ.PUSH {b} first")
        self.do(f"DQ.PUSH {a} second")
        self.do(f"DQ.PUSH {a} third")
        [row] = self.pop("", f"{a} {b}")
        self.assertEqual((row.queue, row.body), (a, "second"))
        rows = self.pop("COUNT 10", f"{a} {b}")
        self.assertEqual([(row.queue, row.body) for row in rows], [(a, "third"), (b, "first")])
        waiting = self.connect(1)
        waiting.send(*f"DQ.POP {a} {b} BLOCK 0".split())
        wait_until(lambda: pairs(self.do(f"DQ.INFO {b}"))["waiters"] == 1, 5, "it waits at both")
        self.do(f"DQ.PUSH {b} fourth")
        [row] = rows_of(waiting.reply())
        self.assertEqual((row.queue, row.body), (b, "fourth"))
        self.assertEqual(pairs(self.do(f"DQ.INFO {a}"))["waiters"], 0)

    def test_queues_of_several_shards_are_popped_but_not_moved_together(self):
        # Some of these names may share a shard by chance, not all.
        others = [f"{self.queue}/{i}" for i in range(20)]
        replies = [self.do(f"DQ.MOVE {self.queue} {other}") for other in others]
        errors = [reply for reply in replies if isinstance(reply, Error)]
        self.assertTrue(errors)
        for error in errors:
            self.assertIn("{tag}", self.assert_error(error, "CROSSSLOT"))
        waiting = self.connect(3)
        for other in others:
            waiting.send(*f"DQ.POP {self.queue} {other} BLOCK 0".split())
            self.do(f"DQ.PUSH {other} {other}/work")
            [row] = rows_of(waiting.reply())
            self.assertEqual((row.queue, row.body), (other, f"{other}/work"))

    # Partitions -----------------------------------------------------------------------------------

    def test_a_queue_of_several_partitions_is_one_queue_to_whoever_uses_it(self):
        for i in range(4):
            self.push(f"before{i}", f"GROUP g{i}")
        self.set("partitions 8")
        ids = [self.push(f"m{i}") for i in range(24)]
        self.assertEqual(len({message_id.split(".")[0] for message_id in ids}), 8)
        for i in range(4):
            self.push(f"after{i}", f"GROUP g{i}")
        self.assertEqual((self.length(), self.info("partitions"), self.info("pushed")), (32, 8, 32))
        seen = []
        while rows := self.pop("COUNT 4"):
            seen += [row.body for row in rows]
            self.assertEqual(self.ack(*rows), len(rows))
        self.assertEqual(len(set(seen)), 32)
        for i in range(4):
            self.assertLess(seen.index(f"before{i}"), seen.index(f"after{i}"))
        self.assertEqual((self.length(), self.info("acked"), self.info("leased")), (0, 32, 0))

    def test_who_waits_at_all_partitions_is_served_by_any(self):
        self.set("partitions 4")
        waiting = self.connect(2)
        for i in range(8):
            self.block(waiting)
            self.push(f"m{i}")
            [row] = rows_of(waiting.reply())
            self.assertEqual((row.body, row.attempt), (f"m{i}", 1))
            wait_until(lambda: self.info("waiters") == 0, 5, "it waits nowhere")

    def test_a_rate_is_kept(self):
        self.set("rate 20")
        self.do(f"DQ.MPUSH {self.queue} 30 {' '.join('x' * 30)}")
        began = time.monotonic()
        for _ in range(23):
            self.take("BLOCK 0 NOACK")
        self.assertGreaterEqual(time.monotonic() - began, 0.99)

    def test_pop_acknowledges_on_the_way(self):
        self.do(f"DQ.MPUSH {self.queue} 4 a b c d")
        first, second = self.pop("COUNT 2")
        third = self.take(f"ACK 2 {first.receipt} {second.receipt}")
        self.assertEqual((third.body, self.info("acked"), self.info("leased")), ("c", 2, 1))
        self.take(f"ACK 1 {third.receipt}")
        self.assertEqual(self.info("acked"), 3)

    def test_noack_is_done_as_it_is_delivered(self):
        self.push("once")
        self.take("NOACK")
        self.assertEqual((self.length(), self.info("leased"), self.length(self.dead)), (0, 0, 0))

    def test_concurrency_is_how_many_of_a_queue_are_under_way(self):
        self.set("concurrency 2")
        self.do(f"DQ.MPUSH {self.queue} 4 a b c d")
        rows = self.pop()
        self.assertEqual([row.body for row in rows], ["a", "b"])
        waiting = self.blocked()
        self.assertEqual(self.ack(rows[1]), 1)
        self.assertEqual([row.body for row in rows_of(waiting.reply())], ["c"])

    # Clients that go ------------------------------------------------------------------------------

    def test_a_tied_message_is_back_at_once_when_its_connection_closes_and_no_other_is(self):
        seconds = []
        for _ in range(5):
            self.do(f"DQ.MPUSH {self.queue} 2 plain tied")
            worker = self.connect(next(self.turn))
            [plain] = rows_of(worker.do(f"DQ.POP {self.queue} LEASE {LONG}"))
            [tied] = rows_of(worker.do(f"DQ.POP {self.queue} LEASE {LONG} TIED"))
            self.assertEqual((plain.body, tied.body), ("plain", "tied"))
            waiting = self.blocked()
            began = time.monotonic()
            worker.close()
            [again] = rows_of(waiting.reply())
            seconds.append(time.monotonic() - began)
            # It may be what killed its worker: so it has failed.
            self.assertEqual((again.body, again.attempt), ("tied", 2))
            self.assertEqual(self.pop(), [])
            self.assertEqual(self.ack(plain, again), 2)
        self.assertLess(statistics.median(seconds), AT_ONCE_SECONDS, seconds)

    def test_a_client_that_went_away_while_it_waited_costs_no_attempt(self):
        self.blocked().close()
        wait_until(lambda: self.info("waiters") == 0, 5, "its wait has ended")
        self.push("work")
        row = self.take("FULL")
        self.assertEqual((row.attempt, row.more["failures"]), (1, 0))

    def test_a_client_that_goes_as_the_message_comes_costs_no_attempt(self):
        for gone, pusher in list(itertools.permutations((1, 2, 3), 2)) * 5:
            self.blocked(f"LEASE {LONG}", node=gone).close()
            # The end of the wait and the message are now both on their way to the shard.
            self.connections[pusher].call("DQ.PUSH", self.queue, "work")
            row = self.take("BLOCK 5000")
            self.assertEqual((row.body, row.attempt), ("work", 1))
            self.assertEqual(self.ack(row), 1)

    # Queues ---------------------------------------------------------------------------------------

    def test_pause_stops_what_goes_in_or_what_comes_out(self):
        self.push("a")
        self.assertEqual(self.do(f"DQ.PAUSE {self.queue} IN"), "OK")
        self.assert_error(self.do(f"DQ.PUSH {self.queue} b"), "LIMIT")
        row = self.take()
        self.assertEqual(self.do(f"DQ.PAUSE {self.queue} OUT"), "OK")
        self.push("b")
        self.assertEqual(self.pop(), [])
        self.assertEqual(self.ack(row), 1)
        waiting = self.blocked()
        self.assertEqual(self.do(f"DQ.PAUSE {self.queue} ALL"), "OK")
        self.assert_error(self.do(f"DQ.PUSH {self.queue} c"), "LIMIT")
        self.assertTrue(waiting.is_quiet(0.05))
        self.assertEqual(self.do(f"DQ.PAUSE {self.queue} NONE"), "OK")
        self.assertEqual([row.body for row in rows_of(waiting.reply())], ["b"])

    def test_del_deletes_by_id_whatever_the_state(self):
        ids = self.do(f"DQ.MPUSH {self.queue} 3 a b c")
        leased = self.take()
        self.assertEqual(self.do(f"DQ.DEL {self.queue} {ids[0]} {ids[1]} {ids[1]}"), 2)
        self.assertEqual(self.ack(leased), 0)
        self.assertEqual(self.bodies(), ["c"])

    def test_purge_deletes_the_states_that_are_named(self):
        self.do(f"DQ.MPUSH {self.queue} 4 dead leased ready ready")
        self.push("delayed", f"DELAY {LONG}")
        self.nack(self.take(), "DEAD")
        self.take()
        self.assertEqual(self.states(), [2, 1, 1, 1])
        self.assertEqual(self.do(f"DQ.PURGE {self.queue} DELAYED READY"), 3)
        self.assertEqual(self.states(), [0, 0, 1, 1])
        self.assertEqual(self.do(f"DQ.PURGE {self.queue}"), 1)
        self.assertEqual(self.do(f"DQ.PURGE {self.dead}"), 1)

    def states(self):
        return [self.info(state) for state in ("ready", "delayed", "leased", "dead")]

    def test_a_queue_that_is_not_empty_is_dropped_by_force_only(self):
        self.assertEqual(self.do(f"DQ.DROP {self.queue}"), 0)
        self.push("a")
        self.set("lease 1234")
        self.assert_error(self.do(f"DQ.DROP {self.queue}"), "ERR")
        self.assertEqual(self.length(), 1)
        self.assertEqual(self.do(f"DQ.DROP {self.queue} FORCE"), 1)
        self.assertIsNone(self.do(f"DQ.INFO {self.queue}"))
        self.push("b")
        self.assertEqual((self.bodies(), pairs(self.info("options"))["lease"]), (["b"], 30000))

    def test_move_keeps_the_order_and_takes_as_many_as_it_was_told(self):
        a, b = (f"{{{self.queue}}}/{letter}" for letter in "ab")
        self.do(f"DQ.MPUSH {a} 4 1 2 3 4")
        self.assertEqual(self.do(f"DQ.MOVE {a} {b} COUNT 3"), 3)
        self.assertEqual(self.do(f"DQ.MOVE {a} {b}"), 1)
        self.assertEqual(self.do(f"DQ.MOVE {a} {b}"), 0)
        self.assertEqual([row.body for row in self.pop("COUNT 9", b)], ["1", "2", "3", "4"])

    def test_peek_shows_messages_and_leases_none(self):
        ids = [self.push(body) for body in "abc"]
        self.push("later", f"DELAY {LONG}")
        bodies = [pairs(each)["body"] for each in self.do(f"DQ.PEEK {self.queue} COUNT 10")]
        self.assertEqual(bodies, ["a", "b", "c", "later"])
        later = self.do(f"DQ.PEEK {self.queue} COUNT 10 FROM {ids[1]} STATE READY")
        self.assertEqual([pairs(each)["body"] for each in later], ["b", "c"])
        [delayed] = self.do(f"DQ.PEEK {self.queue} COUNT 10 STATE DELAYED")
        self.assertEqual(pairs(delayed)["body"], "later")
        self.assertEqual((self.length(), self.info("delivered")), (3, 0))

    def test_info_counts_what_is_there_and_what_has_happened(self):
        self.do(f"DQ.MPUSH {self.queue} 3 aa bb cc GROUP g")
        self.push("dd", "ID d")
        self.push("dd", "ID d")
        first, other = self.pop()
        self.ack(first)
        self.nack(other)
        expected = {"ready": 2, "delayed": 1, "leased": 0, "groups": 1, "waiters": 0,
                    "bytes": 6, "pushed": 4, "delivered": 2, "acked": 1, "failed": 1, "expired": 0,
                    "duplicates": 1}
        info = pairs(self.do(f"DQ.INFO {self.queue}"))
        self.assertEqual({name: info[name] for name in expected}, expected)
        self.assertGreaterEqual(info["oldest"], 0)

    def test_what_set_sets_info_tells(self):
        options = {"lease": 1000, "retry": 5, "backoff-base": 10, "backoff-max": 99,
                   "backoff-factor": 3, "backoff-jitter": 0, "dead": "drop", "maxlen": 7,
                   "maxbytes": 700, "overflow": "drop-oldest", "ttl": 9000, "dedup-window": 60000,
                   "group-concurrency": 2, "concurrency": 4}
        self.set(" ".join(f"{name} {value}" for name, value in options.items()))
        told = pairs(self.info("options"))
        self.assertEqual({name: told[name] for name in options}, options)

    def test_list_walks_all_queues_with_scans_guarantees(self):
        names = [f"{self.queue}/{i}" for i in range(90)]
        for name in names:
            self.do(f"DQ.PUSH {name} x")
        seen, cursor = [], "0"
        for calls in itertools.count(1):
            cursor, page = self.do(f"DQ.LIST CURSOR {cursor} MATCH {self.queue}/* COUNT 5")
            seen += page
            if cursor == "0":
                break
        self.assertEqual(sorted(seen), sorted(names))
        self.assertGreater(calls, 3)
