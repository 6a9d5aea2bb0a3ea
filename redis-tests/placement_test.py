"""Where a queue lies is told by many commands, and all tell the same."""

from cases import ClusterTest
from resp import pairs, wait_until
from server_test import leads_where_it_belongs

QUEUES = 64


class Placement(ClusterTest):
    def leaders(self, node):
        """By shard, as one node's CLUSTER STATUS has them; none where it knows of none."""
        return {int(shard["name"].removeprefix("shard-")): shard["leader"]
                for shard in node.shards()}

    def ports_of_slots(self, connection):
        """By each of CLUSTER SLOTS, SHARDS and NODES: to which node a client sends a slot."""
        slots, shards, nodes = {}, {}, {}
        for first, last, (_, port, *_), *_ in connection.do("CLUSTER SLOTS"):
            slots.update(dict.fromkeys(range(first, last + 1), port))
        for shard in connection.do("CLUSTER SHARDS"):
            ranges, port = shard["slots"], shard["nodes"][0]["port"]
            for first, last in zip(ranges[::2], ranges[1::2]):
                shards.update(dict.fromkeys(range(first, last + 1), port))
        for line in connection.do("CLUSTER NODES").splitlines():
            words = line.split()
            port = int(words[1].split("@")[0].rsplit(":", 1)[1])
            for span in words[8:]:
                first, _, last = span.partition("-")
                nodes.update(dict.fromkeys(range(int(first), int(last or first) + 1), port))
        return slots, shards, nodes

    def wait_until_settled(self):
        """Leaders are where the placement wants them, and every node knows."""
        def settled():
            told = [self.leaders(node) for node in self.cluster.nodes]
            return all(each == told[0] for each in told) and leads_where_it_belongs(self.cluster)

        wait_until(settled, 60, "all leaders are where they are wanted")

    def test_every_view_of_the_cluster_names_the_same_place_for_a_queue(self):
        self.wait_until_settled()
        by_id = {node.id: node.port for node in self.cluster.nodes}
        leaders = self.leaders(self.cluster.nodes[0])
        self.assertEqual(len(leaders), 64)
        for node in self.cluster.nodes:
            with node.connect(protocol=3) as connection:
                views = self.ports_of_slots(connection)
                for number in range(QUEUES):
                    queue = f"place-{number}"
                    slot = connection.call("CLUSTER", "KEYSLOT", queue)
                    identity = connection.call("DQ.PUSH", queue, "x")
                    shard = int(identity.partition(".")[0])
                    self.assertEqual(connection.call("DQ.INFO", queue)["shard"], shard)
                    self.assertEqual(shard, slot * 64 // 16384)
                    for view in views:
                        self.assertEqual(view[slot], by_id[leaders[shard]], (queue, node.id))

    def test_the_partitions_of_a_queue_follow_its_home_shard_by_shard(self):
        self.wait_until_settled()
        with self.cluster.nodes[1].connect() as connection:
            connection.call("DQ.SET", "wide", "partitions", "8")
            home = pairs(connection.call("DQ.INFO", "wide"))["shard"]
            shards = {int(connection.call("DQ.PUSH", "wide", "x").partition(".")[0])
                      for _ in range(64)}
            info = pairs(connection.call("DQ.INFO", "wide"))
        self.assertEqual(shards, {(home + i) % 64 for i in range(8)})
        self.assertEqual((info["shard"], info["partitions"], info["ready"]), (home, 8, 64))
        leaders = self.leaders(self.cluster.nodes[0])
        self.assertGreater(len({leaders[shard] for shard in shards}), 1, "one node leads them all")
