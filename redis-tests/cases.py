"""What every test file here begins with: a cluster that the tests of a class share."""

import functools
import itertools
import unittest

from cluster import HERE, Cluster, lock_holders
from resp import SANITIZED, Error, pairs, wait_until

LONG = 600000  # A TTL that no test outlives.


def not_sanitized(reason):
    """Leaves a test out where the server is built with a sanitizer: what it measures is that then."""
    def mark(test):
        test.left_out = reason if SANITIZED else None
        return test
    return mark


def unless_stalled(test):
    """For what a stall of this machine undoes as well, since it elects a leader: a fault of ours
    does so each time, so the third failure counts."""
    @functools.wraps(test)
    def attempts(self):
        for _ in range(2):
            try:
                return test(self)
            except AssertionError:
                self.doCleanups()
                self.setUp()
        return test(self)
    return attempts


def node_script(name):
    """The command that runs it with the clients of package-lock.json."""
    if not (HERE / "node_modules").exists():
        raise RuntimeError("the Node clients are not installed: cd redis-tests && npm ci")
    return ["node", HERE / name]


class ClusterTest(unittest.TestCase):
    size = 3
    partitions = False
    settings = {}
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(cls.size, cls.partitions, **cls.settings)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    @classmethod
    def renew(cls):
        """After a failure: what one test has hurt must not fail the next."""
        cls.cluster.stop()
        cls.cluster = Cluster(cls.size, cls.partitions, **cls.settings)

    def connect(self, node, protocol=2, **options):
        """A connection to a node (or the node with that id), closed when the test ends."""
        if isinstance(node, int):
            node = self.cluster.node(node)
        connection = node.connect(protocol, **options)
        self.addCleanup(connection.close)
        return connection

    def lock_name(self, suffix=""):
        """A name that no other test uses."""
        return f"{type(self).__name__}.{self._testMethodName[5:60]}{suffix}"

    def assert_token(self, reply):
        self.assertIsInstance(reply, int, reply)
        self.assertGreater(reply, 0)
        return reply

    def assert_error(self, reply, *codes):
        self.assertIsInstance(reply, Error)
        self.assertIn(reply.code, codes, reply)
        return reply

    def assert_held(self, node, name, owner, token):
        info = node.ask("LOCK.INFO", name)
        self.assertNotIsInstance(info, Error, info)
        holders = [pairs(holder) for holder in pairs(info)["holders"]]
        self.assertEqual([(h["owner"], h["token"]) for h in holders], [(owner, token)], name)


class LockTest(ClusterTest):
    def setUp(self):
        self.turn = itertools.cycle(self.cluster.nodes)
        self.connections = {node.id: self.connect(node) for node in self.cluster.nodes}

    def do(self, line):
        """Each command through the next node: locks are the same everywhere."""
        return self.connections[next(self.turn).id].do(line)

    def acquire(self, name, owner, options=f"TTL {LONG}"):
        return self.do(f"LOCK.ACQUIRE {name} {owner} {options}")

    def blocked(self, name, owner, options="", node=None, ttl=LONG):
        """A connection on which `owner` waits for `name`; the cluster knows it already."""
        connection = self.connect(node or next(self.turn))
        connection.send(*f"LOCK.ACQUIRE {name} {owner} TTL {ttl} BLOCK 0 {options}".split())
        wait_until(lambda: owner in self.waiters(name), 5, f"{owner} waits for {name}")
        return connection

    def info(self, name):
        return pairs(self.do(f"LOCK.INFO {name}"))

    def waiters(self, name):
        return [pairs(waiter)["owner"] for waiter in self.info(name)["waiters"]]

    def holders(self, name):
        return lock_holders(self.do(f"LOCK.INFO {name}"))
