"""The protocol on a bare socket: what a careless or hostile client sends, and what comes back."""

import random
import socket
import time

from cases import LONG, ClusterTest
from resp import SLOWDOWN, Connection, Error, encode, wait_until

MEGABYTE = 1 << 20


class Protocol(ClusterTest):
    size = 1

    def setUp(self):
        self.node = self.cluster.node(1)
        self.connection = self.connect(self.node)

    def exchange(self, data, expected):
        """On a fresh connection: these bytes out, exactly those back, and it goes on."""
        with self.node.connect() as connection:
            connection.send_raw(data)
            connection.send("ECHO", "alive")
            answer = b""
            while not answer.endswith(b"$5\r\nalive\r\n"):
                piece = connection.socket.recv(65536)
                self.assertTrue(piece, f"closed after {answer!r}")
                answer += piece
            self.assertEqual(answer[:-len(b"$5\r\nalive\r\n")], expected)

    def assert_closes(self, data, expected):
        """These bytes are answered so, and that is the end of the connection."""
        with self.node.connect() as connection:
            connection.send_raw(data)
            self.assertEqual(connection.rest(), expected)

    # Rows of CLIENTS.md 1.8 -----------------------------------------------------------------------------

    def test_inline_commands_with_blanks_empty_lines_and_quotes(self):
        self.exchange(b"PING\r\n", b"+PONG\r\n")
        self.exchange(b"PING\n", b"+PONG\r\n")
        self.exchange(b"   PING   hello   \r\n", b"$5\r\nhello\r\n")
        self.exchange(b"\r\n\r\n\nPING\r\n", b"+PONG\r\n")
        self.exchange(b'ECHO "\\x41\\n\\"b"\r\n', b'$4\r\nA\n"b\r\n')
        self.exchange(b"ECHO 'a \\'b'\r\n", b"$4\r\na 'b\r\n")
        self.exchange(b'ECHO ""\r\n', b"$0\r\n\r\n")

    def test_unbalanced_quotes_end_the_connection(self):
        error = b"-ERR Protocol error: unbalanced quotes in request\r\n"
        for line in (b'ECHO "a\r\n', b"ECHO 'a\r\n", b'ECHO "a"b\r\n'):
            self.assert_closes(line, error)

    def test_an_inline_request_without_an_end_is_cut_off_at_64_kilobytes(self):
        self.assert_closes(b"a" * (65 << 10), b"-ERR Protocol error: too big inline request\r\n")

    def test_empty_arrays_are_passed_over(self):
        self.exchange(b"*-1\r\n*0\r\n*1\r\n$4\r\nPING\r\n", b"+PONG\r\n")

    def test_bad_counts_end_the_connection(self):
        error = b"-ERR Protocol error: invalid multibulk length\r\n"
        for count in (b"x", b"99999999999", b"1048577", b"1x", b"9223372036854775808", b"--1",
                      b"2147483648", b" 1"):
            self.assert_closes(b"*" + count + b"\r\n", error)

    def test_bad_lengths_end_the_connection_before_anything_is_kept(self):
        error = b"-ERR Protocol error: invalid bulk length\r\n"
        for length in (b"-5", b"600000000", b"67108865", b"x", b"", b"18446744073709551615"):
            self.assert_closes(b"*1\r\n$" + length + b"\r\n", error)

    def test_a_line_of_a_count_that_never_ends_is_cut_off(self):
        self.assert_closes(b"*" + b"1" * (65 << 10),
                           b"-ERR Protocol error: too big mbulk count string\r\n")
        self.assert_closes(b"*1\r\n$" + b"1" * (65 << 10),
                           b"-ERR Protocol error: too big bulk count string\r\n")

    def test_an_argument_that_is_no_bulk_string_ends_the_connection(self):
        self.assert_closes(b"*1\r\n:5\r\n", b"-ERR Protocol error: expected '$', got ':'\r\n")
        self.assert_closes(b"*1\r\nPING\r\n", b"-ERR Protocol error: expected '$', got 'P'\r\n")

    def test_a_bulk_string_that_does_not_end_in_crlf_ends_the_connection(self):
        self.assert_closes(b"*1\r\n$4\r\nPINGxx", b"-ERR Protocol error: expected CRLF\r\n")

    def test_an_empty_command_is_an_unknown_one(self):
        self.exchange(b"*1\r\n$0\r\n\r\n",
                      b"-ERR unknown command '', with args beginning with: \r\n")

    def test_what_a_browser_is_tricked_into_sending_gets_nothing(self):
        for request in (b"POST / HTTP/1.1\r\nHost: x\r\n\r\nPING\r\n",
                        b"Host: localhost:7379\r\nPING\r\n"):
            self.assert_closes(request, b"")

    def test_a_browser_that_asks_politely_is_told_where_it_is(self):
        with self.node.connect() as connection:
            connection.send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = connection.rest()
        self.assertRegex(answer, rb"^HTTP/1\.[01] 400 [^\r]*\r\n")

    def test_good_commands_before_a_bad_byte_are_answered_first(self):
        self.assert_closes(b"PING\r\n*1\r\n$4\r\nPING\r\n*x\r\n",
                           b"+PONG\r\n+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n")

    # Arrival ------------------------------------------------------------------------------------------

    def test_a_command_may_arrive_byte_by_byte(self):
        self.connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = "byte by byte \r\n"
        for byte in encode("LOCK.ACQUIRE", name, "alice", "TTL", LONG) + b"PING\r\n":
            self.connection.send_raw(bytes([byte]))
        self.assert_token(self.connection.reply())
        self.assertEqual(self.connection.reply(), "PONG")

    def test_a_pipeline_of_a_hundred_thousand_commands_is_answered_in_order(self):
        count = 100000
        request = b"".join(encode("ECHO", i) for i in range(count))
        self.connection.socket.setblocking(False)
        sent, received = 0, b""
        while sent < len(request):  # Reading while writing, as clients do.
            try:
                sent += self.connection.socket.send(request[sent:sent + MEGABYTE])
            except BlockingIOError:
                pass
            try:
                received += self.connection.socket.recv(MEGABYTE)
            except BlockingIOError:
                pass
        self.connection.socket.settimeout(30)
        self.connection.buffer = received
        for i in range(count):
            self.assertEqual(self.connection.reply(), str(i))

    def test_a_pipeline_of_locks_keeps_its_order_too(self):
        count = 5000
        self.connection.send_raw(b"".join(
            encode("LOCK.ACQUIRE", f"order/{i % 50}", f"owner-{i}", "TTL", LONG) +
            encode("LOCK.RELEASE", f"order/{i % 50}", f"owner-{i}") for i in range(count)))
        last = 0
        for _ in range(count):
            token, released = self.connection.reply(), self.connection.reply()
            self.assertGreater(token, last)
            self.assertEqual(released, 1)
            last = token

    def test_a_large_argument_passes_and_one_over_the_limit_does_not(self):
        value = "v" * (8 * MEGABYTE)
        self.assertEqual(self.connection.call("ECHO", value), value)
        self.assertEqual(self.connection.do("PING"), "PONG")

    def test_a_client_that_has_said_its_last_word_still_gets_its_answers(self):
        self.connection.send("LOCK.ACQUIRE", "half-closed", "alice", "TTL", LONG)
        self.connection.send("PING")
        self.connection.socket.shutdown(socket.SHUT_WR)
        self.assert_token(self.connection.reply())
        self.assertEqual(self.connection.reply(), "PONG")
        self.assertEqual(self.connection.rest(), b"")

    def test_a_client_that_reads_slowly_gets_everything_and_holds_up_nobody(self):
        slow = self.connect(self.node, receive_buffer=4096)
        payload = "x" * 10000
        slow.socket.settimeout(30)
        for _ in range(300):
            slow.send("ECHO", payload)
        for _ in range(50):
            self.assertEqual(self.connection.do("PING"), "PONG")
        for _ in range(300):
            self.assertEqual(slow.reply(), payload)

    def test_a_client_that_never_reads_is_not_read_from_either_and_costs_little(self):
        glutton = self.connect(self.node, receive_buffer=4096)
        glutton_id = glutton.do("CLIENT ID")
        glutton.socket.setblocking(False)
        request, sent = encode("ECHO", "x" * 200000) * 400, 0
        deadline = time.monotonic() + 3
        while sent < len(request) and time.monotonic() < deadline:
            try:
                sent += glutton.socket.send(request[sent:sent + MEGABYTE])
            except BlockingIOError:
                if not self.connection.do("PING"):
                    break
        self.assertLess(sent, len(request))  # 80 MB are not taken in for a client that is deaf.
        info = self.connection.do(f"CLIENT LIST ID {glutton_id}")
        memory = int(info.split("tot-mem=")[1].split()[0])
        self.assertLess(memory, 16 * MEGABYTE)

    def test_a_subscriber_that_never_reads_is_cut_off(self):
        self.assertEqual(self.connection.call("CONFIG", "SET", "client-output-buffer-limit",
                                              "pubsub 1mb 0 0"), "OK")
        self.addCleanup(self.node.ask, "CONFIG", "SET", "client-output-buffer-limit",
                        "pubsub 32mb 8mb 60")
        deaf = self.connect(self.node, receive_buffer=4096)
        deaf.do("SUBSCRIBE flood")
        began = time.monotonic()
        wait_until(lambda: self.connection.call("PUBLISH", "flood", "x" * 300000) == 0, 20,
                   "nobody listens any more")
        self.assertLess(time.monotonic() - began, 5 * SLOWDOWN)  # It is not waited for.

    def test_who_kills_itself_is_answered_and_then_closed(self):
        for kill in (lambda c: c.call("CLIENT", "KILL", "ID", c.do("CLIENT ID"), "SKIPME", "no"),
                     lambda c: c.call("CLIENT", "KILL", "%s:%d" % c.socket.getsockname())):
            connection = self.connect(self.node)
            self.assertIn(kill(connection), (1, "OK"))
            self.assertEqual(connection.rest(), b"")

    def test_who_is_gone_without_being_owed_anything_is_gone_at_once(self):
        """Its lock is free for the next: no grace is given to one that has just spoken."""
        name = self.lock_name()
        waiter = self.connect(self.node)
        times = []
        for _ in range(5):
            holder = self.connect(self.node)
            self.assert_token(holder.call("LOCK.ACQUIRE", name, "a", "TTL", LONG, "BIND"))
            waiter.send("LOCK.ACQUIRE", name, "b", "TTL", LONG, "BLOCK", 10000)
            wait_until(lambda: self.connection.call("LOCK.GRAPH"), 5, "the other waits")
            holder.do("PING")
            began = time.monotonic()
            holder.close()
            self.assert_token(waiter.reply())
            times.append(time.monotonic() - began)
            self.assertEqual(waiter.call("LOCK.RELEASE", name, "b"), 1)
        self.assertLess(min(times), 0.2 * SLOWDOWN, times)

    def test_a_command_over_the_query_buffer_is_counted(self):
        before = self.node.info("stats")["client_query_buffer_limit_disconnections"]
        self.assertEqual(self.connection.call(
            "CONFIG", "SET", "proto-max-bulk-len", "1mb", "client-query-buffer-limit", "1mb"), "OK")
        self.addCleanup(self.node.ask, "CONFIG", "SET", "client-query-buffer-limit", "128mb",
                        "proto-max-bulk-len", "64mb")
        large = self.connect(self.node)
        large.send_raw(b"*4\r\n" + b"$700000\r\n" + b"x" * 700000 + b"\r\n$700000\r\n")
        self.assertIn(b"client-query-buffer-limit", large.rest())
        after = self.node.info("stats")["client_query_buffer_limit_disconnections"]
        self.assertEqual(int(after), int(before) + 1)

    def test_a_transaction_whose_replies_are_too_long_stops_in_the_middle(self):
        self.connection.do("MULTI")
        for _ in range(2000):
            self.connection.do("COMMAND LIST FILTERBY PATTERN *")
        self.connection.do("ECHO x")
        replies = self.connection.do("EXEC")
        self.assertEqual(len(replies), 2001)
        self.assertNotIsInstance(replies[0], Error)
        self.assert_error(replies[2000], "LIMIT")

    def test_over_maxmemory_what_needs_more_is_refused(self):
        wait_until(lambda: int(self.node.info("memory")["used_memory"]) > 1000, 10, "it is measured")
        self.connection.do("CONFIG SET maxmemory 1000")
        self.addCleanup(self.node.ask, "CONFIG", "SET", "maxmemory", "0")
        self.assertEqual(self.connection.do("LOCK.ACQUIRE a b"),
                         "OOM command not allowed when used memory > 'maxmemory'.")
        self.assertEqual(self.connection.do("LOCK.RELEASE a b"), 0)
        self.assertEqual(self.connection.do("MULTI"), "OK")
        self.assert_error(self.connection.do("LOCK.ACQUIRE a b"), "OOM")
        self.assert_error(self.connection.do("EXEC"), "EXECABORT")

    def test_slow_commands_are_latency_events(self):
        self.connection.do("CONFIG SET latency-monitor-threshold 1")
        self.addCleanup(self.node.ask, "CONFIG", "SET", "latency-monitor-threshold", "0")
        big = "x" * (16 * MEGABYTE)
        wait_until(lambda: self.connection.call("ECHO", big) == big and
                   any(event[0] == "command" for event in self.connection.do("LATENCY LATEST")),
                   20, "a command took a millisecond")
        self.assertIn("command - high ", self.connection.do("LATENCY GRAPH command"))

    def test_a_message_that_the_bus_cannot_carry_is_refused(self):
        listener = self.connect(self.node)
        listener.do("SUBSCRIBE big")
        for channel, message in (("big", "m" * (32 * MEGABYTE + 1)), ("c" * 1025, "m")):
            self.assert_error(self.connection.call("PUBLISH", channel, message), "LIMIT")
            self.assert_error(self.connection.call("SPUBLISH", channel, message), "LIMIT")
        self.assertEqual(self.connection.call("PUBLISH", "big", "m"), 1)
        self.assertEqual(listener.reply(), ["message", "big", "m"])

    # Nothing leaks into the reply stream ----------------------------------------------------------------

    def test_line_ends_in_names_never_reach_a_reply_line(self):
        evil = "\r\n+OK\r\n:1\r\n-ERR x\r\n"
        for command in ([evil], [evil, evil], ["LOCK.ACQUIRE", "n", "o", evil],
                        ["LOCK.ACQUIRE", "n", "o", "TTL", evil], ["CONFIG", "SET", evil, evil],
                        ["CLIENT", evil], ["CLIENT", "SETNAME", evil], ["HELLO", "3", evil],
                        ["HELLO", evil], ["COMMAND", "GETKEYS", evil, evil], ["ACL", "CAT", evil],
                        ["CLUSTER", evil], ["CLUSTER", "REMOVE", evil], ["DEBUG", evil],
                        ["CLUSTER", "ADD", "9", evil], ["ACL", "DRYRUN", evil, "PING"],
                        ["CLUSTER", "LEADER", evil, "1"], ["SHUTDOWN", evil], ["AUTH", evil, "x"],
                        ["CLIENT", "KILL", evil, "x"], ["CLIENT", "LIST", "TYPE", evil],
                        ["LATENCY", "GRAPH", evil], ["MODULE", evil], ["SCAN", "0", evil]):
            reply = self.connection.call(*command)
            self.assertIsInstance(reply, Error, command)
            self.assertEqual(self.connection.call("ECHO", "in step"), "in step", command)

    def test_line_ends_in_owners_do_not_break_a_deadlocks_words(self):
        old, young = "old\r\n:7\r\n", "young\r\n+OK\r\n"
        a, b = "evil\r\na", "evil\r\nb"
        other = self.connect(self.node)
        third = self.connect(self.node)
        third.call("LOCK.ACQUIRE", a, old, "TTL", LONG)
        third.call("LOCK.ACQUIRE", b, young, "TTL", LONG)
        other.send("LOCK.ACQUIRE", b, old, "TTL", LONG, "BLOCK", 0)
        wait_until(lambda: third.call("LOCK.GRAPH"), 5, "the older one waits")
        reply = self.connection.call("LOCK.ACQUIRE", a, young, "TTL", LONG, "BLOCK", 0)
        self.assertEqual(self.assert_error(reply, "DEADLOCK").code, "DEADLOCK")
        self.assertEqual(self.connection.do("PING"), "PONG")
        self.assert_token(other.reply())

    def test_bytes_in_client_names_and_monitor_lines_are_escaped(self):
        watcher = self.connect(self.node)
        self.assertEqual(watcher.do("MONITOR"), "OK")
        self.connection.call("ECHO", b"\r\n\x00\xff\"\a\b")
        line = watcher.reply()
        while "ECHO" not in line:
            line = watcher.reply()
        self.assertTrue(line.endswith(r'"ECHO" "\r\n\x00\xff\"\a\b"'), line)

    # Limits -------------------------------------------------------------------------------------------

    def test_one_client_too_many_is_told_so_and_closed(self):
        wait_until(lambda: "connected_clients:1\r\n" in self.connection.do("INFO clients"), 10,
                   "all others are gone")
        self.assertEqual(self.connection.do("CONFIG SET maxclients 3"), "OK")
        self.addCleanup(self.node.ask, "CONFIG", "SET", "maxclients", "10000")
        crowd = [self.connect(self.node) for _ in range(6)]
        for welcome in crowd[:2]:
            self.assertEqual(welcome.do("PING"), "PONG")
        for unwelcome in crowd[2:]:
            self.assertEqual(unwelcome.rest(), b"-ERR max number of clients reached\r\n")
        wait_until(lambda: "rejected_connections:0\r\n" not in self.connection.do("INFO stats"), 10,
                   "those who were turned away are counted")
        self.connection.do("CONFIG SET maxclients 10000")

    def test_random_bytes_never_hurt_the_server(self):
        source = random.Random(20240229)
        began = time.monotonic()
        pieces = [b"*", b"$", b"\r\n", b"3", b"-1", b"LOCK.ACQUIRE", b"a", b"\x00", b"%", b"~2\r\n",
                  b"$3\r\nGET\r\n", b"*2\r\n", b"PING", b" ", b"\"", b"HELLO 3\r\n", b":1\r\n"]
        for _ in range(300):
            noise = b"".join(source.choice(pieces) for _ in range(source.randrange(1, 40)))
            with self.node.connect() as connection:
                connection.send_raw(noise)
                connection.socket.shutdown(socket.SHUT_WR)
                connection.rest()
        self.assertLess(time.monotonic() - began, 100 * SLOWDOWN)
        self.assertEqual(self.connection.do("PING"), "PONG")


class UnauthenticatedProtocol(ClusterTest):
    size = 1
    settings = {"requirepass": "open sesame"}

    def setUp(self):
        self.stranger = Connection(self.cluster.node(1).port)
        self.addCleanup(self.stranger.close)

    def test_a_stranger_may_not_send_many_arguments(self):
        self.stranger.send_raw(b"*11\r\n")
        self.assertEqual(self.stranger.rest(),
                         b"-ERR Protocol error: unauthenticated multibulk length\r\n")

    def test_a_stranger_may_not_send_a_large_argument(self):
        self.stranger.send_raw(b"*2\r\n$4\r\nAUTH\r\n$16385\r\n")
        self.assertEqual(self.stranger.rest(),
                         b"-ERR Protocol error: unauthenticated bulk length\r\n")

    def test_what_follows_a_failed_auth_in_one_batch_is_refused_in_step(self):
        self.stranger.send_raw(encode("AUTH", "wrong") + encode("PING") +
                               encode("LOCK.ACQUIRE", "x", "y") + encode("AUTH", "open sesame") +
                               encode("PING"))
        self.assertEqual(self.stranger.reply(), "WRONGPASS invalid username-password pair or user "
                                                "is disabled.")
        self.assertEqual(self.stranger.reply(), "NOAUTH Authentication required.")
        self.assertEqual(self.stranger.reply(), "NOAUTH Authentication required.")
        self.assertEqual(self.stranger.reply(), "OK")
        self.assertEqual(self.stranger.reply(), "PONG")
