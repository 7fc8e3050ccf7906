"""What the tests of the `omendb` binary share: running it, files of vectors, a small collection."""

import array
import json
import os
import struct
import subprocess
import tempfile
import unittest

BINARY = ""
OK, NEGATIVE, USAGE, FAILURE = 0, 1, 2, 3


def npy(rows, descr="<f4", version=1, fortran=False, shape=None, header=None):
    """The bytes of a .npy file, as numpy writes them; `rows` are lists of numbers."""
    formats = {"<f4": "f", "<f8": "d", "<f2": "e", "|i1": "b", "|u1": "B", "<i4": "i", ">f4": "f"}
    if shape is None:
        shape = (len(rows), len(rows[0]) if rows else 1)
    if header is None:
        header = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (descr, fortran, shape)
    prefix = 10 if version == 1 else 12
    header = header + " " * (-(prefix + len(header) + 1) % 64) + "\n"
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    body = b"".join(struct.pack("<%d%s" % (len(r), formats[descr]), *r) for r in rows)
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + body


def vecs(rows, letter="f"):
    return b"".join(struct.pack("<i%d%s" % (len(r), letter), len(r), *r) for r in rows)


def f32(value):
    return array.array("f", [value])[0]


class Result(subprocess.CompletedProcess):
    def objects(self):
        return [json.loads(line) for line in self.stdout.split("\n") if line]

    def object(self):
        lines = self.objects()
        assert len(lines) == 1, self.stdout
        return lines[0]


class CliTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="omendb-cli-")
        self.addCleanup(self.folder.cleanup)
        self.db = self.path("x.omen")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, content):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def run_raw(self, *words, stdin=b""):
        env = dict(os.environ, LC_ALL="C.UTF-8")
        done = subprocess.run([BINARY, *words], input=stdin, capture_output=True, env=env,
                              timeout=120)
        return Result(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def run_cli(self, *words, code=OK, stdin=b""):
        done = self.run_raw(*words, stdin=stdin)
        self.assertEqual(done.returncode, code, "%s\n%s%s" % (words, done.stdout, done.stderr))
        for line in done.stderr.splitlines():
            self.assertTrue(line.startswith("omendb: "), line)
        if code in (USAGE, FAILURE):
            self.assertNotEqual(done.stderr, "")
        return done

    def json(self, *words, code=OK, stdin=b""):
        return self.run_cli(*words, "--json", code=code, stdin=stdin).object()

    def json_lines(self, *words, code=OK, stdin=b""):
        return self.run_cli(*words, "--json", code=code, stdin=stdin).objects()

    def count(self):
        return self.json("count", self.db, "docs")["count"]

    def documents(self):
        found = self.run_raw("find", self.db, "docs", "--limit", "0", "--with-vectors", "--json")
        self.assertIn(found.returncode, (OK, NEGATIVE), found.stderr)
        return {o["id"]: o for o in found.objects()}

    def fill(self, vector="v:2"):
        """Four documents around the origin; one id is a string."""
        self.run_cli("create", self.db, "docs", "--vector", vector)
        rows = [
            {"id": 1, "v": [0, 1], "title": "north", "n": 10},
            {"id": 2, "v": [1, 0], "title": "east", "n": 20},
            {"id": 3, "v": [0, -1], "title": "south", "n": 30},
            {"id": "west", "v": [-1, 0], "title": "west", "n": 40},
        ]
        text = "".join(json.dumps(r) + "\n" for r in rows)
        self.run_cli("import", self.db, "docs", "-", stdin=text.encode())

    def import_bad(self, source, *words, place, like, imported=None):
        """An import that must fail and name the place."""
        done = self.run_cli("import", self.db, "docs", source, *words, code=FAILURE)
        self.assertIn(place, done.stderr)
        self.assertRegex(done.stderr, like)
        if imported is not None:
            self.assertEqual(self.count(), imported)
