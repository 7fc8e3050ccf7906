"""python -m omendb.importers: see --help."""

import argparse
import json
import sys
import time
from typing import Any

import omendb

from . import ImportFailed, Source, faiss, hnswlib, parquet


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m omendb.importers",
        description="Bring the data of another store into an OmenDB collection.",
        epilog="Exit status: 0 done, 2 wrong usage, 3 it failed: nothing is left of a new collection.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--to", metavar="FILE", required=True, help="the database; made if missing")
    common.add_argument("--collection", required=True, help="the collection; made from the source")
    common.add_argument("--append", action="store_true", help="into a collection that is there")
    common.add_argument("--batch-size", type=int, default=10_000, metavar="N", help="rows a commit")
    common.add_argument("--no-wait", action="store_true", help="don't wait for the index")
    common.add_argument("--dry-run", action="store_true", help="say what would come, write nothing")
    common.add_argument("--json", action="store_true", help="the summary as JSON on stdout")
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    one = kinds.add_parser("parquet", parents=[common], help="Parquet files (needs pyarrow)")
    one.add_argument("paths", nargs="+", metavar="PATH")
    one.add_argument("--id", metavar="COLUMN", help="of the ids; default id or _id, else numbers")
    one.add_argument("--vector", action="append", metavar="COLUMN", help="that holds vectors")
    one.add_argument("--metric", default="cosine", choices=["l2", "cosine", "ip"])
    one = kinds.add_parser("hnswlib", parents=[common], help="a saved index (needs hnswlib)")
    one.add_argument("paths", nargs=1, metavar="PATH")
    one.add_argument("--metric", required=True, choices=["l2", "cosine", "ip"])
    one.add_argument("--field", default="v", help="name of the vector field (v)")
    one = kinds.add_parser("faiss", parents=[common], help="a written index (needs faiss-cpu)")
    one.add_argument("paths", nargs=1, metavar="PATH")
    one.add_argument("--field", default="v", help="name of the vector field (v)")
    return parser


def _source(args: argparse.Namespace) -> Source:
    if args.kind == "parquet":
        vectors = None if args.vector is None else {name: args.metric for name in args.vector}
        return parquet(args.paths, id=args.id, vectors=vectors, metric=args.metric,
                       batch_size=args.batch_size)
    if args.kind == "hnswlib":
        return hnswlib(args.paths[0], args.metric, field=args.field, batch_size=args.batch_size)
    return faiss(args.paths[0], field=args.field, batch_size=args.batch_size)


class _Progress:
    """A line on stderr that is written anew, where that is a terminal."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.shown = False

    def __call__(self, done: int, total: int | None) -> None:
        if not sys.stderr.isatty():
            return
        rate = done / max(time.monotonic() - self.begun, 1e-9)
        left = "" if not total or not rate else f", {(total - done) / rate:.0f} s left"
        print(f"\r{done:,} of {total or '?':,} rows, {rate:,.0f} a second{left}   ", end="",
              file=sys.stderr, flush=True)
        self.shown = True

    def end(self) -> None:
        if self.shown:
            print(file=sys.stderr)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    source = _source(args)
    if args.dry_run:
        fields = {name: repr(vector) for name, vector in source.vectors.items()}
        return {"collection": args.collection, "rows": source.total, "vectors": fields,
                "notes": source.notes}
    progress = _Progress()
    try:
        with omendb.open(args.to) as db:
            return source.into(db, args.collection, if_exists="append" if args.append else "fail",
                               progress=progress, wait=not args.no_wait)
    finally:
        progress.end()


def main(words: list[str] | None = None) -> int:
    args = _parser().parse_args(words)
    if args.batch_size < 1:
        print("omendb.importers: --batch-size must be at least 1", file=sys.stderr)
        return 2
    try:
        summary = _run(args)
    except (ImportFailed, ImportError, omendb.Error, OSError) as error:
        print(f"omendb.importers: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("omendb.importers: interrupted: nothing is left of a new collection", file=sys.stderr)
        return 3
    if args.json:
        print(json.dumps(summary))
        return 0
    for key, value in summary.items():
        if key != "notes":
            print(f"{key}: {value}")
    for note in summary["notes"]:
        print(f"note: {note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
