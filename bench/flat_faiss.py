#!/usr/bin/env python3
"""Exact search, one query at a time on one thread: OmenDB's flat_bench beside faiss Flat f32.

    flat_faiss.py FLAT_BENCH NAME METRIC BASE QUERIES [K ...]

BASE and QUERIES are .npy files, or ARCHIVE.npz:MEMBER; any numeric type, taken as f32. METRIC is
l2, cosine or ip (faiss gets unit vectors and IP for cosine). Needs numpy and faiss-cpu from PyPI.
"""
import subprocess
import sys
import tempfile
import time

import faiss
import numpy as np


def load(name):
    if ".npz:" in name:
        path, member = name.rsplit(":", 1)
        data = np.load(path)[member]
    else:
        data = np.load(name)
    return np.ascontiguousarray(data, dtype=np.float32)


def faiss_microseconds(index, queries, k, rounds=5):
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for i in range(len(queries)):
            index.search(queries[i : i + 1], k)
        best = min(best, (time.perf_counter() - start) / len(queries))
    return best * 1e6


def main():
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    bench, name, metric, base_name, query_name = sys.argv[1:6]
    base, queries = load(base_name), load(query_name)[:100]
    dim = base.shape[1]
    faiss.omp_set_num_threads(1)
    if metric == "cosine":
        theirs = faiss.IndexFlatIP(dim)
        theirs.add(base / np.linalg.norm(base, axis=1, keepdims=True))
    else:
        theirs = faiss.IndexFlatL2(dim) if metric == "l2" else faiss.IndexFlatIP(dim)
        theirs.add(base)
    with tempfile.NamedTemporaryFile() as b, tempfile.NamedTemporaryFile() as q:
        base.tofile(b.name)
        queries.tofile(q.name)
        for k in [int(a) for a in sys.argv[6:]] or [10]:
            print(f"{name} k {k}: faiss {faiss.__version__} {faiss_microseconds(theirs, queries, k):.1f} us",
                  flush=True)
            subprocess.run([bench, b.name, q.name, str(dim), metric, str(k)], check=True)


if __name__ == "__main__":
    main()
