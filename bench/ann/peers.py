"""One class for each index that is measured: the same few calls in front of every library.

A worker process holds one Peer. It is either built and saved, or loaded from what was saved, and
then searched, or changed. Rows under cosine are of unit length (data.py), so that libraries which
know L2 or the inner product alone give the same order. Parameters are those that bench/RESULTS.md
names; efforts are each library's own knob (ef, window, nprobe), a grid from coarse to fine.

What is timed is search() alone: what it needs in a form of its own is made by queries_for(), and
ids_of() reads its answer afterwards.
"""
import importlib.metadata
import json
import os
import pathlib
import time

import numpy as np

EFFORTS = (10, 12, 14, 17, 20, 24, 28, 34, 40, 48, 56, 68, 80, 96, 112, 136, 160, 192, 224, 272, 320,
           384, 448, 544, 640, 768, 1024, 1536, 2048)
SPARE_ROWS = 4096  # Room for inserted rows, where a capacity must be said.


class Unsupported(Exception):
    """What a library can't do, or can't do here; the message says which."""


class Peer:
    name = ""
    package = ""  # The distribution whose version is reported.
    module = ""
    efforts = EFFORTS
    effort_name = "ef"
    links_inserts = True  # An inserted row is in the graph when insert() returns.
    batch = True  # A call takes many queries; else a Python call for each is part of the time.

    def __init__(self, dim, metric, threads):
        self.dim, self.metric, self.threads = dim, metric, threads

    @classmethod
    def version(cls):
        return importlib.metadata.version(cls.package)

    def parameters(self):
        """What the index is made with: printed, and part of the key of saved indexes."""
        return {}

    def build(self, base, folder):
        """Makes the index; libraries that write files while they build do it in `folder`."""
        raise NotImplementedError

    def save(self, folder):
        raise NotImplementedError

    def load(self, folder, rows, for_changes=False):
        raise NotImplementedError

    def queries_for(self, queries):
        return queries

    def search(self, queries, k, effort):
        raise NotImplementedError

    def ids_of(self, answer):
        return np.asarray(answer[0])

    def notes(self):
        """What a reader of the search record should know besides."""
        return {}

    def insert(self, row, vector):
        raise Unsupported("no insertion")

    def delete(self, row):
        raise Unsupported("no deletion")

    def close(self):
        pass


class OmenDB(Peer):
    name, package, module = "omendb", "omendb", "omendb"
    # Beam widths, and wanted recalls (below 1): what the database itself makes of them.
    efforts = ("default", *EFFORTS, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)
    profile = None  # The kind of index; None: what a field gets that says nothing.

    @classmethod
    def version(cls):
        import omendb._omendb as module
        import hashlib
        content = pathlib.Path(module.__file__).read_bytes()
        return f"{super().version()}+{hashlib.sha256(content).hexdigest()[:8]}"

    def parameters(self):
        return {"batch_rows": 10_000, "durability": "full", "index": self.profile or "default"}

    def _open(self, folder, **options):
        import omendb
        path = pathlib.Path(folder) / "v.omen"
        try:
            self.db = omendb.open(path, index_threads=self.threads, **options)
        except TypeError:  # A version without that option.
            self.db = omendb.open(path, **options)

    def _wait(self):
        """Until every row is in the graph; a version that makes none leaves their number as it is."""
        if hasattr(self.docs, "wait_indexed"):
            self.docs.wait_indexed()
            return
        left, since = self.db.stats()["unindexed"], time.monotonic()
        while left and time.monotonic() < since + 2:
            time.sleep(0.01)
            now = self.db.stats()["unindexed"]
            if now != left:
                left, since = now, time.monotonic()

    def build(self, base, folder):
        import omendb
        self._open(folder)
        options = {"index": self.profile} if self.profile else {}
        self.docs = self.db.create_collection(
            "v", vectors={"v": omendb.Vector(self.dim, self.metric, **options)})
        step = self.parameters()["batch_rows"]
        for at in range(0, len(base), step):
            rows = base[at:at + step]
            self.docs.upsert(ids=np.arange(at, at + len(rows), dtype=np.int64), vectors=rows)
        self._wait()

    def save(self, folder):
        self.close()

    def load(self, folder, rows, for_changes=False):
        self._open(folder, **({"durability": "interval"} if for_changes else {}))
        self.docs = self.db.collection("v")
        while not for_changes and self._state() == "loading":  # Codes of edges, in the background.
            time.sleep(0.01)

    def _state(self):
        index = self.db.stats()["collections"][0]["vectors"][0].get("index") or {}
        walking = index.get("walk") == "edges" or index.get("profile") != "fast" or self.dim <= 32
        return "ready" if walking or not index.get("indexed") else "loading"

    def search(self, queries, k, effort):
        if effort == "default":
            return self.docs.search(queries, k=k, threads=self.threads, documents=False)
        if isinstance(effort, float):
            return self.docs.search(queries, k=k, recall=effort, threads=self.threads,
                                    documents=False)
        return self.docs.search(queries, k=k, ef=max(k, effort), threads=self.threads,
                                documents=False)

    def ids_of(self, answer):
        self.explained = answer.explain()
        width = max(map(len, answer.ids), default=0)
        return np.array([ids + [-1] * (width - len(ids)) for ids in answer.ids])

    def notes(self):
        explained = getattr(self, "explained", {})
        return {"explain": explained, "unindexed": self.db.stats()["unindexed"]}

    def insert(self, row, vector):
        self.docs.upsert(ids=row, vectors=vector)
        if hasattr(self.docs, "wait_indexed"):
            self.docs.wait_indexed()

    def delete(self, row):
        self.docs.delete(row)

    def close(self):
        if getattr(self, "db", None):
            self.db.close()
            self.db = None


class OmenDBCompact(OmenDB):
    name, profile = "omendb-compact", "compact"


class SymphonyQG(Peer):
    name, package, module = "symqg", "rabitqlib", "rabitqlib"

    def _metric(self):
        return "ip" if self.metric == "ip" else "l2"

    def parameters(self):
        return {"max_degree": 32, "ef_construction": 200, "metric": self._metric(),
                "init": "pipnn"}

    def build(self, base, folder):
        import rabitqlib
        self.index = rabitqlib.SymqgIndex(self.dim, 32, self._metric(), 0)
        self.index.build(base, 200, self.threads)

    def save(self, folder):
        self.index.save(f"{folder}/index")

    def load(self, folder, rows, for_changes=False):
        import rabitqlib
        self.index = rabitqlib.SymqgIndex.load(f"{folder}/index")

    def search(self, queries, k, effort):
        return self.index.search(queries, k, max(k, effort), self.threads)


class Hnswlib(Peer):
    name, package, module = "hnswlib", "hnswlib", "hnswlib"

    def _space(self):
        return "l2" if self.metric == "l2" else "ip"

    def parameters(self):
        return {"M": 16, "ef_construction": 200, "space": self._space()}

    def build(self, base, folder):
        import hnswlib
        self.index = hnswlib.Index(self._space(), self.dim)
        self.index.init_index(len(base), ef_construction=200, M=16, random_seed=100)
        self.index.set_num_threads(self.threads)
        self.index.add_items(base, np.arange(len(base)), num_threads=self.threads)

    def save(self, folder):
        self.index.save_index(f"{folder}/index")

    def load(self, folder, rows, for_changes=False):
        import hnswlib
        self.index = hnswlib.Index(self._space(), self.dim)
        self.index.load_index(f"{folder}/index", max_elements=rows + SPARE_ROWS * for_changes)
        self.index.set_num_threads(self.threads)

    def search(self, queries, k, effort):
        self.index.set_ef(max(k, effort))
        return self.index.knn_query(queries, k=k, num_threads=self.threads)

    def insert(self, row, vector):
        self.index.add_items(vector, row, num_threads=1)

    def delete(self, row):
        self.index.mark_deleted(row)


class Faiss(Peer):
    """Common to the faiss indexes; `factory` names each."""
    package, module = "faiss-cpu", "faiss"
    factory = ""

    def _description(self, rows):
        return self.factory

    def parameters(self):
        return {"factory": self.factory, "metric": "l2"}

    def _module(self):
        import faiss
        faiss.omp_set_num_threads(self.threads)
        return faiss

    def build(self, base, folder):
        self.faiss = self._module()
        self.index = self.faiss.index_factory(self.dim, self._description(len(base)),
                                              self.faiss.METRIC_L2)
        self._tune()
        self.index.train(base)
        self.index.add(base)

    def _tune(self):
        pass

    def save(self, folder):
        self.faiss.write_index(self.index, f"{folder}/index")

    def load(self, folder, rows, for_changes=False):
        self.faiss = self._module()
        self.index = self.faiss.read_index(f"{folder}/index")

    def ids_of(self, answer):
        return answer[1]

    def insert(self, row, vector):
        self.index.add(vector.reshape(1, -1))


class FaissHNSW(Faiss):
    name, factory = "faiss-hnsw", "HNSW16"

    def parameters(self):
        return {**super().parameters(), "efConstruction": 200}

    def _tune(self):
        self.index.hnsw.efConstruction = 200

    def search(self, queries, k, effort):
        self.index.hnsw.efSearch = max(k, effort)
        return self.index.search(queries, k)


class FaissHNSWSQ(FaissHNSW):
    name, factory = "faiss-hnsw-sq8", "HNSW32,SQ8"


class FaissIVF(Faiss):
    name, effort_name = "faiss-ivf", "nprobe"
    efforts = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512,
               1024)
    k_factor = 8  # As many times k candidates are compared in full precision.

    def _description(self, rows):
        lists = next(size for size in (4096, 1024, 256, 64, 16) if size * 40 <= rows or size == 16)
        return f"IVF{lists},PQ{self.dim // 2}x4fs,RFlat"

    def parameters(self):
        return {"factory": "IVF{4096, 1024, ...: 40 rows a list},PQ{d/2}x4fs,RFlat",
                "k_factor": self.k_factor, "metric": "l2"}

    def search(self, queries, k, effort):
        options = self.faiss.IndexRefineSearchParameters(
            k_factor=self.k_factor,
            base_index_params=self.faiss.SearchParametersIVF(nprobe=effort))
        return self.index.search(queries, k, params=options)


class FaissFlat(Faiss):
    name, factory, efforts, effort_name = "faiss-flat", "Flat", (0,), "none"

    def search(self, queries, k, effort):
        # One by one: a batch would be a matrix product, which is not what a single query costs.
        answers = [self.index.search(queries[i:i + 1], k)[1] for i in range(len(queries))]
        return None, np.concatenate(answers)


class Usearch(Peer):
    name, package, module, effort_name = "usearch", "usearch", "usearch.index", "expansion_search"

    def parameters(self):
        return {"dtype": "f16", "connectivity": 16, "expansion_add": 200,
                "metric": "l2sq" if self.metric == "l2" else "ip"}

    def _index(self):
        from usearch.index import Index
        return Index(ndim=self.dim, metric=self.parameters()["metric"], dtype="f16",
                     connectivity=16, expansion_add=200)

    def build(self, base, folder):
        self.index = self._index()
        self.index.add(np.arange(len(base)), base, threads=self.threads)

    def save(self, folder):
        self.index.save(f"{folder}/index")

    def load(self, folder, rows, for_changes=False):
        self.index = self._index()
        self.index.load(f"{folder}/index")

    def search(self, queries, k, effort):
        self.index.expansion_search = max(k, effort)
        return self.index.search(queries, k, threads=self.threads)

    def ids_of(self, answer):
        return np.asarray(answer.keys).astype(np.int64).reshape(-1, answer.keys.shape[-1])

    def insert(self, row, vector):
        self.index.add(row, vector, threads=1)

    def delete(self, row):
        self.index.remove(row)


class ScalableVS(Peer):
    """Intel's Scalable Vector Search: a Vamana graph over float16 rows."""
    name, package, module, effort_name = "svs", "scalable-vs", "svs", "window"
    levels = None  # (primary, residual) bits of LVQ codes; None: float16.

    def parameters(self):
        return {"graph_max_degree": 32, "window_size": 200,
                "alpha": 1.2 if self.metric != "ip" else 0.95,
                "rows": "f16" if not self.levels else "LVQ{}x{}".format(*self.levels)}

    def _distance(self):
        import svs
        return svs.DistanceType.MIP if self.metric == "ip" else svs.DistanceType.L2

    def build(self, base, folder):
        import svs
        options = self.parameters()
        build = svs.VamanaBuildParameters(graph_max_degree=32, window_size=200,
                                          alpha=options["alpha"])
        rows = base.astype(np.float16)
        if self.levels:
            path = f"{folder}/rows.fvecs"
            svs.write_vecs(base, path)
            loader = svs.VectorDataLoader(path, svs.DataType.float32, dims=self.dim)
            rows = svs.LVQLoader(loader, primary=self.levels[0], residual=self.levels[1])
        self.index = svs.Vamana.build(build, rows, self._distance(), num_threads=self.threads)
        if self.levels:
            os.unlink(path)

    def save(self, folder):
        self.index.save(*(f"{folder}/{part}" for part in ("config", "graph", "data")))

    def load(self, folder, rows, for_changes=False):
        import svs
        data = (svs.LVQLoader(f"{folder}/data") if self.levels
                else svs.VectorDataLoader(f"{folder}/data", svs.DataType.float16))
        self.index = svs.Vamana(f"{folder}/config", svs.GraphLoader(f"{folder}/graph"), data,
                                self._distance(), num_threads=self.threads)

    def search(self, queries, k, effort):
        self.index.search_window_size = max(k, effort)
        return self.index.search(queries, k)


class ScalableVSLVQ(ScalableVS):
    name, levels = "svs-lvq8", (8, 0)


class ScalableVSLVQ4(ScalableVS):
    name, levels = "svs-lvq4x8", (4, 8)


class AlayaLite(Peer):
    name, package, module = "alayalite", "alayalite", "alayalite.index"

    def parameters(self):
        return {"index_type": "hnsw", "quantization_type": "rabitq", "max_nbrs": 32,
                "ef_construction": 200, "metric": "ip" if self.metric == "ip" else "l2"}

    def build(self, base, folder):
        from alayalite.index import Index
        from alayalite.schema import IndexParams
        options = self.parameters()
        self.index = Index("index", IndexParams(
            index_type="hnsw", quantization_type="rabitq", metric=options["metric"],
            capacity=len(base), max_nbrs=32))
        self.index.fit(base, ef_construction=200, num_threads=self.threads)

    def save(self, folder):
        from alayalite.schema import save_schema
        save_schema(f"{folder}/index/schema.json", self.index.save(f"{folder}/index"))

    def load(self, folder, rows, for_changes=False):
        from alayalite.index import Index
        self.index = Index.load(str(folder), "index")

    def search(self, queries, k, effort):
        return self.index.batch_search(queries, k, max(k, effort), self.threads)

    def ids_of(self, answer):
        return np.asarray(answer)


class Vsag(Peer):
    name, package, module, effort_name, batch = "vsag", "pyvsag", "pyvsag", "ef_search", False

    def parameters(self):
        return {"index": "hgraph", "base_quantization_type": "sq8_uniform", "use_reorder": True,
                "precise_quantization_type": "fp32", "max_degree": 32, "ef_construction": 200,
                "metric": "ip" if self.metric == "ip" else "l2"}

    def _index(self):
        import pyvsag
        pyvsag.set_logger_off()
        options = self.parameters()
        return pyvsag.Index("hgraph", json.dumps({
            "dtype": "float32", "metric_type": options["metric"], "dim": self.dim,
            "index_param": {**{key: options[key] for key in (
                "base_quantization_type", "use_reorder", "precise_quantization_type", "max_degree",
                "ef_construction")}, "build_thread_count": self.threads}}))

    def build(self, base, folder):
        self.index = self._index()
        self.index.build(base.reshape(-1), np.arange(len(base), dtype=np.int64), len(base), self.dim)

    def save(self, folder):
        self.index.save(f"{folder}/index")

    def load(self, folder, rows, for_changes=False):
        self.index = self._index()
        self.index.load(f"{folder}/index")

    def search(self, queries, k, effort):
        if self.threads != 1:
            raise Unsupported("searches on one thread only")
        options = json.dumps({"hgraph": {"ef_search": max(k, effort)}})
        return [self.index.knn_search(query, k, options)[0] for query in queries]

    def ids_of(self, answer):
        return np.stack(answer)


class Zvec(Peer):
    """Searched by query_internal_ids, its fastest call, which takes one query."""
    name, package, module, links_inserts, batch = "zvec", "zvec", "zvec", False, False

    def parameters(self):
        return {"index": "hnsw", "m": 16, "ef_construction": 200, "quantize": "UNIFORM_UINT8",
                "refine": "f32", "metric": "ip" if self.metric == "ip" else "l2"}

    def _start(self):
        import zvec
        zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=self.threads,
                  optimize_threads=self.threads)
        return zvec

    def _metric(self, zvec):
        return zvec.MetricType.IP if self.metric == "ip" else zvec.MetricType.L2

    def _index_options(self, zvec):
        return zvec.HnswIndexParam(
            self._metric(zvec), m=16, ef_construction=200, use_contiguous_memory=True,
            quantize_type=zvec.QuantizeType.UNIFORM_UINT8, use_flat_contiguous_memory=True)

    def _query_options(self, effort):
        return self.zvec.HnswQueryParam(ef=effort, is_using_refiner=True)

    def build(self, base, folder):
        zvec = self.zvec = self._start()
        schema = zvec.CollectionSchema("c", vectors=[zvec.VectorSchema(
            "v", zvec.DataType.VECTOR_FP32, self.dim, index_param=self._index_options(zvec))])
        self.docs = zvec.create_and_open(f"{folder}/zvec", schema)
        for at in range(0, len(base), 1000):
            self.docs.insert([zvec.Doc(id=str(row), vectors={"v": base[row]})
                              for row in range(at, min(at + 1000, len(base)))])
        self.docs.optimize(zvec.OptimizeOption(concurrency=self.threads))

    def save(self, folder):
        self.docs.flush()
        self.docs = None

    def load(self, folder, rows, for_changes=False):
        self.zvec = self._start()
        self.docs = self.zvec.open(f"{folder}/zvec",
                                   self.zvec.CollectionOption(read_only=not for_changes))
        if not for_changes:
            self.rows = np.array([int(name) for name in
                                  self.docs.resolve_internal_ids(np.arange(rows))])

    def search(self, queries, k, effort):
        options = self._query_options(max(k, effort))
        return [self.docs.query_internal_ids(self.zvec.Query("v", vector=query, param=options),
                                             topk=k) for query in queries]

    def ids_of(self, answer):
        ids = np.stack(answer)
        return np.where(ids < 0, -1, self.rows[ids])

    def insert(self, row, vector):
        self.docs.insert([self.zvec.Doc(id=str(row), vectors={"v": vector})])

    def delete(self, row):
        self.docs.delete(str(row))

    def close(self):
        self.docs = None


class ZvecVamana(Zvec):
    name = "zvec-vamana"

    def parameters(self):
        return {"index": "vamana", "max_degree": 32, "search_list_size": 200, "alpha": 1.2,
                "quantize": "UNIFORM_UINT8", "refine": "f32", "metric": "l2"}

    def _index_options(self, zvec):
        return zvec.VamanaIndexParam(
            self._metric(zvec), max_degree=32, search_list_size=200, alpha=1.2,
            use_contiguous_memory=True, quantize_type=zvec.QuantizeType.UNIFORM_UINT8,
            use_flat_contiguous_memory=True)

    def _query_options(self, effort):
        return self.zvec.VamanaQueryParam(ef_search=effort, is_using_refiner=True)


class QdrantEdge(Peer):
    name, package, module, links_inserts = "qdrant-edge", "qdrant-edge-py", "qdrant_edge", False
    effort_name = "hnsw_ef"

    def parameters(self):
        return {"m": 16, "ef_construct": 200, "quantization": "int8, rescored, oversampling 1.5",
                "distance": "Dot" if self.metric == "ip" else "Euclid", "segments": 1}

    def build(self, base, folder):
        import qdrant_edge as edge
        self.edge = edge
        path = f"{folder}/shard"
        os.makedirs(path)
        self.shard = edge.EdgeShard.create(path, edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(
                self.dim, getattr(edge.Distance, self.parameters()["distance"]),
                quantization_config=edge.ScalarQuantizationConfig(edge.ScalarType.Int8,
                                                                  always_ram=True)),
            hnsw_config=edge.HnswIndexConfig(16, 200, 10, max_indexing_threads=self.threads),
            optimizers=edge.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=100,
                                                 max_segment_size=10 ** 9),
            max_search_threads=self.threads))
        for at in range(0, len(base), 1000):
            self.shard.update(edge.UpdateOperation.upsert_points(
                [edge.Point(row, base[row].tolist())
                 for row in range(at, min(at + 1000, len(base)))]))
        self.shard.optimize()

    def save(self, folder):
        self.shard.flush()
        self.shard.close()

    def load(self, folder, rows, for_changes=False):
        import qdrant_edge as edge
        self.edge = edge
        self.shard = edge.EdgeShard.load(f"{folder}/shard")

    def queries_for(self, queries):
        return [self.edge.Query.Nearest(query.tolist()) for query in queries]

    def search(self, queries, k, effort):
        options = self.edge.SearchParams(
            hnsw_ef=max(k, effort),
            quantization=self.edge.QuantizationSearchParams(rescore=True, oversampling=1.5))
        return self.shard.query_batch(self.edge.QueryBatchRequest([
            self.edge.QueryRequest(limit=k, query=query, params=options) for query in queries]))

    def ids_of(self, answer):
        width = max(map(len, answer), default=0)
        return np.array([[hit.id for hit in hits] + [-1] * (width - len(hits)) for hits in answer])

    def insert(self, row, vector):
        self.shard.update(self.edge.UpdateOperation.upsert_points(
            [self.edge.Point(row, vector.tolist())]))

    def delete(self, row):
        self.shard.update(self.edge.UpdateOperation.delete_points([row]))


PEERS = {peer.name: peer for peer in (
    OmenDB, OmenDBCompact, SymphonyQG, AlayaLite, ScalableVS, ScalableVSLVQ, ScalableVSLVQ4, Hnswlib, FaissHNSW,
    FaissHNSWSQ, FaissIVF, FaissFlat, Usearch, Vsag, Zvec, ZvecVamana, QdrantEdge)}
