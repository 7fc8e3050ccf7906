#!/usr/bin/env python3
"""Approximate search: OmenDB beside the libraries that are worth beating, on the same data.

    run.py [--sets SET ...] [--peers PEER ...] [--rounds N] [--threads N] [--k K] [--out FILE]
           [--quick] [--each] [--no-change] [--rebuild] [--no-install] [--list]

Each index is built once, in a process of its own, and kept in build/bench-data/index-cache (OmenDB's
is built again whenever its code changed): comparing again costs under a minute. Then every index is
served by a process of its own, and rounds go over all efforts: one index works at a time, on the
same core, and they take turns within a round. Later rounds measure the efforts around the recalls
of interest only. Every measurement is a line of JSON in FILE (build/bench/ann.jsonl), appended;
report.py makes tables and plots of them, and the tables of this run are printed at the end.

--quick: every other effort, three rounds, shorter measurements, no insertions and deletions.
--each: one call for each query, so that Python's share is in every peer's time.
"""
import argparse
import datetime
import hashlib
import json
import os
import pathlib
import platform
import selectors
import shutil
import subprocess
import sys
import time
import uuid

import environment

if __name__ == "__main__":
    environment.enter(__file__)

import curves  # noqa: E402 - run in the environment entered above.
import data  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = data.DATA / "index-cache"
SCRATCH = data.DATA / "scratch"
FEATURES = ("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni",
            "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "asimd", "asimddp", "i8mm", "sve")
SECONDS_MAX = {"start": 120, "build": 4 * 3600, "load": 900, "search": 600, "change": 900}


def say(text):
    print(f"ann: {text}", file=sys.stderr, flush=True)


class Failed(Exception):
    """A peer that did not do what it was told."""


class Process:
    """A worker: one command at a time, with a time limit."""

    def __init__(self, peer, set_name, threads, cores):
        self.name = peer
        self.log = open(SCRATCH / f"{set_name}-{peer}.log", "ab")
        self.process = subprocess.Popen(
            [sys.executable, str(pathlib.Path(__file__).parent / "worker.py"), peer, set_name,
             str(threads), ",".join(map(str, cores))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, cwd=SCRATCH)
        self.rest = b""
        try:
            self.hello = self._answer("start")
        except Failed:
            self.end()
            raise

    def _answer(self, what):
        deadline = time.monotonic() + SECONDS_MAX[what]
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.rest:
                if not selector.select(max(0, deadline - time.monotonic())):
                    self.process.kill()
                    raise Failed(f"{what}: no answer within {SECONDS_MAX[what]} s")
                content = os.read(self.process.stdout.fileno(), 1 << 16)
                if not content:
                    status = self.process.wait()
                    raise Failed(f"{what}: the process ended with {status}; see {self.log.name}")
                self.rest += content
        line, self.rest = self.rest.split(b"\n", 1)
        answer = json.loads(line)
        if "failed" in answer:
            raise Failed(f"{what}: {answer['failed']}")
        return answer

    def ask(self, what, **command):
        try:
            self.process.stdin.write(json.dumps({"do": what, **command}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise Failed(f"{what}: the process is gone; see {self.log.name}") from error
        return self._answer(what)

    def end(self):
        try:
            self.process.stdin.close()
            self.process.wait(30)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    return {"cpu": fields.get("model name", platform.machine()), "cores": os.cpu_count(),
            "features": [name for name in FEATURES if name in flags]}


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True,
                          text=True)
    return done.stdout.strip() or "unknown"


class Bench:
    def __init__(self, options):
        self.options = options
        available = sorted(os.sched_getaffinity(0))
        # From the last core down: interrupts and the shell tend to be on the first.
        self.search_cores = available[-options.threads:]
        self.build_cores = available[-options.build_threads:]
        self.common = {"run": uuid.uuid4().hex[:12],
                       "date": datetime.datetime.now().isoformat(timespec="seconds"),
                       "commit": commit(), **machine(),
                       "command": "bench/ann/run.py " + " ".join(sys.argv[1:])}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        self.out = open(options.out, "a")
        self.absent = []

    def write(self, kind, **fields):
        self.out.write(json.dumps({"kind": kind, **fields, **self.common}) + "\n")
        self.out.flush()

    def leave_out(self, peer, set_name, reason):
        say(f"{set_name}: {peer} left out: {reason}")
        self.absent.append((set_name, peer, str(reason)))
        self.write("absent", peer=peer, set=set_name, reason=str(reason))

    def index(self, peer, prepared):
        """(folder of the built index, its record); built unless it is there."""
        options = self.options
        kind = peers.PEERS[peer]
        key = hashlib.sha256(json.dumps(
            [kind.version(), kind(prepared.dim, prepared.metric, 1).parameters(), prepared.digest],
            sort_keys=True).encode()).hexdigest()[:12]
        folder = CACHE / f"{prepared.name}-{peer}-{key}"
        record = folder / "record.json"
        if record.exists() and not options.rebuild:
            return folder, {**json.loads(record.read_text()), "cached": True}
        for old in CACHE.glob(f"{prepared.name}-{peer}-*"):
            # Of this very peer: names of peers can begin alike.
            if old.name.rsplit("-", 1)[0] == f"{prepared.name}-{peer}":
                shutil.rmtree(old)
        say(f"{prepared.name}: building {peer}")
        process = Process(peer, prepared.name, options.build_threads, self.build_cores)
        try:
            result = process.ask("build", folder=str(folder))
        except Failed:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            process.end()
        result = {**result, "peer_version": process.hello["version"],
                  "parameters": process.hello["parameters"], "built": self.common["date"]}
        record.write_text(json.dumps(result))
        return folder, {**result, "cached": False}

    def change(self, peer, prepared, folder):
        """Insertions and deletions, on a copy of the built index."""
        copy = SCRATCH / f"{prepared.name}-{peer}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        process = Process(peer, prepared.name, self.options.threads, self.search_cores)
        try:
            result = process.ask("change", folder=str(copy), count=self.options.changes)
            self.write("change", peer=peer, set=prepared.name, peer_version=process.hello["version"],
                       **result)
        except Failed as reason:
            say(f"{prepared.name}: {peer} not changed: {reason}")
            self.write("change", peer=peer, set=prepared.name, failed=str(reason))
        finally:
            process.end()
            shutil.rmtree(copy, ignore_errors=True)

    def start(self, peer, prepared):
        """A serving process with its index loaded, or None."""
        options = self.options
        try:
            folder, record = self.index(peer, prepared)
            shape = {"set": prepared.name, "dim": prepared.dim, "metric": prepared.metric}
            self.write("build", peer=peer, **shape, **record)
            if options.change:
                self.change(peer, prepared, folder)
            process = Process(peer, prepared.name, options.threads, self.search_cores)
        except Exception as reason:  # Also what a library raises when its version is asked for.
            self.leave_out(peer, prepared.name, reason)
            return None
        try:
            loaded = process.ask("load", folder=str(folder))
        except Failed as reason:
            process.end()
            self.leave_out(peer, prepared.name, reason)
            return None
        process.efforts = loaded.pop("efforts")
        self.write("memory", peer=peer, rows=prepared.rows, peer_version=process.hello["version"],
                   **shape, **loaded)
        if options.quick:
            process.efforts = [effort for one in curves.series(process.efforts).values()
                               for effort in one[::2]]
        process.seen = {}  # series -> [(effort, recall)] of the first round.
        return process

    def measure(self, process, prepared, effort, number):
        options = self.options
        result = process.ask("search", effort=effort, k=options.k, seconds=options.seconds,
                             each=options.each)
        self.write("search", peer=process.name, set=prepared.name, rows=prepared.rows,
                   dim=prepared.dim, metric=prepared.metric, k=options.k, effort=effort,
                   round=number, threads=options.threads, each=options.each,
                   peer_version=process.hello["version"],
                   effort_name=process.hello["effort_name"], batch=process.hello["batch"],
                   parameters=process.hello["parameters"], **result)
        return result

    def round(self, processes, prepared, number):
        """One pass over all efforts; the peers take turns, in an order that changes by the round."""
        turn = number % len(processes)
        order = processes[turn:] + processes[:turn]
        left = {process.name: list(process.efforts) for process in order}
        while any(left.values()):
            for process in order:
                if not left[process.name]:
                    continue
                effort = left[process.name].pop(0)
                try:
                    result = self.measure(process, prepared, effort, number)
                except Failed as reason:
                    left[process.name] = []
                    process.efforts = []
                    self.leave_out(process.name, prepared.name, reason)
                    continue
                if number == 0:
                    kind = type(effort)
                    seen = process.seen.setdefault(kind, [])
                    seen.append((effort, result["recall"]))
                    if curves.exhausted(seen) or result["cpu_s"] > 60:
                        left[process.name] = [one for one in left[process.name]
                                              if type(one) is not kind]
        if number == 0:
            for process in order:
                kept = set().union(*map(curves.efforts_to_keep, process.seen.values()))
                process.efforts = [effort for effort in process.efforts if effort in kept]

    def run_set(self, name):
        try:
            prepared = data.prepare(name)
        except data.Unavailable as reason:
            say(f"{name} left out: {reason}")
            self.write("absent", set=name, peer=None, reason=str(reason))
            return
        processes = []
        try:
            for peer in self.options.peers:
                process = self.start(peer, prepared)
                if process:
                    processes.append(process)
            if not processes:
                return
            begin = time.monotonic()
            for number in range(self.options.rounds):
                self.round(processes, prepared, number)
                say(f"{name}: round {number + 1} of {self.options.rounds}, "
                    f"{time.monotonic() - begin:.0f} s")
        finally:
            for process in processes:
                process.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sets", nargs="+", default=["fashion784", "words100-100k"], metavar="SET")
    parser.add_argument("--peers", nargs="+", default=list(peers.PEERS), metavar="PEER")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--build-threads", type=int, default=1)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench/ann.jsonl")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--seconds", type=float, help="of one measurement (0.3; quick: 0.15)")
    parser.add_argument("--changes", type=int, default=500, help="rows inserted, rows deleted")
    parser.add_argument("--no-change", action="store_false", dest="change")
    parser.add_argument("--rebuild", action="store_true")
    parser.add_argument("--no-install", action="store_true",
                        help="take the omendb package that is installed")
    parser.add_argument("--list", action="store_true", help="print sets, peers and their parameters")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.seconds = options.seconds or (0.15 if options.quick else 0.3)
    options.change = options.change and not options.quick
    options.out = options.out.absolute()
    if options.list:
        print("sets:", *data.SETS)
        for name, peer in peers.PEERS.items():
            print(f"{name}: {json.dumps(peer(128, 'l2', 1).parameters())}, {peer.effort_name} in "
                  f"{' '.join(map(str, peer.efforts))}")
        return 0
    for name in options.peers:
        if name not in peers.PEERS:
            parser.error(f"no peer {name}; there are {', '.join(peers.PEERS)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    if any(peers.PEERS[name].package == "omendb" for name in options.peers) and not options.no_install:
        reason = environment.install_omendb()
        if reason:
            sys.exit(f"ann: omendb can't be built (--no-install takes the last one): {reason}")
    bench = Bench(options)
    absent = environment.absent()
    missing = {name for name in options.peers if peers.PEERS[name].package in absent}
    for name in sorted(missing):
        for set_name in options.sets:
            bench.leave_out(name, set_name, absent[peers.PEERS[name].package])
    options.peers = [name for name in options.peers if name not in missing]
    for name in options.sets:
        bench.run_set(name)
    bench.out.close()
    print(report.tables(report.read([options.out], run=bench.common["run"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
