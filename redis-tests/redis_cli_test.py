"""redis-cli and redis-benchmark, as they come, against three nodes."""

import csv
import itertools
import json
import os
import re
import select
import subprocess
import termios
import time

from cases import LONG, ClusterTest, unless_stalled
from cluster import end_process, start_process
from resp import SLOWDOWN, pairs, wait_until

SECONDS = 60 * SLOWDOWN
REQUESTS = 960  # A multiple of 16: of a pipeline that is no part is left out.


class RedisTools(ClusterTest):
    def cli(self, *words, node=1, stdin="", seconds=SECONDS, code=0):
        result = subprocess.run(["redis-cli", "-p", str(self.cluster.node(node).port),
                                 *map(str, words)], input=stdin, capture_output=True, text=True,
                                timeout=seconds, check=False)
        if code is not None:
            self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout

    def benchmark(self, *words, node=1):
        result = subprocess.run(["redis-benchmark", "-p", str(self.cluster.node(node).port),
                                 "--csv", *map(str, words)], capture_output=True, text=True,
                                timeout=SECONDS, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(result.stderr, "")
        rows = [row for row in csv.reader(result.stdout.splitlines()) if len(row) > 1]
        measured = {row[0]: float(row[1]) for row in rows if row[0] != "test"}
        self.assertTrue(measured)
        for name, rate in measured.items():
            self.assertGreater(rate, 0, name)
        return measured


class RedisCli(RedisTools):
    def test_arguments_make_a_command_and_the_reply_is_printed_as_ever(self):
        name = self.lock_name()
        token = int(self.cli("LOCK.ACQUIRE", name, "alice", "TTL", LONG))
        self.assertGreater(token, 0)
        self.assertEqual(self.cli("LOCK.ACQUIRE", name, "bob", node=2), "\n")
        self.assertEqual(self.cli("--no-raw", "LOCK.ACQUIRE", name, "bob", node=3), "(nil)\n")
        self.assertEqual(self.cli("LOCK.CHECK", name, token, node=3), "1\n")
        self.assertEqual(self.cli("PING"), "PONG\n")

    def test_an_error_is_printed_and_with_minus_e_is_the_exit_code(self):
        self.assertIn("ERR wrong number of arguments for 'lock.acquire' command",
                      self.cli("LOCK.ACQUIRE", "x"))
        self.cli("-e", "LOCK.ACQUIRE", "x", code=1)

    def test_resp3_shows_maps_and_json_is_json(self):
        name = self.lock_name()
        self.cli("LOCK.ACQUIRE", name, "alice", "TTL", LONG)
        self.assertIn('1# "name" => "', self.cli("-3", "--no-raw", "LOCK.INFO", name))
        record = json.loads(self.cli("-3", "--json", "LOCK.INFO", name))
        self.assertEqual(record["holders"][0]["owner"], "alice")
        json.loads(self.cli("-3", "--json", "CLUSTER", "STATUS"))
        json.loads(self.cli("-3", "--json", "COMMAND", "DOCS", "lock.acquire"))

    def test_commands_may_be_piped_in(self):
        lines = "".join(f"LOCK.ACQUIRE {self.lock_name(str(i))} alice TTL {LONG}\n"
                        for i in range(200))
        tokens = [int(line) for line in self.cli(stdin=lines).split()]
        self.assertEqual(len(tokens), 200)
        self.assertEqual(tokens, sorted(set(tokens)))

    def test_pipe_mode_sends_raw_protocol_and_counts_the_replies(self):
        raw = "".join(f"*4\r\n$12\r\nLOCK.ACQUIRE\r\n${len(name)}\r\n{name}\r\n"
                      "$5\r\nalice\r\n$6\r\nSHARED\r\n"
                      for name in (self.lock_name(str(i)) for i in range(1000)))
        self.assertIn("errors: 0, replies: 1000", self.cli("--pipe", stdin=raw))

    def test_repeated_and_delayed_commands_work(self):
        self.assertEqual(self.cli("-r", 3, "-i", "0.01", "PING"), "PONG\n" * 3)

    def test_cluster_check_finds_all_slots_covered_and_nothing_wrong(self):
        for node in (1, 2, 3):
            out = self.cli("--cluster", "check", f"127.0.0.1:{self.cluster.node(node).port}")
            self.assertIn("All nodes agree about slots configuration", out)
            self.assertIn("All 16384 slots covered", out)
            self.assertIn("in 3 masters", out)

    def test_cluster_info_and_call_reach_every_node(self):
        address = f"127.0.0.1:{self.cluster.node(1).port}"
        self.assertIn("in 3 masters", self.cli("--cluster", "info", address))
        self.assertEqual(self.cli("--cluster", "call", address, "PING").count("PONG"), 3)

    def test_cluster_mode_follows_nothing_because_no_node_sends_it_away(self):
        name = self.lock_name()
        self.assertGreater(int(self.cli("-c", "LOCK.ACQUIRE", name, "alice", "TTL", LONG)), 0)
        self.assertIn("alice", self.cli("-c", "LOCK.INFO", name, node=2))

    def test_scan_keys_and_bigkeys_walk_the_keys_and_no_locks(self):
        names = {self.lock_name(f":{i}") for i in range(150)}
        for name in names:
            self.cluster.node(1).ask("SET", name, "value")
        self.cluster.node(1).ask("LOCK.ACQUIRE", self.lock_name(":lock"), "alice", "TTL", LONG)
        found = self.cli("--scan", "--pattern", self.lock_name() + ":*", node=2).split()
        self.assertEqual(sorted(found), sorted(names))
        out = self.cli("--bigkeys", node=3)
        self.assertIn("Sampled", out)
        self.assertNotIn("Error", out)
        self.assertIn("summary", self.cli("--memkeys", node=2))

    def test_stat_prints_a_line_a_second_with_true_numbers(self):
        process = start_process(["redis-cli", "-p", self.cluster.node(1).port, "--stat", "-i",
                                 "0.1"], stdout=subprocess.PIPE, text=True)
        try:
            lines = [process.stdout.readline() for _ in range(5)]
        finally:
            end_process(process)
            process.stdout.close()
        numbers = re.findall(r"\d+", lines[3])
        self.assertGreaterEqual(len(numbers), 5, lines)
        self.assertIn("clients", lines[1])
        self.assertGreaterEqual(int(lines[3].split()[2]), 1)  # This client at least.

    def test_latency_modes_measure_and_end(self):
        process = start_process(["redis-cli", "-p", self.cluster.node(1).port, "--latency",
                                 "--raw", "-i", "1"], stdout=subprocess.PIPE, text=True)
        try:
            wait_for_output(process, 10)
        finally:
            end_process(process)
        out = process.stdout.read()
        process.stdout.close()
        self.assertRegex(out, r"^\d+ \d+ \d+")

    def test_rdb_and_replica_are_refused_with_a_clear_error(self):
        result = subprocess.run(["redis-cli", "-p", str(self.cluster.node(1).port), "--rdb",
                                 str(self.cluster.folder / "dump.rdb")], capture_output=True,
                                text=True, timeout=10, check=False)
        self.assertNotEqual(result.returncode, 0)

    def test_monitor_shows_what_others_do_and_hides_passwords(self):
        process = start_process(["redis-cli", "-p", self.cluster.node(1).port, "MONITOR"],
                                stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(process.stdout.readline(), "OK\n")
            self.cli("AUTH", "hunter2", code=None)
            self.cli("LOCK.ACQUIRE", self.lock_name(), "alice", "TTL", 5)
            line = ""
            while "lock.acquire" not in line.lower():
                line = process.stdout.readline()
                self.assertNotIn("hunter2", line)
        finally:
            end_process(process)
            process.stdout.close()
        self.assertRegex(line, r'^\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "LOCK\.ACQUIRE" ".*" "alice"')

    def test_wrong_passwords_are_warned_about(self):
        out = subprocess.run(["redis-cli", "-p", str(self.cluster.node(1).port), "-a", "x",
                              "PING"], capture_output=True, text=True, timeout=10, check=False)
        self.assertIn("AUTH failed", out.stderr)
        self.assertEqual(out.stdout, "PONG\n")


def wait_for_output(process, seconds):
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    if not ready:
        raise AssertionError(f"{process.args} said nothing for {seconds} s")


class Terminal:
    """redis-cli as a person sees it."""

    def __init__(self, port):
        self.master, slave = os.openpty()
        # Without a width redis-cli asks the terminal for one and waits for the answer.
        termios.tcsetwinsize(slave, (50, 200))
        environment = dict(os.environ, TERM="xterm", HOME="/nonexistent")
        self.process = start_process(["redis-cli", "-p", port], stdin=slave, stdout=slave,
                                     stderr=slave, env=environment)
        os.close(slave)
        self.seen = ""

    def type(self, keys):
        self.seen = ""
        os.write(self.master, keys.encode())

    def read_until(self, wanted, seconds=10):
        deadline = time.monotonic() + seconds
        while wanted not in self.plain():
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {wanted!r} in {self.plain()!r}")
            self.seen += os.read(self.master, 65536).decode(errors="replace")
        return self.plain()

    def plain(self):
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.seen)

    def close(self):
        end_process(self.process)
        os.close(self.master)


class Interactive(ClusterTest):
    size = 1

    def setUp(self):
        node = self.cluster.node(1)
        self.terminal = Terminal(node.port)
        self.addCleanup(self.terminal.close)
        self.prompt = f"127.0.0.1:{node.port}> "
        self.terminal.read_until(self.prompt)

    def show(self, line):
        """What is printed for a line, until the next prompt."""
        self.terminal.type(line + "\r")
        return self.terminal.read_until("\n" + self.prompt)

    def test_help_of_a_command_tells_its_arguments_what_it_does_and_since_when(self):
        out = self.show("help LOCK.ACQUIRE")
        self.assertRegex(out, r"LOCK\.ACQUIRE name owner \[SHARED\|EXCLUSIVE\] \[TTL \w+\] "
                              r"\[BLOCK \w+\] \[LIMIT \w+\] \[META \w+\] \[BIND\]")
        self.assertIn("summary:", out)
        self.assertIn("since:", out)
        self.assertIn("group: lock", out)

    def test_help_of_the_group_lists_every_lock_command(self):
        out = self.show("help @lock")
        for command in ("ACQUIRE", "MACQUIRE", "RENEW", "RELEASE", "CHECK", "INFO", "OWNER",
                        "LIST", "GRAPH", "DEADLOCKS", "REVOKE"):
            self.assertIn("LOCK." + command, out)

    def test_help_of_redis_commands_and_groups_works_too(self):
        self.assertIn("PING [message]", self.show("help ping"))
        self.assertIn("SUBSCRIBE", self.show("help @pubsub"))

    def test_hints_show_the_arguments_while_one_types(self):
        self.terminal.type("LOCK.RELEASE jobs ")
        self.terminal.read_until("LOCK.RELEASE jobs owner [TOKEN ")

    def test_a_blocked_acquire_and_its_answer_look_as_they_should(self):
        node = self.cluster.node(1)
        node.ask("LOCK.ACQUIRE", "held", "alice", "TTL", LONG)
        self.terminal.type("LOCK.ACQUIRE held bob BLOCK 0\r")
        with node.connect() as other:
            wait_until(lambda: "bob" in repr(other.do("LOCK.INFO held")), 5, "bob waits")
            other.do("LOCK.RELEASE held alice")
        self.terminal.read_until("(integer) ")

    def test_subscribers_see_events_as_they_come(self):
        self.terminal.type("SUBSCRIBE __lock__:seen\r")
        self.terminal.read_until("(integer) 1")
        self.cluster.node(1).ask("LOCK.ACQUIRE", "seen", "alice", "TTL", 5)
        self.terminal.read_until("granted")


class RedisBenchmark(RedisTools):
    LOCK = ["LOCK.ACQUIRE", "bench:__rand_int__", "me", "TTL", "600000"]

    def test_locks_plain_pipelined_threaded_and_in_resp3(self):
        for words in (["-c", 10], ["-c", 10, "-P", 16], ["-c", 10, "--threads", 2, "-P", 16],
                      ["-c", 10, "-3"]):
            self.benchmark("-n", 1000, "-r", 10000, *words, *self.LOCK)

    def test_a_single_contended_lock_is_never_an_error(self):
        # One owner holds it: everybody else gets nil, which the benchmark takes for an answer.
        self.cluster.node(1).ask("LOCK.ACQUIRE", "contended", "alice", "TTL", LONG)
        self.benchmark("-n", 1000, "-c", 20, "LOCK.ACQUIRE", "contended", "bob")

    def test_cluster_mode_finds_the_nodes_and_routes_by_slot(self):
        self.benchmark("-n", 1000, "-c", 9, "-r", 1000, "--cluster", "LOCK.ACQUIRE",
                       "{tag}:__rand_int__", "me", "TTL", "600000")

    def test_the_built_in_ping_tests_run(self):
        measured = self.benchmark("-n", 5000, "-t", "ping", "-P", 16)
        self.assertEqual(set(measured), {"PING_INLINE", "PING_MBULK"})


class RedisBenchmarkOfQueues(RedisTools):
    """It sends just so many, ends at the first error, and takes a nil for an answer."""
    WAYS = ([], ["-P", 16], ["-3"], ["--cluster"])
    KEYS = 20
    attempts = itertools.count()

    def setUp(self):
        self.connection = self.connect(2, protocol=3)
        self.prefix = self.lock_name(f":{next(self.attempts)}")

    def send(self, way, *command):
        self.benchmark("-n", REQUESTS, "-c", 10, "-r", self.KEYS, *way, *command)

    def name(self, way, rest=""):
        return f"{self.prefix}:{''.join(map(str, way))}:{rest}"

    def keys(self, way):
        """As the benchmark makes them; of a {tag} it makes one of the slots of each node."""
        return self.name(way, "{tag}:" * ("--cluster" in way) + "__rand_int__")

    def counts(self, way):
        """DQ.INFO of all queues whose name begins so."""
        names, cursor = [], None
        while cursor != "0":
            cursor, page = self.connection.do(
                f"DQ.LIST CURSOR {cursor or 0} MATCH {self.name(way)}* COUNT 1000")
            names += page
        return [self.connection.call("DQ.INFO", name) for name in names]

    @staticmethod
    def sums(counts, *fields):
        return tuple(sum(pairs(each)[field] for each in counts) for field in fields)

    @unless_stalled
    def test_each_push_is_in_one_of_many_queues(self):
        for way in self.WAYS:
            self.send(way, "DQ.PUSH", self.keys(way), "x")
            counts = self.counts(way)
            self.assertEqual(self.sums(counts, "pushed", "ready", "delivered"),
                             (REQUESTS, REQUESTS, 0), way)
            # Each is hit by one of 20 again and again; slots are many more.
            if "--cluster" in way:
                self.assertGreater(len(counts), self.KEYS)
            else:
                self.assertEqual(len(counts), self.KEYS, way)

    @unless_stalled
    def test_each_pop_takes_one_message_of_a_filled_queue_and_not_one_more(self):
        for way in self.WAYS:
            queue = self.name(way)
            ids = self.connection.call("DQ.MPUSH", queue, REQUESTS + 1, *"x" * (REQUESTS + 1))
            self.assertEqual(len(ids), REQUESTS + 1)
            self.send(way, "DQ.POP", queue, "NOACK")
            self.assertEqual(self.sums(self.counts(way), "pushed", "delivered", "leased", "ready"),
                             (REQUESTS + 1, REQUESTS, 0, 1), way)

    @unless_stalled
    def test_a_pop_of_an_empty_queue_or_of_none_is_no_error(self):
        for way in self.WAYS:
            empty = self.name(way, f"{0:012}")
            self.connection.call("DQ.PUSH", empty, "x")
            self.assertEqual(len(self.connection.call("DQ.POP", empty, "NOACK")), 1)
            self.send(way, "DQ.POP", empty, "NOACK")
            self.send(way, "DQ.POP", self.keys(way), "NOACK")
            # Nor has one come to life by being asked.
            counts = self.counts(way)
            self.assertEqual(len(counts), 1, way)
            self.assertEqual(self.sums(counts, "pushed", "delivered", "leased", "ready"),
                             (1, 1, 0, 0), way)
