#!/usr/bin/env python3
"""Makes data/packages from the full package collection: a subset that keeps its best answers.

usage: make_demo_data.py SOURCE [--rows N] [--out DIR]

SOURCE holds packages.jsonl, packages.f16.npy (row r belongs to line r), queries.jsonl and
queries.f32.npy. Taken are all packages that are among the ten nearest of any query, then the
others in the order of the file until there are N (10,000); the order of the file is kept. So the
ten nearest of a query in the subset are its ten nearest in the full collection, and
queries.jsonl stays true as it is. Needs nothing but Python; the same input gives the same bytes.
"""
import argparse
import ast
import json
import pathlib
import shutil
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAGIC = b"\x93NUMPY\x01\x00"


def read_npy(path, descr):
    """(rows, columns, bytes of the rows) of a two-dimensional array in format version 1.0."""
    content = path.read_bytes()
    if content[:8] != MAGIC:
        sys.exit(f"{path}: no .npy file of version 1.0")
    begin = 10 + struct.unpack("<H", content[8:10])[0]
    header = ast.literal_eval(content[10:begin].decode())
    if header["descr"] != descr or header["fortran_order"] or len(header["shape"]) != 2:
        sys.exit(f"{path}: {header} where rows of {descr} are wanted")
    rows, columns = header["shape"]
    if len(content) - begin != rows * columns * int(descr[2:]):
        sys.exit(f"{path}: {len(content)} bytes don't go with {header['shape']}")
    return rows, columns, content[begin:]


def write_npy(path, descr, rows, columns, content):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    path.write_bytes(MAGIC + struct.pack("<H", len(header)) + header.encode() + content)


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=10000)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "data/packages")
    options = parser.parse_args()
    packages = read_lines(options.source / "packages.jsonl")
    queries = read_lines(options.source / "queries.jsonl")
    count, columns, vectors = read_npy(options.source / "packages.f16.npy", "<f2")
    if count != len(packages) or options.rows > count:
        sys.exit(f"{count} vectors, {len(packages)} packages, {options.rows} wanted")

    wanted = {name for query in queries for name in query["nearest"]}
    absent = wanted - {package["id"] for package in packages}
    if absent:
        sys.exit(f"among the nearest, but no package: {sorted(absent)}")
    room = options.rows - len(wanted)
    taken = []
    for row, package in enumerate(packages):
        if package["id"] in wanted:
            taken.append(row)
        elif room > 0:
            taken.append(row)
            room -= 1

    options.out.mkdir(parents=True, exist_ok=True)
    with open(options.out / "packages.jsonl", "w", encoding="utf-8", newline="\n") as file:
        for row in taken:
            file.write(json.dumps(packages[row], ensure_ascii=False, separators=(",", ":")) + "\n")
    size = columns * 2
    write_npy(options.out / "packages.f16.npy", "<f2", len(taken), columns,
              b"".join(vectors[row * size:(row + 1) * size] for row in taken))
    for name in ("queries.jsonl", "queries.f32.npy"):
        # Not copy(): the source may be read-only, what is shipped is not.
        shutil.copyfile(options.source / name, options.out / name)
    print(f"{len(taken)} of {count} packages, {len(wanted)} of them among the nearest of "
          f"{len(queries)} queries, in {options.out}")


if __name__ == "__main__":
    main()
