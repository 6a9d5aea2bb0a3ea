"""Homes move, and nodes are stopped: no value is lost."""

import time

from cache_cases import CacheFailoverTest, Crew, Pulse, Writer, shard_of
from resp import SLOWDOWN, wait_until

BOUND = 2.5 * SLOWDOWN  # A lease, with what this machine takes: no command waits longer.
DIRTY_MAX_AGE = 0.6


class CacheMoves(CacheFailoverTest):
    # A home moves ---------------------------------------------------------------------------------

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

    def test_leaders_that_are_moved_take_every_value_along(self):
        values = self.values_through_all(510)
        self.move_leaders(24)
        self.assert_all_there(values, self.cluster.nodes)

    def test_leaders_that_are_moved_under_load_lose_no_write_and_delay_none_for_long(self):
        self.move_under_load(lambda key, to: self.cluster.node(to).ask("GET", key))

    def test_a_leader_that_is_moved_on_before_it_serves_loses_nothing_either(self):
        self.move_under_load(lambda key, to: None)

    def move_under_load(self, between):
        """Three keys of one shard, each written through a node of its own, and a counter; after
        each move `between`."""
        tag = "{" + self.lock_name() + "}"
        writers = [Writer(node, [f"{tag}{node.id}"]) for node in self.cluster.nodes]
        pulse = Pulse(self.cluster.node(2), lambda _: ("INCR", tag))
        crew = Crew()
        for worker in (*writers, pulse):
            crew.add(worker.run, crew)
        crew.start()
        wait_until(lambda: pulse.count > 100, 10, "it is under way")
        home = self.home_of(tag)
        for step in range(1, 7):
            to = (home + step - 1) % 3 + 1
            self.move(shard_of(tag), to)
            between(tag, to)
        count = pulse.count
        wait_until(lambda: pulse.count > count + 10, 10, "it goes on")
        crew.stop()
        self.assertEqual(crew.trouble, [])
        self.assert_no_error(pulse.replies)
        wrong = [each for each in enumerate(pulse.replies, 1) if each[0] != each[1]]
        self.assertEqual(wrong[:3], [], "an INCR was lost, or was done twice")
        self.assertLess(pulse.gap, BOUND)
        for writer in writers:
            told = self.read_many(self.cluster.node(3), writer.keys)
            self.assertEqual(told, {key: str(writer.asked[key]) for key in writer.keys})

    def test_a_home_that_hands_over_while_a_cache_is_silent_makes_nobody_wait_for_two_leases(self):
        """It goes on until that lease is over."""
        asks, home, silent = self.cluster.nodes
        key = self.keys_of(home, 1)[0]
        self.write(home, key, "old")
        self.assertEqual(silent.ask("GET", key), "old")
        silent.freeze()
        crew = Crew()
        seconds = []
        crew.add(lambda: seconds.append(self.seconds_of(asks, "SET", key, "new")))
        crew.start()
        # In the midst of the lease: not before the writer waits, and long before it may go on.
        wait_until(lambda: home.ask("CLUSTER", "LEADER", f"shard-{shard_of(key)}", asks.id) == "OK",
                   2, "it is asked to move")
        crew.join()
        silent.thaw()
        self.assertLess(seconds[0], BOUND)
        self.assertEqual(self.read_many(silent, [key]), {key: "new"})

    # A node stops ---------------------------------------------------------------------------------

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

    def test_a_node_that_is_stopped_while_its_clients_write_is_gone_soon_and_loses_nothing(self):
        stopped = self.cluster.nodes[2]
        names = [self.lock_name(f"/{i}") for i in range(60)]
        writers = [Writer(stopped, names[i::3]) for i in range(3)]
        crew = Crew()
        for writer in writers:
            crew.add(writer.run, crew)
        crew.start()
        wait_until(lambda: all(writer.asked[writer.keys[-1]] > 5 for writer in writers), 10,
                   "they write")
        began = time.monotonic()
        self.assertEqual(stopped.terminate(), 0)
        self.assertLess(time.monotonic() - began, 5 * SLOWDOWN)  # Of shutdown-timeout's ten.
        crew.stop()
        for writer in writers:
            told = self.read_many(self.cluster.node(1), writer.keys)
            for key, (_, value) in writer.acknowledged.items():
                self.assertGreaterEqual(int(told[key] or 0), value, key)

    def test_a_rolling_restart_loses_nothing_of_what_is_at_home(self):
        values = self.values_through_all(300)
        written = time.monotonic()
        wait_until(lambda: time.monotonic() > written + DIRTY_MAX_AGE, 5, "all are at home")
        for node in self.cluster.nodes:
            self.assertEqual(node.terminate(), 0)
            self.assert_all_there(values, self.cluster.others(node))
            self.bring_back()
        self.assert_all_there(values, self.cluster.nodes)
