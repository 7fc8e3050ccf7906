"""A process that holds one peer: commands come as JSON lines on standard input, answers go out as
JSON lines on what was standard output (libraries print there; that goes to standard error).

    worker.py PEER SET THREADS CORES      CORES: numbers separated by commas, the process keeps to them

    {"do": "build", "folder": F}              makes the index and saves it in F
    {"do": "load", "folder": F}               loads it, searches once, tells the memory that took
    {"do": "search", "effort": E, "k": K, "seconds": S, "each": false}
    {"do": "change", "folder": F, "count": C} on a copy in F: C rows inserted, C deleted, one by one

An answer has either "failed" (and "unsupported") or the figures. Times are of this process: wall
clock, and CPU of all its threads.
"""
import ctypes
import gc
import importlib
import json
import os
import pathlib
import sys
import time

THREADS = int(sys.argv[3])
CORES = [int(core) for core in sys.argv[4].split(",")]
# Before any library starts its threads.
os.sched_setaffinity(0, CORES)
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[variable] = str(THREADS)

import numpy as np  # noqa: E402

import data  # noqa: E402
import peers  # noqa: E402

PASSES_MAX = 400


def memory(folder):
    """Resident bytes: of memory of our own, and of mapped files of `folder`; code doesn't count."""
    ctypes.CDLL(None).malloc_trim(0)
    fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
    own = int(fields["RssAnon"].split()[0]) + int(fields["RssShmem"].split()[0])
    mapped, inside = 0, False
    for line in open("/proc/self/smaps"):
        words = line.split()
        if not words[0].endswith(":"):  # "begin-end access offset device inode path"
            inside = len(words) > 5 and words[5].startswith(os.path.realpath(folder))
        elif inside and words[0] == "Rss:":
            mapped += int(words[1])
    return own * 1024, mapped * 1024


def disk_bytes(folder):
    """What the files take on the disk: a hole takes nothing."""
    return sum(path.stat().st_blocks * 512 for path in pathlib.Path(folder).rglob("*")
               if path.is_file())


class Stopwatch:
    def __enter__(self):
        self.begin, self.cpu_begin = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.cpu = time.process_time() - self.cpu_begin
        self.wall = time.perf_counter() - self.begin


class Worker:
    def __init__(self, peer_name, set_name):
        self.set = data.prepare(set_name)
        self.peer = peers.PEERS[peer_name](self.set.dim, self.set.metric, THREADS)
        self.queries = self.set.queries()
        self.prepared = {}
        self.truth = {}

    def build(self, command):
        folder = command["folder"]
        os.makedirs(folder, exist_ok=True)
        base = self.set.base()
        with Stopwatch() as watch:
            self.peer.build(base, folder)
        self.peer.save(folder)
        return {"wall_s": watch.wall, "cpu_s": watch.cpu, "rows": len(base), "threads": THREADS,
                "disk_bytes": disk_bytes(folder)}

    def load(self, command):
        importlib.import_module(self.peer.module)
        gc.collect()
        own, mapped = memory(command["folder"])
        with Stopwatch() as watch:
            self.peer.load(command["folder"], self.set.rows)
        effort = self.peer.efforts[len(self.peer.efforts) // 2]
        answer = self.peer.search(self.peer.queries_for(self.queries), 10, effort)
        self.peer.ids_of(answer)
        del answer
        gc.collect()
        own_now, mapped_now = memory(command["folder"])
        return {"load_s": watch.wall, "own_bytes": own_now - own, "mapped_bytes": mapped_now - mapped,
                "efforts": self.peer.efforts, "parameters": self.peer.parameters()}

    def accepted(self, k):
        """For each query the rows that count: the k nearest, and those as near as the k-th."""
        if k not in self.truth:
            ids, found = self.set.truth()
            limit = found[:, k - 1:k]
            near = found <= limit + 1e-6 * np.abs(limit)
            self.truth[k] = [set(row[mask].tolist()) for row, mask in zip(ids, near)]
        return self.truth[k]

    def recall(self, ids, k):
        hits = sum(min(k, len(accepted.intersection(row[:k])))
                   for accepted, row in zip(self.accepted(k), ids.tolist()))
        return hits / (k * len(ids))

    def search(self, command):
        k, effort, each = command["k"], command["effort"], command["each"]
        if each not in self.prepared:
            prepare = self.peer.queries_for
            self.prepared[each] = ([prepare(self.queries[i:i + 1])
                                    for i in range(len(self.queries))] if each
                                   else [prepare(self.queries)])
        batches = self.prepared[each]
        # Once to warm up: code, tables and pages are there, and how long a pass takes is known. A
        # pass that is long by itself is the measurement.
        with Stopwatch() as watch:
            answers = [self.peer.search(batch, k, effort) for batch in batches]
        ids = np.concatenate([self.peer.ids_of(answer) for answer in answers])
        del answers
        passes = 1
        if watch.cpu < 4 * command["seconds"]:
            passes = min(PASSES_MAX, int(command["seconds"] / max(watch.cpu, 1e-6)) + 1)
            with Stopwatch() as watch:
                for _ in range(passes):
                    for batch in batches:
                        self.peer.search(batch, k, effort)
        count = passes * len(self.queries)
        return {"recall": self.recall(ids, k), "queries": count, "wall_s": watch.wall,
                "cpu_s": watch.cpu, "qps": count / watch.wall, "qps_cpu": count / watch.cpu,
                **self.peer.notes()}

    def change(self, command):
        """Rows come from the queries: of the same distribution, and not stored yet."""
        self.peer.load(command["folder"], self.set.rows, for_changes=True)
        out = {"links": self.peer.links_inserts}
        rows = np.random.default_rng(5).permutation(self.set.rows)[:command["count"]]
        steps = {"insert": lambda i: self.peer.insert(self.set.rows + i, self.queries[i]),
                 "delete": lambda i: self.peer.delete(int(rows[i]))}
        for name, step in steps.items():
            wall, cpu = [], []
            try:
                for i in range(min(command["count"], len(rows), len(self.queries))):
                    begin, cpu_begin = time.perf_counter(), time.process_time()
                    step(i)
                    cpu.append(time.process_time() - cpu_begin)
                    wall.append(time.perf_counter() - begin)
            except peers.Unsupported as reason:
                out[name] = {"unsupported": str(reason)}
                continue
            out[name] = {"count": len(wall)}
            for clock, values in (("wall", wall), ("cpu", cpu)):
                values = sorted(values)
                out[name][f"{clock}_p50_us"] = values[len(values) // 2] * 1e6
                out[name][f"{clock}_p99_us"] = values[len(values) * 99 // 100] * 1e6
        return out


def main():
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(value):
        out.write(json.dumps(value) + "\n")

    try:
        worker = Worker(sys.argv[1], sys.argv[2])
        answer({"version": worker.peer.version(), "parameters": worker.peer.parameters(),
                "effort_name": worker.peer.effort_name, "batch": worker.peer.batch})
    except Exception as error:  # Whatever a library says when it can't be started is the report.
        answer({"failed": f"{type(error).__name__}: {error}"})
        return
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer(getattr(worker, command["do"])(command))
        except Exception as error:
            answer({"failed": f"{type(error).__name__}: {error}",
                    "unsupported": isinstance(error, peers.Unsupported)})
    worker.peer.close()
    out.flush()
    # Some libraries' threads don't end; nothing is left to be written.
    os._exit(0)


if __name__ == "__main__":
    main()
