"""Real servers on this machine: started, killed, stopped, cut off from each other, and cleaned away.

Nothing here waits for a time to pass. It waits for facts: a port that answers, a cluster that says
that it is well, a leader that all know.
"""

import atexit
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from partition import Network
from resp import SLOWDOWN, Closed, Connection, Error, pairs, wait_until

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SERVER = os.environ.get("LOCKSTEP_SERVER", str(ROOT / "build/release/lockstep-server"))
FORM_SECONDS = 30
TAIL_LINES = 12
# Below the kernel's own range, so that no outgoing connection takes a port before we do.
PORTS = range(12000, 30000)

_processes = {}  # pid -> Popen, of everything that was started here and may still run.
_folders = set()
_ports = set()


def free_port():
    while True:
        port = random.choice(PORTS)
        if port in _ports:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _ports.add(port)
        return port


def start_process(command, **options):
    """Ends with us, whatever ends us: setpriv asks the kernel for it. Call from the main thread."""
    process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)],
                               stdin=options.pop("stdin", subprocess.DEVNULL), **options)
    _processes[process.pid] = process
    return process


def clean_environment():
    """Without LOCKSTEP_*: to a server these are settings."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith("LOCKSTEP_")}


def end_process(process):
    if process.poll() is None:
        process.kill()
        process.wait()
    _processes.pop(process.pid, None)


def make_folder():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-cluster-"))
    _folders.add(folder)
    return folder


def remove_folder(folder):
    shutil.rmtree(folder, ignore_errors=True)
    _folders.discard(folder)


@atexit.register
def clean_away():
    for process in list(_processes.values()):
        end_process(process)
    for folder in list(_folders):
        remove_folder(folder)


def ask(port, *arguments, timeout=15):
    """One command on a connection of its own; nothing if the server is not there."""
    try:
        with Connection(port, timeout=timeout) as connection:
            return connection.call(*arguments)
    except (OSError, Closed):
        return None


class Node:
    def __init__(self, cluster, node_id, options):
        self.cluster = cluster
        self.id = node_id
        self.port, self.bus_port, self.http_port = free_port(), free_port(), free_port()
        self.relay_port = free_port() if cluster.network else self.bus_port
        self.dir = cluster.folder / f"node-{node_id}"
        self.log = cluster.folder / f"node-{node_id}.log"
        self.options = options
        self.process = None

    def __repr__(self):
        return f"node {self.id}"

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def command(self):
        settings = {"port": self.port, "node-id": self.id, "dir": self.dir,
                    "bus-port": self.bus_port, "http-port": self.http_port,
                    "cluster-nodes": self.cluster.nodes_setting(), "log-format": "text"}
        if self.relay_port != self.bus_port:
            settings["cluster-announce-bus-port"] = self.relay_port
        settings.update({name: value(self.id) if callable(value) else value
                         for name, value in self.options.items()})
        return [SERVER] + [str(word) for name, value in settings.items()
                           for word in ("--" + name, value)]

    def start(self):
        assert not self.is_running
        self.dir.mkdir(exist_ok=True)
        with open(self.log, "ab") as output:
            self.process = start_process(self.command(), stdout=output, stderr=output,
                                         env=clean_environment())

    def kill(self):
        """kill -9: no farewell, nothing flushed."""
        end_process(self.process)

    def terminate(self, seconds=20):
        """SIGTERM; the exit code."""
        self.process.terminate()
        code = self.process.wait(seconds * SLOWDOWN)
        _processes.pop(self.process.pid, None)
        return code

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def empty_disk(self):
        assert not self.is_running
        shutil.rmtree(self.dir)

    def connect(self, protocol=2, **options):
        connection = Connection(self.port, **options)
        if "requirepass" in self.options:
            connection.call("AUTH", self.options["requirepass"])
        if protocol != 2:
            connection.call("HELLO", protocol)
        return connection

    def ask(self, *arguments, timeout=15):
        """One command on a connection of its own; nothing if the server is not there."""
        try:
            with self.connect(timeout=timeout) as connection:
                return connection.call(*arguments)
        except (OSError, Closed):
            return None

    def is_ok(self):
        reply = self.ask("CLUSTER", "INFO")
        return isinstance(reply, str) and "cluster_state:ok" in reply

    def info(self, section):
        """INFO's fields of one section; none if the node is not there."""
        reply = self.ask("INFO", section)
        lines = reply.splitlines() if isinstance(reply, str) else []
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def leader_id(self):
        """The leader of the locks as this node sees it; 0 if it sees none."""
        group = self.info("raft").get("raft_group_locks", "")
        match = re.search(r"\bleader=(\d+)", group)
        return int(match.group(1)) if match else 0

    def status(self):
        """CLUSTER STATUS as dicts all the way down."""
        with self.connect(protocol=3) as connection:
            return connection.do("CLUSTER STATUS")

    def shards(self):
        """The groups of CLUSTER STATUS that keep queues."""
        return [group for group in self.status()["groups"] if group["name"].startswith("shard-")]

    def tail(self):
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"    node {self.id} | {line}" for line in lines[-TAIL_LINES:])


class Cluster:
    """`size` nodes that have met. `partitions`: with a network between them that can be cut."""

    def __init__(self, size=3, partitions=False, **options):
        self.folder = make_folder()
        self.network = Network(self.pids) if partitions else None
        options = {name.replace("_", "-"): value for name, value in options.items()}
        self.nodes = [Node(self, i + 1, options) for i in range(size)]
        if self.network:
            for node in self.nodes:
                self.network.add_relay(node.id, node.relay_port, node.bus_port)
            self.network.start()
        for node in self.nodes:
            node.start()
        self.wait_until_ok()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for node in self.nodes:
            if node.process:
                end_process(node.process)
        if self.network:
            self.network.close()
        remove_folder(self.folder)

    def add_node(self):
        """A node more, not started: it must be let in first (CLUSTER ADD)."""
        node = Node(self, len(self.nodes) + 1, dict(self.nodes[0].options))
        self.nodes.append(node)
        return node

    def pids(self):
        return {node.id: node.pid for node in self.nodes if node.process}

    def nodes_setting(self):
        return " ".join(f"{node.id}=127.0.0.1:{node.relay_port}" for node in self.nodes)

    def node(self, node_id):
        return self.nodes[node_id - 1]

    @property
    def running(self):
        return [node for node in self.nodes if node.is_running]

    def others(self, *nodes):
        return [node for node in self.nodes if node not in nodes]

    def wait_until_ok(self, nodes=None, seconds=FORM_SECONDS):
        nodes = nodes or self.running
        for node in nodes:
            wait_until(node.is_ok, seconds, f"{node!r} says cluster_state:ok")
        self.leader(nodes, seconds)

    def leader(self, among=None, seconds=FORM_SECONDS):
        """The node that all of `among` take for the leader, and which takes itself for it."""
        among = among or self.running

        def agreed():
            seen = {node.leader_id() for node in among}
            leader = seen.pop()
            if seen or leader == 0 or self.node(leader) not in among:
                return None
            return self.node(leader)

        return wait_until(agreed, seconds, f"{among} agree on a leader among them")

    def make_leader(self, node):
        """Hands the locks to `node`, and waits until all have seen it."""
        def is_leader():
            if self.leader() is node:
                return True
            reply = node.ask("CLUSTER", "LEADER", "locks", node.id)
            return isinstance(reply, Error) and False
        wait_until(is_leader, FORM_SECONDS, f"{node!r} leads")

    def tails(self):
        return "\n".join(node.tail() for node in self.nodes)


def lock_holders(reply):
    """{owner: token} from LOCK.INFO's reply."""
    if isinstance(reply, Error) or reply is None:
        return {}
    return {pairs(holder)["owner"]: pairs(holder)["token"] for holder in pairs(reply)["holders"]}
