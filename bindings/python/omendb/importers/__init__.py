"""Bringing other stores' data into OmenDB, through their own Python packages.

    python -m omendb.importers parquet part-*.parquet --to new.omen --collection docs
    python -m omendb.importers faiss index.faiss --to new.omen --collection docs
    python -m omendb.importers hnswlib index.bin --metric cosine --to new.omen --collection docs

The same as functions; a package that is missing is named by an ImportError:

    >>> import omendb.importers
    >>> summary = omendb.importers.parquet(["part-1.parquet"]).into(db, "docs")  # doctest: +SKIP
    >>> summary["rows"], summary["notes"]  # doctest: +SKIP
    (1000, [])
"""

from ._faiss import faiss
from ._hnswlib import hnswlib
from ._parquet import parquet
from ._source import ImportFailed, Source

__all__ = ["ImportFailed", "Source", "faiss", "hnswlib", "parquet"]
