#!/usr/bin/env python3
"""Reads an OmenDB file and its log without the library: dumps the documents, or checks every byte.

usage: omen_dump.py FILE [--verify] [--json] [--raw]

Without options every document is printed as a line of JSON: collection, id, document, vectors;
collections in the order of their names, documents in that of their ids. --raw gives vectors as
the hexadecimal digits of their bytes. --verify prints what the file is and what is wrong with it
instead; --json makes that one JSON object.

Written from docs/FORMAT.md alone, in Python's standard library, to prove that text: it shares no
code with src/. The file may be open elsewhere; it is pinned as a reader process pins it.

Exit status: 0 all is well; 1 something is damaged: it is named on stderr, the rest was dumped;
2 wrong usage; 3 not a database, unreadable, or of a format that this reader doesn't know.
"""
import argparse
import json
import os
import struct
import sys

from omen_reader import xxh3
from omen_reader.document import Corrupt
from omen_reader.file import File, Unsupported
from omen_reader.log import Log, State
from omen_reader.verify import verify

ELEMENTS = {0: ("f32", "f"), 1: ("f16", "e"), 2: ("bf16", None), 3: ("i8", "b"), 4: ("u8", "B")}


def vector_numbers(field, data):
    """The components as Python numbers; bits as 0 and 1."""
    if field.type == 5:
        return [data[i // 8] >> i % 8 & 1 for i in range(field.dim)]
    if field.type == 2:  # The upper half of a binary32.
        words = struct.unpack(f"<{field.dim}H", data)
        return list(struct.unpack(f"<{field.dim}f", struct.pack(f"<{field.dim}I",
                                                                *(w << 16 for w in words))))
    return list(struct.unpack(f"<{field.dim}{ELEMENTS[field.type][1]}", data))


def dump(state, problems, raw, out):
    for collection in sorted(state.collections.values(), key=lambda c: c.name.encode()):
        for key in sorted(collection.documents):
            stored = collection.documents[key]
            try:
                line = {"collection": collection.name, "id": stored.id,
                        "document": stored.decoded(),
                        "vectors": {field.name: data.hex() if raw else vector_numbers(field, data)
                                    for field, data in zip(collection.schema.vectors,
                                                           stored.vectors()) if data is not None}}
            except Corrupt as damage:
                problems.append(f"{collection.name}, document {stored.id!r}: {damage}")
                continue
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def describe(file, log, state, problems, as_json, out):
    root = file.live.root
    report = {
        "ok": not problems,
        "format": f"{root.format_major}.{root.format_minor}",
        "uuid": root.uuid.hex(),
        "generation": root.generation,
        "state": "clean" if root.state == 1 else "open",
        "sequence": state.sequence,
        "image_sequence": root.sequence,
        "blocks": root.block_count,
        "blocks_used": len(file.used),
        "log_segments": log.segments,
        "log_frames": log.frames,
        "log_batches": log.batches,
        "collections": {c.name: len(c.documents) for c in state.collections.values()},
        "documents": sum(len(c.documents) for c in state.collections.values()),
        "checksums": xxh3.SOURCE,
        "problems": problems,
    }
    if as_json:
        out.write(json.dumps(report, ensure_ascii=False) + "\n")
        return
    for name, value in report.items():
        if name not in ("ok", "problems"):
            out.write(f"{name:<16}{value}\n")
    for problem in problems:
        out.write(f"problem         {problem}\n")
    out.write("ok\n" if not problems else f"{len(problems)} problems\n")


def run(options):
    problems = []
    with File(options.file, problems) as file:
        state = State(file, problems)
        log = Log(file, state, problems)
        log.replay()
        if options.verify:
            verify(file, problems)
            for collection in state.collections.values():
                for stored in collection.documents.values():
                    try:
                        stored.decoded()
                        stored.vectors()
                    except Corrupt as damage:
                        problems.append(f"{collection.name}, document {stored.id!r}: {damage}")
            describe(file, log, state, problems, options.json, sys.stdout)
        else:
            dump(state, problems, options.raw, sys.stdout)
            for problem in problems:
                print(f"omen_dump: {problem}", file=sys.stderr)
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file")
    parser.add_argument("--verify", action="store_true", help="check every byte, dump nothing")
    parser.add_argument("--json", action="store_true", help="the report of --verify as JSON")
    parser.add_argument("--raw", action="store_true", help="vectors as hexadecimal digits")
    options = parser.parse_args()
    if options.json and not options.verify:
        parser.error("--json goes with --verify: a dump is JSON already")
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)  # Integers of a document may have any number of digits.
    sys.stdout.reconfigure(encoding="utf-8")
    try:
        return run(options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 3
    except (Corrupt, Unsupported, OSError) as failure:
        print(f"omen_dump: {options.file}: {failure}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
