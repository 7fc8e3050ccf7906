#!/usr/bin/env python3
"""Runs a fuzzer on its seeds, which make_corpus.py writes.

usage: run.py NAME PROGRAM [--runs N | --seconds N]

Without --runs or --seconds each seed is run once: PROGRAM may be a libFuzzer program or a replay
(replay.c). Prints "ok NAME ..." or what the program said; exit status 1 when it found something.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

import make_corpus


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("name")
    parser.add_argument("program")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seconds", type=int)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="omendb-fuzz-"))
    try:
        make_corpus.write(folder)
        seeds = folder / options.name
        found = folder / "found"
        found.mkdir()
        words = [options.program]
        if options.runs or options.seconds:
            words += ["-seed=1", "-max_len=400", "-timeout=60", f"-artifact_prefix={found}/"]
            words += [f"-runs={options.runs}"] if options.runs else [
                f"-max_total_time={options.seconds}"]
            words.append(str(seeds))
        else:
            words += sorted(str(seed) for seed in seeds.iterdir())
        result = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, check=False)
        if result.returncode == 0:
            how = f"{options.runs} runs" if options.runs else (
                f"{options.seconds} s" if options.seconds else
                f"{len(list(seeds.iterdir()))} seeds")
            print(f"ok {options.name}_fuzz {how}")
            return 0
        print(result.stdout.decode(errors="replace")[-6000:])
        for path in found.iterdir():
            print(f"input: {path.read_bytes().hex()}")
        return 1
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
