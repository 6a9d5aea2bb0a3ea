"""The cache between nodes that are well: what one node writes, every node reads, and at once."""

import itertools
import random
import time

import redis

from cache_cases import CacheTest, Crew, Pipeline
from cases import ClusterTest
from resp import Connection, Error, pairs

SECONDS = 2.5  # Of each test that loops.
CONNECTIONS = 1000
STAMPED = 10


class Judge:
    """Looks at a register that only grows, by one clock: whatever was seen, or acknowledged,
    before a read began, that read has seen."""

    def __init__(self):
        self.reads = []  # (began, ended, value), of any node.
        self.writes = []  # (began, ended, value).

    def faults(self):
        known = sorted([(ended, value) for _, ended, value in self.reads + self.writes])
        begun = sorted((began, value) for began, _, value in self.writes)
        latest, at, faults = 0, 0, []
        for began, ended, value in sorted(self.reads):
            while at < len(known) and known[at][0] < began:
                latest = max(latest, known[at][1])
                at += 1
            if value < latest:
                faults.append(f"{value} was read after {latest} was known")
        newest, at = 0, 0
        for ended, value in sorted((ended, value) for _, ended, value in self.reads):
            while at < len(begun) and begun[at][0] < ended:
                newest = max(newest, begun[at][1])
                at += 1
            if value > newest:
                faults.append(f"{value} was read before it was written")
        return faults


def number(reply):
    return int(reply or 0)


class OneNode(ClusterTest):
    size = 1

    def test_a_node_that_is_alone_has_a_cache_too(self):
        node = self.cluster.node(1)
        self.assertEqual(node.ask("SET", "alone", "x"), "OK")
        self.assertEqual(node.ask("GET", "alone"), "x")


class States(CacheTest):
    def test_a_key_is_shared_by_all_who_read_it_and_modified_at_whoever_writes_it(self):
        for home, writer in itertools.product(self.cluster.nodes, repeat=2):
            key, = self.keys_of(home, 1, f"{home.id}{writer.id}")
            one, two = self.cluster.others(writer)
            with self.subTest(home=home, writer=writer):
                self.write(one, key, "old")
                self.assertEqual(two.ask("GET", key), "old")
                self.assertEqual(writer.ask("GET", key), "old")
                self.assertEqual([self.state(node, key) for node in self.cluster.nodes], ["S"] * 3)

                # In one piece: what is not written for a while goes home, and is shared.
                with writer.connect() as connection:
                    pipeline = Pipeline(connection)
                    pipeline.add("SET", key, "new")
                    pipeline.add("DCACHE.GET", key, "META")
                    ok, told = pipeline.replies()
                self.assertEqual((ok, pairs(told)["state"]), ("OK", "M"))
                self.assertEqual(one.ask("GET", key), "new")
                self.assertEqual([self.state(node, key) for node in self.cluster.nodes], ["S"] * 3)

    def test_state_tells_why_a_line_is_as_it_is_here_and_at_its_home(self):
        home, reader, writer = self.cluster.nodes
        key, = self.keys_of(home, 1, "why")
        self.write(writer, key, "old")
        self.assertEqual(reader.ask("GET", key), "old")
        self.write(writer, key, "new")
        told = pairs(reader.ask("DCACHE.STATE", key))
        self.assertEqual(told["state"], "I")
        self.assertRegex(told["events"][-1],
                         rf"^-\d+\.\d{{3}} s Inv from node {home.id}: S -> I, version [\d.]+$")
        there = "\n".join(told["home-events"])
        self.assertIn(f"GetS from node {reader.id}: ", there)
        self.assertIn(f"InvAck from node {reader.id}: B_INV -> X of node {writer.id}", there)

    def test_the_hottest_keys_are_named_and_the_auditor_looks_at_them(self):
        home, reader, _ = self.cluster.nodes
        hot, warm, cold = self.keys_of(home, 3, "heat")
        for key in (hot, warm, cold):
            self.write(home, key, "x")
        audits = pairs(reader.ask("DCACHE.STATS"))["audits"]
        until = time.monotonic() + SECONDS
        with reader.connect() as connection:
            pipeline = Pipeline(connection)
            while time.monotonic() < until:
                for key in [hot] * 200 + [warm] * 100 + [cold] * 2:
                    pipeline.add("GET", key)
                self.assertEqual(set(pipeline.replies()), {"x"})
        stats = pairs(reader.ask("DCACHE.STATS", "HOT", 2))
        self.assertEqual([key for key, _ in stats["hot"]], [hot, warm])
        rates = [rate for _, rate in stats["hot"]]
        self.assertTrue(1.5 < rates[0] / rates[1] < 3, rates)
        self.assertGreater(stats["audits"], audits)
        self.assertEqual(stats["violations"], 0)

    def test_versions_grow_with_each_write_whoever_writes(self):
        for home in self.cluster.nodes:
            key, = self.keys_of(home, 1, str(home.id))
            versions = []
            for node, _ in itertools.product(self.cluster.nodes, range(3)):
                version = node.ask("DCACHE.SET", key, "x", "META")
                versions.append(tuple(map(int, version.split("."))))
            self.assertEqual(versions, sorted(set(versions)), home)

    def test_an_absent_key_is_cached_and_its_creation_is_seen_by_all(self):
        for home, writer in itertools.product(self.cluster.nodes, repeat=2):
            key, = self.keys_of(home, 1, f"{home.id}{writer.id}")
            for node in self.cluster.nodes:
                self.assertIsNone(node.ask("GET", key))
            self.write(writer, key, "there")
            for node in self.cluster.nodes:
                self.assertEqual(node.ask("GET", key), "there")
            self.assertEqual(self.cluster.others(writer)[0].ask("DEL", key), 1)
            for node in self.cluster.nodes:
                self.assertIsNone(node.ask("GET", key))

    def test_large_and_binary_values_arrive_whole_on_every_node(self):
        odd = bytes(range(256)) * 16
        for size, node in zip((1, 65536, 1 << 20, 8 << 20), itertools.cycle(self.cluster.nodes)):
            value = (odd * (size // len(odd) + 1))[:size]
            key = self.lock_name(str(size))
            self.write(node, key, value)
            for other in self.cluster.nodes:
                told = other.ask("GET", key)
                self.assertEqual(told.encode("utf-8", "surrogateescape") == value, True, size)
                self.assertEqual(other.ask("STRLEN", key), size)


class Linearizable(CacheTest):
    def loop_of_reads(self, crew, node, keys, judges):
        with Connection(node.port) as connection:
            pipeline = Pipeline(connection)
            while crew.goes_on:
                began = time.monotonic()
                for key in keys:
                    pipeline.add("GET", key)
                replies = pipeline.replies()
                ended = time.monotonic()
                for judge, reply in zip(judges, replies):
                    judge.reads.append((began, ended, number(reply)))

    def loop_of_writes(self, crew, keys, judges):
        connections = [self.connect(node) for node in self.cluster.nodes]
        dice = random.Random(7)
        for value in itertools.count(1):
            if not crew.goes_on:
                break
            for key, judge in zip(keys, judges):
                connection = dice.choice(connections)
                began = time.monotonic()
                reply = connection.call("SET", key, value)
                judge.writes.append((began, time.monotonic(), value))
                if reply != "OK":
                    raise AssertionError(reply)

    def test_no_reader_on_any_node_sees_an_older_value_than_anybody_has_seen(self):
        keys = self.keys_of_all(1)
        judges = [Judge() for _ in keys]
        crew = Crew()
        for node in self.cluster.nodes:
            crew.add(self.loop_of_reads, crew, node, keys, judges)
        crew.add(self.loop_of_writes, crew, keys, judges)
        crew.run_for(SECONDS)
        self.assertEqual(crew.trouble, [])
        for key, judge in zip(keys, judges):
            self.assertEqual(judge.faults()[:5], [], key)
            self.assertGreater(len(judge.reads), 1000)
            self.assertGreater(len(judge.writes), 50)
            self.assertGreater(len({value for _, _, value in judge.reads}), 50)

    def test_a_pipeline_takes_effect_in_its_order(self):
        """Written: first a, then b. Read in one pipeline, first b, then a: a is no older."""
        first, second = (self.keys_of(node, 1)[0] for node in self.cluster.nodes[:2])
        crew, wrong, seen = Crew(), [], set()

        def write(node):
            with Connection(node.port) as connection:
                pipeline = Pipeline(connection)
                for value in itertools.count(1):
                    if not crew.goes_on:
                        break
                    pipeline.add("SET", first, value)
                    pipeline.add("SET", second, value)
                    if set(pipeline.replies()) != {"OK"}:
                        raise AssertionError("a write failed")

        def read(node):
            with Connection(node.port) as connection:
                pipeline = Pipeline(connection)
                while crew.goes_on:
                    pipeline.add("GET", second)
                    pipeline.add("GET", first)
                    later, earlier = map(number, pipeline.replies())
                    seen.add(later)
                    if earlier < later:
                        wrong.append((earlier, later))

        for node in self.cluster.nodes:
            crew.add(read, node)
        crew.add(write, self.cluster.node(3))
        crew.run_for(SECONDS)
        self.assertEqual((crew.trouble, wrong[:5]), ([], []))
        self.assertGreater(len(seen), 50)

    def test_a_thousand_connections_count_without_losing_one(self):
        for home in self.cluster.nodes:
            key, = self.keys_of(home, 1, str(home.id))
            connections = [self.connect(node, timeout=20) for node, _ in
                           zip(itertools.cycle(self.cluster.nodes), range(CONNECTIONS // 3 + 1))]
            each = 20
            for connection in connections:
                for _ in range(each):
                    connection.send("INCR", key)
            counted = []
            for connection in connections:
                mine = [connection.reply() for _ in range(each)]
                self.assert_no_error(mine)
                self.assertEqual(mine, sorted(mine))
                counted += mine
            # Each number once: no increment was lost, and none was done twice.
            self.assertEqual(sorted(counted), list(range(1, len(connections) * each + 1)))
            for node in self.cluster.nodes:
                self.assertEqual(node.ask("GET", key), str(len(counted)))

    def test_of_all_who_set_if_it_is_absent_one_wins(self):
        for i in range(30):
            key = self.lock_name(str(i))
            connections = [self.connect(node) for node in self.cluster.nodes * 3]
            for mine, connection in enumerate(connections):
                connection.send("SET", key, mine, "NX")
            replies = [connection.reply() for connection in connections]
            self.assertEqual(replies.count("OK"), 1, replies)
            self.assertEqual(self.cluster.nodes[i % 3].ask("GET", key), str(replies.index("OK")))

    def test_appends_through_all_nodes_are_all_there_and_whole(self):
        key = self.lock_name()
        connections = [self.connect(node) for node in self.cluster.nodes]
        for i in range(100):
            for j, connection in enumerate(connections):
                connection.send("APPEND", key, f"<{j}:{i}>")
        lengths = [connection.reply() for _ in range(100) for connection in connections]
        self.assert_no_error(lengths)
        self.assertEqual(len(set(lengths)), 300)
        told = self.cluster.node(2).ask("GET", key)
        for j in range(3):
            mine = [part for part in told.replace(">", ">\n").split() if part[1] == str(j)]
            self.assertEqual(mine, [f"<{j}:{i}>" for i in range(100)])


class ManyKeys(CacheTest):
    def test_what_one_mset_writes_no_mget_sees_half_of(self):
        keys = [self.lock_name(f"/{i}") for i in range(STAMPED)]
        self.assertGreater(len({self.home_of(key) for key in keys}), 1)
        crew, torn, seen, written = Crew(), [], set(), []

        def write(node):
            with Connection(node.port) as connection:
                for i in itertools.count():
                    if not crew.goes_on:
                        break
                    stamp = f"{node.id}-{i}"
                    # In an order of its own: nobody must wait for anybody in a circle.
                    mine = random.sample(keys, len(keys))
                    reply = connection.call("MSET", *(word for key in mine
                                                      for word in (key, stamp)))
                    if reply != "OK":
                        raise AssertionError(reply)
                    written.append(stamp)

        def read(node):
            with Connection(node.port) as connection:
                while crew.goes_on:
                    stamps = connection.call("MGET", *random.sample(keys, len(keys)))
                    if isinstance(stamps, Error):
                        raise AssertionError(stamps)
                    seen.update(stamps)
                    if len(set(stamps)) != 1:
                        torn.append(stamps)

        for node in self.cluster.nodes:
            crew.add(write, node)
            crew.add(read, node)
        crew.run_for(SECONDS)
        self.assertEqual((crew.trouble, torn[:3]), ([], []))
        for node in self.cluster.nodes:
            mine = [stamp for stamp in written if stamp.startswith(f"{node.id}-")]
            self.assertGreater(len(mine), 5, f"{node!r} was starved: {len(written)} in all")
        self.assertGreater(len(seen), 20)

    def test_what_is_moved_in_transactions_is_never_more_or_less(self):
        """Accounts with homes on all nodes; DECRBY and INCRBY in one MULTI on every node."""
        accounts = self.keys_of_all(2)
        self.cluster.node(1).ask("MSET", *(word for key in accounts for word in (key, 100)))
        crew, wrong, moved = Crew(), [], []

        def move(node):
            with Connection(node.port) as connection:
                pipeline = Pipeline(connection)
                while crew.goes_on:
                    source, target = random.sample(accounts, 2)
                    for command in (["MULTI"], ["DECRBY", source, 7], ["INCRBY", target, 7],
                                    ["EXEC"]):
                        pipeline.add(*command)
                    told = pipeline.replies()[-1]
                    if not isinstance(told, list) or not all(isinstance(n, int) for n in told):
                        raise AssertionError(told)
                    moved.append(node.id)

        def audit(node):
            with Connection(node.port) as connection:
                while crew.goes_on:
                    balances = connection.call("MGET", *accounts)
                    if isinstance(balances, Error):
                        raise AssertionError(balances)
                    if sum(map(int, balances)) != 100 * len(accounts):
                        wrong.append(balances)

        for node in self.cluster.nodes:
            crew.add(move, node)
            crew.add(audit, node)
        crew.run_for(SECONDS)
        self.assertEqual((crew.trouble, wrong[:3]), ([], []))
        self.assertEqual(set(moved), {1, 2, 3})
        self.assertGreater(len(moved), 30)

    def test_a_watched_key_that_another_node_writes_aborts_the_transaction(self):
        for home in self.cluster.nodes:
            watched, other = self.keys_of(home, 2, str(home.id))
            for change in (["SET", watched, "x"], ["DEL", watched], ["APPEND", watched, "y"],
                           ["PEXPIRE", watched, 100000], ["MSET", other, 1, watched, 1],
                           ["SET", watched, "same"]):
                near, far = self.cluster.others(home)
                self.write(near, watched, "same")
                self.assertEqual(self.transaction(near, far, watched, other, change), None, change)
            self.write(near, watched, "same")
            for harmless in (["GET", watched], ["SET", other, "x"], ["PTTL", watched],
                             ["DEL", other + "x"], ["SETNX", watched, "z"]):
                self.assertEqual(self.transaction(near, far, watched, other, harmless), ["OK"],
                                 harmless)

    def transaction(self, near, far, watched, other, between):
        with near.connect() as connection:
            self.assertEqual(connection.call("WATCH", watched), "OK")
            connection.call("GET", watched)
            self.assertEqual(connection.call("MULTI"), "OK")
            self.assertEqual(connection.call("SET", other, "mine"), "QUEUED")
            self.assertNotIsInstance(far.ask(*between), Error)
            return connection.call("EXEC")

    def test_a_key_that_is_watched_while_it_is_absent_counts_too(self):
        for home in self.cluster.nodes:
            watched, other = self.keys_of(home, 2, str(home.id))
            near, far = self.cluster.others(home)
            self.assertEqual(self.transaction(near, far, watched, other, ["GET", watched]), ["OK"])
            self.assertIsNone(self.transaction(near, far, watched, other, ["SET", watched, "x"]))

    def test_redis_pys_transactions_count_right_on_all_nodes_at_once(self):
        key, conflicts, each, crew = self.lock_name(), [], 40, Crew()

        def count(node):
            with redis.Redis(port=node.port) as client:
                def increment(pipe):
                    attempts.append(1)
                    value = int(pipe.get(key) or 0)
                    pipe.multi()
                    pipe.set(key, value + 1)
                for _ in range(each):
                    attempts = []
                    client.transaction(increment, key)
                    conflicts.append(len(attempts) - 1)

        for node in self.cluster.nodes * 2:
            crew.add(count, node)
        crew.start()
        crew.join()
        self.assertEqual(crew.trouble, [])
        self.assertEqual(self.cluster.node(1).ask("GET", key), str(each * 6))
        self.assertGreater(sum(conflicts), 0, "nobody was in anybody's way: this proves nothing")
