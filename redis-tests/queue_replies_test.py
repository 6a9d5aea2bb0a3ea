"""The type of each reply of the queues, in RESP2 and in RESP3, and what is refused."""

from queue_cases import QueueTest, rows_of
from resp import Bulk, Map, Status


class QueueShapes(QueueTest):
    """The type of each reply, in RESP2 and in RESP3."""

    FULL = {"id": Bulk, "group": Bulk, "priority": int, "pushed": int, "failures": int,
            "deliveries": int, "headers": {"trace": Bulk}, "error": Bulk}
    PLAIN = dict(FULL, id=None, group=None, headers={}, error=None)
    # A record is a map; RESP2 tells it as a flat array in the same order.
    EXPECTED = {
        "PUSH": Bulk, "MPUSH": [Bulk, Bulk, Bulk], "LEN": int, "LIST": [Bulk, [Bulk]],
        "POP": [[Bulk, Bulk, Bulk, int]], "NACK": int,
        "POP FULL": [[Bulk, Bulk, Bulk, int, FULL], [Bulk, Bulk, Bulk, int, PLAIN]],
        "TOUCH": [int, int], "ACK": int, "SET": Status, "PAUSE": Status, "MOVE": int, "DEL": int,
        "PURGE": int, "DROP": int, "DROP again": int, "INFO of none": None, "PEEK of none": [],
    }
    INFO = """ready delayed leased dead groups waiters oldest bytes pushed delivered acked failed
        expired duplicates options""".split()
    OPTIONS = """lease retry backoff-base backoff-max backoff-factor backoff-jitter dead maxlen
        maxbytes overflow ttl dedup-window group-concurrency concurrency""".split()
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

    def one_of_each(self, protocol):
        """What a queue's life is answered, on one connection."""
        queue, connection = f"{self.queue}/{protocol}", self.connect(1, protocol)
        told, cursor = {}, "0"

        def ask(what, rest=""):
            told[what] = connection.do(f"DQ.{what.split()[0]} {rest or queue}")
            return told[what]
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
        ask("ACK", f"{queue} {first.receipt}")
        ask("SET", f"{queue} retry 5 overflow refuse")
        ask("PAUSE", f"{queue} NONE")
        connection.do(f"DQ.NACK {queue} {second.receipt} DEAD")
        ask("MOVE", f"{queue}!dead {queue}")
        ask("INFO")
        ask("PEEK", f"{queue} COUNT 1")
        ask("DEL", f"{queue} {ids[1]}")
        ask("PURGE")
        ask("DROP")
        ask("DROP again")
        return told

    def test_each_reply_is_of_its_type(self):
        two, three = self.one_of_each(2), self.one_of_each(3)
        for what, expected in self.EXPECTED.items():
            self.assertEqual(self.kinds(three[what]), expected, what)
            self.assertEqual(self.kinds(two[what]), self.flat(expected), what)
        self.assertEqual((three["DROP"], three["DROP again"], three["DEL"]), (1, 0, 1))

    def test_records_are_maps_in_resp3_and_flat_in_resp2_with_the_same_names(self):
        two, three = self.one_of_each(2), self.one_of_each(3)
        info, [peeked] = three["INFO"], three["PEEK"]
        self.assertIsInstance(info, Map)
        self.assertIsInstance(peeked, Map)
        self.assertLessEqual(set(self.INFO), set(info))
        self.assertTrue({"body", "state"} | set(self.FULL) <= set(peeked), peeked)
        self.assertIsInstance(info["options"], Map)
        self.assertLessEqual(set(self.OPTIONS), set(info["options"]))
        self.assertEqual(list(two["INFO"][::2]), list(info))
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
