"""What every part of the bench uses: servers, load generators, figures, progress."""

import csv
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from cluster import (ROOT, ask, clean_environment, end_process, free_port, make_folder,
                     remove_folder, start_process)
from resp import wait_until

HERE = pathlib.Path(__file__).resolve().parent
OUT = ROOT / "build/bench"
# All data lies on the disk that holds the build: /tmp may be memory, and a sync of it free.
OUT.mkdir(parents=True, exist_ok=True)
tempfile.tempdir = str(OUT)

TTL = 600000  # Of locks that are not to end by themselves.
START_SECONDS = 30
GENERATORS = {"load": "hiredis", "queue_load": "hiredis", "queue_bulk": "hiredis",
              "queue_wake": "hiredis", "handover": "hiredis", "etcd_load": "nghttp2",
              "cache_load": "hiredis", "cache_lean": "hiredis", "cache_steps": "hiredis",
              "cache_hits": "xxhash"}
# Of Lockstep's own code, what a generator needs; `make bench` has built it.
PARTS_OF_OURS = {"cache_hits": [ROOT / "build/release/libcluster.a",
                                ROOT / "build/release/libbase.a"]}
FLAGS = ["-std=c++20", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion",
         "-Werror", f"-I{ROOT}"]


class Progress:
    """On a terminal one line that says what is measured; elsewhere a line for each stage."""

    def __init__(self):
        self.began = time.monotonic()
        self.live = sys.stdout.isatty()
        self.stage = None

    def show(self, stage, detail=""):
        seconds = int(time.monotonic() - self.began)
        head = f"  [{seconds // 60}:{seconds % 60:02}] {stage}"
        if self.live:
            print(f"\r\x1b[K{head}{'; ' if detail else ''}{detail}", end="", flush=True)
        elif stage != self.stage:
            print(head, flush=True)
        self.stage = stage

    def done(self):
        if self.live:
            print("\r\x1b[K", end="", flush=True)


class Figures:
    """What was measured: rows of columns of named values, one value a repetition."""

    def __init__(self):
        self.rows = {}

    def add(self, row, column, **values):
        cell = self.rows.setdefault(row, {}).setdefault(column, {})
        for name, value in values.items():
            cell.setdefault(name, []).append(value)

    def median(self, row, column, name="rate"):
        values = self.rows.get(row, {}).get(column, {}).get(name)
        return statistics.median(values) if values else None

    def worst(self, row, column, name):
        return max(self.rows[row][column][name])


# Load generators ---------------------------------------------------------------------------------

def build_generators():
    headers = [path.stat().st_mtime for path in HERE.glob("*.h")]
    for name, library in GENERATORS.items():
        source, binary = HERE / f"{name}.cc", OUT / name
        ours = PARTS_OF_OURS.get(name, [])
        newest = max([source.stat().st_mtime, *headers, *(part.stat().st_mtime for part in ours)])
        if not binary.exists() or binary.stat().st_mtime < newest:
            print(f"  c++  redis-tests/bench/{name}.cc", flush=True)
            unfinished = OUT / f"{name}.{os.getpid()}"
            subprocess.run(["g++", *FLAGS, "-o", str(unfinished), str(source), *map(str, ours),
                            f"-l{library}"], check=True)
            unfinished.rename(binary)  # Whole or not at all, if we are stopped meanwhile.


def start_generator(name, *words, **options):
    return start_process([OUT / name, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, **options)


def finish(process):
    """What it said. If it failed there is no figure, and so no bench."""
    try:
        out, errors = process.communicate()
    finally:
        end_process(process)
    if process.returncode != 0 or errors.strip():
        raise RuntimeError(f"{' '.join(process.args[4:])}: {out}{errors}")
    return out


def generate(name, *words):
    return json.loads(finish(start_generator(name, *words)))


def redis_benchmark(port, load, requests, names, *command):
    clients, pipeline = load
    out = finish(start_process(
        ["redis-benchmark", "-p", port, "-c", clients, "-P", pipeline, "-n", requests,
         "-r", names, "--csv", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    rows = list(csv.reader(line for line in out.splitlines() if line.startswith('"')))
    row = dict(zip(rows[-2], rows[-1]))
    return {"rate": float(row["rps"]), "p50_ms": float(row["p50_latency_ms"]),
            "p99_ms": float(row["p99_latency_ms"]), "max_ms": float(row["max_latency_ms"])}


# Servers -----------------------------------------------------------------------------------------

FSYNC_ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


def run_redis(port, folder, *words):
    """The process of a redis-server without snapshots."""
    return start_process(["redis-server", "--port", port, "--dir", folder, "--save", "", *words],
                         stdout=subprocess.DEVNULL)


def start_redis(*words):
    """The port of one that answers."""
    port = free_port()
    run_redis(port, make_folder(), *words)
    wait_until(lambda: ask(port, "PING") == "PONG", START_SECONDS, "redis-server answers")
    return port


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_beanstalkd():
    """Its process, port and folder. It syncs each change before it answers."""
    port, folder = free_port(), make_folder()
    process = start_process(["beanstalkd", "-l", "127.0.0.1", "-p", port, "-b", folder, "-f", "0"],
                            stdout=subprocess.DEVNULL)
    wait_until(lambda: accepts(port), START_SECONDS, "beanstalkd answers")
    return process, port, folder


def etcd_status(port):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v3/maintenance/status", data=b"{}",
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            return json.load(answer)
    except (OSError, urllib.error.URLError):
        return {}


def start_etcd(size=3):
    """The port of the leader among members as they come: each put is synced by a majority."""
    folder = make_folder()
    ports = [free_port() for _ in range(size)]
    peers = [f"http://127.0.0.1:{free_port()}" for _ in range(size)]
    members = ",".join(f"m{i}={peer}" for i, peer in enumerate(peers))
    for i, (port, peer) in enumerate(zip(ports, peers)):
        clients = f"http://127.0.0.1:{port}"
        with open(folder / f"m{i}.log", "wb") as log:
            start_process(["etcd", "--name", f"m{i}", "--data-dir", folder / f"m{i}",
                           "--listen-client-urls", clients, "--advertise-client-urls", clients,
                           "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                           "--initial-cluster", members, "--logger", "zap",
                           "--log-level", "error"],
                          stdout=log, stderr=log, env=clean_environment())

    def leader():
        all_status = {port: etcd_status(port) for port in ports}
        leaders = {status.get("leader", "0") for status in all_status.values()}
        if len(leaders) != 1 or leaders == {"0"}:
            return None
        return next(port for port, status in all_status.items()
                    if status["header"]["member_id"] in leaders)
    return wait_until(leader, START_SECONDS, "etcd's members agree on a leader")


def sync_rate(seconds):
    """Small synced appends a second to this disk, one after the other: all that follows rests on
    it."""
    times = []
    folder = make_folder()
    with open(folder / "sync", "wb", buffering=0) as file:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            before = time.monotonic()
            file.write(b"x" * 300)
            os.fdatasync(file.fileno())
            times.append((time.monotonic() - before) * 1000)
        whole = time.monotonic() - began
    remove_folder(folder)
    times.sort()
    return {"rate": len(times) / whole, "p50_ms": statistics.median(times),
            "p99_ms": times[len(times) * 99 // 100], "max_ms": times[-1]}
