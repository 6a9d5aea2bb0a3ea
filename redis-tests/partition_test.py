"""Nodes that run but do not hear each other. A relay before each bus port cuts what we choose."""

from cases import LONG, ClusterTest, unless_stalled
from cluster import lock_holders
from load import Load
from resp import Error, wait_until


class Partition(ClusterTest):
    partitions = True

    def setUp(self):
        self.network = self.cluster.network
        self.network.heal()
        self.addCleanup(self.network.heal)
        self.cluster.wait_until_ok()

    def ids(self, nodes):
        return [node.id for node in nodes]

    def term(self, node):
        return int(node.info("raft")["raft_current_term"])

    def test_a_leader_that_is_cut_off_acknowledges_nothing_and_the_others_go_on(self):
        name = self.lock_name()
        old = self.cluster.leader()
        others = self.cluster.others(old)
        token = self.assert_token(old.ask("LOCK.ACQUIRE", name, "alice", "TTL", LONG))
        # Asked before the leader can know; it may wait and must not say yes.
        late = self.connect(old)
        self.network.isolate(old.id, self.ids(others))
        late.send("LOCK.ACQUIRE", name + "late", "zoe", "TTL", LONG)

        self.cluster.wait_until_ok(others)
        self.assertEqual(others[0].ask("LOCK.RELEASE", name, "alice"), 1)
        new_token = self.assert_token(others[1].ask("LOCK.ACQUIRE", name, "bob", "TTL", LONG))
        self.assertGreater(new_token, token)

        # A read must not tell the past either (trap 22).
        self.assert_error(late.reply(), "UNCERTAIN", "CLUSTERDOWN", "TRYAGAIN")
        self.assert_error(late.do(f"LOCK.INFO {name}"), "CLUSTERDOWN", "TRYAGAIN")
        self.assert_error(late.do(f"LOCK.CHECK {name} {token}"), "CLUSTERDOWN", "TRYAGAIN")
        self.assert_error(late.do(f"LOCK.RELEASE {name} alice"), "CLUSTERDOWN", "TRYAGAIN")
        self.assertIn("cluster_state:fail", late.do("CLUSTER INFO"))

        self.network.heal()
        self.cluster.wait_until_ok()
        self.assert_held(old, name, "bob", new_token)
        self.assert_consistent(name + "late")

    def test_what_a_cut_off_leader_had_in_its_log_is_replaced_and_never_answered_with_yes(self):
        name = self.lock_name()
        old = self.cluster.leader()
        others = self.cluster.others(old)
        clients = [self.connect(old) for _ in range(20)]
        self.network.isolate(old.id, self.ids(others))
        for i, client in enumerate(clients):  # Appended there, and never to be committed there.
            client.send("LOCK.ACQUIRE", f"{name}/{i}", "old", "TTL", LONG)
        self.cluster.wait_until_ok(others)
        tokens = [others[i % 2].ask("LOCK.ACQUIRE", f"{name}/{i}", "new", "TTL", LONG)
                  for i in range(20)]
        self.network.heal()
        self.cluster.wait_until_ok()
        for client in clients:
            reply = client.reply()
            self.assertTrue(reply is None or isinstance(reply, Error), reply)
        for i, token in enumerate(tokens):
            self.assert_held(old, f"{name}/{i}", "new", token)

    def test_a_leader_that_can_send_but_not_hear_steps_aside(self):
        self.assert_survives_one_way(lambda old, other: (other, old))

    def test_a_leader_that_can_hear_but_not_send_steps_aside(self):
        self.assert_survives_one_way(lambda old, other: (old, other))

    def assert_survives_one_way(self, way):
        name = self.lock_name()
        old = self.cluster.leader()
        others = self.cluster.others(old)
        token = self.assert_token(old.ask("LOCK.ACQUIRE", name, "alice", "TTL", LONG))
        self.network.cut(*[way(old.id, other.id) for other in others])
        self.cluster.wait_until_ok(others)
        self.assert_held(others[0], name, "alice", token)
        self.assert_error(old.ask("LOCK.ACQUIRE", name + "x", "bob"),
                          "UNCERTAIN", "CLUSTERDOWN", "TRYAGAIN")
        self.network.heal()
        self.cluster.wait_until_ok()
        self.assert_held(old, name, "alice", token)

    @unless_stalled
    def test_a_follower_that_was_cut_off_does_not_unseat_the_leader_when_it_is_back(self):
        leader = self.cluster.leader()
        lost, other = self.cluster.others(leader)
        term = self.term(leader)
        self.network.isolate(lost.id, self.ids([leader, other]))
        wait_until(lambda: lost.leader_id() == 0, 15, "the lost node knows no leader")
        # A few elections' worth of being alone: nothing it tries there may count later.
        wait_until(lambda: "cluster_state:fail" in lost.ask("CLUSTER", "INFO"), 15, "it says so")
        self.assert_error(lost.ask("LOCK.INFO", "x"), "CLUSTERDOWN", "TRYAGAIN")
        self.assert_error(lost.ask("LOCK.INFO", "x"), "CLUSTERDOWN", "TRYAGAIN")
        self.network.heal()
        self.cluster.wait_until_ok()
        self.assertIs(self.cluster.leader(), leader)
        self.assertEqual(self.term(leader), term)

    @unless_stalled
    def test_a_cut_between_two_followers_is_noticed_by_nobody(self):
        leader = self.cluster.leader()
        one, two = self.cluster.others(leader)
        term = self.term(leader)
        self.network.cut((one.id, two.id), (two.id, one.id))
        with Load(self.cluster.nodes, self.lock_name()) as load:
            wait_until(lambda: load.granted > 200, 20, "200 grants")
            load.check(self, one)
        self.assertEqual(load.errors, [])
        self.assertEqual(self.term(leader), term)

    @unless_stalled
    def test_a_cut_between_the_leader_and_one_follower_stops_nobody_on_the_other_side(self):
        leader = self.cluster.leader()
        far, near = self.cluster.others(leader)
        self.network.cut((leader.id, far.id), (far.id, leader.id))
        with Load([leader, near], self.lock_name()) as load:
            wait_until(lambda: far.leader_id() == 0, 15, "the far node has lost the leader")
            before = load.granted
            wait_until(lambda: load.granted > before + 100, 20, "100 grants more")
            load.check(self, near)
        self.assertEqual(load.errors, [])
        self.assertIs(self.cluster.leader([leader, near]), leader)  # Raft's stickiness.

    def test_a_wait_whose_node_is_cut_off_ends_or_goes_on_but_is_never_granted_in_secret(self):
        name = self.lock_name()
        leader = self.cluster.leader()
        lost, other = self.cluster.others(leader)
        token = self.assert_token(other.ask("LOCK.ACQUIRE", name, "alice", "TTL", LONG))
        bob = self.connect(lost)
        bob.send("LOCK.ACQUIRE", name, "bob", "TTL", LONG, "BLOCK", 0)
        self.assertTrue(bob.is_quiet(0.2))
        self.network.isolate(lost.id, self.ids([leader, other]))
        self.assertEqual(other.ask("LOCK.RELEASE", name, "alice"), 1)
        self.network.heal()
        reply = bob.reply()
        holders = lock_holders(other.ask("LOCK.INFO", name))
        if isinstance(reply, int):
            self.assertGreater(reply, token)
            self.assertEqual(holders, {"bob": reply})
        else:
            self.assert_error(reply, "UNCERTAIN", "CLUSTERDOWN", "TRYAGAIN")

    def test_nothing_acknowledged_is_lost_while_the_network_is_cut_again_and_again(self):
        with Load(self.cluster.nodes, self.lock_name(), clients=6) as load:
            for _ in range(3):
                before = load.granted
                victim = self.cluster.leader()
                others = self.cluster.others(victim)
                self.network.isolate(victim.id, self.ids(others))
                self.cluster.wait_until_ok(others)
                wait_until(lambda: load.granted > before + 50, 20, "the load goes on")
                self.network.heal()
                self.cluster.wait_until_ok()
            load.check(self, self.cluster.node(1))

    def assert_consistent(self, name):
        """All nodes tell the same of a lock whose acquisition had no known outcome."""
        seen = {tuple(lock_holders(node.ask("LOCK.INFO", name)).items())
                for node in self.cluster.nodes}
        self.assertEqual(len(seen), 1, seen)
