"""The network between nodes, in one thread: a relay before each node's bus port.

Every node is told the relays' addresses and so dials the others through them. A relay finds out who
dialled by asking the kernel which process owns the other end. Then each direction of each pair can
be cut by itself. What is cut is not closed: bytes stop arriving, as when a switch dies, and go on
after the cut is healed, as TCP's retransmissions would.
"""

import os
import pathlib
import selectors
import socket
import threading

PIECE = 1 << 16
TCP_ESTABLISHED = "01"


def owner_of(port, peer_port, pids):
    """The key in `pids` whose process has the connection from `port` to `peer_port`."""
    inode = None
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(fields[i].rpartition(":")[2], 16) for i in (1, 2))
        if (local, remote, fields[3]) == (port, peer_port, TCP_ESTABLISHED):
            inode = fields[9]
    for key, pid in pids.items():
        try:
            for link in os.scandir(f"/proc/{pid}/fd"):
                if os.readlink(link.path) == f"socket:[{inode}]":
                    return key
        except OSError:
            continue  # It ended, or closed that file, meanwhile.
    return None


class Stream:
    """One direction of one connection: `source` to `sink`, on the way from node to node."""

    def __init__(self, source, sink, way):
        self.source = source
        self.sink = sink
        self.way = way
        self.kept = b""  # Read but not yet taken by the sink.
        self.other = None


class Network:
    def __init__(self, pids):
        self.pids = pids  # A function: node id -> pid of its process.
        self.selector = selectors.DefaultSelector()
        self.lock = threading.RLock()
        self.cuts = set()  # Of (from node, to node).
        self.streams = set()
        self.ending = False
        self.wake_reader, self.wake_writer = socket.socketpair()
        self.wake_reader.setblocking(False)
        self.selector.register(self.wake_reader, selectors.EVENT_READ, None)
        self.listeners = []
        self.thread = threading.Thread(target=self.run, name="network", daemon=True)

    def add_relay(self, node, port, bus_port):
        listener = socket.create_server(("127.0.0.1", port), backlog=64)
        listener.setblocking(False)
        self.listeners.append(listener)
        self.selector.register(listener, selectors.EVENT_READ, (node, bus_port))

    def start(self):
        self.thread.start()

    def cut(self, *ways):
        """Each way is (from, to). Nothing more arrives on it."""
        with self.lock:
            self.cuts.update(ways)
        self.wake()

    def isolate(self, node, others):
        self.cut(*[(node, other) for other in others], *[(other, node) for other in others])

    def heal(self):
        with self.lock:
            self.cuts.clear()
        self.wake()

    def close(self):
        self.ending = True
        self.wake()
        if self.thread.is_alive():
            self.thread.join()
        for stream in list(self.streams):
            self.drop(stream)
        for listener in self.listeners:
            listener.close()
        self.wake_reader.close()
        self.wake_writer.close()
        self.selector.close()

    # The thread ------------------------------------------------------------------------------------

    def wake(self):
        self.wake_writer.send(b"x")

    def run(self):
        while not self.ending:
            for key, _ in self.selector.select():
                if key.fileobj is self.wake_reader:
                    self.wake_reader.recv(PIECE)
                elif isinstance(key.data, tuple):
                    self.accept(key.fileobj, *key.data)
            self.move_all()

    def accept(self, listener, node, bus_port):
        try:
            near, address = listener.accept()
        except OSError:
            return
        dialler = owner_of(address[1], listener.getsockname()[1], self.pids())
        far = socket.socket()
        try:
            if dialler is None:
                raise OSError("nobody we know")
            far.connect(("127.0.0.1", bus_port))
        except OSError:
            near.close()
            far.close()
            return
        for end in (near, far):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        there, back = Stream(near, far, (dialler, node)), Stream(far, near, (node, dialler))
        there.other, back.other = back, there
        self.streams |= {there, back}
        self.watch()

    def move_all(self):
        for stream in list(self.streams):
            if stream not in self.streams:
                continue  # Dropped with its other half.
            with self.lock:  # So that nothing moves any more once cut() has returned.
                alive = stream.way in self.cuts or self.move(stream)
            if not alive:
                self.drop(stream)
        self.watch()

    def move(self, stream):
        """As many bytes as there are. False if the connection is over."""
        try:
            while True:
                if not stream.kept:
                    stream.kept = stream.source.recv(PIECE)
                    if not stream.kept:
                        return False
                stream.kept = stream.kept[stream.sink.send(stream.kept):]
        except BlockingIOError:
            return True
        except OSError:
            return False

    def watch(self):
        """Waits for each source that has room to go, and for each sink that is full."""
        with self.lock:
            cuts = set(self.cuts)
        wanted = {}
        for stream in self.streams:
            if stream.way in cuts:
                continue
            end, event = (stream.sink, selectors.EVENT_WRITE) if stream.kept else \
                (stream.source, selectors.EVENT_READ)
            wanted[end] = wanted.get(end, 0) | event
        known = {key.fileobj: key.events for key in self.selector.get_map().values()
                 if key.data == "stream"}
        for end in known.keys() - wanted.keys():
            self.selector.unregister(end)
        for end, events in wanted.items():
            if end not in known:
                self.selector.register(end, events, "stream")
            elif known[end] != events:
                self.selector.modify(end, events, "stream")

    def drop(self, stream):
        for each in (stream, stream.other):
            self.streams.discard(each)
            try:
                self.selector.unregister(each.source)
            except (KeyError, ValueError):
                pass
        stream.source.close()
        stream.sink.close()
