"""Servers with queues, each emptied, filled and loaded in the same words."""

import binascii

from cluster import end_process, remove_folder
from resp import Connection, Error, wait_until

from rig import generate, start_beanstalkd

SHARDS = 64
SLOTS = 16384
SETTLE_SECONDS = 60
ORDERLY = 60  # Seconds that a large queue or stream may take to go.


# Where a queue is --------------------------------------------------------------------------------

def shard_of(queue):
    return binascii.crc_hqx(queue.encode(), 0) % SLOTS * SHARDS // SLOTS


def one_a_shard():
    """Names of queues, of which each shard has one."""
    names, number = {}, 0
    while len(names) < SHARDS:
        name = f"bench:{number}"
        names.setdefault(shard_of(name), name)
        number += 1
    return [names[shard] for shard in range(SHARDS)]


def shard_leaders(node):
    """Who leads which shard, and who is to; as this node sees it."""
    groups = {group["name"]: group for group in node.status()["groups"]}
    shards = [groups[f"shard-{shard}"] for shard in range(SHARDS)]
    return [shard["leader"] for shard in shards], [shard["wanted"] for shard in shards]


def settle(cluster):
    """Shards go to whom the ring wants as their leader a while after the start: not while something
    is measured."""
    def settled():
        seen = [shard_leaders(node) for node in cluster.nodes]
        return all(leaders == wanted == seen[0][0] for leaders, wanted in seen)
    wait_until(settled, SETTLE_SECONDS, "each shard is led by whom the ring wants")


def leader_of(cluster, queue):
    def leader():
        leaders, _ = shard_leaders(cluster.nodes[0])
        return leaders[shard_of(queue)]
    return cluster.node(wait_until(leader, SETTLE_SECONDS, f"{queue} has a leader"))


# Servers -----------------------------------------------------------------------------------------

class Server:
    def __init__(self, ports, queues):
        self.ports, self.queues = ports, queues
        self.empty()

    def load(self, work, load, amount, size):
        return generate("queue_load", work, self.kind, ",".join(map(str, self.ports)), *load,
                        amount, size, ",".join(self.queues))

    def fill(self, count, size):
        """Each queue with its part of `count`, or a little more."""
        generate("queue_bulk", "push", self.kind, self.ports[0], 1, count, size,
                 ",".join(self.queues))


class Lockstep(Server):
    kind = "lockstep"

    def empty(self):
        with Connection(self.ports[0], timeout=ORDERLY) as connection:
            left = self.queues
            while left:
                for queue in left:
                    connection.send("DQ.PURGE", queue)
                purged = {queue: connection.reply() for queue in left}
                refused = [reply for reply in purged.values() if isinstance(reply, Error)]
                if refused:
                    raise RuntimeError(f"a queue was not emptied: {refused[0]}")
                left = [queue for queue in left if purged[queue] > 0]


class Redis(Server):
    kind = "redis"

    def empty(self):
        with Connection(self.ports[0], timeout=ORDERLY) as connection:
            for stream in self.queues:
                connection.send("DEL", stream)
                connection.send("XGROUP", "CREATE", stream, "g", "0", "MKSTREAM")
            replies = [connection.reply() for _ in range(2 * len(self.queues))]
        if any(isinstance(reply, Error) for reply in replies):
            raise RuntimeError("a stream was not made anew")


class Beanstalkd(Server):
    """Emptied by a new one: to delete what is in it costs a sync each."""
    kind = "beanstalk"

    def __init__(self):
        self.process = self.folder = None
        super().__init__([], ["default"])

    def empty(self):
        if self.process:
            end_process(self.process)
            remove_folder(self.folder)
        self.process, port, self.folder = start_beanstalkd()
        self.ports = [port]

    def fill(self, count, size):
        self.load("push", (50, 1), count, size)
