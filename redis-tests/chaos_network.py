"""Nodes that have a network namespace each, on one bridge, and cables that fail without a word.

The tests' relay (partition.py) keeps the bytes of a connection while it is cut. Here they are lost
like a real cable's: TCP sends again, ever more rarely, connections half exist, nobody is told.
Packets go astray because the sender is made to believe in a wrong hardware address: that is one way
of one pair, needs no module of the kernel, and no program can see it.

We ourselves are in a namespace too (`enter`), with the clients and the bridge. All namespaces are
nameless and end with the last process in them, whatever ends us.
"""

import os
import shutil
import subprocess
import sys

import cluster
from resp import Connection, wait_until

CLIENTS = 0  # Where the nodes have their numbers: the clients' end of the cables.
INSIDE = "--in-own-network"
NEEDS = "chaos needs root, or user namespaces that anybody may make, for networks of its own"
PORT, BUS_PORT, HTTP_PORT = 7379, 17379, 9379


def enter():
    """Starts this program anew inside a namespace; returns at once if it is in it already."""
    if INSIDE in sys.argv:
        sys.argv.remove(INSIDE)
        return
    missing = [tool for tool in ("ip", "unshare", "nsenter", "setpriv") if not shutil.which(tool)]
    if missing:
        sys.exit(f"chaos needs {' and '.join(missing)} (packages iproute2, util-linux)")
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else \
        ["unshare", "--net", "--user", "--map-root-user"]
    if subprocess.run(unshare + ["ip", "link", "add", "probe", "type", "bridge"],
                      capture_output=True, check=False).returncode != 0:
        sys.exit(NEEDS)
    os.execvp("unshare", [*unshare, sys.executable, *sys.argv, INSIDE])


def address(end):
    return f"10.77.0.{end or 254}"


def hardware(end):
    return f"02:00:00:00:00:{end:02x}"


NOWHERE = hardware(255)


def ip(commands, inside=()):
    """Lines of ip(8)."""
    subprocess.run([*inside, "ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


class Network:
    """Cables from each end to each other one; cut(one, other) loses what `one` sends to `other`."""

    def __init__(self, nodes):
        self.ends = [CLIENTS, *nodes]
        self.cuts = set()
        self.keepers = {}  # A process that does nothing but be in a node's namespace.
        ours = os.readlink("/proc/self/ns/net")
        ip(["link set lo up", f"link add br0 address {hardware(CLIENTS)} type bridge",
            f"addr add {address(CLIENTS)}/24 dev br0", "link set br0 up"])
        for node in nodes:
            keeper = cluster.start_process(["unshare", "--net", "sleep", "infinity"])
            self.keepers[node] = keeper
            namespace = f"/proc/{keeper.pid}/ns/net"
            wait_until(lambda at=namespace: os.readlink(at) != ours, 10, "a namespace is there")
            ip([f"link add to{node} type veth peer name eth0 netns {keeper.pid}",
                f"link set to{node} master br0 up"])
            ip(["link set lo up", f"link set eth0 address {hardware(node)} up",
                f"addr add {address(node)}/24 dev eth0"], self.inside(node))
        for end in self.ends:
            self.show_way(end, self.ends, astray=set())

    def inside(self, end):
        """What a command begins with that is to run there."""
        return ["nsenter", f"--net=/proc/{self.keepers[end].pid}/ns/net", "--"] if end else []

    def show_way(self, end, others, astray):
        device = "eth0" if end else "br0"
        ip([f"neigh replace {address(other)} dev {device} nud permanent lladdr "
            + (NOWHERE if other in astray else hardware(other))
            for other in others if other != end], self.inside(end))

    def set_cuts(self, cuts):
        """Exactly these ways are cut from now on."""
        changed = self.cuts ^ cuts
        self.cuts = set(cuts)
        for end in {one for one, _ in changed}:
            self.show_way(end, [other for one, other in changed if one == end],
                          {other for one, other in cuts if one == end})

    def close(self):
        for keeper in self.keepers.values():
            cluster.end_process(keeper)


class Node(cluster.Node):
    def __init__(self, home, node_id, options):  # pylint: disable=super-init-not-called
        self.cluster = home
        self.id = node_id
        self.port, self.bus_port, self.http_port = PORT, BUS_PORT, HTTP_PORT
        self.relay_port = self.bus_port
        self.dir = home.folder / f"node-{node_id}"
        self.log = home.folder / f"node-{node_id}.log"
        # No stranger can reach it.
        self.options = {"bind": address(node_id), "protected-mode": "no"} | options
        self.process = None

    def command(self):
        return self.cluster.network.inside(self.id) + super().command()

    def connect(self, protocol=2, **options):
        return Connection(self.port, protocol, host=address(self.id), **options)

    def ask(self, *arguments, timeout=1):
        return super().ask(*arguments, timeout=timeout)



class Cluster(cluster.Cluster):
    """`size` nodes, each in its namespace, that have met."""

    def __init__(self, size, **options):  # pylint: disable=super-init-not-called
        self.folder = cluster.make_folder()
        self.network = Network(range(1, size + 1))
        self.nodes = [Node(self, i + 1, options) for i in range(size)]
        for node in self.nodes:
            node.start()
        self.wait_until_ok()

    def nodes_setting(self):
        return " ".join(f"{node.id}={address(node.id)}:{node.bus_port}" for node in self.nodes)
