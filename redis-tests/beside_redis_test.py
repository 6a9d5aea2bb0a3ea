"""Each line to us and to a real redis-server 7.0, in RESP2 and RESP3: errors must be the same byte
for byte, and so must fixed replies; other replies must have the same shape."""

import shlex
import subprocess

from cases import ClusterTest
from cluster import ask, end_process, free_port, make_folder, remove_folder, start_process
from resp import Connection, Error, shape, wait_until

# A line is one command or several on one connection (";"), of which the last reply counts.
# Same to the last byte.
SAME = r"""
PING|PING hello|PING a b|ECHO|ECHO x|ECHO a b|ECHO "\x00\xff\r\n"
HELLO 3 "a\x00b"|HELLO 3 "a\r\nb"|HELLO x|HELLO 4|HELLO 1|HELLO 3 AUTH|HELLO 3 AUTH a b|HELLO 3 FOO|HELLO 3 SETNAME|HELLO 2 SETNAME 'a b'
AUTH|AUTH a b c|AUTH x|AUTH default x|AUTH nobody x|QUIT|QUIT x|RESET|RESET x
SELECT|SELECT abc|SELECT 0|SELECT 1|SELECT -1|SELECT 99999999999999999999|TIME x|ROLE|ROLE x
CLIENT|CLIENT FOO|CLIENT ID x|CLIENT LIST TYPE foo|CLIENT LIST TYPE|CLIENT LIST ID abc|CLIENT LIST ID
CLIENT LIST ID 999999|CLIENT LIST FOO|CLIENT KILL|CLIENT KILL 1.2.3.4:5|CLIENT KILL ID abc
CLIENT KILL ID 999999|CLIENT KILL TYPE foo|CLIENT KILL FOO bar|CLIENT KILL USER nobody
CLIENT KILL ADDR 1.2.3.4:5|CLIENT KILL SKIPME maybe|CLIENT KILL USER "a\x00b"
CLIENT LIST TYPE "a\x00b"|CLIENT SETNAME|CLIENT SETNAME x|CLIENT SETNAME ''
CLIENT SETNAME 'a b'|CLIENT SETNAME a b|CLIENT GETNAME|CLIENT GETNAME x|CLIENT SETNAME x ; CLIENT GETNAME
CLIENT REPLY FOO|CLIENT REPLY ON|CLIENT REPLY OFF ; CLIENT REPLY ON|CLIENT REPLY SKIP ; PING ; ECHO x
CLIENT PAUSE|CLIENT PAUSE abc|CLIENT PAUSE -1|CLIENT PAUSE 1 FOO|CLIENT PAUSE 1|CLIENT PAUSE 1 WRITE
CLIENT UNPAUSE|CLIENT UNPAUSE x|CLIENT UNBLOCK|CLIENT UNBLOCK abc|CLIENT UNBLOCK 999999
CLIENT UNBLOCK 1 FOO|CLIENT UNBLOCK 1 TIMEOUT x|CLIENT PAUSE 1 WRITE x|CLIENT UNBLOCK 1 FOO x
CLIENT NO-EVICT|CLIENT NO-EVICT foo|CLIENT NO-EVICT on|CLIENT TRACKING
CLIENT TRACKING foo|CLIENT TRACKING on FOO|CLIENT TRACKING on REDIRECT 999999
CLIENT TRACKING on OPTIN OPTOUT|CLIENT TRACKING on PREFIX a|CLIENT TRACKING off|CLIENT TRACKINGINFO
CLIENT CACHING yes|CLIENT CACHING foo|CLIENT GETREDIR
COMMAND COUNT x|COMMAND FOO|COMMAND HELP|COMMAND INFO nosuch|COMMAND DOCS nosuch|COMMAND DOCS ping
COMMAND DOCS client|id ; COMMAND DOCS echo|COMMAND GETKEYS|COMMAND GETKEYS FOO|COMMAND GETKEYS PING
COMMAND GETKEYS NOSUCH a|COMMAND GETKEYS PING a|COMMAND GETKEYS TYPE|COMMAND GETKEYS TYPE a
COMMAND GETKEYS MEMORY USAGE foo|COMMAND GETKEYSANDFLAGS|COMMAND GETKEYSANDFLAGS PING
COMMAND GETKEYSANDFLAGS TYPE a|COMMAND LIST FILTERBY|COMMAND LIST FILTERBY FOO x
COMMAND LIST FILTERBY MODULE nosuch|COMMAND LIST FILTERBY ACLCAT nosuch
COMMAND LIST FILTERBY PATTERN pin*|COMMAND LIST FILTERBY PATTERN ping extra
INFO nosuch|CONFIG|CONFIG FOO|CONFIG HELP|CONFIG GET|CONFIG GET nosuch|CONFIG GET save
CONFIG GET maxclients|CONFIG GET timeout|CONFIG SET|CONFIG SET foo|CONFIG SET foo bar
CONFIG GET tls-port|CONFIG GET MAXclients|CONFIG GET MAXclient*|CONFIG GET MAXclients maxclients
CONFIG SET "a\x00b" c|CONFIG SET client-output-buffer-limit 'slave 256mb 64mb 60'
CONFIG SET client-output-buffer-limit 'replica 256mb 64mb 60'
CONFIG SET client-output-buffer-limit 'master 256mb 64mb 60'
CONFIG SET client-output-buffer-limit 'slave 1 1'|CONFIG SET maxclients abc|CONFIG SET maxclients 5000 foo bar|CONFIG SET timeout 0 timeout 0
CONFIG SET timeout -1|CONFIG SET slowlog-max-len 100|CONFIG RESETSTAT
CONFIG RESETSTAT x|CONFIG REWRITE
CLUSTER|CLUSTER FOO|CLUSTER INFO x|CLUSTER LINKS|CLUSTER MYID x|CLUSTER KEYSLOT|CLUSTER KEYSLOT foo
CLUSTER KEYSLOT {bar}foo|CLUSTER KEYSLOT foo{}{bar}|CLUSTER KEYSLOT foo{{bar}}zap
CLUSTER COUNTKEYSINSLOT|CLUSTER COUNTKEYSINSLOT abc|CLUSTER COUNTKEYSINSLOT 16384
CLUSTER COUNTKEYSINSLOT -1|CLUSTER COUNTKEYSINSLOT 5|CLUSTER GETKEYSINSLOT 1
CLUSTER GETKEYSINSLOT 1 abc|CLUSTER GETKEYSINSLOT 16384 1|CLUSTER GETKEYSINSLOT 1 -1
CLUSTER GETKEYSINSLOT 1 10|CLUSTER REPLICAS nosuch|CLUSTER REPLICAS "x\r\n"
CLUSTER REPLICAS "x\x00y"|CLUSTER FORGET
READONLY|READONLY x|READWRITE|READWRITE x|ASKING|ASKING x
SUBSCRIBE|SUBSCRIBE a|PSUBSCRIBE|PSUBSCRIBE a*|SSUBSCRIBE|SSUBSCRIBE a|UNSUBSCRIBE|UNSUBSCRIBE a
PUNSUBSCRIBE|PUNSUBSCRIBE a|SUNSUBSCRIBE|SUBSCRIBE a ; PING|SUBSCRIBE a ; PING hello
SUBSCRIBE a ; ECHO x|SUBSCRIBE a ; SUBSCRIBE a|SUBSCRIBE a ; UNSUBSCRIBE a|SUBSCRIBE a ; RESET
SUBSCRIBE a ; RESET ; PING|SUBSCRIBE a ; QUIT|SUBSCRIBE a ; MULTI|PUBLISH|PUBLISH a|PUBLISH a b c
PUBLISH nobody x|PUBSUB|PUBSUB FOO|PUBSUB HELP|PUBSUB CHANNELS a b|PUBSUB CHANNELS nosuch*
PUBSUB NUMSUB|PUBSUB NUMSUB nosuch|PUBSUB NUMPAT x|PUBSUB SHARDNUMSUB nosuch
MULTI|MULTI x|EXEC|DISCARD|DISCARD x|MULTI ; MULTI|MULTI ; PING|MULTI ; PING ; EXEC
MULTI ; NOSUCH ; EXEC|MULTI ; PING a b ; EXEC|MULTI ; ECHO ; PING ; EXEC|MULTI ; SELECT abc ; EXEC
MULTI ; CLIENT FOO ; EXEC|MULTI ; DISCARD|MULTI ; DISCARD ; EXEC|MULTI ; EXEC|MULTI ; RESET ; EXEC
MULTI ; SUBSCRIBE a|MULTI ; SUBSCRIBE a ; EXEC|MULTI ; PSUBSCRIBE a* ; PING ; EXEC
MULTI ; UNSUBSCRIBE ; EXEC|MULTI ; SSUBSCRIBE a ; EXEC|MULTI ; SUNSUBSCRIBE a ; EXEC
MULTI ; SUBSCRIBE a ; EXEC ; PING|MULTI ; QUIT|MULTI ; MONITOR|MULTI ; MULTI ; PING ; EXEC
SLOWLOG|SLOWLOG FOO|SLOWLOG HELP|SLOWLOG GET abc|SLOWLOG GET -2|SLOWLOG GET 1 2|SLOWLOG LEN x
SLOWLOG RESET|LATENCY|LATENCY FOO|LATENCY LATEST|LATENCY HISTORY|LATENCY HISTORY nosuch|LATENCY RESET
LATENCY HISTOGRAM nosuch|LATENCY GRAPH|LATENCY GRAPH nosuch|LATENCY GRAPH a b
MEMORY|MEMORY FOO|MEMORY USAGE|MEMORY USAGE nosuch|MEMORY USAGE k SAMPLES -1
MEMORY MALLOC-STATS x|MEMORY USAGE k SAMPLES abc|MEMORY USAGE k FOO|MEMORY PURGE|MONITOR x|MONITOR|DBSIZE|DBSIZE x
SCAN|SCAN 0|SCAN abc|SCAN 0 COUNT abc|SCAN 0 COUNT 0|SCAN 0 COUNT|SCAN 0 FOO|SCAN 0 MATCH
SCAN -1|SCAN ''|SCAN +5|SCAN 007|SCAN "1\x00"|SCAN " 1"|SCAN "1 "|SCAN "\t1"|SCAN 1x|SCAN 0x10
SCAN 18446744073709551615|SCAN 18446744073709551616
SCAN 0 MATCH a* COUNT 5|SCAN 0 TYPE string|SCAN 0 TYPE nosuch|TYPE|TYPE nosuch|TYPE a b
FLUSHALL x|FLUSHALL ASYNC SYNC|FLUSHDB x|FLUSHDB ASYNC x|RANDOMKEY x|RANDOMKEY|OBJECT|OBJECT FOO|OBJECT FOO a
OBJECT HELP|OBJECT ENCODING|OBJECT ENCODING a b|OBJECT ENCODING nosuch|OBJECT FREQ nosuch|OBJECT REFCOUNT nosuch
KEYS|KEYS *|KEYS a b|MODULE|MODULE FOO|MODULE LIST|MODULE LIST x|SHUTDOWN FOO|SHUTDOWN NOSAVE SAVE
SHUTDOWN ABORT|DEBUG|DEBUG SLEEP 0
ACL|ACL FOO|ACL WHOAMI|ACL WHOAMI x|ACL LIST|ACL USERS|ACL GETUSER|ACL GETUSER nobody
ACL GETUSER default|ACL CAT nosuch|ACL LOG abc|ACL LOG RESET|ACL GENPASS abc|ACL GENPASS 0|ACL DRYRUN
ACL DRYRUN default client foo|ACL DRYRUN default client|ACL DRYRUN default acl whoami x
ACL CAT "x\x00y"|ACL DRYRUN "a\x00b" x|ACL DRYRUN nobody PING|ACL DRYRUN default PING|ACL DRYRUN default NOSUCH
NOSUCH|NOSUCH a b|NOSUCH "a\r\nb" c|''|SENTINEL MASTERS
"""

# Alike: the types and the names of the fields, not what they hold.
ALIKE = r"""
HELLO|HELLO 2|HELLO 3|HELLO 3 SETNAME x|HELLO 3 AUTH default b|TIME|LOLWUT|CLIENT HELP|CLIENT ID
CLIENT INFO|CLIENT LIST|CLIENT LIST TYPE normal|COMMAND|COMMAND COUNT|COMMAND LIST
COMMAND INFO client config subscribe slowlog latency memory acl cluster
INFO|INFO server|INFO server clients|INFO all|INFO everything|CONFIG GET databases
CONFIG GET appendonly|CLUSTER HELP|CLUSTER INFO|CLUSTER NODES|CLUSTER SLOTS|CLUSTER SHARDS|CLUSTER MYID
PUBSUB CHANNELS|PUBSUB NUMPAT|MULTI ; HELLO 3 ; EXEC|LATENCY HELP|LATENCY DOCTOR|MEMORY HELP
MEMORY DOCTOR|MODULE HELP|ACL HELP|ACL CAT|ACL CAT connection|ACL GENPASS|ACL GENPASS 5
AUTH nobody x ; ACL LOG
"""

# What Redis cannot do at all must fail here in Redis's own way.
UNKNOWN = ("EVAL", "EVALSHA", "SCRIPT", "FUNCTION", "FCALL", "SYNC", "PSYNC", "REPLCONF", "MIGRATE")

SUBCOMMANDS_WE_LEAVE_OUT = {"module|load", "module|loadex", "module|unload"}


def lines_of(table):
    """A bar between blanks or words is a separator; client|id is a command's own name."""
    for row in table.strip().splitlines():
        for line in row.replace("client|id", "client\0id").split("|"):
            yield line.strip().replace("\0", "|")


def words_of(command):
    """redis-cli's quoting: '...' as it stands, "..." with escapes."""
    words = []
    for word in shlex.split(command, posix=False):
        if word[:1] == '"':
            word = word[1:-1].encode().decode("unicode_escape").encode("latin-1")
        elif word[:1] == "'":
            word = word[1:-1]
        words.append(word)
    return words


def last_reply(port, protocol, line):
    """CLIENT REPLY OFF and SKIP leave commands without a reply."""
    with Connection(port, protocol, timeout=10, depth_max=20) as connection:
        commands = [words_of(command) for command in line.split(" ; ")]
        silent = {"CLIENT REPLY OFF": 1, "CLIENT REPLY SKIP": 2}.get(" ".join(
            map(str, commands[0])), 0)
        for command in commands:
            connection.send(*command)
        for _ in commands[silent:]:
            reply = connection.reply() if protocol == 2 or not is_subscription(commands[0]) \
                else connection.read_value(0)
        return reply


def is_subscription(words):
    return str(words[0]).upper().endswith("SUBSCRIBE")


class BesideRedis(ClusterTest):
    size = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = make_folder()
        cls.redis_port = free_port()
        cls.redis = start_process(
            ["redis-server", "--port", cls.redis_port, "--cluster-enabled", "yes",
             "--cluster-port", free_port(), "--dir", cls.folder, "--save", "", "--logfile",
             cls.folder / "log"], stdout=subprocess.DEVNULL)
        wait_until(lambda: ask(cls.redis_port, "PING") == "PONG", 20, "redis-server answers")
        ask(cls.redis_port, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        wait_until(lambda: "cluster_state:ok" in ask(cls.redis_port, "CLUSTER", "INFO"), 20,
                   "redis-server has its slots")

    @classmethod
    def tearDownClass(cls):
        end_process(cls.redis)
        remove_folder(cls.folder)
        super().tearDownClass()

    def both(self, protocol, line):
        ours = self.cluster.node(1).port
        return last_reply(self.redis_port, protocol, line), last_reply(ours, protocol, line)

    def compare(self, table, protocol, alike):
        different = []
        for line in lines_of(table):
            redis, ours = self.both(protocol, line)
            exact = not alike or isinstance(redis, Error) or isinstance(ours, Error)
            if (repr(redis), type(redis)) != (repr(ours), type(ours)) if exact else \
                    shape(redis) != shape(ours):
                different.append(f"{line}\n      redis: {redis!r:.300}\n      ours:  {ours!r:.300}")
        self.assertEqual(different, [], "\n" + "\n".join(different))

    def test_fixed_replies_and_errors_are_the_same_to_the_last_byte_in_resp2(self):
        self.compare(SAME, 2, alike=False)

    def test_fixed_replies_and_errors_are_the_same_to_the_last_byte_in_resp3(self):
        self.compare(SAME, 3, alike=False)

    def test_other_replies_have_the_same_shape_in_resp2(self):
        self.compare(ALIKE, 2, alike=True)

    def test_other_replies_have_the_same_shape_in_resp3(self):
        self.compare(ALIKE, 3, alike=True)

    def test_a_record_has_every_field_that_redis_gives_it(self):
        for line, fields in (("CLIENT INFO", "id addr laddr name age idle flags db sub psub multi "
                              "qbuf qbuf-free argv-mem obl oll omem tot-mem events cmd user redir "
                              "resp"),):
            redis, ours = self.both(2, line)
            for field in fields.split():
                self.assertIn(f"{field}=", redis)
                self.assertIn(f"{field}=", ours)

    def test_info_has_the_fields_that_tools_read(self):
        redis, ours = self.both(2, "INFO everything")
        fields = """redis_version redis_mode os arch_bits process_id run_id tcp_port
            uptime_in_seconds uptime_in_days hz executable config_file connected_clients maxclients
            blocked_clients tracking_clients used_memory used_memory_human used_memory_rss
            used_memory_peak total_system_memory maxmemory maxmemory_policy mem_allocator
            mem_fragmentation_ratio loading rdb_last_save_time rdb_bgsave_in_progress
            rdb_last_bgsave_status aof_enabled aof_rewrite_in_progress aof_last_write_status
            total_connections_received total_commands_processed instantaneous_ops_per_sec
            total_net_input_bytes total_net_output_bytes rejected_connections expired_keys
            evicted_keys keyspace_hits keyspace_misses acl_access_denied_auth total_error_replies
            unexpected_error_replies role connected_slaves master_repl_offset used_cpu_sys
            used_cpu_user cluster_enabled acl_access_denied_cmd acl_access_denied_key
            acl_access_denied_channel io_threaded_reads_processed
            io_threaded_writes_processed""".split()
        self.assertEqual([each for each in fields if f"\r\n{each}:" not in redis
                          and not each.startswith("acl_")], [])
        self.assertEqual([each for each in fields if f"\r\n{each}:" not in ours], [])
        for section in ("Server", "Clients", "Memory", "Persistence", "Stats", "Replication",
                        "CPU", "Commandstats", "Errorstats", "Cluster", "Keyspace", "Raft",
                        "Locks"):
            self.assertIn(f"# {section}\r\n", ours)

    def test_cluster_info_has_every_field_that_redis_gives_it(self):
        redis, ours = ([line.split(":")[0] for line in reply.split()]
                       for reply in self.both(2, "CLUSTER INFO"))
        self.assertEqual(ours, redis)

    def test_what_is_left_out_is_an_unknown_command_in_redis_own_words(self):
        for name in UNKNOWN:
            reply = self.cluster.node(1).ask(name, "a", "b")
            self.assertEqual(reply, f"ERR unknown command '{name}', with args beginning with: "
                                    "'a' 'b' ")

    def test_command_info_agrees_about_arity_keys_flags_and_categories(self):
        redis, ours = self.command_table(self.redis_port), self.command_table(
            self.cluster.node(1).port)
        families = {name for name in ours if "|" not in name}
        missing = {name for name in redis if name.split("|")[0] in families} - set(ours)
        self.assertEqual(missing, SUBCOMMANDS_WE_LEAVE_OUT)
        different = []
        for name in sorted(set(redis) & set(ours)):
            theirs, mine = redis[name], ours[name]
            if name.startswith("cluster|") and mine[1] == -2:
                continue  # Refused with a word about what to use instead.
            for index, what in ((1, "arity"), (3, "first"), (4, "last"), (5, "step")):
                if theirs[index] != mine[index]:
                    different.append(f"{name} {what}: {theirs[index]} {mine[index]}")
            for index, what in ((2, "flags"), (6, "categories"), (7, "tips")):
                if set(theirs[index]) - set(mine[index]) - {"no_async_loading"}:
                    different.append(f"{name} {what}: {theirs[index]} {mine[index]}")
            if len(theirs[8]) != len(mine[8]):
                different.append(f"{name} key specs: {theirs[8]} {mine[8]}")
        self.assertEqual(different, [])

    def command_table(self, port):
        found = {}

        def add(entry):
            found[entry[0]] = entry
            for subcommand in entry[9]:
                add(subcommand)
        with Connection(port, 3) as connection:
            for entry in connection.do("COMMAND"):
                add(entry)
        return found
