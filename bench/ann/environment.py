#!/usr/bin/env python3
"""Makes build/bench-venv, the Python environment of the benchmarks, and prints its interpreter.

    environment.py [--only PACKAGE,...] [--omendb]

Installs what bench/ann/requirements.txt lists and the environment lacks, one package at a time:
one that can't be had is written to build/bench-venv/absent.json with pip's last line, and run.py
reports it; only calling this script tries again. --omendb builds bindings/python of this checkout
and installs it, if any of its sources changed since the last time; the build folder is kept, so
that a change costs seconds.
"""
import argparse
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / "build/bench-venv"
PYTHON = VENV / "bin/python"
ABSENT = VENV / "absent.json"
# What the Python package is made of, as bindings/python/CMakeLists.txt takes it.
OMENDB_SOURCES = ("include", "src", "cmake", "bindings/python", "CMakeLists.txt")
OMENDB_MARK = VENV / "omendb.sources"


def wanted():
    """[(name, words for pip)] of requirements.txt."""
    lines = (pathlib.Path(__file__).parent / "requirements.txt").read_text().splitlines()
    lines = [line.split("#")[0].strip() for line in lines]
    return [(re.split(r"[<>=]", line)[0], line.split()) for line in lines if line]


def pip(*words):
    """None, or the last line that pip had to say about its failure."""
    done = subprocess.run([PYTHON, "-m", "pip", "install", "--quiet",
                           "--disable-pip-version-check", *words], capture_output=True, text=True)
    if not done.returncode:
        return None
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "error" in line.lower()),
                lines[-1] if lines else f"pip ended with {done.returncode}")


def installed():
    code = ("import importlib.metadata as m, json;"
            "print(json.dumps({d.name: d.version for d in m.distributions()}))")
    return json.loads(subprocess.run([PYTHON, "-c", code], capture_output=True, text=True,
                                     check=True).stdout)


def absent():
    """{name: reason} of what could not be installed."""
    return json.loads(ABSENT.read_text()) if ABSENT.exists() else {}


def make(only=None, again=True):
    """The environment, with what is wanted; what failed before is tried when `again` says so."""
    if not PYTHON.exists():
        VENV.parent.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    there, failed = installed(), absent()
    for name, words in wanted():
        pinned = re.fullmatch(r".*==(.*)", words[0])
        if (only and name not in only) or (name in failed and not again):
            continue
        if name in there and (not pinned or there[name] == pinned[1]):
            continue
        print(f"bench-venv: installing {words[0]}", file=sys.stderr, flush=True)
        reason = pip(*words)
        failed.pop(name, None)
        if reason:
            failed[name] = reason
            print(f"bench-venv: {name} is not to be had: {reason}", file=sys.stderr)
    ABSENT.write_text(json.dumps(failed, indent=1))


def omendb_digest():
    digest = hashlib.sha256()
    for name in OMENDB_SOURCES:
        top = ROOT / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def install_omendb():
    """None, or why OmenDB's package could not be built."""
    digest = omendb_digest()
    if OMENDB_MARK.exists() and OMENDB_MARK.read_text() == digest and "omendb" in installed():
        return None
    reason = pip("scikit-build-core>=0.10")
    if not reason:
        print("bench-venv: building omendb", file=sys.stderr, flush=True)
        reason = pip("--force-reinstall", "--no-deps", "--no-build-isolation", "-C",
                     f"build-dir={ROOT / 'build/bench-omendb'}", str(ROOT / "bindings/python"))
    if not reason:
        OMENDB_MARK.write_text(digest)
    return reason


def enter(script):
    """Goes on in the environment: runs `script` again with its interpreter, if it isn't there yet."""
    if pathlib.Path(sys.prefix).resolve() != VENV.resolve():
        make(again=False)
        os.execv(PYTHON, [str(PYTHON), str(script), *sys.argv[1:]])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", help="packages, separated by commas")
    parser.add_argument("--omendb", action="store_true")
    options = parser.parse_args()
    make(options.only.split(",") if options.only else None)
    if options.omendb:
        reason = install_omendb()
        if reason:
            sys.exit(f"bench-venv: omendb can't be built: {reason}")
    print(PYTHON)


if __name__ == "__main__":
    main()
