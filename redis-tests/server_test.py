"""The program itself: settings, passwords, stopping, what it costs to stand by."""

import json
import pathlib
import signal
import subprocess

from cases import LONG, ClusterTest, not_sanitized, unless_stalled
from cluster import (SERVER, Cluster, clean_environment, end_process, free_port, make_folder,
                     remove_folder, start_process)
from resp import SLOWDOWN, Connection, Error, pairs, wait_until

IDLE_SECONDS = 4
IDLE_CPU = 0.01
IDLE_MEGABYTES = 60
CONNECTIONS = 1000


def run_server(*words, stdin="", seconds=10, **environment):
    return subprocess.run([SERVER, *map(str, words)], input=stdin, capture_output=True, text=True,
                          timeout=seconds * SLOWDOWN, env=dict(clean_environment(), **environment),
                          check=False)


def cpu_seconds(pid):
    """Of all its threads, by the scheduler's nanoseconds: a clock tick would be a quarter percent of
    the time measured here."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def resident_megabytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


class Settings(ClusterTest):
    """Without a cluster: what happens before a node listens, and a node of its own where needed."""
    size = 1

    def setUp(self):
        self.folder = make_folder()
        self.addCleanup(remove_folder, self.folder)

    def config(self, text):
        path = self.folder / "node.conf"
        path.write_text(text)
        return path

    def start(self, *words, **options):
        """A server of our own; its port."""
        port = free_port()
        process = start_process(
            [SERVER, *words, "--port", port, "--bus-port", free_port(), "--http-port", free_port()],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_environment(), **options)
        self.addCleanup(process.stdout.close)
        self.addCleanup(end_process, process)

        def answers():
            try:
                with Connection(port) as connection:
                    return connection.do("PING")
            except OSError:
                return None
        wait_until(answers, 15, "the server answers")
        return process, port

    def test_an_unknown_setting_ends_with_1_the_line_and_a_suggestion(self):
        ran = run_server(self.config("# fine\n\nport 7379\nraft-hartbeat-ms 100\n"))
        self.assertEqual(ran.returncode, 1)
        for word in ("4", "raft-hartbeat-ms", "did you mean", "raft-heartbeat-ms"):
            self.assertIn(word, ran.stdout + ran.stderr)

    def test_an_unknown_setting_on_the_command_line_is_refused_too(self):
        ran = run_server("--prot", "7379")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("did you mean", ran.stdout + ran.stderr)
        self.assertIn("port", ran.stdout + ran.stderr)

    def test_a_value_out_of_bounds_is_refused_with_the_bounds(self):
        for text in ("port 0\n", "port 99999\n", "port x\n", "maxclients 0\n", "timeout -1\n",
                     "appendfsync no\n", "node-id 0\n", "cluster-nodes nonsense\n",
                     "raft-heartbeat-ms\n"):
            ran = run_server(self.config(text))
            self.assertEqual(ran.returncode, 1, text)
            self.assertIn(text.split()[0], ran.stdout + ran.stderr, text)

    def test_an_unreadable_file_is_named(self):
        ran = run_server(self.folder / "nowhere.conf")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("nowhere.conf", ran.stdout + ran.stderr)

    def test_version_and_help_end_with_0(self):
        for words in (["--version"], ["-v"], ["--help"], ["-h"]):
            ran = run_server(*words)
            self.assertEqual(ran.returncode, 0, words)
            self.assertTrue(ran.stdout.strip(), words)

    def test_check_config_judges_and_print_config_tells_where_each_value_comes_from(self):
        path = self.config("port 7001\nmaxclients 500\n")
        self.assertEqual(run_server(path, "--check-config").returncode, 0)
        ran = run_server(path, "--print-config", "--maxclients", "600", LOCKSTEP_TIMEOUT="7")
        self.assertEqual(ran.returncode, 0)
        lines = {line.split()[0]: line for line in ran.stdout.splitlines() if line.strip()}
        self.assertIn("7001", lines["port"])
        self.assertIn("600", lines["maxclients"])
        self.assertIn("7", lines["timeout"])
        bad = self.config("port abc\n")
        self.assertEqual(run_server(bad, "--check-config").returncode, 1)

    def test_settings_come_from_standard_input_too(self):
        config = self.config(f"maxclients 321\ndir {self.folder}/data\n")
        with open(config, encoding="utf-8") as stdin:
            _, port = self.start("-", stdin=stdin)
        with Connection(port) as connection:
            self.assertEqual(connection.do("CONFIG GET maxclients"), ["maxclients", "321"])

    def test_the_command_line_wins_over_the_file(self):
        path = self.config(f"maxclients 321\ntimeout 5\ndir {self.folder}/data\n")
        _, port = self.start(path, "--maxclients", "322")
        with Connection(port) as connection:
            self.assertEqual(connection.do("CONFIG GET maxclients"), ["maxclients", "322"])
            self.assertEqual(connection.do("CONFIG GET timeout"), ["timeout", "5"])

    def test_config_rewrite_keeps_comments_and_survives_a_restart(self):
        path = self.config(f"# my notes\nmaxclients 321  \n\n# more\ndir {self.folder}/data\n")
        process, port = self.start(path)
        with Connection(port) as connection:
            self.assertEqual(connection.do("CONFIG SET maxclients 777 slowlog-max-len 99"), "OK")
            self.assertEqual(connection.do("CONFIG REWRITE"), "OK")
        process.terminate()
        self.assertEqual(process.wait(15 * SLOWDOWN), 0)
        text = path.read_text()
        self.assertIn("# my notes", text)
        self.assertIn("# more", text)
        self.assertIn("maxclients 777", text)
        self.assertNotIn("maxclients 321", text)
        _, port = self.start(path)
        with Connection(port) as connection:
            self.assertEqual(connection.do("CONFIG GET maxclients"), ["maxclients", "777"])
            self.assertEqual(connection.do("CONFIG GET slowlog-max-len"), ["slowlog-max-len", "99"])

    def test_config_rewrite_says_why_it_failed_and_keeps_later_edits(self):
        path = self.config(f"dir {self.folder}/data\n")
        _, port = self.start(path)
        with Connection(port) as connection:
            self.assertEqual(connection.do("CONFIG SET timeout 7"), "OK")
            path.write_text(f"# edited\ndir {self.folder}/data\nmaxclients 55\n")
            self.assertEqual(connection.do("CONFIG REWRITE"), "OK")
            self.assertIn("# edited\n", path.read_text())
            self.assertIn("maxclients 55\n", path.read_text())
            self.assertIn("timeout 7\n", path.read_text())
            path.unlink()
            refused = self.assert_error(connection.do("CONFIG REWRITE"), "ERR")
            self.assertTrue(refused.startswith("ERR Rewriting config file: "), refused)

    def test_a_server_started_from_standard_input_has_no_file_to_rewrite(self):
        config = self.config(f"dir {self.folder}/data\n")
        with open(config, encoding="utf-8") as stdin:
            _, port = self.start("-", stdin=stdin)
        with Connection(port) as connection:
            self.assertEqual(connection.do("CONFIG REWRITE"),
                             "ERR The server is running without a config file")

    def test_a_node_that_listens_everywhere_stands_under_the_address_of_the_asker(self):
        _, port = self.start("--bind", "*", "--dir", self.folder / "data")
        with Connection(port) as connection:
            wait_until(lambda: "cluster_state:ok" in connection.do("CLUSTER INFO"), 20, "it serves")
            self.assertEqual(connection.do("CLUSTER SLOTS")[0][2][0], "127.0.0.1")
            self.assertIn(f" 127.0.0.1:{port}@", connection.do("CLUSTER NODES"))

    def test_a_second_server_on_the_same_port_or_folder_is_refused(self):
        process, port = self.start("--dir", self.folder / "data")
        taken = run_server("--port", port, "--bus-port", free_port(), "--http-port", free_port(),
                           "--dir", self.folder / "other")
        self.assertEqual(taken.returncode, 1)
        self.assertIn(str(port), taken.stdout + taken.stderr)
        locked = run_server("--port", free_port(), "--bus-port", free_port(), "--http-port",
                            free_port(), "--dir", self.folder / "data")
        self.assertEqual(locked.returncode, 1)
        self.assertIn("data", locked.stdout + locked.stderr)
        self.assertIsNone(process.poll())

    def test_sigterm_sigint_and_shutdown_end_with_0_and_keep_every_lock(self):
        token = None
        for how in ("TERM", "INT", "SHUTDOWN", "SHUTDOWN NOSAVE NOW", "nothing"):
            process, port = self.start("--dir", self.folder / "data")
            with Connection(port) as connection:
                if token is None:
                    token = connection.do(f"LOCK.ACQUIRE kept alice TTL {LONG}")
                self.assertEqual(connection.do(f"LOCK.CHECK kept {token}"), 1, how)
                if how.startswith("SHUTDOWN"):
                    connection.send(*how.split())
                    self.assertEqual(connection.rest(), b"")
            if not how.startswith(("SHUTDOWN", "nothing")):
                process.send_signal(getattr(signal, "SIG" + how))
            if how != "nothing":
                self.assertEqual(process.wait(15 * SLOWDOWN), 0, how)

    def test_a_cluster_of_one_forms_at_once_and_takes_tokens_up_after_kill_9(self):
        last = 0
        for _ in range(3):
            process, port = self.start("--dir", self.folder / "data")
            with Connection(port) as connection:
                token = connection.do(f"LOCK.ACQUIRE one alice-{last} TTL {LONG}") or \
                    connection.do(f"LOCK.ACQUIRE one-{last} alice TTL {LONG}")
                self.assertGreater(token, last)
                last = token
            end_process(process)


class Secrets(ClusterTest):
    size = 1
    settings = {"requirepass": "open sesame", "slowlog-log-slower-than": "0"}

    def setUp(self):
        self.node = self.cluster.node(1)
        self.friend = self.connect(self.node)
        self.stranger = Connection(self.node.port)
        self.addCleanup(self.stranger.close)

    def test_nothing_is_answered_before_the_password(self):
        for line in ("PING", "LOCK.INFO x", "INFO", "CONFIG GET *", "COMMAND", "CLUSTER NODES",
                     "SUBSCRIBE x", "MULTI", "MONITOR", "CLIENT ID", "NOSUCH"):
            reply = self.stranger.do(line)
            wanted = "ERR" if line == "NOSUCH" else "NOAUTH"
            self.assert_error(reply, wanted)
        self.assertEqual(self.stranger.do("PING"), "NOAUTH Authentication required.")

    def test_auth_and_hello_let_in_with_the_right_password_only(self):
        self.assertEqual(self.stranger.call("AUTH", "open sesam"),
                         "WRONGPASS invalid username-password pair or user is disabled.")
        self.assertEqual(self.stranger.call("AUTH", "default", "open sesame"), "OK")
        self.assertEqual(self.stranger.do("PING"), "PONG")
        with Connection(self.node.port) as other:
            self.assertTrue(other.do("HELLO 3").startswith(
                "NOAUTH HELLO must be called with the client already authenticated"))
            self.assert_error(other.call("HELLO", 3, "AUTH", "default", "x"), "WRONGPASS")
            hello = other.call("HELLO", 3, "AUTH", "default", "open sesame", "SETNAME", "me")
            self.assertEqual(hello["proto"], 3)
            self.assertEqual(other.do("CLIENT GETNAME"), "me")

    def test_reset_takes_the_right_away_again(self):
        self.assertEqual(self.friend.do("RESET"), "RESET")
        self.assert_error(self.friend.do("PING"), "NOAUTH")

    def test_the_password_is_shown_nowhere(self):
        watcher = self.connect(self.node)
        self.assertEqual(watcher.do("MONITOR"), "OK")
        self.stranger.call("AUTH", "my secret guess")
        self.stranger.call("HELLO", "3", "AUTH", "default", "open sesame")
        self.friend.call("CONFIG", "SET", "requirepass", "open sesame")
        self.friend.call("ECHO", "the end")
        seen = ""
        while "the end" not in seen:
            seen += watcher.reply()
        shown = [seen, repr(self.friend.do("SLOWLOG GET 100")), repr(self.friend.do("CONFIG GET *")),
                 repr(self.friend.do("CLIENT LIST")), repr(self.friend.do("INFO everything")),
                 repr(self.friend.do("ACL LOG")), self.node.log.read_text()]
        for text in shown:
            self.assertNotIn("open sesame", text)
            self.assertNotIn("my secret guess", text)
        self.assertIn("the end", seen)

    def test_a_changed_password_counts_for_those_who_come_later(self):
        self.assertEqual(self.friend.call("CONFIG", "SET", "requirepass", "another"), "OK")
        self.addCleanup(self.friend.call, "CONFIG", "SET", "requirepass", "open sesame")
        self.assertEqual(self.friend.do("PING"), "PONG")
        self.assert_error(self.stranger.call("AUTH", "open sesame"), "WRONGPASS")
        self.assertEqual(self.stranger.call("AUTH", "another"), "OK")


class Standing(ClusterTest):
    """Three nodes that have nothing to do, then a thousand clients that do nothing."""
    settings = {"enable-debug-command": "local"}

    @not_sanitized("a sanitizer's memory and processor time are its own")
    @unless_stalled
    def test_an_idle_node_costs_next_to_nothing(self):
        # Nothing moves any more.
        wait_until(lambda: leads_where_it_belongs(self.cluster), 30, "shards led where they belong")
        before = {node.id: cpu_seconds(node.pid) for node in self.cluster.nodes}
        self.assertFalse(wait_quietly(self.cluster, IDLE_SECONDS))
        for node in self.cluster.nodes:
            share = (cpu_seconds(node.pid) - before[node.id]) / IDLE_SECONDS
            self.assertLess(share, IDLE_CPU, f"{node!r}: {share:.1%} of a core")
            self.assertLess(resident_megabytes(node.pid), IDLE_MEGABYTES, f"{node!r}")

    @not_sanitized("a sanitizer's memory and processor time are its own")
    def test_a_thousand_idle_connections_are_cheap_and_alive(self):
        node = self.cluster.node(1)
        before = resident_megabytes(node.pid)
        crowd = [node.connect() for _ in range(CONNECTIONS)]
        try:
            for each in crowd:
                each.send("PING")
            for each in crowd:
                self.assertEqual(each.reply(), "PONG")
            self.assertGreaterEqual(int(node.info("clients")["connected_clients"]), CONNECTIONS)
            self.assertLess(resident_megabytes(node.pid) - before, 0.05 * CONNECTIONS)
            cpu = cpu_seconds(node.pid)
            wait_quietly(self.cluster, IDLE_SECONDS)
            self.assertLess((cpu_seconds(node.pid) - cpu) / IDLE_SECONDS, 2 * IDLE_CPU)
        finally:
            for each in crowd:
                each.close()

    def test_three_hundred_readers_in_line_are_all_let_in_by_one_release(self):
        node = self.cluster.node(2)
        self.assert_token(node.ask("LOCK.ACQUIRE", "popular", "first", "TTL", LONG))
        crowd = [node.connect() for _ in range(300)]
        try:
            for i, each in enumerate(crowd):
                each.send("LOCK.ACQUIRE", "popular", f"fan-{i}", "SHARED", "TTL", LONG, "BLOCK", 0)
            other = self.connect(3)
            wait_until(lambda: len(pairs(other.do("LOCK.INFO popular"))["waiters"]) == len(crowd),
                       20, "all wait")
            self.assertEqual(other.do("LOCK.RELEASE popular first"), 1)
            tokens = [self.assert_token(each.reply()) for each in crowd]
            self.assertEqual(len(set(tokens)), len(crowd))
        finally:
            for each in crowd:
                each.close()

    def test_the_bus_can_be_watched_as_json(self):
        watcher = self.connect(1, protocol=3)
        self.assertNotIsInstance(watcher.do("DEBUG BUS TAP ON"), Error)
        self.cluster.node(2).ask("LOCK.ACQUIRE", "watched", "alice", "TTL", 1000)
        frames = [json.loads(message_of(watcher.push())) for _ in range(20)]
        for frame in frames:
            self.assertIsInstance(frame, dict)
        self.assertTrue(any("append" in json.dumps(frame).lower() or
                            "heartbeat" in json.dumps(frame).lower() for frame in frames), frames)
        watcher.send("DEBUG", "BUS", "TAP", "OFF")


def message_of(push):
    """The payload, however the push wraps it."""
    return push[-1] if isinstance(push, list) else push


def leads_where_it_belongs(cluster):
    """Each shard is led by the node that the placement wants."""
    groups = pairs(cluster.node(1).ask("CLUSTER", "STATUS"))["groups"]
    return all(group["wanted"] in (None, group["leader"]) for group in map(pairs, groups))


def wait_quietly(cluster, seconds):
    """The one place that lets time pass: to measure what is used while nothing happens."""
    try:
        cluster.nodes[0].process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        return False


class Membership(ClusterTest):
    """A fourth node comes, takes part, and goes."""

    def test_a_node_joins_becomes_a_voter_and_is_removed_again(self):
        cluster = self.cluster
        token = cluster.node(1).ask("LOCK.ACQUIRE", "member", "alice", "TTL", LONG)
        newcomer = cluster.add_node()
        reply = cluster.node(1).ask("CLUSTER", "ADD", 4, f"127.0.0.1:{newcomer.bus_port}")
        self.assertEqual(reply, "OK")
        newcomer.start()

        def votes():
            leader = cluster.leader()
            shards = leader.shards()
            others = [group for group in leader.status()["groups"]
                      if group["name"] not in {shard["name"] for shard in shards}]
            return (all(4 in group["voters"] for group in others) and
                    any(4 in shard["voters"] for shard in shards))
        wait_until(votes, 30, "the newcomer votes")
        cluster.wait_until_ok()
        self.assert_held(newcomer, "member", "alice", token)
        self.assert_token(newcomer.ask("LOCK.ACQUIRE", "member2", "bob", "TTL", LONG))

        self.assertEqual(cluster.node(2).ask("CLUSTER", "REMOVE", 4), "OK")
        wait_until(lambda: not any(4 in group["voters"] + group["learners"] for group in
                                   cluster.leader(cluster.nodes[:3]).status()["groups"]), 30,
                   "it is no member any more")
        self.assert_error(cluster.node(1).ask("CLUSTER", "ADD", 4, "127.0.0.1:1"), "ERR")
        self.assert_held(cluster.node(3), "member", "alice", token)


class OtherSizes(ClusterTest):
    size = 1

    def test_a_queue_is_kept_by_three_nodes_of_five_in_three_zones_and_used_through_all(self):
        def zone(node_id):
            return "abbcc"[node_id - 1]

        with Cluster(5, cluster_zone=zone) as cluster:
            def is_spread():
                groups = cluster.node(1).shards()
                return all(len(group["voters"]) == 3 and not group["learners"] and
                           {zone(voter) for voter in group["voters"]} == {"a", "b", "c"}
                           for group in groups) and not cluster.node(1).status()["moves"]
            wait_until(is_spread, 60, "each shard is kept in three zones")

            def voters(node):
                return {group["name"]: group["voters"] for group in node.shards()}
            for node in cluster.nodes:
                wait_until(lambda n=node: voters(n) == voters(cluster.node(1)), 30,
                           f"{node!r} knows who keeps what")
            ids = [node.ask("DQ.PUSH", f"spread/{i}", f"m{i}")
                   for i, node in enumerate(cluster.nodes * 4)]
            self.assertFalse([reply for reply in ids if isinstance(reply, Error)])
            # Of five nodes one that keeps a queue's shard may be gone, and one that does not.
            victim = cluster.others(cluster.leader())[0]
            victim.kill()

            def pop(i):
                rows = cluster.running[i % 4].ask("DQ.POP", f"spread/{i}", "NOACK", "BLOCK", 5000)
                return rows if isinstance(rows, list) else None
            for i in range(20):
                popped = wait_until(lambda n=i: pop(n), 30, f"spread/{i} is popped")
                self.assertEqual(popped[0][2], f"m{i}")

    def test_clusters_of_two_and_five_form_and_lock(self):
        for size in (2, 5):
            with Cluster(size) as cluster:
                token = self.assert_token(
                    cluster.node(1).ask("LOCK.ACQUIRE", "odd", "alice", "TTL", LONG))
                self.assert_held(cluster.node(size), "odd", "alice", token)
                if size == 5:
                    leader = cluster.leader()
                    cluster.others(leader)[0].kill()
                    leader.kill()
                    survivors = cluster.running
                    cluster.wait_until_ok(survivors)
                    self.assert_held(survivors[0], "odd", "alice", token)
