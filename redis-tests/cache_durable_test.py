"""Durable keys: what was answered is on the disks of a majority, and outlives a writer, a home, and
all nodes at once; old fencing tokens write nothing, whoever holds them."""

import itertools
import time

from cache_cases import CacheFailoverTest, CacheTest, Crew, Pipeline, Pulse, Writer
from cases import LONG
from resp import SLOWDOWN, Closed, Connection, Error, pairs, wait_until

LARGEST = 1 << 20
REFUSALS = ("UNCERTAIN", "CLUSTERDOWN", "TRYAGAIN")
LEASE_SECONDS = 2.5


class DurableTest(CacheTest):
    def keep(self, node, key, value, *options):
        self.assertEqual(node.ask("DCACHE.SET", key, value, "DURABLE", *options), "OK")

    def keep_many(self, node, values, *options):
        with Connection(node.port) as connection:
            pipeline = Pipeline(connection)
            for key, value in values.items():
                pipeline.add("DCACHE.SET", key, value, "DURABLE", *options)
            self.assertEqual(set(pipeline.replies()), {"OK"})

    def write_fenced(self, node, key, value, token):
        return node.ask("DCACHE.SET", key, value, "FENCE", token)

    def assert_everywhere(self, key, value):
        self.assertEqual([node.ask("GET", key) for node in self.cluster.running],
                         [value] * len(self.cluster.running), key)

    @classmethod
    def restart_all(cls):
        """kill -9 of all nodes at once, and the same folders again."""
        for node in cls.cluster.nodes:
            node.process.kill()
        for node in cls.cluster.nodes:
            node.kill()
        for node in cls.cluster.nodes:
            node.start()
        cls.cluster.wait_until_ok()
        cls.settle()

    def assert_counted_once(self, node, keys):
        """Each of the keys, and none more than once, by SCAN."""
        found, cursor = [], "0"
        while True:
            cursor, page = node.ask("SCAN", cursor, "MATCH", self.lock_name("*"), "COUNT", 100)
            found += page
            if cursor == "0":
                break
        self.assertEqual(sorted(found), sorted(keys), node)


class Durable(DurableTest):
    def test_what_any_node_writes_durably_every_node_reads(self):
        for home, writer in itertools.product(self.cluster.nodes, repeat=2):
            key, = self.keys_of(home, 1, f"{home.id}{writer.id}")
            self.keep(writer, key, "one")
            self.assert_everywhere(key, "one")
            self.write(self.cluster.others(writer)[0], key, "two")
            self.assert_everywhere(key, "two")
            self.assertEqual(self.cluster.others(writer)[1].ask("DEL", key), 1)
            self.assert_everywhere(key, None)

    def test_the_options_of_set_are_what_they_are_without_durable(self):
        key = self.lock_name()
        node, other, _ = self.cluster.nodes
        self.assertIsNone(node.ask("DCACHE.SET", key, "x", "XX", "DURABLE"))
        self.keep(node, key, "one", "NX")
        self.assertIsNone(other.ask("DCACHE.SET", key, "x", "NX", "DURABLE"))
        self.assertIsNone(other.ask("DCACHE.SET", key, "x", "IFEQ", "two", "DURABLE"))
        swap = ("DCACHE.SET", key, "two", "DURABLE", "IFEQ", "one", "GET")
        self.assertEqual(other.ask(*swap), "one")
        version = other.ask("DCACHE.SET", key, "three", "DURABLE", "META")
        self.assertEqual(node.ask("DCACHE.SET", key, "four", "IFVER", version, "DURABLE"), "OK")
        self.assertIsNone(node.ask("DCACHE.SET", key, "five", "IFVER", version, "DURABLE"))
        self.assert_everywhere(key, "four")

    def test_a_value_over_a_mebibyte_is_refused_and_nothing_has_changed(self):
        for home, writer in itertools.product(self.cluster.nodes[:2], repeat=2):
            key, fresh = self.keys_of(home, 2, f"{home.id}{writer.id}")
            self.keep(writer, key, "x" * LARGEST)
            self.assert_error(writer.ask("APPEND", key, "x"), "LIMIT")
            self.assert_error(writer.ask("SET", key, "y" * (LARGEST + 1)), "LIMIT")
            self.assert_error(writer.ask("DCACHE.SET", fresh, "y" * (LARGEST + 1), "DURABLE"),
                              "LIMIT")
            for node in self.cluster.nodes:
                self.assertEqual(node.ask("STRLEN", key), LARGEST)
                self.assertIsNone(node.ask("GET", fresh))
            self.write(writer, key, "small")
            self.assert_everywhere(key, "small")

    def test_a_pipeline_of_durable_writes_keeps_its_order_with_the_reads_behind_them(self):
        keys = self.keys_of_all(2)
        for node in self.cluster.nodes:
            with node.connect() as connection:
                pipeline, expected = Pipeline(connection), []
                for i in range(20):
                    for key in keys:
                        pipeline.add("DCACHE.SET", key, f"{node.id}-{i}", "DURABLE")
                        pipeline.add("GET", key)
                        expected += ["OK", f"{node.id}-{i}"]
                    pipeline.add("MGET", *keys)
                    expected.append([f"{node.id}-{i}"] * len(keys))
                self.assertEqual(pipeline.replies(), expected)

    def test_one_counter_of_all_nodes_loses_nothing_and_repeats_nothing(self):
        key, = self.keys_of(self.cluster.node(2), 1)
        self.keep(self.cluster.node(1), key, 0)
        connections = [self.connect(node) for node in self.cluster.nodes * 2]
        for connection in connections:
            for _ in range(20):
                connection.send("INCR", key)
        counted = [connection.reply() for connection in connections for _ in range(20)]
        self.assertEqual(sorted(counted), list(range(1, len(connections) * 20 + 1)))

    def test_a_durable_key_ends_on_every_node_at_its_time(self):
        keys = self.keys_of_all(3)
        began = time.monotonic()
        for key, node in zip(keys, itertools.cycle(self.cluster.nodes)):
            self.keep(node, key, "v", "PX", 400)
        written = time.monotonic()
        gone = set()
        while len(gone) < len(keys) and time.monotonic() < written + 5 * SLOWDOWN:
            for node in self.cluster.nodes:
                for key, value in self.read_many(node, keys).items():
                    if value is None:
                        self.assertGreater(time.monotonic() - began, 0.39, "too early")
                        gone.add(key)
                    self.assertEqual(value, None if key in gone else "v", (node, key))
        self.assertEqual(sorted(gone), sorted(keys))
        self.assertLess(time.monotonic() - written, 0.9 * SLOWDOWN)
        for node in self.cluster.nodes:
            self.assertEqual(node.ask("EXISTS", *keys), 0)

    def test_who_tracks_a_key_hears_of_a_durable_write_before_it_is_answered(self):
        for writer in self.cluster.nodes:
            for i, reader in enumerate(self.cluster.nodes):
                key, = self.keys_of(self.cluster.nodes[i], 1, f"{writer.id}{reader.id}")
                self.keep(writer, key, "old")
                tracking = self.connect(reader, protocol=3)
                self.assertEqual(tracking.do("CLIENT TRACKING ON"), "OK")
                self.assertEqual(tracking.call("GET", key), "old")
                self.keep(writer, key, "new")
                # What the node says next comes after the push.
                self.assertEqual(tracking.call("PING"), "PONG")
                self.assertEqual(tracking.pushes, [["invalidate", [key]]], (writer, reader))
                self.assertEqual(tracking.call("GET", key), "new")
                self.assertEqual(writer.ask("APPEND", key, "er"), 5)
                self.assertEqual(tracking.call("PING"), "PONG")
                self.assertEqual(tracking.pushes[1:], [["invalidate", [key]]], (writer, reader))

    def test_a_transaction_on_durable_keys_happens_whole(self):
        keys = self.keys_of_all(1)
        for node in self.cluster.nodes:
            with node.connect() as connection:
                connection.call("WATCH", keys[0])
                connection.call("MULTI")
                for key in keys:
                    connection.call("DCACHE.SET", key, 1, "DURABLE")
                    connection.call("INCRBY", key, node.id)
                self.assertEqual(connection.call("EXEC"), ["OK", 1 + node.id] * len(keys))
            for other in self.cluster.nodes:
                self.assertEqual(other.ask("MGET", *keys), [str(1 + node.id)] * len(keys))

    # Fences ---------------------------------------------------------------------------------------

    def test_a_key_refuses_tokens_below_the_highest_that_it_has_seen_whoever_asks(self):
        for home, first in itertools.product(self.cluster.nodes, repeat=2):
            key, = self.keys_of(home, 1, f"{home.id}{first.id}")
            self.assertEqual(self.write_fenced(first, key, "ten", 10), "OK")
            for node in self.cluster.nodes:
                self.assert_error(self.write_fenced(node, key, "nine", 9), "FENCED")
                self.assert_everywhere(key, "ten")
                self.assertEqual(self.write_fenced(node, key, "ten", 10), "OK")
            self.write(first, key, "plain")
            self.assert_error(self.write_fenced(first, key, "nine", 9), "FENCED")
            self.assertEqual(self.cluster.others(first)[0].ask("DEL", key), 1)
            for node in self.cluster.nodes:
                self.assert_error(self.write_fenced(node, key, "nine", 9), "FENCED")
                self.assert_everywhere(key, None)
            self.assertEqual(self.write_fenced(first, key, "eleven", 11), "OK")
            self.assert_everywhere(key, "eleven")

    def test_what_a_fence_refuses_leaves_the_value_with_its_time(self):
        for home in self.cluster.nodes:
            key, = self.keys_of(home, 1, str(home.id))
            self.assertEqual(home.ask("DCACHE.SET", key, "v", "PX", 60000, "FENCE", 5), "OK")
            for node in self.cluster.nodes:
                self.assert_error(node.ask("DCACHE.SET", key, "x", "PX", 1, "FENCE", 4), "FENCED")
                self.assertEqual(node.ask("GET", key), "v")
                self.assertIn(node.ask("PTTL", key), range(50000, 60001))

    def test_a_holder_of_a_lock_that_was_paused_cannot_overwrite_its_successor(self):
        """As the README says it: the lock's token goes with each write."""
        lock, key = self.lock_name("/lock"), self.lock_name("/data")
        here, there, _ = self.cluster.nodes
        alice = self.assert_token(here.ask("LOCK.ACQUIRE", lock, "alice", "TTL", 300))
        self.assertEqual(self.write_fenced(here, key, "alice's", alice), "OK")
        # She is paused. Bob waits until her lease is over.
        bob = self.assert_token(there.ask("LOCK.ACQUIRE", lock, "bob", "TTL", LONG, "BLOCK", 10000))
        self.assertGreater(bob, alice)
        self.assertEqual(self.write_fenced(there, key, "bob's", bob), "OK")
        self.assert_error(self.write_fenced(here, key, "alice's, late", alice), "FENCED")
        self.assert_everywhere(key, "bob's")
        self.assertEqual(self.write_fenced(there, key, "bob's, again", bob), "OK")
        self.assert_everywhere(key, "bob's, again")


class PowerLoss(DurableTest):
    """All that is `before_`; then all nodes are killed at once and start again; then the tests."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prepare()

    @classmethod
    def renew(cls):
        super().renew()
        cls.prepare()

    @classmethod
    def prepare(cls):
        for name in dir(cls):
            if name.startswith("before_"):
                getattr(cls("test_" + name.removeprefix("before_")), name)()
        cls.restart_all()

    def values(self):
        return {self.lock_name(f"/{node.id}/{i}"): f"{node.id}-{i}"
                for node in self.cluster.nodes for i in range(40)}

    def before_nothing_that_was_answered_is_lost(self):
        for node in self.cluster.nodes:
            self.keep_many(node, {key: value for key, value in self.values().items()
                                  if value.startswith(f"{node.id}-")})

    def test_nothing_that_was_answered_is_lost(self):
        for node in self.cluster.nodes:
            self.assertEqual(self.read_many(node, self.values()), self.values())
            self.assert_counted_once(node, self.values())

    WRITES = (  # What is done to a durable "12", the reply, and what it is then.
        ("SET {} new", "OK", "new"), ("MSET {} new {}/plain x", "OK", "new"),
        ("GETSET {} new", "12", "new"), ("APPEND {} 3", 3, "123"), ("INCR {}", 13, "13"),
        ("DECRBY {} 13", -1, "-1"), ("SETRANGE {} 1 9", 2, "19"),
        ("INCRBYFLOAT {} .5", "12.5", "12.5"),
        ("RENAME {}/from {}", "OK", "from"), ("RENAME {} {}/to", "OK", None), ("DEL {}", 1, None),
        ("UNLINK {}", 1, None), ("GETDEL {}", "12", None), ("EXPIRE {} -1", 1, None))

    def before_every_later_write_of_a_durable_key_is_durable(self):
        for i, (command, reply, value) in enumerate(self.WRITES):
            key = self.lock_name(f"/{i}")
            for node, other in zip(self.cluster.nodes, self.cluster.nodes[1:]):
                self.keep(other, key + f"/{node.id}", 12)
                self.write(other, key + f"/{node.id}/from", "from")
                self.assertEqual(node.ask(*command.format(*[key + f"/{node.id}"] * 2).split()),
                                 reply, command)
                self.assert_everywhere(key + f"/{node.id}", value)

    def test_every_later_write_of_a_durable_key_is_durable(self):
        for i, (command, _, value) in enumerate(self.WRITES):
            for node in self.cluster.nodes[:2]:
                self.assertEqual(node.ask("GET", self.lock_name(f"/{i}/{node.id}")), value, command)

    def before_a_key_that_was_deleted_is_an_ordinary_key_and_never_what_it_was(self):
        for key in self.keys_of_all(2, "/del"):
            self.keep(self.cluster.node(1), key, "durable")
            self.assertEqual(self.cluster.node(2).ask("DEL", key), 1)
            self.write(self.cluster.node(3), key, "ordinary")

    def test_a_key_that_was_deleted_is_an_ordinary_key_and_never_what_it_was(self):
        for key in self.keys_of_all(2, "/del"):
            self.assertEqual(self.cluster.node(1).ask("GET", key), None)

    def before_times_to_live_go_on_and_what_was_over_stays_so(self):
        for node, other in zip(self.cluster.nodes, self.cluster.nodes[1:]):
            self.keep(node, self.lock_name(f"/long/{node.id}"), "v", "PX", LONG)
            self.keep(node, self.lock_name(f"/expire/{node.id}"), "v")
            self.assertEqual(other.ask("EXPIRE", self.lock_name(f"/expire/{node.id}"), 600), 1)
            self.keep(node, self.lock_name(f"/persist/{node.id}"), "v", "PX", 3000)
            self.assertEqual(other.ask("PERSIST", self.lock_name(f"/persist/{node.id}")), 1)
            self.keep(node, self.lock_name(f"/over/{node.id}"), "v", "PX", 100)
            wait_until(lambda: other.ask("GET", self.lock_name(f"/over/{node.id}")) is None,
                       5, "it is over")
            self.keep(node, self.lock_name(f"/soon/{node.id}"), "v", "PX", 4000)

    def test_times_to_live_go_on_and_what_was_over_stays_so(self):
        for node, _ in zip(self.cluster.nodes, self.cluster.nodes[1:]):
            for reader in self.cluster.nodes:
                for name in ("long", "expire"):
                    left = reader.ask("PTTL", self.lock_name(f"/{name}/{node.id}"))
                    self.assertIn(left, range(LONG - 60000, LONG + 1), name)
                self.assertEqual(reader.ask("PTTL", self.lock_name(f"/persist/{node.id}")), -1)
                self.assertIsNone(reader.ask("GET", self.lock_name(f"/over/{node.id}")))
        soon = [self.lock_name(f"/soon/{node.id}") for node in self.cluster.nodes[:2]]
        # Cluster time stands still while there is no leader; then it goes on.
        wait_until(lambda: self.cluster.node(3).ask("EXISTS", *soon) == 0, 6, "they are over")
        for key in soon:
            self.assert_everywhere(key, None)

    def before_the_highest_token_is_remembered_with_its_key_and_without(self):
        for node in self.cluster.nodes:
            for name in ("/kept", "/deleted", "/over"):
                px = ("PX", 100) if name == "/over" else ()
                self.assertEqual(node.ask("DCACHE.SET", self.lock_name(f"{name}/{node.id}"), "v",
                                          "FENCE", 100, *px), "OK")
            self.assertEqual(node.ask("DEL", self.lock_name(f"/deleted/{node.id}")), 1)

    def test_the_highest_token_is_remembered_with_its_key_and_without(self):
        for node, asked in itertools.product(self.cluster.nodes, repeat=2):
            for name, value in (("/kept", "v"), ("/deleted", None), ("/over", None)):
                key = self.lock_name(f"{name}/{node.id}")
                self.assert_error(self.write_fenced(asked, key, "old", 99), "FENCED")
                self.assert_everywhere(key, value)
        for node in self.cluster.nodes:
            key = self.lock_name(f"/deleted/{node.id}")
            self.assertEqual(self.write_fenced(node, key, "new", 100), "OK")
            self.assert_everywhere(key, "new")

    def before_a_transaction_is_there_whole(self):
        with self.cluster.node(3).connect() as connection:
            connection.call("MULTI")
            for key in self.keys_of_all(2, "/exec"):
                connection.call("DCACHE.SET", key, "3", "DURABLE")
                connection.call("INCR", key)
            self.assertEqual(connection.call("EXEC"), ["OK", 4] * 6)

    def test_a_transaction_is_there_whole(self):
        keys = self.keys_of_all(2, "/exec")
        self.assertEqual(self.cluster.node(1).ask("MGET", *keys), ["4"] * 6)


class DurableFailover(DurableTest, CacheFailoverTest):
    def values_of_all(self, count):
        return {key: f"of {key}" for key in self.keys_of_all(count)}

    def make_counters(self, count):
        keys = self.keys_of_all(count, "/counter")
        self.keep_many(self.cluster.node(1), dict.fromkeys(keys, 0))
        return keys

    def test_a_node_that_is_killed_takes_nothing_with_it_that_it_wrote_or_was_the_home_of(self):
        values = self.values_of_all(30)
        for i, node in enumerate(self.cluster.nodes):
            self.keep_many(node, dict(itertools.islice(values.items(), i, None, 3)))
        dead, near, far = self.cluster.nodes
        dead.kill()
        self.assert_all_there(values, (near, far))
        for node in (near, far):
            self.assert_counted_once(node, values)
        near_size, far_size = near.ask("DBSIZE"), far.ask("DBSIZE")
        self.assertEqual((near_size, far_size), (near_size, near_size))
        self.assertEqual(near.ask("DEL", next(iter(values))), 1)
        self.assertEqual(far.ask("DBSIZE"), near_size - 1)
        del values[next(iter(values))]
        dead.start()
        self.cluster.wait_until_ok()
        self.assert_all_there(values, self.cluster.nodes)
        self.assert_counted_once(dead, values)

    def test_a_writer_and_a_home_that_are_killed_while_they_write_lose_nothing_answered(self):
        keys = self.make_counters(2)
        writers = [Writer(node, keys[i::3]) for i, node in enumerate(self.cluster.nodes)]
        crew = Crew()
        for writer in writers:
            crew.add(writer.run, crew)
        crew.start()
        wait_until(lambda: all(min(writer.asked.values()) > 10 for writer in writers), 20,
                   "they write")
        self.cluster.node(2).kill()
        killed = time.monotonic()
        wait_until(lambda: time.monotonic() > killed + LEASE_SECONDS, 10, "a lease is over")
        crew.stop()
        self.assertEqual(crew.trouble, [])
        for reader in self.cluster.running:
            for writer in writers:
                for key, told in self.read_many(reader, writer.keys).items():
                    _, acknowledged = writer.acknowledged[key]
                    self.assertIn(told, map(str, range(acknowledged, writer.asked[key] + 1)), key)

    def test_counters_are_never_older_than_their_last_answer_when_all_are_killed(self):
        keys = self.make_counters(2)
        told = dict.fromkeys(keys, 0)

        def count(crew, node, mine):
            try:
                with Connection(node.port) as connection:
                    while crew.goes_on:
                        for key in mine:
                            reply = connection.call("INCR", key)
                            if isinstance(reply, int):
                                told[key] = max(told[key], reply)
            except (OSError, Closed):
                pass

        crew = Crew()
        for i, node in enumerate(self.cluster.nodes):
            crew.add(count, crew, node, keys[i:] + keys[:i])
        crew.start()
        wait_until(lambda: min(told.values()) > 20, 20, "they count")
        for node in self.cluster.nodes:
            node.process.kill()
        crew.stop()
        self.assertEqual(crew.trouble, [])
        self.restart_all()
        for node in self.cluster.nodes:
            for key, value in self.read_many(node, keys).items():
                # Each of the three has asked for one more, at most.
                self.assertIn(int(value or 0), range(told[key], told[key] + 4), key)
        value = int(self.cluster.node(1).ask("GET", keys[0]))
        self.assertEqual(self.cluster.node(3).ask("INCR", keys[0]), value + 1)

    def test_without_a_majority_no_durable_write_is_answered_ok_and_what_is_so_all_agree_on(self):
        alone, *away = self.cluster.nodes
        known = self.keys_of(alone, 3, "/known")
        fresh = self.keys_of(alone, 3, "/fresh")
        self.keep_many(alone, dict.fromkeys(known, "old"))
        for node in away:
            node.kill()
        connections = [self.connect(alone, timeout=30) for _ in known + fresh]
        for connection, key in zip(connections, known):
            connection.send("SET", key, "new")
        for connection, key in zip(connections[3:], fresh):
            connection.send("DCACHE.SET", key, "new", "DURABLE")
        replies = [self.assert_error(connection.reply(), *REFUSALS) for connection in connections]
        for connection, key in zip(connections, known + fresh):
            connection.send("GET", key)
        for connection in connections:
            self.assertIsInstance(connection.reply(), Error, "nobody vouches for it")
        self.bring_back()
        now = self.read_many(alone, known + fresh)
        for key, reply, old in zip(known + fresh, replies, ["old"] * 3 + [None] * 3):
            self.assertIn(now[key], (old, "new") if reply.code == "UNCERTAIN" else (old,), reply)
        for node in self.cluster.nodes:
            self.assertEqual(self.read_many(node, now), now)

    def test_a_rolling_restart_loses_nothing_though_all_is_written_meanwhile(self):
        values = self.values_of_all(20)
        self.keep_many(self.cluster.node(1), values)
        keys = self.make_counters(1)
        counted = doubtful = 0
        for node in self.cluster.nodes:
            asks = self.cluster.others(node)[0]
            pulse, crew = Pulse(asks, lambda i: ("INCR", keys[i % 3])), Crew()
            crew.add(pulse.run, crew)
            crew.start()
            wait_until(lambda: pulse.count > 10, 10, "it counts")
            self.assertEqual(node.terminate(), 0)
            count = pulse.count
            wait_until(lambda: pulse.count > count + 10, 10, "it goes on")
            self.assert_all_there(values, self.cluster.others(node))
            crew.stop()
            self.bring_back()
            self.assertEqual(crew.trouble, [])
            codes = {reply.code for reply in pulse.replies if isinstance(reply, Error)}
            self.assertLessEqual(codes, {"TRYAGAIN", "UNCERTAIN"})
            counted += pulse.count
            doubtful += sum(isinstance(reply, Error) and reply.code == "UNCERTAIN"
                            for reply in pulse.replies)
        self.assert_all_there(values, self.cluster.nodes)
        told = self.cluster.node(3).ask("MGET", *keys)
        self.assertIn(sum(map(int, told)), range(counted, counted + doubtful + 1))

    def test_flushall_takes_durable_keys_for_good(self):
        values = self.values_of_all(20)
        self.keep_many(self.cluster.node(2), values)
        fenced = self.lock_name("/fenced")
        self.assertEqual(self.write_fenced(self.cluster.node(1), fenced, "v", 9), "OK")
        self.assertEqual(self.cluster.node(3).ask("FLUSHALL"), "OK")
        for node in self.cluster.nodes:
            self.assertEqual(node.ask("DBSIZE"), 0)
            self.assertEqual(set(self.read_many(node, values).values()), {None})
        later = next(iter(values))
        self.keep(self.cluster.node(1), later, "since")
        self.restart_all()
        for node in self.cluster.nodes:
            self.assertEqual(node.ask("DBSIZE"), 1)
            there = {key: value for key, value in self.read_many(node, values).items() if value}
            self.assertEqual(there, {later: "since"})
            self.assertIsNone(node.ask("GET", fenced))
            self.assertEqual(pairs(node.ask("DCACHE.GET", later, "META"))["ttl"], -1)
