"""Every command that the contract names: it is there, it is documented, and it refuses what is wrong
in Redis's words."""

import subprocess

from cases import LONG, ClusterTest
from resp import Array, Bulk, Error, Map, Status, Verbatim, pairs

LOCK_COMMANDS = """lock.acquire lock.macquire lock.renew lock.release lock.check lock.info lock.owner
    lock.list lock.graph lock.deadlocks lock.revoke""".split()

SERVER_COMMANDS = """ping echo hello auth quit reset select time role lolwut client command info config
    acl cluster readonly readwrite asking subscribe unsubscribe psubscribe punsubscribe ssubscribe
    sunsubscribe publish spublish pubsub multi exec discard slowlog latency memory monitor dbsize scan
    type keys module shutdown debug""".split()

SUBCOMMANDS = """client|id client|info client|list client|kill client|setname client|getname
    client|setinfo client|no-evict client|no-touch client|reply client|pause client|unpause
    client|unblock client|tracking client|trackinginfo client|caching client|getredir client|help
    command|count command|list command|info command|docs command|getkeys command|getkeysandflags
    config|get config|set config|rewrite config|resetstat config|help
    cluster|slots cluster|shards cluster|nodes cluster|info cluster|myid cluster|keyslot cluster|links
    cluster|countkeysinslot cluster|getkeysinslot cluster|status cluster|add cluster|remove
    cluster|forget cluster|rebalance cluster|leader
    slowlog|get slowlog|len slowlog|reset latency|latest latency|history latency|reset latency|doctor
    latency|histogram memory|usage memory|stats memory|doctor memory|purge module|list
    pubsub|channels pubsub|numsub pubsub|numpat acl|whoami acl|list acl|users acl|getuser acl|setuser
    acl|deluser acl|cat acl|log acl|genpass acl|dryrun acl|save acl|load acl|help""".split()

# Commands of the contract with arguments that are right, and the type that answers in RESP2 and RESP3.
CALLS = {
    "LOCK.ACQUIRE call/a o TTL 60000": (int, int),
    "LOCK.ACQUIRE call/a other": (type(None), type(None)),
    "LOCK.MACQUIRE 2 call/b call/c o TTL 60000": (int, int),
    "LOCK.RENEW call/a o": (int, int),
    "LOCK.CHECK call/a 1": (int, int),
    "LOCK.INFO call/a": (Array, Map),
    "LOCK.OWNER o": (Array, Map),
    "LOCK.LIST": (Array, Array),
    "LOCK.GRAPH": (Array, Array),
    "LOCK.DEADLOCKS": (Array, Array),
    "LOCK.REVOKE call/none": (int, int),
    "LOCK.RELEASE call/none o": (int, int),
    "CLUSTER STATUS": (Array, Map),
    "CLUSTER REBALANCE": (Status, Status),
    "CLIENT SETINFO LIB-NAME tester": (Status, Status),
    "CLIENT SETINFO LIB-VER 1.0": (Status, Status),
    "CLIENT NO-TOUCH on": (Status, Status),
    "TYPE call/a": (Status, Status),
    "MEMORY USAGE call/a": (int, int),
    "DBSIZE": (int, int),
    "KEYS call/a": (Array, Array),
    "CLUSTER COUNTKEYSINSLOT 0": (int, int),
    "LOLWUT VERSION 5": (Bulk, Verbatim),
}

NOT_AN_INTEGER = "ERR value is not an integer or out of range"

# What is refused, and the words that must be in the refusal.
REFUSALS = {
    "LOCK.ACQUIRE n o TLT 5": "ERR syntax error near 'TLT' (did you mean TTL?)",
    "LOCK.ACQUIRE n o TTL": "ERR syntax error",
    "LOCK.ACQUIRE n o TTL soon": NOT_AN_INTEGER,
    "LOCK.ACQUIRE n o TTL 1.5": NOT_AN_INTEGER,
    "LOCK.ACQUIRE n o TTL 99999999999999999999": NOT_AN_INTEGER,
    "LOCK.ACQUIRE n o TTL 0": "TTL",
    "LOCK.ACQUIRE n o TTL -1": "TTL",
    "LOCK.ACQUIRE n o TTL 86400001": "86400000",
    "LOCK.ACQUIRE n o BLOCK -1": "ERR timeout is negative",
    "LOCK.ACQUIRE n o BLOCK soon": "ERR timeout is not an integer or out of range",
    "LOCK.ACQUIRE n o SHARED LIMIT 0": "LIMIT",
    "LOCK.ACQUIRE n o SHARED LIMIT many": NOT_AN_INTEGER,
    "LOCK.ACQUIRE n o LIMIT 2": "SHARED",
    "LOCK.ACQUIRE n o SHARED EXCLUSIVE": "ERR",
    "LOCK.ACQUIRE n o TTL 5 TTL 6": "ERR",
    "LOCK.MACQUIRE 0 n o": "ERR",
    "LOCK.MACQUIRE -1 n o": "ERR",
    "LOCK.MACQUIRE two n o": NOT_AN_INTEGER,
    "LOCK.MACQUIRE 3 n o": "ERR",
    "LOCK.MACQUIRE 1025 n o": "ERR",
    "LOCK.MACQUIRE 1 n o LIMIT 2": "ERR syntax error near 'LIMIT'",
    "LOCK.MACQUIRE 1 n o TTL x": NOT_AN_INTEGER,
    "LOCK.RENEW n o TTL x": NOT_AN_INTEGER,
    "LOCK.RENEW n o TTL 0": "TTL",
    "LOCK.RENEW n o AL": "ERR syntax error near 'AL' (did you mean ALL?)",
    "LOCK.RELEASE n o TOKEN x": NOT_AN_INTEGER,
    "LOCK.RELEASE n o TOKEN": "ERR syntax error",
    "LOCK.RELEASE n o TOKN 5": "did you mean TOKEN",
    "LOCK.CHECK n x": NOT_AN_INTEGER,
    "LOCK.LIST CURSOR x": "ERR invalid cursor",
    "LOCK.LIST COUNT x": NOT_AN_INTEGER,
    "LOCK.LIST COUNT 0": "ERR",
    "LOCK.LIST PATTERN x": "ERR syntax error near 'PATTERN'",
    "LOCK.DEADLOCKS COUNT x": NOT_AN_INTEGER,
    "LOCK.DEADLOCKS COUNT -1": "ERR",
    "LOCK.DEADLOCKS FOO": "ERR syntax error near 'FOO'",
    "LOCK.REVOKE n OWNER": "ERR syntax error",
    "LOCK.REVOKE n OWNR o": "did you mean OWNER",
    "CLUSTER ADD 4": "ERR wrong number of arguments for 'cluster|add' command",
    "CLUSTER ADD x host:1": "ERR",
    "CLUSTER ADD 4 nowhere": "ERR",
    "CLUSTER ADD 4 host:99999": "ERR",
    "CLUSTER REMOVE x": "ERR",
    "CLUSTER REMOVE 999": "ERR",
    "CLUSTER LEADER nosuch 1": "ERR",
    "CLUSTER LEADER locks 999": "ERR",
    "CLUSTER MEET 127.0.0.1 7000": "CLUSTER ADD",
    "CLUSTER FAILOVER": "CLUSTER LEADER",
    "CLIENT SETINFO LIB-NAME": "ERR wrong number of arguments for 'client|setinfo' command",
    "CLIENT SETINFO FOO x": "ERR",
    "DEBUG SLEEP 0": "ERR DEBUG command not allowed.",
}


class Commands(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.entries, cls.documents = {}, {}
        with cls.cluster.node(1).connect(protocol=3) as connection:
            cls.collect(connection.do("COMMAND"), connection.do("COMMAND DOCS"))

    @classmethod
    def collect(cls, entries, documents):
        for entry in entries:
            cls.entries[entry[0]] = entry
            cls.collect(entry[9], {})
        for name, document in documents.items():
            cls.documents[name] = document
            cls.collect([], document.get("subcommands", {}))

    def setUp(self):
        self.connection = self.connect(1)

    def test_the_whole_contract_is_there(self):
        wanted = LOCK_COMMANDS + SERVER_COMMANDS + SUBCOMMANDS
        self.assertEqual([name for name in wanted if name not in self.entries], [])
        listed = set(self.connection.do("COMMAND LIST"))
        self.assertEqual([name for name in wanted if name not in listed and "|" not in name], [])
        self.assertEqual(self.connection.do("COMMAND COUNT"),
                         len([name for name in self.entries if "|" not in name]))

    def test_every_command_has_complete_docs(self):
        for name, entry in self.entries.items():
            document = self.documents.get(name)
            self.assertIsNotNone(document, name)
            for field in ("summary", "since", "group", "complexity"):
                if entry[9] and field == "complexity":
                    continue  # A container has none of its own.
                self.assertTrue(document.get(field), f"{name}: {field}")
            if abs(entry[1]) > (2 if "|" in name else 1) and not entry[9]:
                self.assertTrue(document.get("arguments"), f"{name}: arguments")

    def test_every_argument_in_the_docs_has_a_name_and_a_type_that_redis_cli_knows(self):
        known = {"string", "integer", "double", "key", "pattern", "unix-time", "pure-token", "oneof",
                 "block"}

        def check(name, arguments):
            for argument in arguments:
                self.assertTrue(argument["name"], name)
                self.assertIn(argument["type"], known, name)
                check(name, argument.get("arguments", []))
        for name, document in self.documents.items():
            check(name, document.get("arguments", []))

    def test_every_lock_command_has_its_group_its_category_and_its_keys(self):
        for name in LOCK_COMMANDS:
            self.assertEqual(self.documents[name]["group"], "lock")
            self.assertIn("@lock", self.entries[name][6])
        for name in ("acquire", "renew", "release", "check", "info", "revoke"):
            self.assertEqual(self.entries["lock." + name][3:6], [1, 1, 1], name)
        keys = self.connection.do("COMMAND GETKEYS LOCK.MACQUIRE 3 a b c owner TTL 5")
        self.assertEqual(keys, ["a", "b", "c"])
        with_flags = self.connection.do("COMMAND GETKEYSANDFLAGS LOCK.ACQUIRE a owner")
        self.assertEqual(with_flags[0][0], "a")

    def test_names_are_taken_in_any_case_and_listed_in_lower_case(self):
        for name in ("lock.info", "LOCK.INFO", "Lock.Info"):
            self.assertEqual(pairs(self.connection.call(name, "x"))["name"], "x")
        self.assertEqual([name for name in self.entries if name != name.lower()], [])

    def test_every_command_counts_its_arguments(self):
        """Too few for all, too many where the number is fixed, in Redis's words."""
        for name, entry in self.entries.items():
            words, arity = name.split("|"), entry[1]
            if entry[9] and arity > -2:
                continue
            numbers = [abs(arity) - 1] + ([arity + 1] if arity > 0 else [])
            for number in numbers:
                if number < len(words):
                    continue
                with self.cluster.node(1).connect() as connection:
                    reply = connection.call(*words, *["x"] * (number - len(words)))
                self.assertEqual(reply, f"ERR wrong number of arguments for '{name}' command")

    def test_right_calls_answer_with_the_right_type_in_both_protocols(self):
        with self.cluster.node(2).connect(protocol=3) as three:
            for line, (resp2, resp3) in CALLS.items():
                self.assertIs(type(self.connection.do(line)), resp2, line)
                self.assertIs(type(three.do(line)), resp3, line)

    def test_records_are_the_same_in_both_protocols(self):
        self.connection.do(f"LOCK.ACQUIRE record o TTL {LONG}")
        with self.cluster.node(1).connect(protocol=3) as three:
            for line in ("LOCK.INFO record", "LOCK.OWNER o", "CLUSTER STATUS"):
                self.assertEqual(list(three.do(line)), list(self.connection.do(line)[::2]), line)

    def test_each_kind_of_bad_argument_is_refused_with_a_word_about_it(self):
        for line, wanted in REFUSALS.items():
            reply = self.connection.do(line)
            self.assertIsInstance(reply, Error, line)
            self.assertIn(wanted, reply, line)
            if wanted.startswith("ERR "):
                self.assertTrue(reply.startswith(wanted), f"{line}: {reply}")

    def test_empty_and_long_names_are_refused_by_every_lock_command(self):
        for line in ("LOCK.ACQUIRE {} o", "LOCK.ACQUIRE n {}", "LOCK.MACQUIRE 1 {} o",
                     "LOCK.MACQUIRE 2 n {} o", "LOCK.MACQUIRE 1 n {}", "LOCK.RENEW {} o",
                     "LOCK.RENEW n {}", "LOCK.RELEASE {} o", "LOCK.RELEASE n {}", "LOCK.CHECK {} 1",
                     "LOCK.INFO {}", "LOCK.OWNER {}", "LOCK.REVOKE {}", "LOCK.REVOKE n OWNER {}"):
            for name, wanted in (("", "empty"), ("x" * 1025, "1024")):
                words = [name if word == "{}" else word for word in line.split()]
                reply = self.connection.call(*words)
                self.assertIsInstance(reply, Error, line)
                self.assertIn(wanted, reply, line)
            words = ["x" * 1024 if word == "{}" else word for word in line.split()]
            self.assertNotIsInstance(self.connection.call(*words), Error, line)

    def test_a_bad_command_changes_nothing_and_the_connection_goes_on(self):
        self.connection.do(f"LOCK.ACQUIRE untouched alice TTL {LONG}")
        for line in ("LOCK.RELEASE untouched alice TOKEN x", "LOCK.REVOKE untouched FOO",
                     "LOCK.RENEW untouched alice TTL 0", "LOCK.ACQUIRE untouched alice SHARD"):
            self.assertIsInstance(self.connection.do(line), Error)
        info = pairs(self.connection.do("LOCK.INFO untouched"))
        self.assertEqual((info["state"], info["mode"]), ("LOCKED", "EXCLUSIVE"))
        self.assertGreater(pairs(info["holders"][0])["ttl"], LONG - 60000)

    def test_keys_are_found_from_any_node_and_locks_are_none(self):
        self.connection.do(f"LOCK.ACQUIRE keyspace/lock alice TTL {LONG}")
        self.connection.do("SET keyspace/key value")
        self.assertEqual(self.connection.do("TYPE keyspace/lock"), "lock")
        self.assertEqual(self.connection.do("TYPE keyspace/key"), "string")
        for node in self.cluster.nodes:
            with node.connect() as connection:
                self.assertEqual(connection.do("KEYS keyspace/*"), ["keyspace/key"])
                self.assertGreaterEqual(connection.do("DBSIZE"), 1)
                self.assertEqual(connection.do("TYPE keyspace/key"), "string")
        self.connection.do("DEL keyspace/key")
        self.assertEqual(self.connection.do("KEYS keyspace/*"), [])

    def test_cluster_views_agree_with_each_other_and_cover_every_slot_once(self):
        for node in self.cluster.nodes:
            with node.connect(protocol=3) as connection:
                covered = []
                ids = {}
                for first, last, (host, port, node_id, _), *_ in connection.do("CLUSTER SLOTS"):
                    covered += range(first, last + 1)
                    ids[node_id] = (host, port)
                self.assertEqual(sorted(covered), list(range(16384)))
                lines = connection.do("CLUSTER NODES").splitlines()
                self.assertEqual({line.split()[0] for line in lines}, set(ids))
                mine = [line for line in lines if "myself" in line]
                self.assertEqual(len(mine), 1)
                self.assertEqual(mine[0].split()[0], connection.do("CLUSTER MYID"))
                self.assertRegex(mine[0], rf"^[0-9a-f]{{40}} 127\.0\.0\.1:{node.port}"
                                          rf"@{node.bus_port}\S* myself,master - ")
                shards = connection.do("CLUSTER SHARDS")
                self.assertEqual({each["id"] for shard in shards for each in shard["nodes"]},
                                 set(ids))
                self.assertEqual({port for _, port in ids.values()},
                                 {each.port for each in self.cluster.nodes})

    def test_the_server_tells_its_version_and_exits(self):
        from cluster import SERVER
        ran = subprocess.run([SERVER, "--version"], capture_output=True, text=True, timeout=10,
                             check=False)
        self.assertEqual(ran.returncode, 0)
        self.assertRegex(ran.stdout, r"\d+\.\d+\.\d+")
