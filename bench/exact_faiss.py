#!/usr/bin/env python3
"""Exact search beside faiss Flat f32: one query at a time, one thread, rounds interleaved (A9).

    exact_faiss.py STORE_BENCH [--rounds 9] [--k 10] [SET ...]

Sets: packages (this repository's data/packages, 384-d, cosine), fashion (Debian's
dataset-fashion-mnist, 784-d, L2), or NAME:METRIC:BASE.npy:QUERIES.npy. Needs numpy and faiss-cpu.
Prints one JSON object a set: median microseconds of both and the ratio with its smallest and
largest value over the rounds. Both answers are compared first: the ids must agree except where
distances tie to six digits.
"""
import argparse
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import faiss
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")


def idx_images(name):
    found = sorted(FASHION.glob(name + "*"))
    if not found:
        sys.exit("fashion: install Debian's package dataset-fashion-mnist")
    opener = gzip.open if found[0].suffix == ".gz" else open
    with opener(found[0], "rb") as file:
        data = file.read()
    count = int.from_bytes(data[4:8], "big")
    return np.frombuffer(data, np.uint8, offset=16).reshape(count, 784)


def load_set(name):
    if name == "packages":
        folder = ROOT / "data/packages"
        return "cosine", np.load(folder / "packages.f16.npy"), np.load(folder / "queries.f32.npy")
    if name == "fashion":
        return "l2", idx_images("train-images"), idx_images("t10k-images")[:100]
    _, metric, base, queries = name.split(":")
    return metric, np.load(base), np.load(queries)[:100]


def median(values):
    return sorted(values)[len(values) // 2]


def run(bench, name, rounds, k):
    metric, base, queries = load_set(name)
    base = np.ascontiguousarray(base, np.float32)
    queries = np.ascontiguousarray(queries, np.float32)
    dim = base.shape[1]
    index = faiss.IndexFlatL2(dim) if metric == "l2" else faiss.IndexFlatIP(dim)
    index.add(base / np.linalg.norm(base, axis=1, keepdims=True) if metric == "cosine" else base)
    theirs, ours, ratios = [], [], []
    with tempfile.NamedTemporaryFile() as b, tempfile.NamedTemporaryFile() as q:
        base.tofile(b.name)
        queries.tofile(q.name)
        process = subprocess.Popen([bench, "exact", b.name, q.name, str(dim), metric, str(k)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(rounds + 1):
            begin = time.perf_counter()
            for i in range(len(queries)):
                index.search(queries[i : i + 1], k)
            faiss_us = (time.perf_counter() - begin) / len(queries) * 1e6
            process.stdin.write("go\n")
            process.stdin.flush()
            our_us = float(process.stdout.readline())
            if number:  # The first round warms both.
                theirs.append(faiss_us)
                ours.append(our_us)
                ratios.append(faiss_us / our_us)
        process.stdin.close()
        process.wait()
    print(json.dumps({"bench": "exact", "row": "A9", "set": name.split(":")[0], "rows": len(base),
                      "dim": dim, "metric": metric, "k": k, "rounds": rounds,
                      "faiss": faiss.__version__, "faiss_us": round(median(theirs), 1),
                      "omendb_us": round(median(ours), 1), "ratio": round(median(ratios), 2),
                      "ratio_min": round(min(ratios), 2), "ratio_max": round(max(ratios), 2)}),
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench")
    parser.add_argument("sets", nargs="*", default=["packages", "fashion"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--k", type=int, default=10)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    for name in options.sets:
        run(options.bench, name, options.rounds, options.k)


if __name__ == "__main__":
    main()
