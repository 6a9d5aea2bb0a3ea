"""What the lock commands promise, asked of three nodes at once: every step goes to another node."""

import itertools
import time

from cases import LONG, LockTest
from resp import SLOWDOWN, Error, Map, pairs, wait_until


class Locks(LockTest):
    def test_one_owner_gets_the_lock_and_the_other_gets_nil_whatever_node_they_ask(self):
        name = self.lock_name()
        token = self.assert_token(self.acquire(name, "alice"))
        for _ in range(3):
            self.assertIsNone(self.acquire(name, "bob"))
        self.assertEqual(self.holders(name), {"alice": token})

    def test_tokens_grow_over_all_locks_and_all_nodes(self):
        tokens = [self.assert_token(self.acquire(self.lock_name(f"/{i}"), "alice"))
                  for i in range(30)]
        self.assertEqual(tokens, sorted(set(tokens)))

    def test_an_owner_that_asks_again_keeps_its_token_and_gets_a_fresh_ttl(self):
        name = self.lock_name()
        token = self.assert_token(self.acquire(name, "alice", "TTL 5000"))
        self.assertEqual(self.acquire(name, "alice", "TTL 400000"), token)
        self.assertGreater(pairs(self.info(name)["holders"][0])["ttl"], 390000)

    def test_release_counts_what_it_released_and_is_safe_to_repeat(self):
        name = self.lock_name()
        token = self.assert_token(self.acquire(name, "alice"))
        self.assertEqual(self.do(f"LOCK.RELEASE {name} bob"), 0)
        self.assertEqual(self.do(f"LOCK.RELEASE {name} alice TOKEN {token + 1}"), 0)
        self.assertEqual(self.do(f"LOCK.RELEASE {name} alice TOKEN {token}"), 1)
        self.assertEqual(self.do(f"LOCK.RELEASE {name} alice"), 0)
        self.assertGreater(self.acquire(name, "bob"), token)

    def test_release_all_lets_go_of_every_lock_of_the_owner(self):
        names = [self.lock_name(f"/{i}") for i in range(5)]
        owner = "release-all"
        for name in names:
            self.assert_token(self.acquire(name, owner))
        self.assertEqual(self.do(f"LOCK.RELEASE {names[0]} {owner} ALL"), 5)
        for name in names:
            self.assertEqual(self.info(name)["state"], "FREE")

    def test_check_tells_whether_that_very_grant_still_holds(self):
        name = self.lock_name()
        token = self.acquire(name, "alice")
        self.assertEqual(self.do(f"LOCK.CHECK {name} {token}"), 1)
        self.assertEqual(self.do(f"LOCK.CHECK {name} {token + 1}"), 0)
        self.do(f"LOCK.RELEASE {name} alice")
        self.assertEqual(self.do(f"LOCK.CHECK {name} {token}"), 0)
        newer = self.acquire(name, "alice")
        self.assertEqual(self.do(f"LOCK.CHECK {name} {token}"), 0)
        self.assertEqual(self.do(f"LOCK.CHECK {name} {newer}"), 1)

    def test_info_of_a_lock_names_holders_and_waiters_with_all_that_is_known(self):
        name = self.lock_name()
        token = self.acquire(name, "alice", f"TTL {LONG} META host-7:pid-12")
        self.blocked(name, "bob", "META later")
        with self.cluster.node(1).connect(protocol=3) as connection:
            info = connection.do(f"LOCK.INFO {name}")
        self.assertIsInstance(info, Map)
        self.assertEqual((info["name"], info["state"], info["mode"]), (name, "LOCKED", "EXCLUSIVE"))
        holder, waiter = info["holders"][0], info["waiters"][0]
        self.assertTrue({"owner", "token", "mode", "ttl", "held", "meta"} <= set(holder), holder)
        self.assertEqual((holder["owner"], holder["token"], holder["mode"], holder["meta"]),
                         ("alice", token, "EXCLUSIVE", "host-7:pid-12"))
        self.assertLessEqual(holder["ttl"], LONG)
        self.assertTrue({"owner", "mode", "waited"} <= set(waiter), waiter)
        self.assertEqual((waiter["owner"], waiter["mode"]), ("bob", "EXCLUSIVE"))
        # RESP2 tells the same, flat, in the same order.
        flat = self.do(f"LOCK.INFO {name}")
        self.assertEqual(list(flat[::2]), list(info))
        self.assertEqual(list(flat[flat.index("holders") + 1][0][::2]), list(holder))

    def test_a_lock_that_nobody_has_touched_is_free(self):
        info = self.info(self.lock_name())
        self.assertEqual((info["state"], info["holders"], info["waiters"]), ("FREE", [], []))

    def test_names_and_owners_are_any_bytes(self):
        name, owner = b"\x00\r\n\xff lock \xe2\x82\xac", b"\r\n-ERR \x00"
        a, b = self.connections[1], self.connections[2]
        token = self.assert_token(a.call("LOCK.ACQUIRE", name, owner, "TTL", LONG))
        self.assertIsNone(b.call("LOCK.ACQUIRE", name, "bob"))
        info = pairs(b.call("LOCK.INFO", name))
        self.assertEqual(info["name"].encode("utf-8", "surrogateescape"), name)
        self.assertEqual(pairs(info["holders"][0])["owner"].encode("utf-8", "surrogateescape"),
                         owner)
        self.assertEqual(a.call("LOCK.RELEASE", name, owner, "TOKEN", token), 1)

    def test_names_may_be_1024_bytes_and_not_one_more(self):
        a = self.connections[1]
        self.assert_token(a.call("LOCK.ACQUIRE", "n" * 1024, "o" * 1024, "TTL", 1000))
        for arguments in (["n" * 1025, "o"], ["n", "o" * 1025], ["", "o"], ["n", ""]):
            reply = a.call("LOCK.ACQUIRE", *arguments)
            self.assertIsInstance(reply, Error, arguments)
        self.assertIn("1024", a.call("LOCK.ACQUIRE", "n" * 1025, "o"))

    # Leases -------------------------------------------------------------------------------------------

    def test_a_lease_that_nobody_renews_ends_within_a_tenth_of_a_second_of_its_ttl(self):
        waited = []
        for name in (self.lock_name(f"/{i}") for i in range(3)):
            began = time.monotonic()
            self.assert_token(self.acquire(name, "alice", "TTL 700"))
            self.assert_token(self.acquire(name, "bob", f"TTL {LONG} BLOCK 0"))
            waited.append(time.monotonic() - began)
        self.assertGreaterEqual(min(waited), 0.7)
        # 100 ms of cluster time, and this machine's own delays.
        self.assertLess(min(waited), 0.7 + 0.4 * SLOWDOWN, waited)

    def test_renew_extends_a_lease_and_tells_when_there_is_none(self):
        name = self.lock_name()
        self.acquire(name, "alice", "TTL 60000")
        self.assertEqual(self.do(f"LOCK.RENEW {name} alice TTL 300000"), 1)
        self.assertGreater(pairs(self.info(name)["holders"][0])["ttl"], 290000)
        self.assertEqual(self.do(f"LOCK.RENEW {name} bob TTL 300000"), 0)
        self.assertEqual(self.do(f"LOCK.RENEW {name}-other alice"), 0)

    def test_one_heartbeat_renews_every_lock_of_an_owner(self):
        names = [self.lock_name(f"/{i}") for i in range(4)]
        for name in names:
            self.acquire(name, "heart", "TTL 60000")
        self.assertEqual(self.do(f"LOCK.RENEW {names[0]} heart TTL 300000 ALL"), 4)
        for name in names:
            self.assertGreater(pairs(self.info(name)["holders"][0])["ttl"], 290000)

    def test_a_renewal_after_the_end_comes_too_late(self):
        name = self.lock_name()
        token = self.acquire(name, "alice", "TTL 100")
        wait_until(lambda: self.info(name)["state"] == "FREE", 5, "the lease has ended")
        self.assertEqual(self.do(f"LOCK.RENEW {name} alice"), 0)
        self.assertEqual(self.do(f"LOCK.CHECK {name} {token}"), 0)

    # Waiting ------------------------------------------------------------------------------------------

    def test_a_wait_through_one_node_is_granted_by_a_release_through_another(self):
        name = self.lock_name()
        for holder_at, waiter_at in itertools.product((1, 2, 3), repeat=2):
            holder = self.connections[holder_at]
            token = holder.do(f"LOCK.ACQUIRE {name} alice TTL {LONG}")
            bob = self.blocked(name, "bob", node=self.cluster.node(waiter_at))
            self.assertEqual(holder.do(f"LOCK.RELEASE {name} alice"), 1)
            self.assertGreater(self.assert_token(bob.reply()), token)
            self.assertEqual(bob.do(f"LOCK.RELEASE {name} bob"), 1)

    def test_those_who_wait_are_served_in_the_order_in_which_they_came(self):
        name = self.lock_name()
        self.acquire(name, "first")
        owners = [f"waiter-{i}" for i in range(6)]
        connections = {owner: self.blocked(name, owner) for owner in owners}
        self.assertEqual(self.waiters(name), owners)
        previous = "first"
        for owner in owners:
            self.do(f"LOCK.RELEASE {name} {previous}")
            self.assert_token(connections[owner].reply())
            self.assertEqual(list(self.holders(name)), [owner])
            previous = owner

    def test_a_wait_that_is_not_served_in_time_is_nil(self):
        waited = []
        for name in (self.lock_name(f"/{i}") for i in range(3)):
            self.acquire(name, "alice")
            began = time.monotonic()
            self.assertIsNone(self.acquire(name, "bob", "BLOCK 300"))
            waited.append(time.monotonic() - began)
            self.assertEqual(self.waiters(name), [])
        self.assertGreaterEqual(min(waited), 0.3)
        self.assertLess(min(waited), 0.3 + 0.7 * SLOWDOWN, waited)

    def test_a_client_that_goes_away_waits_no_more(self):
        name = self.lock_name()
        self.acquire(name, "alice")
        self.blocked(name, "bob").close()
        wait_until(lambda: self.waiters(name) == [], 5, "bob's wait has ended")
        self.do(f"LOCK.RELEASE {name} alice")
        self.assertEqual(self.info(name)["state"], "FREE")

    def test_release_ends_the_wait_of_an_owner_that_does_not_hold(self):
        name = self.lock_name()
        self.acquire(name, "alice")
        bob = self.blocked(name, "bob")
        self.do(f"LOCK.RELEASE {name} bob")
        self.assertIsNone(bob.reply())
        self.assertEqual(self.waiters(name), [])

    def test_an_owner_that_asks_again_while_it_waits_keeps_its_place(self):
        name = self.lock_name()
        self.acquire(name, "alice")
        first = self.blocked(name, "bob")
        carol = self.blocked(name, "carol")
        again = self.connect(2)
        again.send("LOCK.ACQUIRE", name, "bob", "TTL", LONG, "BLOCK", 0)
        self.assertIsNone(first.reply())  # The older request is answered nil, the newest counts.
        self.assertEqual(self.waiters(name), ["bob", "carol"])
        self.do(f"LOCK.RELEASE {name} alice")
        self.assert_token(again.reply())
        self.assertTrue(carol.is_quiet(0.05))

    def test_client_unblock_ends_a_wait_like_a_timeout_or_with_an_error(self):
        name = self.lock_name()
        self.acquire(name, "alice")
        operator = self.connections[2]
        for how, expected in (("TIMEOUT", None), ("ERROR", "UNBLOCKED")):
            bob = self.connect(2)
            bob_id = bob.do("CLIENT ID")
            bob.send("LOCK.ACQUIRE", name, "bob", "TTL", LONG, "BLOCK", 0)
            wait_until(lambda: self.waiters(name) == ["bob"], 5, "bob waits")
            self.assertEqual(operator.do(f"CLIENT UNBLOCK {bob_id} {how}"), 1)
            reply = bob.reply()
            if expected:
                self.assertEqual(reply, "UNBLOCKED client unblocked via CLIENT UNBLOCK")
            else:
                self.assertIsNone(reply)
            self.assertEqual(operator.do(f"CLIENT UNBLOCK {bob_id}"), 0)
            wait_until(lambda: self.waiters(name) == [], 5, "bob's wait has ended")

    def test_what_comes_after_a_wait_on_the_same_connection_is_answered_after_it(self):
        name = self.lock_name()
        self.acquire(name, "alice")
        bob = self.connect(1)
        bob.send("LOCK.ACQUIRE", name, "bob", "TTL", LONG, "BLOCK", 0)
        bob.send("PING")
        bob.send("LOCK.CHECK", name, 1)
        wait_until(lambda: self.waiters(name) == ["bob"], 5, "bob waits")
        self.assertTrue(bob.is_quiet(0.1))
        self.do(f"LOCK.RELEASE {name} alice")
        self.assert_token(bob.reply())
        self.assertEqual(bob.reply(), "PONG")
        self.assertEqual(bob.reply(), 0)

    # Bound to a connection ----------------------------------------------------------------------------

    def test_a_bound_lock_ends_with_its_connection_and_a_free_one_does_not(self):
        bound, free = self.lock_name("/bound"), self.lock_name("/free")
        connection = self.connect(3)
        connection.do(f"LOCK.ACQUIRE {bound} alice TTL {LONG} BIND")
        connection.do(f"LOCK.ACQUIRE {free} alice TTL {LONG}")
        bob = self.blocked(bound, "bob", node=self.cluster.node(1))
        connection.close()
        self.assert_token(bob.reply())
        self.assertEqual(list(self.holders(free)), ["alice"])

    def test_a_bound_wait_ends_with_its_connection(self):
        name = self.lock_name()
        self.acquire(name, "alice")
        self.blocked(name, "bob", "BIND").close()
        wait_until(lambda: self.waiters(name) == [], 5, "bob's wait has ended")

    def test_reset_and_quit_end_bound_locks_or_not_as_the_connection_does(self):
        name = self.lock_name()
        connection = self.connect(2)
        connection.do(f"LOCK.ACQUIRE {name} alice TTL {LONG} BIND")
        self.assertEqual(connection.do("QUIT"), "OK")
        wait_until(lambda: self.info(name)["state"] == "FREE", 5, "the lock went with QUIT")

    # Modes --------------------------------------------------------------------------------------------

    def test_readers_share_and_a_writer_waits_for_the_last_of_them(self):
        name = self.lock_name()
        for reader in ("r1", "r2", "r3"):
            self.assert_token(self.acquire(name, reader, f"SHARED TTL {LONG}"))
        self.assertEqual(self.info(name)["state"], "SHARED")
        writer = self.blocked(name, "w")
        for reader in ("r1", "r2", "r3"):
            self.assertTrue(writer.is_quiet(0.03))
            self.assertEqual(self.do(f"LOCK.RELEASE {name} {reader}"), 1)
        self.assert_token(writer.reply())

    def test_a_reader_behind_a_queued_writer_waits(self):
        name = self.lock_name()
        self.acquire(name, "r1", f"SHARED TTL {LONG}")
        writer = self.blocked(name, "w")
        self.assertIsNone(self.acquire(name, "r2", f"SHARED TTL {LONG}"))
        readers = [self.blocked(name, f"late-{i}", "SHARED") for i in range(3)]
        self.do(f"LOCK.RELEASE {name} r1")
        self.assert_token(writer.reply())
        self.do(f"LOCK.RELEASE {name} w")
        for reader in readers:  # One release grants all that can be granted.
            self.assert_token(reader.reply())
        self.assertEqual(set(self.holders(name)), {"late-0", "late-1", "late-2"})

    def test_limit_makes_a_semaphore_of_a_shared_lock(self):
        name = self.lock_name()
        for owner in ("a", "b"):
            self.assert_token(self.acquire(name, owner, f"SHARED LIMIT 2 TTL {LONG}"))
        self.assertIsNone(self.acquire(name, "c", f"SHARED LIMIT 2 TTL {LONG}"))
        self.assertEqual(self.info(name)["limit"], 2)
        wrong = self.assert_error(self.acquire(name, "d", f"SHARED LIMIT 3 TTL {LONG}"), "ERR")
        self.assertIn("2", wrong)
        waiting = self.blocked(name, "c", "SHARED LIMIT 2")
        self.do(f"LOCK.RELEASE {name} a")
        self.assert_token(waiting.reply())

    def test_an_upgrade_waits_for_the_other_readers_ahead_of_the_queue(self):
        name = self.lock_name()
        token = self.acquire(name, "up", f"SHARED TTL {LONG}")
        self.acquire(name, "other", f"SHARED TTL {LONG}")
        queued = self.blocked(name, "queued")
        upgrade = self.connect(1)
        upgrade.send(*f"LOCK.ACQUIRE {name} up EXCLUSIVE TTL {LONG} BLOCK 0".split())
        wait_until(lambda: self.waiters(name)[:1] == ["up"], 5, "the upgrade is first in line")
        self.do(f"LOCK.RELEASE {name} other")
        self.assertGreater(self.assert_token(upgrade.reply()), token)
        self.assertEqual(self.info(name)["mode"], "EXCLUSIVE")
        self.assertTrue(queued.is_quiet(0.05))

    def test_a_downgrade_is_at_once_and_lets_readers_in_but_no_writer(self):
        name = self.lock_name()
        token = self.acquire(name, "down")
        reader = self.blocked(name, "reader", "SHARED")
        writer = self.blocked(name, "writer")
        self.assertEqual(self.acquire(name, "down", f"SHARED TTL {LONG}"), token)
        self.assert_token(reader.reply())
        self.assertTrue(writer.is_quiet(0.05))
        self.assertEqual(set(self.holders(name)), {"down", "reader"})

    # Several at once ----------------------------------------------------------------------------------

    def test_macquire_takes_all_or_none(self):
        a, b, c = (self.lock_name(f"/{letter}") for letter in "abc")
        self.acquire(b, "other")
        self.assertIsNone(self.do(f"LOCK.MACQUIRE 3 {a} {b} {c} me TTL {LONG}"))
        self.assertEqual(self.info(a)["state"], "FREE")
        self.assertEqual(self.info(c)["state"], "FREE")
        self.do(f"LOCK.RELEASE {b} other")
        token = self.assert_token(self.do(f"LOCK.MACQUIRE 3 {a} {b} {c} me TTL {LONG}"))
        for name in (a, b, c):
            self.assertEqual(self.holders(name), {"me": token})
        self.assertEqual(self.do(f"LOCK.MACQUIRE 3 {a} {b} {c} me TTL {LONG}"), token)

    def test_macquire_waits_until_it_can_have_all_and_never_holds_a_part(self):
        a, b = self.lock_name("/a"), self.lock_name("/b")
        self.acquire(a, "first")
        self.acquire(b, "second")
        both = self.connect(3)
        both.send(*f"LOCK.MACQUIRE 2 {a} {b} both TTL {LONG} BLOCK 0".split())
        wait_until(lambda: "both" in self.waiters(a) + self.waiters(b), 5, "it waits")
        self.do(f"LOCK.RELEASE {a} first")
        self.assertTrue(both.is_quiet(0.05))
        self.assertNotIn("both", self.holders(a))
        self.do(f"LOCK.RELEASE {b} second")
        token = self.assert_token(both.reply())
        self.assertEqual((self.holders(a), self.holders(b)), ({"both": token}, {"both": token}))

    # Looking ------------------------------------------------------------------------------------------

    def test_list_walks_all_names_once_whatever_node_is_asked_on_the_way(self):
        prefix = self.lock_name()
        names = {f"{prefix}/{i}" for i in range(137)}
        for connection, name in zip(itertools.cycle(self.connections.values()), sorted(names)):
            connection.do(f"LOCK.ACQUIRE {name} lister TTL {LONG}")
        seen, cursor, calls = [], "0", 0
        while True:
            cursor, page = self.do(f"LOCK.LIST CURSOR {cursor} MATCH {prefix}/* COUNT 10")
            seen += page
            calls += 1
            if cursor == "0":
                break
        self.assertEqual(sorted(seen), sorted(names))
        self.assertGreater(calls, 3)
        _, some = self.do(f"LOCK.LIST MATCH {prefix}/13? COUNT 1000")
        self.assertEqual(sorted(some), sorted(f"{prefix}/13{i}" for i in range(7)))

    def test_owner_tells_its_locks_and_what_it_waits_for(self):
        mine, wanted = self.lock_name("/mine"), self.lock_name("/wanted")
        self.acquire(mine, "owner-x")
        self.acquire(wanted, "owner-y")
        self.blocked(wanted, "owner-x")
        record = pairs(self.do("LOCK.OWNER owner-x"))
        self.assertEqual(record["owner"], "owner-x")
        self.assertTrue({"age", "locks", "waiting"} <= set(record))
        self.assertIn(mine, repr(record["locks"]))
        self.assertIn(wanted, repr(record["waiting"]))

    def test_graph_has_an_edge_for_each_wait(self):
        name = self.lock_name()
        self.acquire(name, "holding")
        self.blocked(name, "waiting")
        self.assertIn(["waiting", name, "holding"], [list(e) for e in self.do("LOCK.GRAPH")])

    def test_revoke_throws_holders_out_and_their_tokens_are_stale(self):
        name = self.lock_name()
        token = self.acquire(name, "alice")
        bob = self.blocked(name, "bob")
        self.assertEqual(self.do(f"LOCK.REVOKE {name} OWNER nobody"), 0)
        self.assertEqual(self.do(f"LOCK.REVOKE {name}"), 1)
        self.assertEqual(self.do(f"LOCK.CHECK {name} {token}"), 0)
        self.assertEqual(self.do(f"LOCK.RENEW {name} alice"), 0)
        self.assertGreater(self.assert_token(bob.reply()), token)

    # Transactions -------------------------------------------------------------------------------------

    def test_inside_multi_nothing_waits_and_each_command_is_answered_at_exec(self):
        name = self.lock_name()
        token = self.acquire(name, "alice")
        c = self.connections[2]
        self.assertEqual(c.do("MULTI"), "OK")
        for line in (f"LOCK.ACQUIRE {name} bob BLOCK 0", f"LOCK.CHECK {name} {token}",
                     f"LOCK.ACQUIRE {name}2 bob TTL {LONG}", "PING"):
            self.assertEqual(c.do(line), "QUEUED")
        replies = c.do("EXEC")
        self.assertEqual(replies[:2], [None, 1])
        self.assert_token(replies[2])
        self.assertEqual(replies[3], "PONG")
        self.assertEqual(self.waiters(name), [])

    def test_a_bad_command_inside_multi_ends_in_execabort_and_nothing_is_done(self):
        name = self.lock_name()
        c = self.connections[1]
        c.do("MULTI")
        c.do(f"LOCK.ACQUIRE {name} alice TTL {LONG}")
        self.assert_error(c.do("LOCK.ACQUIRE onlyname"), "ERR")
        self.assertEqual(self.assert_error(c.do("EXEC"), "EXECABORT"),
                         "EXECABORT Transaction discarded because of previous errors.")
        self.assertEqual(self.info(name)["state"], "FREE")

    def test_discard_forgets_what_was_queued(self):
        name = self.lock_name()
        c = self.connections[3]
        c.do("MULTI")
        c.do(f"LOCK.ACQUIRE {name} alice TTL {LONG}")
        self.assertEqual(c.do("DISCARD"), "OK")
        self.assertEqual(self.info(name)["state"], "FREE")
