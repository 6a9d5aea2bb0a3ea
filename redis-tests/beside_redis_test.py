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

# Each begins without these keys, and of each all replies are the same to the last byte.
KEYS = ("{k}", "{k}1", "{k}2", "{k}3")
STRINGS = r"""
GET|GET {k}|GET {k} x|SET {k} v ; GET {k}|SET {k} "" ; GET {k}|SET {k} "\x00\xff\r\n" ; GET {k}|GET ''|SET '' x ; GET '' ; DEL ''
SET|SET {k}|SET {k} v|SET {k} v w|SET {k} v NX|SET {k} v XX|SET {k} v NX XX|SET {k} v XX NX|SET {k} v nx
SET {k} a ; SET {k} b NX ; GET {k}|SET {k} a ; SET {k} b XX ; GET {k}|SET {k} a ; SET {k} b GET|SET {k} a GET
SET {k} a ; SET {k} b NX GET ; GET {k}|SET {k} b NX GET ; GET {k}|SET {k} b XX GET ; GET {k}|SET {k} a ; SET {k} b XX GET ; GET {k}
SET {k} v EX|SET {k} v EX 0|SET {k} v EX -1|SET {k} v EX abc|SET {k} v EX 1.5|SET {k} v EX 9223372036854775807|SET {k} v EX 9223372036854775
SET {k} v PX|SET {k} v PX 0|SET {k} v PX -1|SET {k} v PX abc|SET {k} v PX 9223372036854775807|SET {k} v EX 100 PX 100|SET {k} v EX 100 EX 100
SET {k} v EX 99999999999999999999|SET {k} v EX " 5"|SET {k} v EX 05|SET {k} v EX +5|SET {k} v EX ''|SET {k} v PX 1x
SET {k} v EXAT|SET {k} v EXAT 0|SET {k} v EXAT -1|SET {k} v EXAT 1 ; GET {k}|SET {k} v PXAT 1 ; GET {k}|SET {k} v PXAT 0|SET {k} v PXAT abc
SET {k} v EXAT 9999999999 ; EXPIRETIME {k} ; PEXPIRETIME {k}|SET {k} v PXAT 9999999999999 ; EXPIRETIME {k} ; PEXPIRETIME {k}
SET {k} v EXAT 9223372036854775807|SET {k} v PXAT 9223372036854775807|SET {k} v KEEPTTL EX 5|SET {k} v EX 5 KEEPTTL|SET {k} v KEEPTTL KEEPTTL
SET {k} v EX 100 ; TTL {k} ; SET {k} w ; TTL {k}|SET {k} v EX 100 ; SET {k} w KEEPTTL ; TTL {k}|SET {k} v KEEPTTL ; TTL {k}
SET {k} v PERSIST|SET {k} v NX EX 100 ; TTL {k}|SET {k} v EX 100 NX GET ; TTL {k}|SET {k} v GET GET|SET {k} v NX NX|SET {k} v XX XX
SET {k} a ; SET {k} b NX EX 0|SET {k} b XX EX abc|SET {k} a ; SET {k} b EXAT 1 NX ; GET {k}|SET {k} a ; SET {k} b EXAT 1 ; EXISTS {k}
SET {k} v FOO|SET {k} v EX 10 FOO|SET {k} v GET FOO|SET {k} v IFEQ x
SETEX|SETEX {k}|SETEX {k} 10|SETEX {k} 10 v ; GET {k} ; TTL {k}|SETEX {k} 0 v|SETEX {k} -1 v|SETEX {k} abc v|SETEX {k} 10 v w|SETEX {k} 9223372036854775807 v
PSETEX|PSETEX {k} 10|PSETEX {k} 100000 v ; GET {k} ; TTL {k}|PSETEX {k} 0 v|PSETEX {k} -1 v|PSETEX {k} abc v|PSETEX {k} 9223372036854775807 v
SETNX|SETNX {k}|SETNX {k} v|SETNX {k} v ; SETNX {k} w ; GET {k}|SETNX {k} v w
GETSET|GETSET {k}|GETSET {k} v|SET {k} a ; GETSET {k} b ; GET {k}|GETSET {k} v w|SET {k} a EX 100 ; GETSET {k} b ; TTL {k}
GETDEL|GETDEL {k}|SET {k} a ; GETDEL {k} ; GET {k}|GETDEL {k} x
GETEX|GETEX {k}|GETEX {k} EX 10|SET {k} a ; GETEX {k} ; TTL {k}|SET {k} a ; GETEX {k} EX 100 ; TTL {k}|SET {k} a EX 100 ; GETEX {k} PERSIST ; TTL {k}
SET {k} a ; GETEX {k} PERSIST|SET {k} a ; GETEX {k} EX 0|SET {k} a ; GETEX {k} EX -1|SET {k} a ; GETEX {k} EX abc|SET {k} a ; GETEX {k} EX
SET {k} a ; GETEX {k} PX 100000 ; TTL {k}|SET {k} a ; GETEX {k} EXAT 1 ; GET {k}|SET {k} a ; GETEX {k} PXAT 1 ; GET {k}|SET {k} a ; GETEX {k} EXAT 9999999999 ; EXPIRETIME {k}
SET {k} a ; GETEX {k} EX 10 PERSIST|SET {k} a ; GETEX {k} EX 10 PX 10|SET {k} a ; GETEX {k} KEEPTTL|SET {k} a ; GETEX {k} NX|GETEX {k} FOO|GETEX {k} EX abc|GETEX {k} EX 0
SET {k} a ; GETEX {k} PXAT 0|SET {k} a ; GETEX {k} EX 9223372036854775807
MGET|MGET {k}|SET {k}1 a ; MGET {k}1 {k} {k}1|MSET|MSET {k}|MSET {k} a ; GET {k}|MSET {k}1 a {k}2|MSET {k}1 a {k}2 b ; MGET {k}1 {k}2|MSET {k} a {k} b ; GET {k}
SET {k} a EX 100 ; MSET {k} b ; TTL {k}|MSETNX|MSETNX {k}|MSETNX {k}1 a {k}2 b ; MGET {k}1 {k}2|SET {k}1 x ; MSETNX {k}1 a {k}2 b ; MGET {k}1 {k}2|MSETNX {k}1 a {k}2
MSETNX {k} a {k} b ; GET {k}
APPEND|APPEND {k}|APPEND {k} a|APPEND {k} a ; APPEND {k} bc ; GET {k}|APPEND {k} a b|SET {k} a EX 100 ; APPEND {k} b ; TTL {k}|APPEND {k} "" ; EXISTS {k}
STRLEN|STRLEN {k}|SET {k} hello ; STRLEN {k}|STRLEN {k} x|SET {k} 12345 ; STRLEN {k}
GETRANGE|GETRANGE {k}|GETRANGE {k} 0|GETRANGE {k} 0 -1|SET {k} hello ; GETRANGE {k} 0 -1 ; GETRANGE {k} 1 3 ; GETRANGE {k} -3 -1 ; GETRANGE {k} 3 1
SET {k} hello ; GETRANGE {k} -100 100 ; GETRANGE {k} 5 9 ; GETRANGE {k} -1 -3 ; GETRANGE {k} 0 0 ; GETRANGE {k} -9 -7|GETRANGE {k} a 1|GETRANGE {k} 0 b|GETRANGE {k} 0 1 2
SET {k} hello ; GETRANGE {k} 0 99999999999999999999|SET {k} 12345 ; GETRANGE {k} 1 2
SUBSTR|SUBSTR {k} 0 1|SET {k} hello ; SUBSTR {k} 1 2|SUBSTR {k} a 1
SETRANGE|SETRANGE {k}|SETRANGE {k} 0|SETRANGE {k} 0 abc ; GET {k}|SET {k} hello ; SETRANGE {k} 1 EY ; GET {k}|SETRANGE {k} 3 x ; GET {k}|SETRANGE {k} 5 "" ; EXISTS {k}
SETRANGE {k} -1 x|SETRANGE {k} abc x|SETRANGE {k} 536870912 x|SETRANGE {k} 9223372036854775807 x|SET {k} hello ; SETRANGE {k} 9 "" ; GET {k}|SETRANGE {k} 0 a b
SET {k} hello ; SETRANGE {k} 536870912 ""|SET {k} a EX 100 ; SETRANGE {k} 0 b ; TTL {k}
INCR|INCR {k}|INCR {k} 1|SET {k} 41 ; INCR {k} ; GET {k}|SET {k} abc ; INCR {k}|SET {k} 007 ; INCR {k}|SET {k} " 1" ; INCR {k}|SET {k} "1 " ; INCR {k}|SET {k} -0 ; INCR {k}
SET {k} 1.5 ; INCR {k}|SET {k} "" ; INCR {k}|SET {k} 9223372036854775807 ; INCR {k} ; GET {k}|SET {k} 9223372036854775808 ; INCR {k}|SET {k} -9223372036854775808 ; DECR {k}
SET {k} +1 ; INCR {k}|SET {k} 0x1 ; INCR {k}|SET {k} -1 ; INCR {k} ; INCR {k}|SET {k} 5 EX 100 ; INCR {k} ; TTL {k}|SET {k} 0 ; INCR {k}|SET {k} "1\x00" ; INCR {k}
INCRBY|INCRBY {k}|INCRBY {k} 5|INCRBY {k} abc|INCRBY {k} 1.5|INCRBY {k} -5|INCRBY {k} 5 6|INCRBY {k} 9223372036854775807 ; INCR {k}|INCRBY {k} 9223372036854775808|INCRBY {k} ''
SET {k} abc ; INCRBY {k} 1|SET {k} abc ; INCRBY {k} x|SET {k} -5 ; INCRBY {k} -9223372036854775808
DECR|DECR {k}|DECR {k} 1|SET {k} 1 ; DECR {k} ; DECR {k}|DECRBY|DECRBY {k}|DECRBY {k} 5|DECRBY {k} abc|DECRBY {k} -9223372036854775808|SET {k} abc ; DECRBY {k} 1
SET {k} -9223372036854775807 ; DECRBY {k} 1 ; DECRBY {k} 1|DECRBY {k} 9223372036854775807|DECRBY {k} 5 6
INCRBYFLOAT|INCRBYFLOAT {k}|INCRBYFLOAT {k} 1.5|INCRBYFLOAT {k} abc|INCRBYFLOAT {k} 1e3|INCRBYFLOAT {k} inf|INCRBYFLOAT {k} nan|SET {k} abc ; INCRBYFLOAT {k} 1
SET {k} 10.50 ; INCRBYFLOAT {k} 0.1 ; GET {k}|SET {k} 5.0e3 ; INCRBYFLOAT {k} 2.0e2|SET {k} 3 ; INCRBYFLOAT {k} -1.5|SET {k} 1 ; INCRBYFLOAT {k} -1|INCRBYFLOAT {k} 0.1 ; INCRBYFLOAT {k} 0.2
SET {k} 1e308 ; INCRBYFLOAT {k} 1e308|SET {k} " 1" ; INCRBYFLOAT {k} 1|SET {k} 1.5 EX 100 ; INCRBYFLOAT {k} 1 ; TTL {k}|INCRBYFLOAT {k} -0 ; GET {k}|INCRBYFLOAT {k} ''
INCRBYFLOAT {k} 3.0 ; GET {k}|INCRBYFLOAT {k} 1e-10|INCRBYFLOAT {k} 123456789.123456789|INCRBYFLOAT {k} 0x10|INCRBYFLOAT {k} 1 2|INCRBYFLOAT {k} 1e20|INCRBYFLOAT {k} 1.7976931348623157e308
SET {k} 10 ; INCRBYFLOAT {k} 0.000000000000000001|INCRBYFLOAT {k} 5e-324|SET {k} 3.3 ; INCRBYFLOAT {k} 1.1|SET {k} "1 " ; INCRBYFLOAT {k} 1|SET {k} 1 ; INCRBYFLOAT {k} " 1"
DEL|DEL {k}|SET {k} a ; DEL {k} {k}1 {k}|SET {k} a ; UNLINK {k} ; GET {k}|UNLINK|UNLINK {k}|EXISTS|EXISTS {k}|SET {k} a ; EXISTS {k} {k} {k}1|TOUCH|TOUCH {k}|SET {k} a ; TOUCH {k} {k}1 {k}
TYPE {k}|SET {k} a ; TYPE {k}|SET {k} a ; TYPE {k} x
EXPIRE|EXPIRE {k}|EXPIRE {k} 10|SET {k} a ; EXPIRE {k} 100 ; TTL {k}|SET {k} a ; EXPIRE {k} 0 ; GET {k}|SET {k} a ; EXPIRE {k} -1 ; EXISTS {k}|SET {k} a ; EXPIRE {k} abc
SET {k} a ; EXPIRE {k} 100 NX ; EXPIRE {k} 200 NX ; TTL {k}|SET {k} a ; EXPIRE {k} 100 XX ; TTL {k}|SET {k} a EX 50 ; EXPIRE {k} 100 XX ; TTL {k}|SET {k} a ; EXPIRE {k} 100 GT ; TTL {k}
SET {k} a EX 50 ; EXPIRE {k} 100 GT ; TTL {k} ; EXPIRE {k} 10 GT ; TTL {k}|SET {k} a ; EXPIRE {k} 100 LT ; TTL {k} ; EXPIRE {k} 200 LT ; TTL {k} ; EXPIRE {k} 50 LT ; TTL {k}
SET {k} a ; EXPIRE {k} 10 NX XX|SET {k} a ; EXPIRE {k} 10 GT LT|SET {k} a ; EXPIRE {k} 10 NX GT|SET {k} a ; EXPIRE {k} 10 FOO|SET {k} a ; EXPIRE {k} 10 XX GT|EXPIRE {k} 10 FOO|EXPIRE {k} abc
SET {k} a ; EXPIRE {k} 9223372036854775807|SET {k} a ; EXPIRE {k} -9223372036854775808|SET {k} a ; EXPIRE {k} 9223372036854775|SET {k} a ; EXPIRE {k} 10 NX NX ; TTL {k}|SET {k} a ; EXPIRE {k} 10 nx
PEXPIRE|PEXPIRE {k} 10|SET {k} a ; PEXPIRE {k} 100000 ; TTL {k}|SET {k} a ; PEXPIRE {k} -5 ; GET {k}|SET {k} a ; PEXPIRE {k} abc|SET {k} a ; PEXPIRE {k} 9223372036854775807|SET {k} a ; PEXPIRE {k} 0 NX ; GET {k}
EXPIREAT|EXPIREAT {k} 10|SET {k} a ; EXPIREAT {k} 9999999999 ; EXPIRETIME {k} ; PEXPIRETIME {k}|SET {k} a ; EXPIREAT {k} 1 ; GET {k}|SET {k} a ; EXPIREAT {k} abc|SET {k} a ; EXPIREAT {k} 9223372036854775807
SET {k} a ; EXPIREAT {k} -1 ; EXISTS {k}|SET {k} a ; EXPIREAT {k} 1 XX ; EXISTS {k}|SET {k} a ; EXPIREAT {k} 1 GT ; EXISTS {k}|SET {k} a ; EXPIREAT {k} 1 LT ; EXISTS {k}
PEXPIREAT|PEXPIREAT {k} 10|SET {k} a ; PEXPIREAT {k} 9999999999999 ; EXPIRETIME {k} ; PEXPIRETIME {k}|SET {k} a ; PEXPIREAT {k} 1 ; GET {k}|SET {k} a ; PEXPIREAT {k} abc
EXPIRETIME|EXPIRETIME {k}|SET {k} a ; EXPIRETIME {k}|EXPIRETIME {k} x|PEXPIRETIME|PEXPIRETIME {k}|SET {k} a ; PEXPIRETIME {k}|SET {k} a PXAT 9999999999999 ; PEXPIRETIME {k}
TTL|TTL {k}|SET {k} a ; TTL {k}|TTL {k} x|PTTL|PTTL {k}|SET {k} a ; PTTL {k}|SET {k} a PX 100400 ; TTL {k}|SET {k} a PX 400 ; TTL {k}
PERSIST|PERSIST {k}|SET {k} a ; PERSIST {k}|SET {k} a EX 100 ; PERSIST {k} ; TTL {k}|PERSIST {k} x
RENAME|RENAME {k}|RENAME {k} {k}1|SET {k} a ; RENAME {k} {k}1 ; MGET {k} {k}1|SET {k} a ; RENAME {k} {k} ; GET {k}|SET {k} a EX 100 ; RENAME {k} {k}1 ; TTL {k}1|RENAME {k} {k}1 x
SET {k} a ; SET {k}1 b EX 100 ; RENAME {k} {k}1 ; TTL {k}1 ; GET {k}1|RENAME {k} {k}
RENAMENX|RENAMENX {k}|RENAMENX {k} {k}1|SET {k} a ; RENAMENX {k} {k}1 ; MGET {k} {k}1|SET {k} a ; SET {k}1 b ; RENAMENX {k} {k}1 ; MGET {k} {k}1|SET {k} a ; RENAMENX {k} {k}|RENAMENX {k} {k}
COPY|COPY {k}|COPY {k} {k}1|SET {k} a ; COPY {k} {k}1 ; MGET {k} {k}1|SET {k} a ; SET {k}1 b ; COPY {k} {k}1 ; GET {k}1|SET {k} a ; SET {k}1 b ; COPY {k} {k}1 REPLACE ; GET {k}1
SET {k} a EX 100 ; COPY {k} {k}1 ; TTL {k}1|SET {k} a ; COPY {k} {k}|SET {k} a ; COPY {k} {k} REPLACE|COPY {k} {k}1 FOO|COPY {k} {k}1 DB|COPY {k} {k}1 DB abc|SET {k} a ; COPY {k} {k}1 DB 0 ; GET {k}1
COPY {k} {k}1 DB 1|COPY {k} {k}1 DB -1|COPY {k} {k}1 REPLACE REPLACE
WATCH|WATCH {k}|WATCH {k} {k}1|UNWATCH|UNWATCH x|MULTI ; WATCH {k}|MULTI ; WATCH {k} ; EXEC|MULTI ; UNWATCH ; EXEC|WATCH {k} ; SET {k} a ; MULTI ; GET {k} ; EXEC
WATCH {k} ; MULTI ; SET {k} a ; EXEC ; GET {k}|WATCH {k} ; SET {k} a ; UNWATCH ; MULTI ; GET {k} ; EXEC|WATCH {k} ; SET {k} a ; MULTI ; GET {k} ; EXEC ; MULTI ; GET {k} ; EXEC
WATCH {k} ; SET {k} a ; MULTI ; GET {k} ; DISCARD ; MULTI ; GET {k} ; EXEC|SET {k} a ; WATCH {k} ; GET {k} ; MULTI ; GET {k} ; EXEC|SET {k} a ; WATCH {k} ; SET {k} a ; MULTI ; GET {k} ; EXEC
SET {k} a ; WATCH {k} ; DEL {k} ; MULTI ; PING ; EXEC|WATCH {k} ; DEL {k} ; MULTI ; PING ; EXEC|SET {k} a ; WATCH {k} ; EXPIRE {k} 100 ; MULTI ; PING ; EXEC|SET {k} a ; WATCH {k} ; PERSIST {k} ; MULTI ; PING ; EXEC
SET {k} a ; WATCH {k} ; SETNX {k} b ; MULTI ; PING ; EXEC|SET {k} a ; WATCH {k} ; TOUCH {k} ; MULTI ; PING ; EXEC|SET {k} a ; WATCH {k} ; DEL {k} ; SET {k} a ; MULTI ; PING ; EXEC
WATCH {k} ; SET {k} a ; DEL {k} ; MULTI ; PING ; EXEC|WATCH {k} ; SET {k}1 a ; MULTI ; PING ; EXEC|WATCH {k} ; RESET ; SET {k} a ; MULTI ; PING ; EXEC
MULTI ; SET {k} a ; INCR {k} ; GET {k} ; EXEC ; GET {k}|MULTI ; SET {k} ; GET {k} ; EXEC ; GET {k}|MULTI ; SET {k} 1 ; INCR {k} ; INCRBY {k} abc ; EXEC ; GET {k}|MULTI ; GET {k} ; SET {k} x ; GET {k} ; DEL {k} ; GET {k} ; EXEC
MULTI ; MSET {k}1 a {k}2 b ; MGET {k}1 {k}2 {k}3 ; EXEC|MULTI ; SET {k} a EX 0 ; SET {k} b ; EXEC ; GET {k}|SET {k} a ; MULTI ; SET {k} b ; DISCARD ; GET {k}|MULTI ; SETEX {k} 100 v ; TTL {k} ; PERSIST {k} ; TTL {k} ; EXEC
COMMAND GETKEYS SET {k} v|COMMAND GETKEYS MSET {k}1 a {k}2 b|COMMAND GETKEYS RENAME {k} {k}1|COMMAND GETKEYS COPY {k} {k}1|COMMAND GETKEYS MGET {k}1 {k}2|COMMAND GETKEYS GETEX {k} EX 1
COMMAND GETKEYSANDFLAGS GET {k}|COMMAND GETKEYSANDFLAGS RENAME {k} {k}1|COMMAND GETKEYSANDFLAGS DEL {k} {k}1|COMMAND GETKEYSANDFLAGS INCR {k}
COMMAND GETKEYSANDFLAGS COPY {k} {k}1|COMMAND GETKEYSANDFLAGS SET {k} v GET|COMMAND GETKEYSANDFLAGS APPEND {k} v|COMMAND GETKEYSANDFLAGS GETDEL {k}|COMMAND GETKEYSANDFLAGS MSET {k} a
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

    def compare_strings(self, protocol):
        self.assertEqual(self.cluster.node(1).ask("SET", *KEYS[:2]), "OK")
        different = []
        for line in lines_of(STRINGS):
            redis, ours = (self.replies_without_keys(port, protocol, line)
                           for port in (self.redis_port, self.cluster.node(1).port))
            if redis != ours:
                different.append(f"{line}\n      redis: {redis}\n      ours:  {ours}")
            if len(different) > 20:
                break  # Each may have taken its time.
        self.assertEqual(different, [], "\n" + "\n".join(different))

    def replies_without_keys(self, port, protocol, line):
        with Connection(port, protocol, timeout=10) as connection:
            connection.call("DEL", *KEYS)
            replies = [connection.call(*words_of(command)) for command in line.split(" ; ")]
            connection.call("DISCARD")
            connection.call("DEL", *KEYS)
        return [f"{type(reply).__name__} {reply!r}" for reply in replies]

    def test_every_reply_of_the_string_commands_is_the_same_in_resp2(self):
        self.compare_strings(2)

    def test_every_reply_of_the_string_commands_is_the_same_in_resp3(self):
        self.compare_strings(3)

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
