"""How long from a push until a consumer who waits on another node has the message.

Each waits in `DQ.POP BLOCK 0`, beside XREADGROUP BLOCK 0, and the next message is pushed when the
server says so (queue_wake.cc). Until then it is on two nodes' disks, or on redis-server's.
"""

from cluster import Cluster

from queue_servers import Lockstep, Redis, leader_of, settle
from rig import FSYNC_ALWAYS, generate, start_redis
from throughput import SYNCED

WAKE = "from push to a waiting consumer"
QUEUE = "bench:wake"
MESSAGES = 1000  # A repetition.
AT_LEADER, AT_FOLLOWER = "pushed at the leader", "pushed at a follower"


def part_wake(bench):
    """from a push to a consumer who waits on another node"""
    redis = start_redis(*FSYNC_ALWAYS)
    with Cluster(3) as cluster:
        settle(cluster)
        leader = leader_of(cluster, QUEUE)
        second, third = cluster.others(leader)
        pairs = {AT_LEADER: (Lockstep([leader.port], [QUEUE]), second.port),
                 AT_FOLLOWER: (Lockstep([third.port], [QUEUE]), second.port),
                 SYNCED: (Redis([redis], [QUEUE]), redis)}
        for repetition in range(bench.repetitions):
            stage = f"queues, wake: repetition {repetition + 1} of {bench.repetitions}"
            for column, (server, consumer) in pairs.items():
                bench.progress.show(stage, column)
                figures = generate("queue_wake", server.kind, *server.ports, consumer, MESSAGES,
                                   QUEUE)
                bench.figures.add(WAKE, column, **figures)
                server.empty()
