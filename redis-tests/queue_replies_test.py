"""The type of each reply of the queues, in RESP2 and in RESP3, and what is refused."""

from queue_cases import QueueTest, rows_of
from resp import Bulk, Map, Status


class QueueShapes(QueueTest):
    """The type of each reply, in RESP2 and in RESP3."""

    FULL = {"id": Bulk, "group": Bulk, "priority": int, "pushed": int, "failures": int,
            "deliveries": int, "headers": {"trace": Bulk}, "error": Bulk}
    PLAIN = dict(FULL, id=None, group=None, headers={}, error=None)
    PEEKED = {"message": Bulk, "state": Bulk, "remaining": None, "body": Bulk, **PLAIN}
    OPTIONS = {"lease": int, "retry": int, "backoff-base": int, "backoff-max": int,
               "backoff-factor": int, "backoff-jitter": int, "dead": Bulk, "maxlen": int,
               "maxbytes": int, "overflow": Bulk, "ttl": int, "dedup-window": int,
               "group-concurrency": int, "concurrency": int, "partitions": int, "rate": int,
               "durability": Bulk}
    INFO = {"ready": int, "delayed": int, "leased": int, "dead": int, "groups": int,
            "waiters": int, "oldest": int, "bytes": int, "pushed": int, "delivered": int,
            "acked": int, "failed": int, "expired": int, "dropped": int, "duplicates": int,
            "paused": Bulk, "partitions": int, "shard": int, "options": OPTIONS}
    # A record is a map; RESP2 tells it as a flat array in the same order.
    EXPECTED = {
        "PUSH": Bulk, "MPUSH": [Bulk, Bulk, Bulk], "LEN": int, "LIST": [Bulk, [Bulk]],
        "POP": [[Bulk, Bulk, Bulk, int]], "NACK": int,
        "POP FULL": [[Bulk, Bulk, Bulk, int, FULL], [Bulk, Bulk, Bulk, int, PLAIN]],
        "TOUCH": [int, int], "ACK": int, "SET": Status, "PAUSE": Status, "MOVE": int, "DEL": int,
        "PURGE": int, "DROP": int, "DROP again": int, "INFO of none": None, "PEEK of none": [],
        "INFO": INFO, "PEEK": [PEEKED], "PEEK leased": [dict(PEEKED, **FULL, remaining=int)],
        "PEEK dead": [dict(PEEKED, error=Bulk)],
    }
    SPREAD = {  # The same of a queue of several partitions.
        "SET": Status, "PUSH": Bulk, "MPUSH": [Bulk] * 4, "LEN": int, "LEN of its dead": int,
        "POP": [[Bulk, Bulk, Bulk, int]], "POP FULL": [[Bulk, Bulk, Bulk, int, FULL]],
        "POP FULL of a plain one": [[Bulk, Bulk, Bulk, int, PLAIN]], "POP of nothing": None,
        "NACK": int, "TOUCH": [int], "ACK": int, "INFO": INFO, "PEEK": [PEEKED] * 7,
        "MOVE": int, "DEL": int, "PURGE": int, "DROP": int, "DROP again": int,
        "INFO of none": None, "PEEK of none": [],
    }
    REFUSALS = {
        "DQ.PUSH {0}": "ERR wrong number of arguments for 'dq.push' command",
        "DQ.PUSH {0} x PRIORTY 1": "ERR syntax error near 'PRIORTY' (did you mean PRIORITY?)",
        "DQ.PUSH {0} x PRIORITY 10": "PRIORITY",
        "DQ.PUSH {0} x DELAY soon": "ERR value is not an integer or out of range",
        "DQ.PUSH {0}!dead x": "ERR",
        "DQ.MPUSH {0} 3 a b": "ERR",
        "DQ.MPUSH {0} 1 a ID x": "ERR syntax error near 'ID'",
        "DQ.POP {0} BLOCK -1": "ERR timeout is negative",
        "DQ.POP {0} COUNT 0": "COUNT",
        "DQ.POP {0} LEASE 0": "LEASE",
        "DQ.ACK {0} nonsense": "ERR",
        "DQ.NACK {0} DEAD": "ERR",
        "DQ.TOUCH {0} soon 0.1.1": "ERR value is not an integer or out of range",
        "DQ.SET {0} leese 5": "ERR",
        "DQ.SET {0} overflow maybe": "refuse or drop-oldest",
        "DQ.PAUSE {0} SOME": "ERR syntax error",
        "DQ.PEEK {0} STATE GONE": "ERR syntax error",
        "DQ.DEL {0} nonsense": "ERR",
        "DQ.LIST CURSOR nonsense": "ERR invalid cursor",
    }

    def kinds(self, value):
        if isinstance(value, Map):
            return {str(key): self.kinds(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.kinds(item) for item in value]
        return None if value is None else type(value)

    def flat(self, kinds):
        """What RESP2 makes of it."""
        if isinstance(kinds, dict):
            return [item for kind in kinds.values() for item in (Bulk, self.flat(kind))]
        return [self.flat(kind) for kind in kinds] if isinstance(kinds, list) else kinds

    def asker(self, connection, queue):
        """What asks for something of the queue, and what it was told by then."""
        told = {}

        def ask(what, rest=""):
            told[what] = connection.do(f"DQ.{what.split()[0]} {rest or queue}")
            return told[what]
        return ask, told

    def one_of_each(self, protocol):
        """What a queue's life is answered, on one connection."""
        queue, connection = f"{self.queue}/{protocol}", self.connect(1, protocol)
        (ask, told), cursor = self.asker(connection, queue), "0"
        ask("INFO of none")
        ask("PEEK of none")
        ask("PUSH", f"{queue} first ID order-7 GROUP g PRIORITY 4 HEADERS 1 trace t1")
        ids = ask("MPUSH", f"{queue} 3 second third fourth")
        ask("LEN")
        # Until the page that has it: there is a page for each shard at least.
        while not ask("LIST", f"CURSOR {cursor} MATCH {queue} COUNT 1000")[1]:
            cursor = told["LIST"][0]
            self.assertNotEqual(cursor, "0", "it is listed")
        [row] = rows_of(ask("POP"))
        ask("NACK", f"{queue} {row.receipt} DELAY 0 ERROR reason")
        first, second = rows_of(ask("POP FULL", f"{queue} COUNT 2 FULL"))
        ask("TOUCH", f"{queue} 60000 {first.receipt} {second.receipt}")
        ask("PEEK leased", f"{queue} COUNT 1 STATE LEASED")
        ask("ACK", f"{queue} {first.receipt}")
        ask("SET", f"{queue} retry 5 overflow refuse")
        ask("PAUSE", f"{queue} NONE")
        connection.do(f"DQ.NACK {queue} {second.receipt} DEAD ERROR reason")
        ask("PEEK dead", f"{queue}!dead")
        ask("MOVE", f"{queue}!dead {queue}")
        ask("INFO")
        ask("PEEK", f"{queue} COUNT 1")
        ask("DEL", f"{queue} {ids[1]}")
        ask("PURGE")
        ask("DROP")
        ask("DROP again")
        return told

    def one_of_each_spread(self, protocol):
        """The same of a queue of four partitions: its answers are made of theirs."""
        queue, connection = f"{self.queue}/{protocol}", self.connect(1, protocol)
        ask, told = self.asker(connection, queue)
        ask("INFO of none")
        ask("PEEK of none")
        ask("SET", f"{queue} partitions 4")
        ask("PUSH", f"{queue} first ID order-7 GROUP g PRIORITY 4 HEADERS 1 trace t1")
        [row] = rows_of(ask("POP"))
        ask("NACK", f"{queue} {row.receipt} DELAY 0 ERROR reason")
        [row] = rows_of(ask("POP FULL", f"{queue} FULL"))
        ask("TOUCH", f"{queue} 60000 {row.receipt}")
        ask("ACK", f"{queue} {row.receipt}")
        ask("POP of nothing")
        ids = ask("MPUSH", f"{queue} 4 a b c d") + connection.do(f"DQ.MPUSH {queue} 4 e f g h")
        # All or none: each goes to one partition, and the next to the next.
        self.assertEqual(len({message_id.split(".")[0] for message_id in ids}), 2)
        ask("LEN")
        ask("DEL", f"{queue} {ids[0]}")
        ask("PEEK", f"{queue} COUNT 9")
        [row] = rows_of(ask("POP FULL of a plain one", f"{queue} FULL"))
        connection.do(f"DQ.NACK {queue} {row.receipt} DEAD")
        ask("LEN of its dead", f"{queue}!dead")
        ask("INFO")
        ask("MOVE", f"{queue}!dead {queue}")
        ask("PURGE")
        ask("DROP")
        ask("DROP again")
        return told

    def check(self, expected, two, three):
        self.assertEqual(set(expected), set(three))
        for what, kinds in expected.items():
            self.assertEqual(self.kinds(three[what]), kinds, what)
            # Flat, so that the names are in this order too.
            self.assertEqual(self.kinds(two[what]), self.flat(kinds), what)

    def test_each_reply_is_of_its_type(self):
        two, three = self.one_of_each(2), self.one_of_each(3)
        self.check(self.EXPECTED, two, three)
        self.assertEqual((three["DROP"], three["DROP again"], three["DEL"]), (1, 0, 1))

    def test_each_reply_of_a_queue_of_several_partitions_is_of_the_same_type(self):
        two, three = self.one_of_each_spread(2), self.one_of_each_spread(3)
        self.check(self.SPREAD, two, three)
        numbers = {"LEN": 8, "DEL": 1, "LEN of its dead": 1, "MOVE": 1, "PURGE": 7, "DROP": 1,
                   "DROP again": 0}
        self.assertEqual({what: three[what] for what in numbers}, numbers)
        self.assertEqual((three["INFO"]["partitions"], three["INFO"]["ready"]), (4, 6))

    def test_records_are_maps_in_resp3_and_flat_in_resp2_with_the_same_names(self):
        for one_of_each in (self.one_of_each, self.one_of_each_spread):
            two, three = one_of_each(2), one_of_each(3)
            info, peeked = three["INFO"], three["PEEK"][0]
            for record, names in ((info, self.INFO), (info["options"], self.OPTIONS),
                                  (peeked, self.PEEKED)):
                self.assertIsInstance(record, Map)
                self.assertEqual(list(record), list(names))
            self.assertEqual(list(two["INFO"][::2]), list(info))
            self.assertEqual(list(two["INFO"][-1][::2]), list(info["options"]))
            self.assertEqual(list(two["PEEK"][0][::2]), list(peeked))

    def test_no_name_stands_twice_in_a_record(self):
        told = self.one_of_each(2)
        for record in (told["INFO"], told["PEEK"][0]):
            names = list(record[::2])
            # A client makes a map of it: of two with one name it would lose the first.
            self.assertEqual([name for name in names if names.count(name) > 1], [])

    def test_a_pop_that_gets_nothing_is_a_nil_of_the_protocol(self):
        for protocol, nil in ((2, b"*-1"), (3, b"_")):
            connection = self.connect(2, protocol)
            for options in ("", "COUNT 5", "BLOCK 20", "FULL NOACK"):
                connection.send(*f"DQ.POP {self.queue} {options}".split())
                self.assertEqual(connection.read_line(), nil, options)

    def test_what_is_wrong_is_an_error_that_says_so_and_changes_nothing(self):
        for protocol in (2, 3):
            connection = self.connect(3, protocol)
            for line, words in self.REFUSALS.items():
                error = self.assert_error(connection.do(line.format(self.queue)), "ERR")
                self.assertIn(words, error, line)
        self.assertIsNone(self.do(f"DQ.INFO {self.queue}"))
