"""What the tests of the cache begin with: a cluster whose shards have settled, and where a key's
home is."""

import binascii
import itertools
import threading
import time

from cases import ClusterTest
from resp import Closed, Connection, Error, pairs, wait_until

SHARDS = 64
SLOTS = 16384
SETTLE_SECONDS = 60


def slot_of(key):
    """Redis's own: CRC16 of the key, or of what is between its first braces."""
    _, brace, rest = key.partition("{")
    tag, end, _ = rest.partition("}")
    return binascii.crc_hqx((tag if brace and end and tag else key).encode(), 0) % SLOTS


def shard_of(key):
    return slot_of(key) * SHARDS // SLOTS


class Pipeline:
    """Many commands at once on one connection, their replies in order."""

    def __init__(self, connection):
        self.connection = connection
        self.count = 0

    def add(self, *command):
        self.connection.send(*command)
        self.count += 1

    def replies(self):
        count, self.count = self.count, 0
        return [self.connection.reply() for _ in range(count)]


class Crew:
    """Threads that all work until `stop`; what goes wrong in one is the test's failure."""

    def __init__(self):
        self.ending = threading.Event()
        self.threads = []
        self.trouble = []

    def add(self, work, *arguments):
        def run():
            try:
                work(*arguments)
            except Exception as error:  # pylint: disable=broad-except
                self.trouble.append(f"{work.__name__}{arguments!r:.200}: {error!r}")
                self.ending.set()
        self.threads.append(threading.Thread(target=run, daemon=True))

    @property
    def goes_on(self):
        return not self.ending.is_set()

    def start(self):
        for thread in self.threads:
            thread.start()

    def join(self, seconds=30):
        for thread in self.threads:
            thread.join(seconds)
            if thread.is_alive():
                self.trouble.append("a thread has not ended")

    def stop(self):
        self.ending.set()
        self.join()

    def run_for(self, seconds):
        self.start()
        self.ending.wait(seconds)
        self.stop()


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
        self.last = 0.0  # When something came.
        self.count = 0
        self.replies = []

    def run(self, crew):
        with Connection(self.node.port) as connection:
            self.last = time.monotonic()
            while crew.goes_on:
                reply = connection.call(*self.command(self.count))
                self.replies.append(reply)
                if isinstance(reply, Error):
                    continue
                now = time.monotonic()
                self.gap, self.last = max(self.gap, now - self.last), now
                self.count += 1


class CacheTest(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.settle()

    @classmethod
    def renew(cls):
        super().renew()
        cls.settle()

    @classmethod
    def leaders(cls, node):
        """By shard, as one node has them; 0 where it knows of none."""
        return {int(shard["name"].removeprefix("shard-")): shard["leader"]
                for shard in node.shards()}

    @classmethod
    def settle(cls):
        """Takes every leader where the placement wants it, and waits until all nodes know: so that
        no home moves unless the test moves it."""
        def settled():
            told = [node.shards() for node in cls.cluster.running]
            views = [[shard["leader"] for shard in view] for view in told]
            misplaced = [shard for shard in told[0] if shard["wanted"] != shard["leader"]]
            for shard in misplaced:
                if shard["wanted"]:
                    cls.cluster.node(shard["wanted"]).ask("CLUSTER", "LEADER", shard["name"],
                                                          shard["wanted"])
            return not misplaced and all(view == views[0] for view in views)
        wait_until(settled, SETTLE_SECONDS, "all leaders are where they are wanted")

    def home_of(self, key, leaders=None):
        return (leaders or self.leaders(self.cluster.running[0]))[shard_of(key)]

    def keys_of(self, home, count, suffix=""):
        """So many keys that no other test uses, whose home is that node."""
        leaders = self.leaders(self.cluster.running[0])
        names = (self.lock_name(f"{suffix}/{i}") for i in range(100000))
        found = (name for name in names if leaders[shard_of(name)] == home.id)
        return [next(found) for _ in range(count)]

    def keys_of_all(self, count, suffix=""):
        """The same of each node in turn."""
        by_home = [self.keys_of(node, count, suffix) for node in self.cluster.running]
        return [key for keys in zip(*by_home) for key in keys]

    def move(self, shard, to):
        def has_moved():
            if self.leaders(self.cluster.node(to))[shard] == to:
                return True
            self.cluster.node(to).ask("CLUSTER", "LEADER", f"shard-{shard}", to)
            return False
        wait_until(has_moved, 20, f"node {to} leads shard {shard}")

    def state(self, node, key):
        """How the node has the line now; asking makes it shared, if it is not."""
        reply = node.ask("DCACHE.GET", key, "META")
        self.assertIsInstance(reply, list, reply)
        return pairs(reply)["state"]

    def write(self, node, key, value):
        self.assertEqual(node.ask("SET", key, value), "OK")

    def write_many(self, node, values):
        with Connection(node.port) as connection:
            pipeline = Pipeline(connection)
            for key, value in values.items():
                pipeline.add("SET", key, value)
            self.assertEqual(set(pipeline.replies()), {"OK"})

    def read_many(self, node, keys):
        """By key, on one connection; an error is what it is."""
        with Connection(node.port) as connection:
            pipeline = Pipeline(connection)
            for key in keys:
                pipeline.add("GET", key)
            return dict(zip(keys, pipeline.replies()))

    def assert_no_error(self, replies):
        self.assertEqual([each for each in replies if isinstance(each, Error)], [])


class CacheFailoverTest(CacheTest):
    """Each test begins with all nodes, and every shard where it belongs."""

    def setUp(self):
        self.bring_back()

    def bring_back(self):
        for node in self.cluster.nodes:
            if not node.is_running:
                node.start()
        self.cluster.wait_until_ok()
        self.settle()

    def assert_all_there(self, values, nodes):
        for node in nodes:
            told = self.read_many(node, values)
            lost = {key: reply for key, reply in told.items() if reply != values[key]}
            self.assertEqual(sorted(lost.items())[:3], [],
                             f"{len(lost)} of {len(values)} are lost, as {node!r} has them")

    def seconds_of(self, node, *command):
        began = time.monotonic()
        reply = node.ask(*command)
        self.assertNotIsInstance(reply, Error, command)
        return time.monotonic() - began
