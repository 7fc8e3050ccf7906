#!/usr/bin/env python3
"""Compares two readers of one format: the library, and tools/omen_dump.py, which knows docs/FORMAT.md.

usage: run.py FORMAT_TOOL [--seed N]

format_tool (tests/tools/format_tool.c) makes random databases, closes them or is killed over them,
and says what the library reads; the Python reader must say the same and find nothing wrong. Then
files and logs are damaged: whatever one reader refuses, the other refuses, and where both answer,
the answers are equal. At last the golden files (tests/golden): each is read by both.

Prints "ok NAME" for each test. OMENDB_TEST_LONG=1: many more databases.
"""
import argparse
import gzip
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
READER = ROOT / "tools/omen_dump.py"
GOLDEN = ROOT / "tests/golden"
BLOCK, PAGE = 65536, 4096
LONG = os.environ.get("OMENDB_TEST_LONG") == "1"
sys.path.insert(0, str(ROOT / "tools"))
sys.dont_write_bytecode = True
from omen_reader import xxh3  # noqa: E402


class Tool:
    def __init__(self, path):
        self.path = path

    def run(self, *words):
        done = subprocess.run([self.path, *map(str, words)], capture_output=True, timeout=300)
        if b"ERROR: AddressSanitizer" in done.stderr or b"runtime error" in done.stderr \
                or done.returncode in (-6, -11):
            raise AssertionError(f"{words}: {done.stderr.decode(errors='replace')}")
        return done

    def make(self, *words):
        done = self.run(*words)
        wanted = -9 if words[-1] == "kill" else 0
        assert done.returncode == wanted, f"{words}: {done.stderr.decode(errors='replace')}"

    def read(self, path):
        """Every document as the library reads it, or None where it refuses."""
        listing = self.run("list", path)
        if listing.returncode:
            return None
        lines = []
        for collection in json.loads(listing.stdout):
            names = [vector["name"] for vector in collection["vectors"]]
            dump = self.run("dump", path, collection["name"], *names)
            if dump.returncode:
                return None
            lines += dump.stdout.decode().splitlines()
        return [exact(line) for line in lines]


def exact(line):
    """A line of JSON so that ints and floats, -0.0, and the order of members count."""
    def freeze(value):
        if isinstance(value, list):
            return tuple(freeze(item) for item in value)
        return type(value).__name__, repr(value) if isinstance(value, float) else value
    return freeze([json.loads(line, object_pairs_hook=lambda pairs: freeze(
        [[freeze(key), freeze(value)] for key, value in pairs]))])


def reader(path, *options):
    """(exit status, lines, messages)"""
    done = subprocess.run([sys.executable, READER, path, *options], capture_output=True,
                          timeout=300)
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    return done.returncode, done.stdout.decode().splitlines(), done.stderr.decode()


def must_agree(tool, path):
    wanted = tool.read(path)
    assert wanted is not None, f"the library refuses {path}"
    status, lines, messages = reader(path, "--raw")
    assert status == 0, messages
    found = [exact(line) for line in lines]
    assert len(found) == len(wanted), f"{len(found)} documents, the library reads {len(wanted)}"
    for mine, theirs in zip(found, wanted):
        assert mine == theirs, f"{mine}\n{theirs}"
    status, lines, _ = reader(path, "--verify", "--json")
    report = json.loads(lines[0])
    assert status == 0 and report["ok"], report["problems"][:5]
    assert tool.run("check", path).returncode == 0
    return report


def copy(path, to):
    for name in path.parent.glob(path.name + "*"):
        shutil.copy(name, to.parent / (to.name + name.name[len(path.name):]))


def remove(path):
    for name in path.parent.glob(path.name + "*"):
        name.unlink()


def logs(path):
    return sorted(path.parent.glob(path.name + "-wal-*"),
                  key=lambda name: int(name.name.rsplit("-", 1)[1]))


# ---- Tests ----

def checksums_are_those_of_the_library(tool, folder, seed):
    data = bytes((i * i + i // 7 + 3) & 255 for i in range(5000))
    lines = tool.run("checksums").stdout.decode().split("\n")[:-1]
    assert len(lines) > 600
    for line in lines:
        size, plain, seeded, low, high = map(int, line.split())
        assert xxh3.plain_64(data[:size]) == plain, size
        assert xxh3.plain_64(data[:size], 0xFEDCBA9876543210) == seeded, size
        assert xxh3.plain_128(data[:size]) == (low, high), size


def closed_databases_read_alike(tool, folder, seed):
    for i in range(40 if LONG else 4):
        path = folder / f"closed{i}.omen"
        tool.make("write", path, seed + i, 5 + 30 * i % 100, 64 << 20, "close")
        report = must_agree(tool, path)
        assert report["state"] == "clean" and report["log_segments"] == 0 and not logs(path)
        remove(path)


def killed_databases_read_alike(tool, folder, seed):
    frames = 0
    for i in range(40 if LONG else 4):
        path = folder / f"killed{i}.omen"
        tool.make("write", path, seed + i, 10 + 30 * i % 100, 64 << 20, "kill")
        frames += must_agree(tool, path)["log_frames"]
        remove(path)
    assert frames > 0


def many_lives_read_alike(tool, folder, seed):
    """Kills and closes in turn, small logs: checkpoints, reuse, recovered and recycled logs."""
    for i in range(10 if LONG else 1):
        path = folder / f"lives{i}.omen"
        for life in range(12):
            tool.make("write", path, seed + 100 * i + life, 15 + 10 * (life % 4),
                      (256 << 10) << life % 3, "close" if life % 3 == 2 else "kill")
            must_agree(tool, path)
        remove(path)


def catalogs_in_blocks_of_their_own_read_alike(tool, folder, seed):
    for end in ("kill", "close"):
        path = folder / f"catalog-{end}.omen"
        tool.make("catalog", path, 260, "close")
        must_agree(tool, path)
        tool.make("write", path, seed, 20, 256 << 10, end)
        must_agree(tool, path)
        tool.make("write", path, seed + 1, 20, 256 << 10, "close")
        must_agree(tool, path)
        remove(path)


def a_flipped_byte_of_the_file_is_found(tool, folder, seed):
    """In every used block and both superblocks: by this reader's check, and by the library's."""
    source, path = folder / "flip.omen", folder / "flipped.omen"
    tool.make("write", source, seed, 12, 64 << 20, "close")
    whole, choice = source.read_bytes(), random.Random(seed)
    root = whole[512:]
    blocks = [block for block in range(len(whole) // BLOCK)]
    for block in blocks if LONG else choice.sample(blocks, min(len(blocks), 25)):
        size = BLOCK if block >= 2 else 512  # Behind root and payload nothing is checked.
        at = block * BLOCK + choice.randrange(size)
        bad = bytearray(whole)
        bad[at] ^= 1 << choice.randrange(8)
        path.write_bytes(bad)
        status, lines, _ = reader(path, "--verify", "--json")
        checked = tool.run("check", path).returncode
        used = status != 0
        assert (checked != 0) == used, f"byte {at}: reader {status}, library {checked}"
        if block < 2:
            assert used, f"a flipped bit of superblock {block}, byte {at}, wasn't found"
    remove(path)
    remove(source)
    assert root


def log_damage(log, choice):
    """One of the things that happen to a log; says which."""
    data = bytearray(log.read_bytes())
    pages = [at for at in range(0, len(data), PAGE) if any(data[at:at + PAGE])] or [0]
    at = choice.choice(pages + pages[-4:] * 3 + [0])
    kind = choice.choice(["flip", "zeros", "sector", "cut", "gone"])
    if kind == "flip":
        data[at + choice.randrange(choice.choice([80, PAGE]))] ^= 1 << choice.randrange(8)
    elif kind == "zeros":
        data[at:] = bytes(len(data) - at)  # Nothing from here on reached the disk.
    elif kind == "sector":
        data[at:at + 512] = bytes(512)
    elif kind == "cut":
        del data[at + choice.randrange(PAGE):]
    if kind == "gone":
        log.unlink()
    else:
        log.write_bytes(data)
    return f"{log.name} {kind} at {at}"


def superblock_damage(path, choice):
    slot, data = choice.randrange(2), bytearray(path.read_bytes())
    data[slot * BLOCK + choice.randrange(512)] ^= 1 << choice.randrange(8)
    path.write_bytes(data)
    return f"superblock {slot}"


def damaged_logs_are_judged_alike(tool, folder, seed):
    """Torn ends, holes, flips, lost segments: cut or CORRUPT, but the same for both."""
    source, path = folder / "log.omen", folder / "damaged.omen"
    choice, refused, answered, shorter = random.Random(seed), 0, 0, 0
    for i in range(16 if LONG else 4):
        tool.make("write", source, seed + 10 * i, 40, (256 << 10) if i % 2 else (64 << 20), "kill")
        whole = len(reader(source)[1])
        for trial in range(40 if LONG else 15):
            copy(source, path)
            what = []
            if choice.randrange(3) == 0:
                what.append(superblock_damage(path, choice))
            if not what or choice.randrange(2) == 0:
                what.append(log_damage(choice.choice(logs(path)), choice))
            what = f"seed {seed + 10 * i}: {what}"
            theirs = tool.read(path)
            _, lines, messages = reader(path, "--raw")
            problems = [line for line in messages.splitlines()
                        if not (line.startswith("omen_dump: superblock ")
                                and line.endswith(" is damaged"))]
            if theirs is None:
                refused += 1
                assert problems, f"{what}: only the library refuses"
            else:
                answered += 1
                assert not problems, f"{what}: {messages}"
                assert [exact(line) for line in lines] == theirs, what
                shorter += len(theirs) != whole
            remove(path)
        remove(source)
    assert refused and answered, f"{refused} refused, {answered} answered"
    print(f"# {refused} logs refused, {answered} read, {shorter} of them cut short")


def vectors_are_shown_as_numbers(tool, folder, seed):
    path = folder / "numbers.omen"
    tool.make("write", path, seed, 10, 64 << 20, "close")
    status, lines, messages = reader(path)
    assert status == 0, messages
    sizes = {"f32": 5, "f16": 7, "bf16": 3, "i8": 9, "u8": 4, "bit": 13, "long": 128}
    seen = set()
    for line in map(json.loads, lines):
        for name, numbers in line["vectors"].items():
            assert len(numbers) == sizes[name]
            assert name != "bit" or set(numbers) <= {0, 1}
            assert name not in ("f32", "f16", "bf16") or all(0.5 <= n <= 63 for n in numbers)
            seen.add(name)
    assert seen == set(sizes)
    remove(path)


def exit_status_says_what_happened(tool, folder, seed):
    path = folder / "status.omen"
    assert reader(path)[0] == 3
    path.write_bytes(b"no database" * 20000)
    assert reader(path)[0] == 3
    assert subprocess.run([sys.executable, READER], capture_output=True).returncode == 2
    remove(path)
    tool.make("write", path, seed, 3, 64 << 20, "close")
    assert reader(path)[0] == 0
    data = bytearray(path.read_bytes())
    data[16] = 2  # The format's major number; the checksum then no longer fits.
    path.write_bytes(data)
    assert reader(path)[0] == 1
    remove(path)


def golden_unpack(golden, folder):
    for name in GOLDEN.glob(golden + ".omen*.gz"):
        (folder / name.name[:-3]).write_bytes(gzip.decompress(name.read_bytes()))
    return folder / (golden + ".omen")


def golden_files_read_as_they_did(tool, folder, seed):
    names = sorted(name.name[:-len(".jsonl.gz")] for name in GOLDEN.glob("*.jsonl.gz"))
    assert names, "there are no golden files"
    for golden in names:
        path = golden_unpack(golden, folder)
        wanted = gzip.decompress((GOLDEN / (golden + ".jsonl.gz")).read_bytes()).decode()
        must_agree(tool, path)
        assert reader(path, "--raw")[1] == wanted.splitlines(), golden
        remove(path)


def golden_files_can_be_written_on(tool, folder, seed):
    for name in sorted(GOLDEN.glob("*.jsonl.gz")):
        path = golden_unpack(name.name[:-len(".jsonl.gz")], folder)
        tool.make("write", path, seed, 10, 256 << 10, "kill")
        must_agree(tool, path)
        tool.make("write", path, seed + 1, 10, 64 << 20, "close")
        must_agree(tool, path)
        remove(path)


TESTS = [
    checksums_are_those_of_the_library,
    closed_databases_read_alike,
    killed_databases_read_alike,
    many_lives_read_alike,
    catalogs_in_blocks_of_their_own_read_alike,
    vectors_are_shown_as_numbers,
    exit_status_says_what_happened,
    a_flipped_byte_of_the_file_is_found,
    damaged_logs_are_judged_alike,
    golden_files_read_as_they_did,
    golden_files_can_be_written_on,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("tool", help="the built tests/tools/format_tool.c")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", help="one test")
    options = parser.parse_args()
    tool, failed = Tool(options.tool), 0
    print(f"# seed {options.seed}")
    for test in TESTS:
        if options.only not in (None, test.__name__):
            continue
        with tempfile.TemporaryDirectory(prefix="omendb-format-") as folder:
            try:
                test(tool, pathlib.Path(folder), options.seed)
            except AssertionError as failure:
                failed += 1
                print(f"not ok {test.__name__}: seed {options.seed}: {failure}", flush=True)
            else:
                print(f"ok {test.__name__}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
