"""Nodes die, freeze, stop and hand over while they have lines: what was written may be forgotten as
far as CACHE promises, and never goes back; nobody waits longer than a lease."""

import itertools
import time

from cache_cases import CacheTest, Crew, shard_of
from resp import SLOWDOWN, Closed, Connection, Error, wait_until

LEASE = 2.03  # What a dead or frozen cache is waited for.
BOUND = 2.5 * SLOWDOWN  # The same, with what this machine takes.
AT_ONCE = 0.3 * SLOWDOWN
DIRTY_MAX_AGE = 0.5
FROZEN_SECONDS = 5.0


class Writer:
    """Writes growing numbers to its keys through one node, as long as that is there."""

    def __init__(self, node, keys):
        self.node = node
        self.keys = keys
        self.acknowledged = {key: (0.0, 0) for key in keys}  # Key -> (answered at, value).
        self.asked = dict.fromkeys(keys, 0)

    def run(self, crew):
        try:
            with Connection(self.node.port) as connection:
                for value in itertools.count(1):
                    for key in self.keys:
                        if not crew.goes_on:
                            return
                        self.asked[key] = value
                        if connection.call("SET", key, value) == "OK":
                            self.acknowledged[key] = (time.monotonic(), value)
        except (OSError, Closed):
            pass


class Pulse:
    """One command again and again through one node: how long nothing came of it, at worst."""

    def __init__(self, node, command):
        self.node = node
        self.command = command
        self.gap = 0.0
        self.count = 0
        self.replies = []

    def run(self, crew):
        with Connection(self.node.port) as connection:
            last = time.monotonic()
            while crew.goes_on:
                reply = connection.call(*self.command(self.count))
                self.replies.append(reply)
                if isinstance(reply, Error):
                    continue
                now = time.monotonic()
                self.gap, last = max(self.gap, now - last), now
                self.count += 1


class CacheFailover(CacheTest):
    def setUp(self):
        self.bring_back()

    def bring_back(self):
        for node in self.cluster.nodes:
            if not node.is_running:
                node.start()
        self.cluster.wait_until_ok()
        self.settle()

    def seconds_of(self, node, *command):
        began = time.monotonic()
        reply = node.ask(*command)
        self.assertNotIsInstance(reply, Error, command)
        return time.monotonic() - began

    # An owner dies ----------------------------------------------------------------------------------

    def test_what_a_dead_node_wrote_half_a_second_ago_is_there_and_newer_is_never_older(self):
        owner, home, other = self.cluster.nodes
        old = self.keys_of(home, 40, "/old") + self.keys_of(other, 40, "/old")
        fresh = self.keys_of(home, 10, "/fresh") + self.keys_of(other, 10, "/fresh")
        for value in ("1", "2"):
            self.write_many(owner, dict.fromkeys(old, value))
        written = time.monotonic()
        crew = Crew()
        writer = Writer(owner, fresh)
        crew.add(writer.run, crew)
        crew.start()
        wait_until(lambda: time.monotonic() > written + DIRTY_MAX_AGE, 5, "the old ones are old")
        owner.kill()
        crew.stop()
        self.assertEqual(crew.trouble, [])
        self.assertGreater(min(writer.asked.values()), 2)

        for node in (other, home):
            self.assertEqual(self.read_many(node, old), dict.fromkeys(old, "2"))
            for key, told in self.read_many(node, fresh).items():
                _, acknowledged = writer.acknowledged[key]
                allowed = (None, str(acknowledged), str(writer.asked[key]))
                self.assertIn(told, allowed, key)
        # And a line that was forgotten is as good as any.
        self.write_many(other, dict.fromkeys(fresh, "new"))
        self.assertEqual(self.read_many(home, fresh), dict.fromkeys(fresh, "new"))

    def test_a_line_of_a_dead_owner_is_waited_for_once_and_no_longer_than_its_lease(self):
        owner, home, other = self.cluster.nodes
        keys = self.keys_of(home, 20)
        crew = Crew()
        crew.add(Writer(owner, keys).run, crew)
        crew.start()
        wait_until(lambda: other.ask("GET", keys[-1]), 5, "all are owned there")
        owner.kill()
        began = time.monotonic()
        told = self.read_many(other, keys)
        first = time.monotonic() - began
        crew.stop()
        self.assert_no_error(told.values())
        self.assertLess(first, BOUND)
        for key in keys:
            self.assertLess(self.seconds_of(home, "SET", key, "x"), AT_ONCE)

    # A sharer freezes -------------------------------------------------------------------------------

    def test_a_frozen_reader_delays_a_write_once_and_shows_nothing_old_when_it_thaws(self):
        frozen, near, far = self.cluster.nodes
        keys = self.keys_of(near, 15) + self.keys_of(far, 15)
        self.write_many(near, dict.fromkeys(keys, "old"))
        self.assertEqual(self.read_many(frozen, keys), dict.fromkeys(keys, "old"))
        patient = [self.connect(frozen, timeout=30) for _ in keys]
        for connection, key in zip(patient, keys):
            self.assertEqual(connection.call("GET", key), "old")
        frozen.freeze()
        self.addCleanup(frozen.thaw)
        began = time.monotonic()
        # What it finds in its sockets when it goes on.
        for connection, key in zip(patient, keys):
            connection.send("GET", key)
            connection.send("GET", key)

        seconds = [self.seconds_of(near, "SET", key, "new") for key in keys]
        self.assertLess(max(seconds), BOUND, seconds)
        # Each home has waited for it, at the same time, so only the first writes wait.
        self.assertLess(sum(seconds), BOUND, seconds)
        self.assertLess(sorted(seconds)[-3], AT_ONCE, seconds)
        self.assertEqual(self.read_many(far, keys), dict.fromkeys(keys, "new"))
        wait_until(lambda: time.monotonic() > began + FROZEN_SECONDS, 10, "it was long enough")

        frozen.thaw()
        for connection, key in zip(patient, keys):
            for _ in range(2):
                self.assertIn(connection.reply(), ("new",), key)
        self.assertEqual(self.read_many(frozen, keys), dict.fromkeys(keys, "new"))

    def test_a_frozen_home_that_thaws_shows_nothing_old(self):
        frozen, near, far = self.cluster.nodes
        keys = self.keys_of(frozen, 20)
        self.write_many(near, dict.fromkeys(keys, "old"))
        patient = [self.connect(frozen, timeout=30) for _ in keys]
        for connection, key in zip(patient, keys):
            self.assertEqual(connection.call("GET", key), "old")
        frozen.freeze()
        self.addCleanup(frozen.thaw)
        began = time.monotonic()
        for connection, key in zip(patient, keys):
            connection.send("GET", key)
        seconds = [self.seconds_of(near, "SET", key, "new") for key in keys]
        self.assertLess(sum(seconds), BOUND, seconds)
        self.assertEqual(self.read_many(far, keys), dict.fromkeys(keys, "new"))
        wait_until(lambda: time.monotonic() > began + FROZEN_SECONDS, 10, "it was long enough")
        frozen.thaw()
        for connection, key in zip(patient, keys):
            self.assertEqual(connection.reply(), "new", key)
        self.assertEqual(self.read_many(frozen, keys), dict.fromkeys(keys, "new"))

    # A home dies ------------------------------------------------------------------------------------

    def test_when_a_home_dies_the_others_go_on_and_keep_what_they_own(self):
        home, near, far = self.cluster.nodes
        owned = self.keys_of(home, 20, "/owned")
        hot, quiet = self.keys_of(home, 2, "/hot")
        shared = self.keys_of(home, 20, "/shared")
        self.write_many(near, dict.fromkeys(shared, "shared"))
        self.read_many(far, shared)
        pulses = [Pulse(near, lambda i: ("SET", hot, i)), Pulse(far, lambda _: ("GET", quiet))]
        crew = Crew()
        for pulse in pulses:
            crew.add(pulse.run, crew)
        crew.start()
        wait_until(lambda: min(pulse.count for pulse in pulses) > 100, 10, "they are under way")
        self.write_many(near, dict.fromkeys(owned, "mine"))
        home.kill()
        before = [pulse.count for pulse in pulses]
        wait_until(lambda: all(pulse.count > count + 100
                               for pulse, count in zip(pulses, before)), 10, "they go on")
        crew.stop()
        self.assertEqual(crew.trouble, [])
        for pulse in pulses:
            self.assert_no_error(pulse.replies)
            self.assertLess(pulse.gap, BOUND)
        self.assertEqual(far.ask("GET", hot), str(pulses[0].count - 1))
        for node in (far, near):
            self.assertEqual(self.read_many(node, owned), dict.fromkeys(owned, "mine"))
            # These nobody owned: the home's copy is gone with it.
            self.assertLessEqual(set(self.read_many(node, shared).values()), {None, "shared"})

    # A home moves -----------------------------------------------------------------------------------

    def values_through_all(self, count):
        values = {}
        for node in self.cluster.nodes:
            mine = {self.lock_name(f"/{node.id}/{i}"): f"{node.id}-{i}"
                    for i in range(count // 3)}
            self.write_many(node, mine)
            values.update(mine)
        return values

    def move_leaders(self, count):
        """To the next node each."""
        leaders = self.leaders(self.cluster.nodes[0])
        for shard in sorted(leaders)[:count]:
            self.move(shard, leaders[shard] % 3 + 1)

    def assert_all_there(self, values, nodes):
        for node in nodes:
            told = self.read_many(node, values)
            lost = {key: reply for key, reply in told.items() if reply != values[key]}
            self.assertEqual(sorted(lost.items())[:3], [],
                             f"{len(lost)} of {len(values)} are lost, as {node!r} has them")

    def test_leaders_that_are_moved_take_every_value_along(self):
        values = self.values_through_all(510)
        self.move_leaders(24)
        self.assert_all_there(values, self.cluster.nodes)

    def test_leaders_that_are_moved_under_load_lose_no_write_and_delay_none_for_long(self):
        keys = self.keys_of(self.cluster.node(1), 6)
        writers = [Writer(node, mine) for node, mine in
                   zip(self.cluster.nodes, (keys[:2], keys[2:4], keys[4:]))]
        pulse = Pulse(self.cluster.node(2), lambda _: ("INCR", "{" + keys[0] + "}counter"))
        crew = Crew()
        for worker in (*writers, pulse):
            crew.add(worker.run, crew)
        crew.start()
        for to in (2, 3, 1):
            for shard in sorted(set(map(shard_of, keys))):
                self.move(shard, to)
        crew.stop()
        self.assertEqual(crew.trouble, [])
        self.assert_no_error(pulse.replies)
        wrong = [each for each in enumerate(pulse.replies, 1) if each[0] != each[1]]
        self.assertEqual(wrong[:5], [], "an INCR was lost, or was done twice")
        self.assertLess(pulse.gap, BOUND)
        for writer in writers:
            for key in writer.keys:
                self.assertEqual(self.cluster.node(3).ask("GET", key), str(writer.asked[key]))

    # A node stops -----------------------------------------------------------------------------------

    def test_a_node_that_is_stopped_leaves_the_values_it_was_the_home_of(self):
        stopped, near, far = self.cluster.nodes
        keys = self.keys_of(stopped, 300)
        values = {key: f"of {key}" for key in keys}
        self.write_many(stopped, values)  # Written at home: nobody else has them.
        self.assertEqual(stopped.terminate(), 0)
        self.assert_all_there(values, (near, far))

    def test_a_node_that_is_stopped_leaves_the_values_that_it_has_just_written(self):
        stopped, near, far = self.cluster.nodes
        keys = self.keys_of(near, 150) + self.keys_of(far, 150)
        values = {key: f"of {key}" for key in keys}
        self.write_many(stopped, values)
        self.assertEqual(stopped.terminate(), 0)
        self.assert_all_there(values, (near, far))

    def test_a_rolling_restart_loses_nothing(self):
        values = self.values_through_all(300)
        for node in self.cluster.nodes:
            self.assertEqual(node.terminate(), 0)
            self.assert_all_there(values, self.cluster.others(node))
            self.bring_back()
        self.assert_all_there(values, self.cluster.nodes)
