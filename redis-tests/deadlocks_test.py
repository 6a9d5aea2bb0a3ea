"""Circles of owners who wait for each other, and the events that tell what happened to a lock."""

import json
import time

from cases import LONG, LockTest
from resp import SLOWDOWN, pairs, wait_until

DEADLOCK_SECONDS = 0.05 * SLOWDOWN
CIRCLES = 5


class Deadlocks(LockTest):
    def circle_of_two(self, prefix, old, young):
        """`old` took the first lock before `young` took the second, and now waits for it."""
        a, b = f"{prefix}/a", f"{prefix}/b"
        self.assert_token(self.acquire(a, old))
        self.assert_token(self.acquire(b, young))
        return a, b, self.blocked(b, old)

    def test_the_younger_of_two_is_told_at_once_and_the_older_has_its_lock_at_that_instant(self):
        # Other owners each time: a victim is remembered, and is not the younger again for a minute.
        seconds = [self.close_circle(self.lock_name(f"/{i}"), f"alice-{i}", f"bob-{i}")
                   for i in range(CIRCLES)]
        # The median: another program on this machine may take a core from one of them.
        self.assertLess(sorted(seconds)[CIRCLES // 2], DEADLOCK_SECONDS, seconds)

    def close_circle(self, prefix, alice, bob):
        """How long until both know, over what two entries in the log cost on this machine."""
        a, b, old = self.circle_of_two(prefix, alice, bob)
        young = self.connect(2)
        began = time.monotonic()
        self.assert_token(self.acquire(f"{prefix}/plain", "plain"))
        entry_seconds = time.monotonic() - began
        began = time.monotonic()
        young.send(*f"LOCK.ACQUIRE {a} {bob} TTL {LONG} BLOCK 0".split())
        error = self.assert_error(young.reply(), "DEADLOCK")
        token = self.assert_token(old.reply())
        seconds = time.monotonic() - began
        # The circle in words: who waits for what.
        for word in (alice, bob, a, b):
            self.assertIn(word, error)
        self.assertEqual(self.holders(b), {alice: token})
        self.assertEqual(list(self.holders(a)), [alice])
        self.assertEqual(pairs(self.do(f"LOCK.OWNER {bob}"))["locks"], [])
        self.do(f"LOCK.RELEASE {a} {alice} ALL")
        return seconds - 2 * entry_seconds

    def test_the_youngest_is_the_victim_even_if_an_older_one_closes_the_circle(self):
        a, b = self.lock_name("/a"), self.lock_name("/b")
        self.acquire(a, "elder")
        self.acquire(b, "younger")
        younger = self.blocked(a, "younger")
        elder = self.connect(1)
        elder.send(*f"LOCK.ACQUIRE {b} elder TTL {LONG} BLOCK 0".split())
        self.assert_error(younger.reply(), "DEADLOCK")
        self.assert_token(elder.reply())

    def test_a_circle_of_five_has_one_victim_and_the_others_go_on(self):
        names = [self.lock_name(f"/{i}") for i in range(5)]
        owners = [f"ring-{i}" for i in range(5)]
        for name, owner in zip(names, owners):
            self.acquire(name, owner)
        waits = [self.blocked(names[i + 1], owners[i]) for i in range(4)]
        last = self.connect(3)
        last.send(*f"LOCK.ACQUIRE {names[0]} {owners[4]} TTL {LONG} BLOCK 0".split())
        error = self.assert_error(last.reply(), "DEADLOCK")
        for owner in owners:
            self.assertIn(owner, error)
        self.assert_token(waits[3].reply())  # It waited for the victim's lock.
        for wait in waits[:3]:
            self.assertTrue(wait.is_quiet(0.03))

    def test_a_victim_that_tries_again_under_its_name_grows_old_and_gets_through(self):
        prefix = self.lock_name()
        a, b, old = self.circle_of_two(prefix, "veteran", "victim")
        victim = self.connect(2)
        victim.send(*f"LOCK.ACQUIRE {a} victim TTL {LONG} BLOCK 0".split())
        self.assert_error(victim.reply(), "DEADLOCK")
        self.assert_token(old.reply())
        self.assertEqual(self.do(f"LOCK.RELEASE {a} veteran ALL"), 2)
        # Against an owner that began after it, the former victim is the older one.
        self.acquire(a, "newcomer")
        self.acquire(b, "victim")
        newcomer = self.blocked(b, "newcomer")
        victim.send(*f"LOCK.ACQUIRE {a} victim TTL {LONG} BLOCK 0".split())
        self.assert_error(newcomer.reply(), "DEADLOCK")
        self.assert_token(victim.reply())

    def test_the_second_upgrader_is_a_deadlock_at_once(self):
        name = self.lock_name()
        self.acquire(name, "one", f"SHARED TTL {LONG}")
        self.acquire(name, "two", f"SHARED TTL {LONG}")
        one = self.connect(1)
        one.send(*f"LOCK.ACQUIRE {name} one EXCLUSIVE TTL {LONG} BLOCK 0".split())
        wait_until(lambda: "one" in self.waiters(name), 5, "the first upgrade waits")
        two = self.connect(2)
        two.send(*f"LOCK.ACQUIRE {name} two EXCLUSIVE TTL {LONG} BLOCK 0".split())
        self.assert_error(two.reply(), "DEADLOCK")
        self.assert_token(one.reply())

    def test_without_block_nobody_waits_and_so_nobody_is_a_victim(self):
        prefix = self.lock_name()
        a, b, old = self.circle_of_two(prefix, "alice", "bob")
        self.assertIsNone(self.acquire(a, "bob"))
        self.assertTrue(old.is_quiet(0.05))
        self.assertEqual(list(self.holders(b)), ["bob"])

    def test_the_last_deadlocks_are_remembered_on_every_node(self):
        prefix = self.lock_name()
        a, b, old = self.circle_of_two(prefix, "alice", "bob")
        young = self.connect(3)
        young.send(*f"LOCK.ACQUIRE {a} bob TTL {LONG} BLOCK 0".split())
        self.assert_error(young.reply(), "DEADLOCK")
        old.reply()
        for connection in self.connections.values():
            newest = [pairs(each) for each in connection.do("LOCK.DEADLOCKS COUNT 1")]
            self.assertEqual(len(newest), 1)
            self.assertTrue({"at", "victim", "cycle", "released"} <= set(newest[0]))
            self.assertEqual(newest[0]["victim"], "bob")
            self.assertIn(a, repr(newest[0]["cycle"]))
            self.assertIn(b, repr(newest[0]["released"]))

    def test_macquire_takes_part_in_circles_too(self):
        a, b, c = (self.lock_name(f"/{letter}") for letter in "abc")
        self.acquire(a, "old")
        self.acquire(b, "new")
        both = self.connect(1)
        both.send(*f"LOCK.MACQUIRE 2 {b} {c} old TTL {LONG} BLOCK 0".split())
        wait_until(lambda: "old" in self.waiters(b) + self.waiters(c), 5, "old waits for both")
        new = self.connect(2)
        new.send(*f"LOCK.ACQUIRE {a} new TTL {LONG} BLOCK 0".split())
        self.assert_error(new.reply(), "DEADLOCK")
        self.assert_token(both.reply())


class Events(LockTest):
    def listen(self, name, node, protocol=2):
        listener = self.connect(node, protocol)
        listener.send("SUBSCRIBE", f"__lock__:{name}")
        self.assertEqual(list(listener.push()), ["subscribe", f"__lock__:{name}", 1])
        return listener

    def next_event(self, listener, name):
        kind, channel, payload = listener.push()
        self.assertEqual((kind, channel), ("message", f"__lock__:{name}"))
        return json.loads(payload)

    def test_grant_release_expiry_and_revocation_are_told_on_every_node_in_order(self):
        name = self.lock_name()
        listeners = [self.listen(name, node, protocol)
                     for node, protocol in ((1, 2), (2, 3), (3, 2))]
        token = self.acquire(name, "alice")
        self.do(f"LOCK.RELEASE {name} alice")
        self.acquire(name, "bob", "TTL 100")
        wait_until(lambda: self.holders(name) == {}, 5, "bob's lease has ended")
        self.acquire(name, "carol")
        self.do(f"LOCK.REVOKE {name}")
        for listener in listeners:
            events = [self.next_event(listener, name) for _ in range(6)]
            self.assertEqual([event["event"] for event in events],
                             ["granted", "released", "granted", "expired", "granted", "revoked"])
            self.assertEqual([event["owner"] for event in events],
                             ["alice", "alice", "bob", "bob", "carol", "carol"])
            self.assertEqual(events[0]["token"], token)
            self.assertEqual({event["name"] for event in events}, {name})

    def test_a_deadlock_is_an_event_of_the_lock_that_closed_the_circle(self):
        a, b = self.lock_name("/a"), self.lock_name("/b")
        listener = self.connect(3)
        listener.send("PSUBSCRIBE", f"__lock__:{self.lock_name()}/*")
        listener.push()
        self.acquire(a, "old")
        self.acquire(b, "new")
        old = self.blocked(b, "old")
        new = self.connect(1)
        new.send(*f"LOCK.ACQUIRE {a} new TTL {LONG} BLOCK 0".split())
        self.assert_error(new.reply(), "DEADLOCK")
        old.reply()
        seen = []
        while not seen or seen[-1]["event"] != "deadlock":
            kind, _, _, payload = listener.push()
            self.assertEqual(kind, "pmessage")
            seen.append(json.loads(payload))
        self.assertIn("new", repr(seen[-1]))

    def test_any_bytes_in_names_make_valid_json(self):
        name = b"quote\" back\\slash \n \x01 \xff"
        listener = self.connect(2)
        listener.send("SUBSCRIBE", b"__lock__:" + name)
        listener.push()
        self.connections[1].call("LOCK.ACQUIRE", name, b"o\"\xfe", "TTL", LONG)
        event = json.loads(listener.push()[2].encode("utf-8", "surrogateescape"))
        self.assertEqual(event["event"], "granted")
        self.connections[1].call("LOCK.RELEASE", name, b"o\"\xfe")
