"""One process of a pool of workers, with redis-py as Debian has it (queue_workers_test.py).

    queue_worker.py produce|consume name log queue port,port,...

It writes down what it does, before it asks and when it was answered, as chaos_queue_judge.py reads
it. A kill -9 takes nothing that was written.
"""

import collections
import itertools
import os
import random
import signal
import sys
import time

import redis

LEASE_MS = 1500
GROUPS = 3  # Of each producer.
WORK_SECONDS = 0.004  # At most.


class Client:
    """One node at a time, the next one when it is gone or has no majority: what a client with a
    list of nodes does. redis-py sends nothing twice by itself."""

    def __init__(self, ports, note):
        self.turn = itertools.cycle(ports)
        self.note = note
        self.node = self.port = None
        self.move_on()

    def move_on(self):
        if self.node:
            self.node.close()
        self.port = next(self.turn)
        self.node = redis.Redis(port=self.port, decode_responses=True, socket_timeout=8)

    def insist(self, *command):
        """Until an answer comes that is no passing trouble. Each command here is safe to repeat:
        a POP whose answer is lost costs a lease, or nothing if its node has died."""
        while True:
            began = time.monotonic_ns()
            try:
                return self.node.execute_command(*command)
            except (redis.ConnectionError, redis.TimeoutError):
                self.note("left", at=began)  # redis-py has closed it meanwhile.
                self.move_on()
            except redis.ResponseError as error:
                if str(error).startswith("LIMIT"):
                    time.sleep(0.02)  # The queue is full: whoever pushes has to wait.
                    continue
                known = isinstance(error, (redis.exceptions.ClusterDownError,
                                           redis.exceptions.TryAgainError))
                if not known and not str(error).startswith(("UNCERTAIN", "UNBLOCKED")):
                    raise
                self.note("left")
                self.move_on()
            time.sleep(0.01)


class Worker:
    def __init__(self, name, log, queue, ports):
        self.name = name
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.queue = queue
        self.client = Client(ports, self.note)
        self.ending = False
        self.dice = random.Random(name)
        signal.signal(signal.SIGTERM, self.end)

    def end(self, *_):
        self.ending = True

    def note(self, what, *words, at=None):
        line = (at or time.monotonic_ns(), self.name, what, *words)
        os.write(self.log, " ".join(map(str, line)).encode() + b"\n")

    def produce(self):
        """One after the other, so that what a group is pushed has an order."""
        numbers = collections.Counter()
        while not self.ending:
            group = self.dice.choice(["-", *range(GROUPS)])
            body = f"{self.name}/{group}/{numbers[group]}"
            numbers[group] += 1
            how = ["PRIORITY", self.dice.randrange(10)] if group == "-" else \
                ["GROUP", f"{self.name}/{group}"]
            self.note("pushing", self.queue, body, group if group == "-" else how[1], 0, 0)
            self.note("pushed", body, self.client.insist("DQ.PUSH", self.queue, body, "ID", body,
                                                         *how))

    def consume(self):
        # Some are tied to their connection, so that what a kill leaves is back at once, and some
        # acknowledge on the way: all of what people do.
        options = self.dice.choice([["TIED"], []])
        on_the_way = self.dice.random() < 0.3
        acks = []
        while not self.ending or acks:
            asked = time.monotonic_ns()
            more = ["ACK", len(acks), *acks] if acks else []
            for receipt in acks:
                self.note("acking", receipt)
            block_ms = 1 if self.ending else 300
            rows = self.client.insist("DQ.POP", self.queue, "COUNT", self.dice.choice([1, 1, 4]),
                                      "BLOCK", block_ms, "LEASE", LEASE_MS, "FULL", *options, *more)
            if not rows:
                self.note("nil", self.queue, asked, block_ms)
            for receipt in acks:
                self.note("settled", receipt)
            acks = []
            for _, receipt, body, attempt, _ in rows or []:
                self.note("got", self.queue, receipt, attempt, body, asked, LEASE_MS,
                          self.client.port, len(options))
                if not self.work(receipt):
                    continue
                if on_the_way:
                    acks.append(receipt)
                    continue
                self.note("acking", receipt)
                if self.client.insist("DQ.ACK", self.queue, receipt):
                    self.note("acked", receipt)

    def work(self, receipt):
        """Whether it went well. It takes its time: or nobody were ever killed in the middle."""
        time.sleep(self.dice.random() * WORK_SECONDS)
        if self.dice.random() < 0.97:
            return True
        how = self.dice.choice([["ERROR", "bad luck"], ["RELEASE"]])
        self.note("nacking", receipt, "fail" if len(how) == 2 else "release")
        if self.client.insist("DQ.NACK", self.queue, receipt, *how):
            self.note("nacked", receipt)
        return False


if __name__ == "__main__":
    worker = Worker(*sys.argv[2:5], [int(port) for port in sys.argv[5].split(",")])
    {"produce": worker.produce, "consume": worker.consume}[sys.argv[1]]()
    sys.exit(0)
