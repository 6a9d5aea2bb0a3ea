"""The front under load and malice: crowds, floods, slow and dead clients, rubbish, want of
descriptors. What clients and locks may cost is stated in conf/lockstep.conf and measured here."""

import os
import random
import resource
import select
import socket
import struct
import subprocess
import time

from cases import LONG, ClusterTest, not_sanitized
from cluster import SERVER, clean_environment, end_process, free_port, make_folder, remove_folder, \
    start_process
from resp import SANITIZED, SLOWDOWN, Bulk, Closed, Connection, Error, Push, encode, pairs, \
    raw_bytes, wait_until
from server_test import cpu_seconds, resident_megabytes

MEGABYTE = 1 << 20
KILOBYTE = 1 << 10

# The manual's figures (conf/lockstep.conf, maxmemory).
CLIENT_BYTES = 3 * KILOBYTE
WAITER_BYTES = 2 * KILOBYTE
OWNER_BYTES = 150
LOCKS = 100000
LOCKS_MEGABYTES = 40

CROWD = 10000
CROWD_MEGABYTES = 300
KEPT_MEGABYTES = 20  # Of a node that has had its crowds: the store's and the log's buffers.

EVIL = b"\r\n+OK\r\n:1\r\n\x00-ERR x\r\n"
SUBSCRIBES = ("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE",
              "SUNSUBSCRIBE")


def make_room(descriptors):
    """For so many open files in this process and in those it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, max(hard, descriptors)))


def files_of(pid):
    """What it has open."""
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            pass  # Closed meanwhile.


def sockets_of(pid):
    return sum(name.startswith("socket:") for name in files_of(pid))


def reset(connection):
    """Closes with a reset."""
    plain = getattr(connection, "socket", connection)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.close()


def receive_all(plain, size):
    data = b""
    while len(data) < size and (piece := plain.recv(size - len(data))):
        data += piece
    return data


class Crowd:
    """Many sockets that do the same thing at the same time."""

    def __init__(self, port, size):
        self.sockets = []
        for _ in range(size):
            one = socket.socket()
            one.settimeout(30)
            one.connect(("127.0.0.1", port))
            self.sockets.append(one)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self, how=socket.socket.close):
        for one in self.sockets:
            how(one)
        self.sockets = []

    def send(self, data):
        for one in self.sockets:
            one.sendall(data)

    def readable(self, count, seconds):
        """Waits until so many have something to read, an end counts; those."""
        poll, by_number = select.poll(), {one.fileno(): one for one in self.sockets}
        for number in by_number:
            poll.register(number, select.POLLIN)
        return wait_until(lambda: [by_number[number] for number, _ in ready]
                          if len(ready := poll.poll(100)) >= count else None, seconds,
                          f"{count} have been told something")

    def receive(self, size):
        """From each the next so many bytes; what came, without repetitions."""
        return {receive_all(one, size) for one in self.sockets}

    def ask(self, data, answer):
        self.send(data)
        return self.receive(len(answer)) == {answer}


class FrontTest(ClusterTest):
    size = 1

    @classmethod
    def setUpClass(cls):
        make_room(CROWD + 1000)
        super().setUpClass()
        cls.node = cls.cluster.node(1)
        cls.idle = resident_megabytes(cls.node.pid)

    def setUp(self):
        self.connection = self.connect(self.node)
        self.connection.do("PING")  # Connected is one thing, let in another.

    @classmethod
    def renew(cls):
        super().renew()
        cls.node = cls.cluster.node(1)
        cls.idle = resident_megabytes(cls.node.pid)

    def configure(self, *setting):
        """For this test."""
        before = self.connection.call("CONFIG", "GET", setting[0])
        self.assertEqual(self.connection.call("CONFIG", "SET", *setting), "OK")
        # Over a connection that is there: a new one may be refused by what was set.
        self.addCleanup(self.connection.call, "CONFIG", "SET", *before)

    def memory(self):
        """In megabytes, over the node that had just started."""
        return resident_megabytes(self.node.pid) - self.idle

    def assert_memory(self, megabytes, limit):
        """Of an ordinary build: a sanitizer's memory is its own."""
        if not SANITIZED:
            self.assertLess(megabytes, limit)

    def settles_below(self, megabytes, seconds=30):
        """What is idle or was freed goes back within seconds. Of an ordinary build, as above."""
        if SANITIZED:
            return
        def below():
            return self.memory() < megabytes
        try:
            wait_until(below, seconds, "")
        except AssertionError:
            self.fail(f"{self.memory():.1f} MB, more than {megabytes:.1f}")

    def clients(self):
        return int(self.node.info("clients")["connected_clients"])

    def wait_until_alone(self):
        wait_until(lambda: self.clients() == 2, 20, "all others are gone")  # We, and who asks.


class Crowds(FrontTest):
    settings = {"maxclients": CROWD + 500}

    def test_ten_thousand_clients_cost_little_idle_or_waiting_and_leave_nothing(self):
        self.assert_token(self.connection.call("LOCK.ACQUIRE", "hot", "holder", "TTL", LONG))
        with Crowd(self.node.port, CROWD) as crowd:
            self.assertTrue(crowd.ask(b"PING\r\n", b"+PONG\r\n"))
            self.assert_memory(self.memory(), CROWD_MEGABYTES)
            idle = KEPT_MEGABYTES + CROWD * CLIENT_BYTES / MEGABYTE
            self.settles_below(idle)
            # Each has once sent a lot: what it needed for that is not kept for it.
            large = encode("ECHO", "x" * 12000)
            self.assertTrue(crowd.ask(large, b"$12000\r\n" + b"x" * 12000 + b"\r\n"))
            self.settles_below(idle)
            for i, one in enumerate(crowd.sockets):
                one.sendall(encode("LOCK.ACQUIRE", "hot", f"waiter-{i:09}", "TTL", LONG, "BLOCK",
                                   0))
            wait_until(lambda: self.node.info("clients")["blocked_clients"] == str(CROWD), 20,
                       "all wait")
            self.settles_below(idle + CROWD * WAITER_BYTES / MEGABYTE)
            self.assertEqual(self.connection.do("PING"), "PONG")
        self.wait_until_alone()
        self.assertEqual(self.connection.do("LOCK.GRAPH"), [])
        self.settles_below(KEPT_MEGABYTES)

    def test_fifteen_thousand_come_and_go_while_others_work(self):
        sockets = sockets_of(self.node.pid)
        worker, rounds, seconds = self.connect(self.node), 300, []
        received = int(self.node.info("stats")["total_connections_received"])
        for i in range(rounds):
            worker.send("LOCK.ACQUIRE", "work", f"owner-{i}", "TTL", LONG)
            worker.send("LOCK.RELEASE", "work", f"owner-{i}")
            with Crowd(self.node.port, 50) as crowd:
                self.assertTrue(crowd.ask(b"PING\r\n", b"+PONG\r\n"))
                crowd.close(reset if i % 2 else socket.socket.close)
            began = time.monotonic()
            self.assert_token(worker.reply())
            self.assertEqual(worker.reply(), 1)
            seconds.append(time.monotonic() - began)
        self.assertLess(sorted(seconds)[-3], SLOWDOWN)  # A disk may be slow once or twice.
        now = int(self.node.info("stats")["total_connections_received"])
        self.assertGreaterEqual(now - received, rounds * 50)  # None failed or was lost.
        worker.close()
        self.wait_until_alone()
        wait_until(lambda: sockets_of(self.node.pid) <= sockets, 10, "nothing leaks")
        self.settles_below(KEPT_MEGABYTES)

    def test_a_flood_over_maxclients_is_refused_in_words(self):
        self.wait_until_alone()
        self.configure("maxclients", "40")
        with Crowd(self.node.port, 400) as crowd:
            refused = crowd.readable(361, 10)
            self.assertEqual(len(refused), 361)
            for one in refused:
                self.assertEqual(one.recv(100), b"-ERR max number of clients reached\r\n")
                self.assertEqual(one.recv(1), b"")
            self.assertEqual(self.connection.do("PING"), "PONG")


class Pipelines(FrontTest):
    def mixed(self, count):
        """Commands of many kinds, and what must come back."""
        requests, answers = [], []
        for i in range(count):
            # In runs: what is no lock command waits for the locks before it.
            name, kind = f"mixed/{i % 100}", i // 250 % 8
            if kind == 0:
                requests.append(encode("LOCK.ACQUIRE", name, f"o{i % 100}", "TTL", LONG))
                answers.append(int)
            elif kind == 1:
                requests.append(b"PING\r\n")
                answers.append("PONG")
            elif kind == 2:
                requests.append(encode("ECHO", f"{i}\r\n"))
                answers.append(f"{i}\r\n")
            elif kind == 3:
                requests.append(encode("LOCK.CHECK", name, i))
                answers.append(int)
            elif kind == 4:
                requests.append(encode("NOSUCH", i))
                answers.append(Error)
            elif kind == 5:
                requests.append(f"ECHO  'inline {i}' \n".encode())
                answers.append(f"inline {i}")
            elif kind == 6:
                requests.append(encode("LOCK.RELEASE", name, f"o{i % 100}"))
                answers.append(int)
            else:
                requests.append(encode("CLIENT", "GETNAME"))
                answers.append(None)
        return b"".join(requests), answers

    def test_a_hundred_thousand_mixed_commands_are_answered_in_order_and_stall_nobody(self):
        request, answers = self.mixed(100000)
        most, delays, sent = 0, [], 0
        pipeline = self.connect(self.node)
        pipeline.socket.setblocking(False)
        while sent < len(request):  # Nothing is read yet.
            try:
                sent += pipeline.socket.send(request[sent:sent + 256 * KILOBYTE])
            except BlockingIOError:
                pass
            began = time.monotonic()
            self.assertEqual(self.connection.do("PING"), "PONG")
            delays.append(time.monotonic() - began)
            most = max(most, self.memory())
        pipeline.socket.settimeout(30)
        for i, answer in enumerate(answers):
            reply = pipeline.reply()
            if answer in (int, Error):
                self.assertIsInstance(reply, answer, i)
            else:
                self.assertEqual(reply, answer, i)
        self.assert_memory(most, 100)
        self.assertLess(sorted(delays)[len(delays) * 9 // 10], 0.2 * SLOWDOWN)

    def test_a_crowd_with_long_pipelines_delays_nobody_for_long(self):
        """A turn of the node has its end, however much there is to do."""
        with Crowd(self.node.port, 500) as crowd:
            crowd.send(b"PING\r\n" * 5000)
            slowest = 0
            while crowd.sockets[-1] not in crowd.readable(1, 20):
                began = time.monotonic()
                self.assertEqual(self.connection.do("PING"), "PONG")
                slowest = max(slowest, time.monotonic() - began)
            self.assertEqual(crowd.receive(7 * 5000), {b"+PONG\r\n" * 5000})
        self.assertLess(slowest, 1.5 * SLOWDOWN)

    def test_whoever_shuts_its_side_still_gets_a_long_pipelines_answers(self):
        """Also when it takes them slowly, and though it looks like a client that has died."""
        measure = self.connect(self.node)
        measure.send("COMMAND", "DOCS")
        measure.send("QUIT")
        one = measure.rest()[:-len(b"+OK\r\n")]
        slow = self.connect(self.node, receive_buffer=4096)
        slow.send_raw(encode("COMMAND", "DOCS") * 200)
        slow.socket.shutdown(socket.SHUT_WR)
        # Longer than the grace that one who waits for a lock would have.
        self.assertTrue(self.connection.is_quiet(0.6))
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MEGABYTE)
        self.assertEqual(len(slow.rest()), 200 * len(one))

        locks = self.connect(self.node)
        count = 20000
        locks.send_raw(b"".join(encode("LOCK.ACQUIRE", f"half/{i % 97}", i, "TTL", LONG) +
                                encode("LOCK.RELEASE", f"half/{i % 97}", i) for i in range(count)))
        locks.socket.shutdown(socket.SHUT_WR)
        tokens = locks.rest().split(b"\r\n")[:-1]
        self.assertEqual(len(tokens), 2 * count)
        self.assertEqual(set(tokens[1::2]), {b":1"})

    def test_whoever_shuts_its_side_or_resets_while_it_waits_gives_up_its_place(self):
        name = self.lock_name()
        self.assert_token(self.connection.call("LOCK.ACQUIRE", name, "holder", "TTL", LONG))
        waiters = [self.connect(self.node) for _ in range(3)]
        for i, waiter in enumerate(waiters):
            waiter.send_raw(encode("LOCK.ACQUIRE", name, f"w{i}", "TTL", LONG, "BLOCK", 0) +
                            encode("PING"))
            wait_until(lambda: len(self.connection.do("LOCK.GRAPH")) == i + 1, 5, "it waits")
        waiters[0].socket.shutdown(socket.SHUT_WR)
        reset(waiters[1])
        wait_until(lambda: [row[0] for row in self.connection.do("LOCK.GRAPH")] == ["w2"], 5,
                   "one still waits")
        self.assertEqual(waiters[0].rest(), b"")
        self.assertEqual(self.connection.call("LOCK.RELEASE", name, "holder"), 1)
        self.assert_token(waiters[2].reply())

    def test_clients_that_vanish_in_the_middle_of_everything_leave_nothing(self):
        source = random.Random(7)
        sockets = sockets_of(self.node.pid)
        request = b"".join(encode("LOCK.ACQUIRE", f"gone/{i}", "o", "TTL", LONG, "BIND") +
                           encode("LOCK.LIST") for i in range(200)) + encode(
                               "LOCK.ACQUIRE", "gone/1", "p", "TTL", LONG, "BLOCK", 0)
        for i in range(150):
            connection = self.connect(self.node)
            connection.send_raw(request[:source.randrange(200, len(request))])
            if i % 4 < 2:
                self.assert_token(connection.reply())  # And it is bound to this connection.
            if i % 3 == 0:
                connection.socket.shutdown(socket.SHUT_WR)
            (reset if i % 2 else Connection.close)(connection)
        self.wait_until_alone()
        wait_until(lambda: self.connection.do("LOCK.LIST MATCH gone/* COUNT 1000")[1] == [], 20,
                   "what was bound is free")
        wait_until(lambda: sockets_of(self.node.pid) <= sockets, 10, "all are closed")

    # Arrival --------------------------------------------------------------------------------------

    def test_every_command_may_arrive_byte_by_byte(self):
        for name in self.connection.do("COMMAND LIST"):
            if name.upper() in ("MONITOR", "SHUTDOWN", "QUIT", *SUBSCRIBES):
                continue
            with self.node.connect() as whole:
                answer = whole.call(name)
            for request in (encode(name), f'"{name}"\r\n'.encode()):
                with self.node.connect() as connection:
                    for byte in request:
                        connection.send_raw(bytes([byte]))
                    self.assertEqual(type(connection.reply()), type(answer), name)

    def test_a_command_may_be_cut_anywhere(self):
        name = "cut\r\n*1\r\n$4\r\n"
        owner = self.connect(self.node)
        for request, answer in ((encode("LOCK.CHECK", name, 5), 0), (b"ECHO 'a b'\r\n", "a b"),
                                (encode("ECHO", "\r\n"), "\r\n")):
            for cut in range(1, len(request)):
                owner.send_raw(request[:cut])
                self.connection.do("PING")  # The first piece has been looked at.
                owner.send_raw(request[cut:])
                self.assertEqual(owner.reply(), answer, cut)


class SlowReaders(FrontTest):
    def disconnections(self):
        return int(self.node.info("stats")["client_output_buffer_limit_disconnections"])

    def test_the_soft_limit_cuts_off_the_slow_subscriber_and_no_other(self):
        self.configure("client-output-buffer-limit", "pubsub 256mb 1mb 1")
        before = self.disconnections()
        deaf, keen = self.connect(self.node, receive_buffer=4096), self.connect(self.node)
        for each in (deaf, keen):
            self.assertEqual(each.do("SUBSCRIBE news"), ["subscribe", "news", 1])
        for i in range(40):
            self.connection.call("PUBLISH", "news", f"{i:06}" + "x" * 300000)
            self.assertEqual(keen.reply()[2][:6], f"{i:06}")
        wait_until(lambda: self.disconnections() == before + 1, 10, "the soft limit's time is over")
        self.assertEqual(self.connection.call("PUBLISH", "news", "still here"), 1)
        self.assertEqual(keen.reply()[2], "still here")
        with self.assertRaises((Closed, ConnectionError)):
            while True:
                deaf.reply()
        self.assertIn("client-output-buffer-limit", self.node.log.read_text())

    def test_a_monitor_that_does_not_read_is_cut_off_too(self):
        self.configure("client-output-buffer-limit", "normal 2mb 0 0")
        before = self.disconnections()
        monitor = self.connect(self.node, receive_buffer=4096)
        self.assertEqual(monitor.do("MONITOR"), "OK")
        for _ in range(60):
            self.connection.call("ECHO", "x" * 300000)
        wait_until(lambda: self.disconnections() == before + 1, 10, "it is cut off")
        self.assertEqual(self.connection.do("PING"), "PONG")

    def test_long_answers_are_not_made_faster_than_they_are_taken(self):
        """Many times what each may have lying here; it gets it all when it reads."""
        for begin in range(0, 10000, 1000):
            for i in range(begin, begin + 1000):
                self.connection.send("LOCK.ACQUIRE", f"long/{i:095}", "o", "TTL", LONG)
            for _ in range(1000):
                self.assert_token(self.connection.reply())
        before = self.memory()
        slow = [self.connect(self.node, receive_buffer=4096) for _ in range(5)]
        for each in slow:
            each.send_raw(encode("LOCK.LIST", "COUNT", 1000000) * 15 + encode("ECHO", "end"))
        most = 0
        for _ in range(200):
            self.assertEqual(self.connection.do("PING"), "PONG")
            most = max(most, self.memory())
        self.assert_memory(most - before, 5 * 10)
        for each in slow:
            each.socket.settimeout(30)
            each.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MEGABYTE)
            for _ in range(15):
                self.assertEqual(len(each.reply()), 2)
            self.assertEqual(each.reply(), "end")
        self.assertEqual(self.connection.call("LOCK.RELEASE", "x", "o", "ALL"), 10000)


class Strangers(FrontTest):
    settings = {"requirepass": "open sesame"}

    def test_what_strangers_send_and_do_not_finish_is_held_small(self):
        argument = b"$16384\r\n" + b"x" * 16384 + b"\r\n"
        with Crowd(self.node.port, 300) as crowd:
            crowd.send(b"*10\r\n" + argument * 9)  # All but the last of what they may send.
            self.assertEqual(self.connection.do("PING"), "PONG")
            self.assert_memory(self.memory() / 300, 0.4)
            crowd.send(b"$4\r\nPING\r\n")
            self.assertEqual({answer[:16] for answer in crowd.receive(16)}, {b"-ERR unknown com"})

    def test_a_stranger_that_does_not_read_is_cut_off_at_64_kilobytes(self):
        stranger = Connection(self.node.port, receive_buffer=4096)
        self.addCleanup(stranger.close)
        stranger.socket.settimeout(10)
        with self.assertRaises(ConnectionError):
            while True:
                stranger.send_raw(b"PING\r\n" * 1000)

    def test_a_stranger_learns_nothing_and_costs_nothing_by_what_it_names(self):
        stranger = Connection(self.node.port)
        self.addCleanup(stranger.close)
        for words in (["AUTH", EVIL], ["AUTH", EVIL, EVIL], [EVIL], ["LOCK.ACQUIRE", EVIL, EVIL],
                      ["HELLO", "3", "AUTH", EVIL, EVIL], ["HELLO", "3", "SETNAME", EVIL]):
            self.assertIsInstance(stranger.call(*words), Error)
        self.assert_error(stranger.call("PING"), "NOAUTH")


class Malice(FrontTest):
    def leaves(self):
        """All commands, those of the containers too, as lists of words."""
        docs = pairs(self.connection.do("COMMAND DOCS"))
        for name, doc in docs.items():
            subcommands = pairs(pairs(doc).get("subcommands") or [])
            for leaf in subcommands or [name]:
                yield leaf.upper().split("|")

    def assert_one_reply_each(self, commands, protocol):
        connection = self.connect(self.node, protocol=protocol)
        for i, words in enumerate(commands):
            connection.send_raw(encode(*words) + encode("ECHO", f"mark-{i}"))
        for i, words in enumerate(commands):
            replies, pushes = 0, 0
            while (value := connection.read_value(0)) != f"mark-{i}" or \
                    not isinstance(value, Bulk):
                pushes += isinstance(value, Push)
                replies += not isinstance(value, Push)
            if words[0] in SUBSCRIBES and pushes:
                self.assertEqual((replies, pushes), (0, len(words) - 1), words)
            else:
                self.assertEqual((replies, pushes), (1, 0), words)
        connection.close()

    def test_line_ends_in_any_argument_of_any_command_stay_out_of_the_reply_stream(self):
        for leaf in self.leaves():
            if leaf == ["QUIT"]:
                continue
            commands = [leaf + [EVIL if i == at else filler for i in range(size)]
                        for size in range(1, 5) for at in range(size)
                        for filler in ("1", "x", EVIL)]
            commands += [[word if i != at else raw_bytes(word) + EVIL
                          for i, word in enumerate(leaf)] for at in range(len(leaf))]
            self.assert_one_reply_each(commands, 3)
            if leaf[0] not in SUBSCRIBES:
                self.assert_one_reply_each(commands, 2)

    def test_line_ends_in_any_argument_of_a_right_lock_command_stay_out_too(self):
        rights = ["LOCK.ACQUIRE n o SHARED TTL 9000 BLOCK 1 LIMIT 5 META text BIND",
                  "LOCK.ACQUIRE m p EXCLUSIVE TTL 9000 META text", "LOCK.RENEW n o TTL 9000",
                  "LOCK.MACQUIRE 2 a b p SHARED TTL 9000 BLOCK 1 META text BIND",
                  "LOCK.RELEASE n o TOKEN 5", "LOCK.RENEW n o ALL", "LOCK.CHECK n 5", "LOCK.INFO n",
                  "LOCK.OWNER o", "LOCK.LIST CURSOR 0 MATCH * COUNT 100", "LOCK.GRAPH",
                  "LOCK.DEADLOCKS COUNT 5", "LOCK.REVOKE n OWNER o",
                  "SCAN 0 MATCH * COUNT 5 TYPE x", "KEYS *", "TYPE n", "CLIENT LIST ID 1",
                  "SLOWLOG GET 5", "LOCK.RELEASE n o ALL"]
        commands = []
        for words in map(str.split, rights):
            commands += [words[:at] + [EVIL] + words[at + 1:] for at in range(1, len(words))]
            commands += [words, words + [EVIL]]
        for protocol in (2, 3):
            self.assert_one_reply_each(commands, protocol)
            in_multi = [["MULTI"], *commands, ["DISCARD"], ["PING"]]
            connection = self.connect(self.node, protocol=protocol)
            connection.send_raw(b"".join(encode(*words) for words in in_multi))
            self.assertEqual([connection.reply() for _ in in_multi][-2:], ["OK", "PONG"])
        for line in self.node.log.read_bytes().splitlines():
            self.assertFalse(line.startswith((b"+OK", b":1", b"-ERR")), line)

    def test_counts_and_lengths_beyond_reason_are_refused_and_cost_nothing(self):
        before = self.memory()
        for number in ("18446744073709551616", "-9223372036854775809", "1e9", "0x10", "", "1 ",
                       "--1", "nan"):
            for line in ("LOCK.MACQUIRE # a o", "LOCK.ACQUIRE n o TTL #", "LOCK.LIST COUNT #",
                         "LOCK.ACQUIRE n o SHARED LIMIT #", "LOCK.RENEW n o TTL #",
                         "LOCK.RELEASE n o TOKEN #", "LOCK.CHECK n #", "LOCK.DEADLOCKS COUNT #",
                         "LOCK.ACQUIRE n o BLOCK #", "LOCK.LIST CURSOR #", "SCAN #",
                         "SCAN 0 COUNT #", "SELECT #", "HELLO #", "CLIENT UNBLOCK #",
                         "CLIENT LIST ID #", "CLUSTER COUNTKEYSINSLOT #", "CLUSTER REMOVE #",
                         "CLUSTER LEADER locks #", "CLIENT PAUSE #", "LOLWUT VERSION #",
                         "COMMAND GETKEYS LOCK.MACQUIRE # a o", "CONFIG SET maxclients #",
                         "SLOWLOG GET #", "CLUSTER KEYSLOT a #", "CLIENT TRACKING ON REDIRECT #"):
                if line == "SCAN #" and number in ("", "-9223372036854775809"):
                    continue  # Redis's strtoul takes them.
                reply = self.connection.call(*[number if word == "#" else word
                                               for word in line.split()])
                self.assertIsInstance(reply, Error, (line, number))
        for number in (-1, 0, 1025, 1000000000, 9223372036854775807):
            self.assertIsInstance(self.connection.call("LOCK.MACQUIRE", number, "a", "o"), Error)
        for option in ("TTL", "BLOCK", "LIMIT"):
            for number in (-1, 9223372036854775807):
                reply = self.connection.call("LOCK.ACQUIRE", "n", "o", "SHARED", option, number)
                self.assertIsInstance(reply, Error, (option, number))
        with Crowd(self.node.port, 200) as crowd:
            crowd.send(b"*1048576\r\n$67108864\r\nLOCK.MACQUIRE")
            self.assertEqual(self.connection.do("PING"), "PONG")
            self.assert_memory(self.memory() - before, 20)

    def test_rubbish_on_the_clients_port_and_on_the_bus_is_cut_off(self):
        source = random.Random(20261126)
        sockets = sockets_of(self.node.pid)
        pieces = [b"*", b"$", b"\r\n", b"\n", b"1", b"-1", b"9" * 30, b"\x00" * 40, b"LOCK.ACQUIRE",
                  b'"', b"'", b"*3\r\n$4\r\nECHO\r\n", b"\xff\xfe", b"%2\r\n", b"LSTP", b"a" * 999]
        for port in (self.node.port, self.node.bus_port):
            for i in range(200):
                noise = source.randbytes(source.randrange(1, 3000)) if i % 2 else b"".join(
                    source.choice(pieces) for _ in range(source.randrange(1, 60)))
                with Connection(port, timeout=20) as connection:
                    try:
                        connection.send_raw(noise)
                        connection.socket.shutdown(socket.SHUT_WR)
                    except OSError:
                        continue
                    connection.rest()
        self.assertEqual(self.connection.do("PING"), "PONG")
        self.assertTrue(self.node.is_ok())
        self.assertLess(self.node.log.read_text().count(" bus: "), 25)  # Nor is the log flooded.
        wait_until(lambda: sockets_of(self.node.pid) <= sockets, 20, "all are closed")


class Descriptors(FrontTest):
    @not_sanitized("to look at an object the sanitizer makes a pipe, which takes descriptors too")
    def test_without_descriptors_nobody_is_let_in_and_nothing_spins(self):
        """Those who are in are served; who comes is closed at once; then all is well again."""
        pid, limit = self.node.pid, resource.prlimit(self.node.pid, resource.RLIMIT_NOFILE)
        self.addCleanup(resource.prlimit, pid, resource.RLIMIT_NOFILE, limit)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(list(files_of(pid))) + 5, limit[1]))
        cpu = cpu_seconds(pid)
        with Crowd(self.node.port, 200) as crowd:
            crowd.readable(195, 10)  # They have been closed.
            for _ in range(100):
                self.assertEqual(self.connection.do("PING"), "PONG")
            self.assert_token(self.connection.call("LOCK.ACQUIRE", "scarce", "a", "TTL", LONG))
            self.assertTrue(self.connection.is_quiet(1))
            self.assertLess(cpu_seconds(pid) - cpu, 0.5 * SLOWDOWN)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
        self.assertEqual(self.node.ask("PING"), "PONG")

    def test_a_node_that_may_open_few_files_says_so_and_takes_fewer_clients(self):
        folder = make_folder()
        self.addCleanup(remove_folder, folder)
        port = free_port()
        process = start_process(
            ["prlimit", "--nofile=700:700", "--", SERVER, "--port", port, "--bus-port", free_port(),
             "--http-port", free_port(), "--dir", folder / "data"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(end_process, process)
        line = b""
        while b"clients are taken" not in line:
            line = process.stdout.readline()
            self.assertTrue(line, "it has ended")
        room = int(line.split(b" clients are taken")[0].split()[-1])
        self.assertGreater(room, 0)

        def in_():
            try:
                return Connection(port).do("PING") == "PONG"
            except (OSError, Closed):
                return False
        wait_until(in_, 20, "it serves")
        with Crowd(port, room + 300) as crowd:
            for one in crowd.readable(300, 10):
                self.assertEqual(one.recv(100), b"-ERR max number of clients reached\r\n")
            crowd.sockets[0].sendall(b"PING\r\n")
            self.assertEqual(crowd.sockets[0].recv(7), b"+PONG\r\n")


class Memory(FrontTest):
    """The manual's formula for locks; what the log and the store take beside them is within it."""

    def hold(self, count, owner):
        for begin in range(0, count, 1000):
            self.connection.send_raw(b"".join(
                encode("LOCK.ACQUIRE", f"lock/{i:011}", owner(i), "TTL", LONG)
                for i in range(begin, begin + 1000)))
            for _ in range(1000):
                self.assert_token(self.connection.reply())

    @not_sanitized("a sanitizer's memory is its own")
    def test_a_hundred_thousand_locks_of_few_owners(self):
        self.renew()
        self.connection = self.connect(self.node)
        self.hold(LOCKS, lambda i: f"owner-{i % 10}")
        self.settles_below(LOCKS_MEGABYTES)

    @not_sanitized("a sanitizer's memory is its own")
    def test_a_hundred_thousand_locks_of_as_many_owners(self):
        self.renew()
        self.connection = self.connect(self.node)
        self.hold(LOCKS, lambda i: f"owner-{i:09}")
        self.settles_below(LOCKS_MEGABYTES + LOCKS * OWNER_BYTES / MEGABYTE)
