"""redis-py as Debian has it, unchanged: a plain client, a pool, a pipeline, a cluster client."""

import threading

import redis
from redis.cluster import ClusterNode, RedisCluster

from cases import LONG, ClusterTest
from resp import wait_until


class RedisPy(ClusterTest):
    def client(self, node=1, **options):
        client = redis.Redis(port=self.cluster.node(node).port, decode_responses=True, **options)
        self.addCleanup(client.close)
        return client

    def test_the_example_of_the_readme_works_as_it_stands(self):
        client = redis.Redis(port=self.cluster.node(2).port)
        token = client.execute_command("LOCK.ACQUIRE", "invoices", "worker-7", "TTL", 30000,
                                       "BLOCK", 5000)
        self.assertGreater(token, 0)
        self.assertEqual(client.execute_command("LOCK.RELEASE", "invoices", "worker-7", "TOKEN",
                                                token), 1)
        client.close()

    def test_connection_commands_are_understood(self):
        client = self.client(client_name="tester", db=0)
        self.assertTrue(client.ping())
        self.assertEqual(client.echo("hello"), "hello")
        self.assertEqual(client.client_getname(), "tester")
        self.assertGreater(client.client_id(), 0)
        self.assertIn("tester", [each["name"] for each in client.client_list()])
        self.assertEqual(client.client_info()["name"], "tester")
        self.assertEqual(len(client.time()), 2)
        info = client.info()
        self.assertEqual(info["redis_mode"], "cluster")
        self.assertEqual(info["role"], "master")
        self.assertEqual(info["loading"], 0)
        self.assertEqual(info["tcp_port"], self.cluster.node(1).port)
        self.assertEqual(client.config_get("maxclients"), {"maxclients": "10000"})
        self.assertIn("lock.acquire", client.command())
        self.assertEqual(client.command_getkeys("LOCK.MACQUIRE", 2, "a", "b", "me"), ["a", "b"])
        self.assertIsInstance(client.slowlog_get(), list)
        self.assertEqual(client.role()[0], "master")

    def test_errors_become_exceptions_with_redis_own_texts(self):
        client = self.client()
        with self.assertRaisesRegex(redis.ResponseError,
                                    "wrong number of arguments for 'lock.acquire' command"):
            client.execute_command("LOCK.ACQUIRE", "x")
        with self.assertRaisesRegex(redis.ResponseError, "unknown command 'EVAL'"):
            client.eval("return 1", 0)

    def test_a_pipeline_is_a_transaction_and_one_without_multi_is_not(self):
        for transaction in (True, False):
            name = self.lock_name(str(transaction))
            with self.client().pipeline(transaction=transaction) as pipe:
                pipe.execute_command("LOCK.ACQUIRE", name, "alice", "TTL", LONG)
                pipe.execute_command("LOCK.ACQUIRE", name, "bob", "TTL", LONG, "BLOCK",
                                     0 if transaction else 10)
                pipe.ping()
                token, refused, pong = pipe.execute()
            self.assert_token(token)
            self.assertIsNone(refused)
            self.assertTrue(pong)

    def test_a_failed_command_in_a_pipeline_leaves_the_others_in_step(self):
        name = self.lock_name()
        pipe = self.client().pipeline(transaction=False)
        pipe.execute_command("LOCK.ACQUIRE", name, "alice", "TTL", LONG)
        pipe.execute_command("LOCK.ACQUIRE", name, "alice", "TTL", "soon")
        pipe.execute_command("LOCK.RELEASE", name, "alice")
        token, error, released = pipe.execute(raise_on_error=False)
        self.assert_token(token)
        self.assertIsInstance(error, redis.ResponseError)
        self.assertEqual(released, 1)

    def test_a_lock_is_released_by_another_connection_of_the_pool(self):
        name = self.lock_name()
        pool = redis.ConnectionPool(port=self.cluster.node(3).port, max_connections=8)
        taken = pool.get_connection("PING")  # So that the next commands use others.
        client = redis.Redis(connection_pool=pool)
        token = client.execute_command("LOCK.ACQUIRE", name, "alice", "TTL", LONG)
        pool.release(taken)
        self.assertEqual(client.execute_command("LOCK.RELEASE", name, "alice", "TOKEN", token), 1)
        pool.disconnect()

    def test_a_blocked_acquire_is_granted_by_a_release_through_another_node(self):
        name = self.lock_name()
        self.client(1).execute_command("LOCK.ACQUIRE", name, "alice", "TTL", LONG)
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(
            self.client(2).execute_command("LOCK.ACQUIRE", name, "bob", "TTL", LONG, "BLOCK", 0)))
        waiting.start()
        client = self.client(3)
        wait_until(lambda: "bob" in repr(client.execute_command("LOCK.INFO", name)), 5, "bob waits")
        self.assertEqual(client.execute_command("LOCK.RELEASE", name, "alice"), 1)
        waiting.join(10)
        self.assert_token(answers[0])

    def test_strings_of_one_node_are_read_and_changed_on_another(self):
        one, two, three = map(self.client, (1, 2, 3))
        key = self.lock_name()
        self.assertTrue(one.set(key, "hello", ex=100))
        self.assertEqual(two.get(key), "hello")
        self.assertIn(three.ttl(key), range(97, 101))
        self.assertIsNone(three.set(key, "other", nx=True))
        self.assertEqual(two.set(key, "w\u00f6rld", get=True, keepttl=True), "hello")
        self.assertEqual(three.getrange(key, 0, 0), "w")
        self.assertTrue(one.setex(key + "s", 100, 7))
        self.assertEqual(two.incr(key + "s", 35), 42)
        self.assertEqual(three.incrbyfloat(key + "s", 0.5), 42.5)
        self.assertTrue(two.mset({key + "a": 1, key + "b": 2}))
        self.assertEqual(one.mget(key + "a", key + "none", key + "b"), ["1", None, "2"])
        self.assertEqual(three.append(key + "a", "x"), 2)
        self.assertTrue(one.rename(key + "a", key + "c"))
        self.assertEqual((two.exists(key + "a", key + "c"), two.getdel(key + "c")), (1, "1x"))
        self.assertTrue(two.expire(key, 50))
        self.assertTrue(one.persist(key))
        self.assertEqual((three.ttl(key), three.delete(key, key + "b")), (-1, 2))
        self.assertIsNone(one.get(key))
        with self.assertRaisesRegex(redis.ResponseError, "value is not an integer"):
            one.set(key, "x")
            two.incr(key)

    def test_pipelines_of_strings_with_and_without_multi(self):
        key = self.lock_name()
        for transaction in (True, False):
            with self.client(2).pipeline(transaction=transaction) as pipe:
                pipe.set(key, 1).incr(key).get(key).expire(key, 100).delete(key).get(key)
                self.assertEqual(pipe.execute(), [True, 2, "2", True, 1, None])

    def test_a_watched_key_that_another_node_changes_raises_watch_error(self):
        key = self.lock_name()
        self.client(1).set(key, 1)
        with self.client(2).pipeline() as pipe:
            pipe.watch(key)
            value = int(pipe.get(key))
            self.client(3).set(key, 10)
            pipe.multi()
            pipe.set(key, value + 1)
            with self.assertRaises(redis.WatchError):
                pipe.execute()
            pipe.watch(key)
            pipe.multi()
            pipe.incr(key)
            self.assertEqual(pipe.execute(), [11])

    def test_pubsub_hears_events_and_messages_of_other_nodes(self):
        name = self.lock_name()
        pubsub = self.client(2).pubsub(ignore_subscribe_messages=False)
        pubsub.subscribe(f"__lock__:{name}")
        pubsub.psubscribe("news.*")
        for _ in range(2):
            self.assertIn("subscribe", pubsub.get_message(timeout=5)["type"])
        self.client(1).execute_command("LOCK.ACQUIRE", name, "alice", "TTL", LONG)
        self.assertIn("granted", pubsub.get_message(timeout=5)["data"])
        self.client(3).publish("news.today", "hello")
        message = pubsub.get_message(timeout=5)
        self.assertEqual((message["type"], message["channel"], message["data"]),
                         ("pmessage", "news.today", "hello"))
        pubsub.close()

    def test_monitor_sees_commands(self):
        with self.client(1).monitor() as monitor:
            self.client(1).execute_command("LOCK.INFO", "seen-by-monitor")
            for event in monitor.listen():
                if "seen-by-monitor" in event["command"]:
                    break

    def test_client_side_retries_after_a_timeout_are_safe(self):
        """The socket timeout ends before the wait does; the retry keeps the place in line."""
        name = self.lock_name()
        self.client(1).execute_command("LOCK.ACQUIRE", name, "alice", "TTL", LONG)
        impatient = self.client(2, socket_timeout=0.3)
        for _ in range(2):
            with self.assertRaises(redis.TimeoutError):
                impatient.execute_command("LOCK.ACQUIRE", name, "bob", "TTL", LONG, "BLOCK", 5000)
        self.client(3).execute_command("LOCK.RELEASE", name, "alice")
        patient = self.client(2)
        self.assert_token(patient.execute_command("LOCK.ACQUIRE", name, "bob", "TTL", LONG,
                                                  "BLOCK", 5000))


class RedisPyCluster(ClusterTest):
    def cluster_client(self):
        nodes = [ClusterNode("127.0.0.1", node.port) for node in self.cluster.nodes]
        client = RedisCluster(startup_nodes=nodes, decode_responses=True)
        self.addCleanup(client.close)
        return client

    def test_it_finds_every_node_and_covers_every_slot(self):
        client = self.cluster_client()
        self.assertEqual({node.port for node in client.get_nodes()},
                         {node.port for node in self.cluster.nodes})
        self.assertEqual(len(client.nodes_manager.slots_cache), 16384)

    def test_lock_commands_are_routed_by_their_key_to_all_nodes_and_all_work(self):
        # After a start, and after a death, it takes a while until each node leads its share: fewer
        # than these are so few that no name may be of one of them.
        enough = 8

        def all_lead():
            told = [[shard["leader"] for shard in node.shards()] for node in self.cluster.nodes]
            return (all(each == told[0] for each in told) and
                    all(told[0].count(node.id) >= enough for node in self.cluster.nodes))

        wait_until(all_lead, 30, "all nodes agree that each leads enough shards")
        client = self.cluster_client()
        served = set()
        for i in range(120):
            name = self.lock_name(f"/{i}")
            served.add(client.get_node_from_key(name).port)
            token = client.execute_command("LOCK.ACQUIRE", name, "alice", "TTL", LONG)
            self.assert_token(token)
            self.assertEqual(client.execute_command("LOCK.CHECK", name, token), 1)
            self.assertEqual(client.execute_command("LOCK.RELEASE", name, "alice"), 1)
        self.assertEqual(served, {node.port for node in self.cluster.nodes})

    def test_a_client_whose_map_is_old_is_sent_to_the_right_node_if_it_is_to_be(self):
        def redirect(word):
            for node in self.cluster.nodes:
                with redis.Redis(port=node.port) as client:
                    client.config_set("cluster-redirect", word)

        redirect("yes")
        self.addCleanup(redirect, "no")
        client = self.cluster_client()
        one = client.get_nodes()[0]
        slots = client.nodes_manager.slots_cache
        for slot in slots:
            slots[slot] = [one]
        sent = 0
        for i in range(30):
            name = self.lock_name(f"/{i}")
            self.assertTrue(client.execute_command("DQ.PUSH", name, "x"))
            sent += client.get_node_from_key(name) != one
            self.assertEqual(client.execute_command("DQ.POP", name)[0][2], "x")
        self.assertGreater(sent, 0)

    def test_macquire_over_names_of_one_tag_is_routed_by_its_keys(self):
        client = self.cluster_client()
        tag = "{" + self.lock_name() + "}"
        self.assert_token(client.execute_command("LOCK.MACQUIRE", 2, tag + "a", tag + "b", "me",
                                                 "TTL", LONG))

    def test_commands_to_all_nodes_and_a_cluster_pipeline_work(self):
        client = self.cluster_client()
        self.assertTrue(client.ping(target_nodes=RedisCluster.ALL_NODES))
        self.assertEqual(len(client.info(target_nodes=RedisCluster.ALL_NODES)), 3)
        with client.pipeline() as pipe:
            for i in range(20):
                pipe.execute_command("LOCK.ACQUIRE", self.lock_name(f"/{i}"), "alice", "TTL", LONG)
            for token in pipe.execute():
                self.assert_token(token)

    def test_strings_are_routed_by_their_key_and_any_node_has_them(self):
        client = self.cluster_client()
        keys = [self.lock_name(f"/{i}") for i in range(60)]
        for i, key in enumerate(keys):
            self.assertTrue(client.set(key, i, ex=100))
        self.assertTrue(client.mset_nonatomic({key + "m": "x" for key in keys}))
        with redis.Redis(port=self.cluster.node(2).port, decode_responses=True) as other:
            self.assertEqual(other.mget(keys), [str(i) for i in range(60)])
            self.assertEqual(other.delete(*keys), 60)
        self.assertEqual(client.mget_nonatomic(keys), [None] * 60)
        with client.pipeline() as pipe:
            for key in keys:
                pipe.incr(key)
            self.assertEqual(pipe.execute(), [1] * 60)

    def test_it_lives_through_the_death_of_a_node(self):
        client = self.cluster_client()
        victim = self.cluster.others(self.cluster.leader())[0]
        victim.kill()
        try:
            name = next(f"k{i}" for i in range(1000)
                        if client.get_node_from_key(f"k{i}").port != victim.port)
            self.assert_token(client.execute_command("LOCK.ACQUIRE", name, "alice", "TTL", LONG))
        finally:
            victim.start()
            self.cluster.wait_until_ok()
