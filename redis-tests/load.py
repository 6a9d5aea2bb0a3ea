"""Clients that take locks while the cluster is being hurt, and remember each answer.

A grant that was answered is never lost: `check` asks for every one of them at the end. What was
answered by an error or by silence may have happened or not; the client sends it again under the
same owner, which is safe, until it gets its token.
"""

import itertools
import threading
import time

from cluster import lock_holders
from resp import Closed, Connection, Error

TTL = 600000
# What a client meets while nodes come and go. UNBLOCKED: its node is shutting down.
RETRY_CODES = {"CLUSTERDOWN", "TRYAGAIN", "UNCERTAIN", "LOADING", "UNBLOCKED"}
REQUEST_SECONDS = 8


class Worker(threading.Thread):
    def __init__(self, load, number):
        super().__init__(name=f"client {number}", daemon=True)
        self.load = load
        self.owner = f"owner-{number}"
        self.number = number
        self.grants = {}  # Lock name -> token.
        self.hot = []  # (sent at, answered at, token) of the lock that all want.
        self.errors = []
        self.surprises = []
        self.connection = None
        self.turn = number

    def run(self):
        try:
            for i in itertools.count():
                if self.load.ending:
                    break
                self.take_one(f"{self.load.prefix}/{self.number}/{i}")
                if i % 4 == 0:
                    self.visit_hot()
        except Exception as error:  # pylint: disable=broad-except
            self.surprises.append(repr(error))

    def take_one(self, name):
        token = self.insist("LOCK.ACQUIRE", name, self.owner, "TTL", TTL)
        if isinstance(token, int):
            self.grants[name] = token
        elif token is not None or not self.load.ending:
            self.surprises.append(f"{name}: {token!r} for a lock that nobody else wants")

    def visit_hot(self):
        name = self.load.prefix + "/hot"
        sent = time.monotonic()
        token = self.insist("LOCK.ACQUIRE", name, self.owner, "TTL", TTL, "BLOCK", 200)
        if isinstance(token, int):
            self.hot.append((sent, time.monotonic(), token))
            self.insist("LOCK.RELEASE", name, self.owner)

    def insist(self, *command):
        """Until an answer comes that is no passing trouble."""
        while not self.load.ending:
            reply = self.try_once(*command)
            if not isinstance(reply, Error):
                return reply
            self.errors.append(reply)
            if reply.code not in RETRY_CODES:
                return reply
            time.sleep(0.01)
        return None

    def try_once(self, *command):
        try:
            if self.connection is None:
                node = self.load.nodes[self.turn % len(self.load.nodes)]
                self.connection = Connection(node.port, timeout=REQUEST_SECONDS)
            return self.connection.call(*command)
        except (OSError, Closed) as error:
            if self.connection:
                self.connection.close()
            self.connection = None
            self.turn += 1  # The next node, as a client with a list of nodes does.
            return Error(f"TRYAGAIN connection: {error!r}")


class Load:
    """with Load(nodes) as load: hurt(); load.check(test, node)"""

    def __init__(self, nodes, prefix, clients=4):
        self.nodes = nodes
        self.prefix = prefix
        self.ending = False
        self.workers = [Worker(self, i) for i in range(clients)]

    def __enter__(self):
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.ending = True
        for worker in self.workers:
            worker.join()

    @property
    def granted(self):
        return sum(len(worker.grants) for worker in self.workers)

    @property
    def errors(self):
        return [error for worker in self.workers for error in worker.errors]

    def check(self, test, node):
        self.end()
        surprises = [each for worker in self.workers for each in worker.surprises]
        test.assertEqual(surprises, [])
        test.assertGreater(self.granted, 0)
        with Connection(node.port) as connection:
            for worker in self.workers:
                for name in worker.grants:
                    connection.send("LOCK.INFO", name)
                for name, token in worker.grants.items():
                    holders = lock_holders(connection.reply())
                    test.assertEqual(holders, {worker.owner: token}, f"{name} as {node!r} knows it")
        self.check_hot(test)

    def check_hot(self, test):
        """A grant that was answered before another was asked for has the lower token."""
        hot = [grant for worker in self.workers for grant in worker.hot]
        tokens = [token for _, _, token in hot]
        test.assertEqual(len(tokens), len(set(tokens)), "one token was given twice")
        for (_, answered, earlier), (sent, _, later) in itertools.permutations(hot, 2):
            if answered < sent:
                test.assertLess(earlier, later)
