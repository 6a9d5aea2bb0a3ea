"""A pool of workers as people run them: processes that push and pop, are killed and replaced, while
nodes die and come back. What they wrote down is judged at the end (chaos_queue_judge.py)."""

import collections
import itertools
import sys
import threading
import time

import redis
from redis.cluster import ClusterNode, RedisCluster

from cases import ClusterTest, node_script
from chaos_queue_judge import History
from cluster import HERE, clean_environment, end_process, make_folder, remove_folder, start_process
from resp import SLOWDOWN, pairs, wait_until

OPTIONS = "retry 1000000 backoff-base 10 backoff-max 40 maxlen 300"
PRODUCERS = 3
CONSUMERS = 5


class Pool:
    """The processes, those that were killed among them, and what they have written."""

    def __init__(self, cluster, queue, program):
        self.cluster = cluster
        self.queue = queue
        self.program = program
        self.folder = make_folder()
        self.numbers = itertools.count(1)
        self.processes = {}  # Name -> process; those that were not killed.
        self.read = collections.Counter()  # Log -> so many bytes of it are counted in `acked`.
        self.acked = 0
        self.killed = 0
        self.lines = []

    def start(self, role):
        number = next(self.numbers)
        name = f"{role}-{number}"
        ports = [node.port for node in self.cluster.nodes]
        ports = ports[number % 3:] + ports[:number % 3]
        with open(self.folder / f"{name}.err", "wb") as trouble:
            self.processes[name] = start_process(
                [*self.program, role, name, self.folder / f"{name}.log", self.queue,
                 ",".join(map(str, ports))],
                stdout=trouble, stderr=trouble, env=clean_environment())

    def replace(self, role):
        """kill -9 of the one that has run longest, and another for it."""
        name = next(name for name in self.processes if name.startswith(role))
        self.write("killed", name)
        end_process(self.processes.pop(name))
        self.killed += 1
        self.start(role)

    def wait_for(self, count, what):
        """Until so many messages more are acknowledged."""
        goal = self.count_acked() + count
        wait_until(lambda: self.count_acked() >= goal, 20, f"{what}: {count} are acknowledged")

    def count_acked(self):
        for log in self.folder.glob("*.log"):
            with open(log, "rb") as lines:
                lines.seek(self.read[log])
                new = lines.read()
            new = new[:new.rfind(b"\n") + 1]
            self.read[log] += len(new)
            self.acked += new.count(b" acked ") + new.count(b" settled ")
        return self.acked

    def end(self, role):
        """SIGTERM: they finish what they have begun. Names of those that did not end well."""
        mine = {name: process for name, process in self.processes.items() if name.startswith(role)}
        for process in mine.values():
            process.terminate()
        codes = {name: process.wait(15 * SLOWDOWN) for name, process in mine.items()}
        return {name: self.trouble(name) for name, code in codes.items() if code != 0}

    def trouble(self, name):
        return (self.folder / f"{name}.err").read_text(errors="replace")

    def close(self):
        for process in self.processes.values():
            end_process(process)
        remove_folder(self.folder)

    def write(self, what, *words):
        self.lines.append(" ".join(map(str, (time.monotonic_ns(), "test", what, *words))))

    def history(self):
        lines = list(self.lines)
        for log in self.folder.glob("*.log"):
            lines += log.read_text().splitlines()
        return History(lines)


class Workers(ClusterTest):
    """With redis-py."""

    @staticmethod
    def program():
        return [sys.executable, "-B", HERE / "queue_worker.py"]

    def setUp(self):
        self.queue = f"{{{self.lock_name()}}}"
        self.pool = Pool(self.cluster, self.queue, self.program())
        self.addCleanup(self.pool.close)
        self.cluster.wait_until_ok()

    def bring_back(self, node):
        if not node.is_running:
            node.start()
        self.cluster.wait_until_ok()

    def shard_leader(self):
        """A message's id begins with its shard; a queue of the same tag is in the same one."""
        message_id = self.cluster.node(1).ask("DQ.PUSH", f"{self.queue}/probe", "x")
        name = "shard-" + message_id.split(".", maxsplit=1)[0]
        groups = self.cluster.node(1).status()["groups"]
        return self.cluster.node(next(group["leader"] for group in groups if group["name"] == name))

    def counts(self):
        return pairs(self.cluster.node(1).ask("DQ.INFO", self.queue))

    def is_empty(self):
        counts = self.counts()
        return not any(counts[state] for state in ("ready", "delayed", "leased"))

    def test_killed_workers_and_nodes_lose_nothing_redo_nothing_done_and_keep_groups_in_order(self):
        self.assertEqual(self.cluster.node(1).ask("DQ.SET", self.queue, *OPTIONS.split()), "OK")
        began = time.monotonic()
        for role in ["produce"] * PRODUCERS + ["consume"] * CONSUMERS:
            self.pool.start(role)
        self.hurt()
        self.assertEqual(self.pool.end("produce"), {})
        wait_until(self.is_empty, 20, "all is done")
        self.assertEqual(self.pool.end("consume"), {})
        self.judge(time.monotonic() - began)

    def hurt(self):
        pool = self.pool
        pool.wait_for(500, "the pool works")
        pool.replace("consume")
        pool.replace("consume")
        pool.wait_for(500, "two workers were killed")
        node = self.shard_leader()
        pool.write("lost", node.port)
        node.kill()
        self.addCleanup(self.bring_back, node)
        pool.wait_for(500, "the leader of the shard was killed")
        pool.replace("produce")
        pool.replace("consume")
        pool.wait_for(500, "workers were killed while a node was away")
        self.bring_back(node)
        pool.wait_for(500, "the node is back")
        pool.replace("consume")
        pool.replace("produce")
        pool.wait_for(500, "more workers were killed")

    def judge(self, seconds):
        counts = self.counts()
        self.pool.write("counted", self.queue, counts["pushed"], counts["acked"], counts["dead"], 0)
        history = self.pool.history()
        found, told = history.verdict(), history.told()
        print(f"          {told['pushes answered']} pushes were answered, {told['consumed']} "
              f"messages consumed, {told['deliveries again']} deliveries more than that; "
              f"{self.pool.killed} workers and a node were killed; {seconds:.1f} s")
        for rule, wrong in found:
            self.assertEqual(wrong, [], rule)
        # Each once, whoever was killed before it could write, and each was seen by some worker.
        self.assertEqual((counts["acked"], counts["pushed"]), (told["consumed"],) * 2)
        self.assertEqual(self.cluster.node(1).ask("DQ.LEN", self.queue + "!dead"), 0)


class IoRedisWorkers(Workers):
    @staticmethod
    def program():
        return [*node_script("queue_worker.mjs"), "ioredis"]


class NodeRedisWorkers(Workers):
    @staticmethod
    def program():
        return [*node_script("queue_worker.mjs"), "node-redis"]


class RedisPyQueues(ClusterTest):
    def client(self, node=1, **options):
        client = redis.Redis(port=self.cluster.node(node).port, decode_responses=True, **options)
        self.addCleanup(client.close)
        return client

    def test_a_worker_of_four_lines_works(self):
        queue = self.lock_name()
        client = self.client(2)
        self.client(1).execute_command("DQ.PUSH", queue, "hello", "HEADERS", 1, "trace", "t1")
        for _, receipt, body, attempt in client.execute_command("DQ.POP", queue, "BLOCK", 5000):
            self.assertEqual((body, attempt), ("hello", 1))
            self.assertEqual(client.execute_command("DQ.ACK", queue, receipt), 1)
        self.assertIsNone(client.execute_command("DQ.POP", queue))
        with self.assertRaisesRegex(redis.ResponseError, "wrong number of arguments for 'dq.push'"):
            client.execute_command("DQ.PUSH", queue)

    def test_a_wait_in_one_thread_is_served_by_a_push_through_another_node(self):
        queue, answers = self.lock_name(), []
        waiting = threading.Thread(target=lambda: answers.append(
            self.client(2).execute_command("DQ.POP", queue, "BLOCK", 0)))
        waiting.start()
        client = self.client(3)
        wait_until(lambda: "waiters" in (told := client.execute_command("DQ.INFO", queue) or [])
                   and pairs(told)["waiters"] == 1, 5, "it waits")
        client.execute_command("DQ.PUSH", queue, "work")
        waiting.join(10)
        self.assertEqual([row[2:] for row in answers[0]], [["work", 1]])

    def test_a_client_whose_patience_ends_before_its_wait_costs_no_attempt(self):
        queue = self.lock_name()
        impatient = self.client(2, socket_timeout=0.2)
        for _ in range(3):
            with self.assertRaises(redis.TimeoutError):
                impatient.execute_command("DQ.POP", queue, "BLOCK", 60000)
            self.client(1).execute_command("DQ.PUSH", queue, "work")
            [row] = self.client(3).execute_command("DQ.POP", queue, "BLOCK", 5000)
            self.assertEqual(row[2:], ["work", 1])
            self.client(3).execute_command("DQ.ACK", queue, row[1])

    def test_a_pipeline_of_pushes_keeps_their_order(self):
        queue = self.lock_name()
        pipe = self.client().pipeline(transaction=False)
        for i in range(100):
            pipe.execute_command("DQ.PUSH", queue, i)
        ids = pipe.execute()
        self.assertEqual(len(set(ids)), 100)
        rows = self.client(3).execute_command("DQ.POP", queue, "COUNT", 1000)
        self.assertEqual([row[2] for row in rows], [str(i) for i in range(100)])

    def test_a_cluster_client_routes_by_the_queue_and_all_nodes_work(self):
        nodes = [ClusterNode("127.0.0.1", node.port) for node in self.cluster.nodes]
        client = RedisCluster(startup_nodes=nodes, decode_responses=True)
        self.addCleanup(client.close)
        served = set()
        for i in range(30):
            queue = self.lock_name(f"/{i}")
            served.add(client.get_node_from_key(queue).port)
            client.execute_command("DQ.PUSH", queue, i)
            [row] = client.execute_command("DQ.POP", queue, "BLOCK", 1000)
            self.assertEqual(row[2], str(i))
            self.assertEqual(client.execute_command("DQ.ACK", queue, row[1]), 1)
        self.assertEqual(served, {node.port for node in self.cluster.nodes})
