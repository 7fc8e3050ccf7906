#!/usr/bin/env python3
"""Checks that the compiled walks of a graph still fetch ahead: gcc 12 deletes loops of prefetches
without a word when it takes them for empty, and searches are then several times slower.

usage: count_prefetches.py [--root DIR] --library FILE

  --library  the shared library (a plain release build, not stripped)

Each function of src/index/vector/graph_loop.h that isn't inlined (walk_edges, walk_codes ...), of
every instruction set that the library is built for, must hold at least as many prefetch
instructions as there are places in the source that fetch. Prints "ok NAME" or "not ok NAME" for
each and exits 1 when one is short; "skip" where there is no objdump.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

PREFETCH = re.compile(r"\t(?:prefetch\w*|prfu?m)\b")
FORMATS = {"elf64-x86-64": "x86_64", "elf64-littleaarch64": "aarch64"}


def places(text):
    """Name of each function that isn't inlined -> how many calls of fetch() end up in it: its own
    and those of what is inlined into it. Only names with any."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    calls, inlined = {}, set()
    for definition in re.split(r"^(?=LOOP_INLINE |static LOOP_TARGET )", text, flags=re.M)[1:]:
        names = re.findall(r"LOOP_NAME\((\w+)\)\s*\(", definition)
        calls[names[0]] = names[1:]
        if definition.startswith("LOOP_INLINE"):
            inlined.add(names[0])

    def count(name):
        return sum(1 if call == "fetch" else count(call) if call in inlined else 0
                   for call in calls.get(name, ()))

    return {name: count(name) for name in calls if name not in inlined and count(name)}


def instruction_sets(folder, machine):
    """The prefixes of the files that include graph_loop.h on this machine."""
    for path in sorted(folder.glob("graph_*.c")):
        text = path.read_text(encoding="utf-8")
        name = re.search(r"^#define LOOP_NAME\(name\) (graph_\w+?_)##name", text, re.M)
        guard = re.search(r"^#if defined\(__(\w+?)__\)", text, re.M)
        if name and (not guard or guard.group(1) == machine):
            yield name.group(1)


def prefetches(lines):
    """Name of each function -> its prefetch instructions; parts that the compiler split off or
    cloned ("name.cold", "name.constprop.0") count for the function."""
    counts, name = {}, None
    for line in lines:
        header = re.match(r"[0-9a-f]+ <([\w$]+)[^>]*>:", line)
        if header:
            name = header.group(1)
            counts.setdefault(name, 0)
        elif name and PREFETCH.search(line):
            counts[name] += 1
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--library", type=pathlib.Path, required=True)
    options = parser.parse_args()
    objdump = os.environ.get("OBJDUMP", "objdump")
    if not shutil.which(objdump):
        print(f"skip prefetches: {objdump} is missing")
        return 0
    listing = subprocess.run([objdump, "-d", "--no-show-raw-insn", options.library],
                             capture_output=True, text=True, check=True).stdout.splitlines()
    found = prefetches(listing)
    kind = re.search(r"file format (\S+)", "\n".join(listing[:5]))
    machine = FORMATS.get(kind.group(1)) if kind else None
    folder = options.root / "src/index/vector"
    wanted = places((folder / "graph_loop.h").read_text(encoding="utf-8"))
    failed = not {"walk_edges", "walk_codes"} <= set(wanted)
    if failed:
        print("not ok prefetches: a walk of graph_loop.h fetches nothing")
    for prefix in instruction_sets(folder, machine):
        for walk, least in wanted.items():
            name = prefix + walk
            count = found.get(name)
            if count is None and not walk.startswith("walk_"):
                continue  # The compiler chose to inline it.
            good = count is not None and count >= least
            failed |= not good
            print(f"{'ok' if good else 'not ok'} prefetches of {name}: "
                  f"{'no such function' if count is None else count}, {least} places")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
