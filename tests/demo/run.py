#!/usr/bin/env python3
"""Runs the demonstration as a visitor does, and as scripts do: run.py [TEST...].

Needs build/release (the suite builds it). Everything is made in a temporary directory; nothing
but Python's standard library.
"""
import json
import os
import pathlib
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "data/packages"
DEMO = ROOT / "build/release/demo/demo"
OMENDB = ROOT / "build/release/cli/omendb"
ESCAPE, RETURN = "\033", "\r"


def environment(**changes):
    plain = {key: value for key, value in os.environ.items()
             if key not in ("COLUMNS", "NO_COLOR", "TERM")}
    return {**plain, "LC_ALL": "C.UTF-8", **changes}


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class DemoTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="omendb-demo-")
        self.addCleanup(self.folder.cleanup)
        self.out = pathlib.Path(self.folder.name) / "out"
        self.file = self.out / "packages.omen"

    def demo(self, data=DATA, out=None, code=0, stdout=subprocess.PIPE, **changes):
        done = subprocess.run([DEMO, str(data), str(out or self.out)], stdout=stdout,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                              env=environment(**changes), timeout=300)
        self.assertEqual(done.returncode, code, f"{done.stdout}\n{done.stderr}")
        if code == 0:
            self.assertEqual(done.stderr, "")
        else:
            self.assertRegex(done.stderr, r"^demo: .+\n$")
        return done

    def on_a_terminal(self, **changes):
        """What the demo draws on a terminal, and its exit status."""
        parent, child = pty.openpty()
        process = subprocess.Popen([DEMO, DATA, self.out], stdin=child, stdout=child, stderr=child,
                                   env=environment(**changes))
        os.close(child)
        drawn = b""
        while True:
            try:
                part = os.read(parent, 65536)
            except OSError:  # Linux says EIO when the last one at the other end is gone.
                part = b""
            if not part:
                break
            drawn += part
        os.close(parent)
        return process.wait(60), drawn.decode()

    def check_story(self, text):
        """All that was acknowledged is there, all answers are exact."""
        self.assertRegex(text, r"Loaded +10,000 documents in .*: [\d,]+ a second\n")
        self.assertRegex(text, r"On disk +[\d.]+ MB: [\d.]+ MB of vectors, [\d.]+ MB of ids")
        self.assertRegex(text, r"Exact +asked for exactly, 1,200 hits of 40 questions, with and\n")
        self.assertRegex(text, r"Indexed +in the background, done [\d.]+ m?s later: a graph")
        recall = re.search(r"Recall@10 +([\d.]+) % over 40 questions, ([\d.]+) % over 1,000", text)
        self.assertGreater(min(float(recall[1]), float(recall[2])), 90, text)
        self.assertRegex(text, r"Speed +[\d.]+ [um]?s by the graph, [\d.]+ [um]?s exactly")
        self.assertRegex(text, r"Memory +2,192 bytes a vector: code 400, links 128, codes of links 1,664")
        self.assertRegex(text, r"Explained +\".+\"\n +ef \d+, for an expected recall of 0\.9")
        self.assertRegex(text, r"Opened +in [\d.]+ m?s; first answer after [\d.]+ m?s\n")
        killed = re.search(r"Killed +when (\d+) batches were acknowledged: ([\d,]+) documents\n",
                           text)
        there = re.search(r"All there +([\d,]+) of ([\d,]+), texts and vectors byte for byte\n",
                          text)
        self.assertTrue(killed and there, text)
        batches, documents = int(killed[1]), int(killed[2].replace(",", ""))
        self.assertGreater(batches, 0)
        self.assertEqual(documents, 100 * batches)
        self.assertEqual([killed[2]] * 2, [there[1], there[2]])
        checked = re.search(r"Checked +[\d,]+ blocks, ([\d,]+) documents, .*: no problem\n", text)
        whole = 10000 + documents + (100 if "and the batch after them" in text else 0)
        self.assertEqual(int(checked[1].replace(",", "")), whole)


class Story(DemoTest):
    def test_it_shows_that_everything_acknowledged_is_there_and_runs_again(self):
        for _ in range(2):
            text = self.demo().stdout
            self.check_story(text)
            self.assertLess(text.index("play chess against the computer"), text.index("gnome-chess"))

    def test_kills_at_many_moments_lose_nothing(self):
        for _ in range(10):
            self.check_story(self.demo().stdout)

    def test_run_sh_works_from_any_folder(self):
        done = subprocess.run([ROOT / "demo/run.sh", "--no-install", self.out], text=True,
                              cwd=self.folder.name, env=environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.check_story(done.stdout)

    def test_what_it_tells_to_try_works_on_the_file_it_leaves(self):
        text = self.demo().stdout.replace("\\\n", " ")
        tries = re.findall(r"^ +(omendb .*)", text, re.M)
        self.assertEqual([words.split()[1] for words in tries],
                         ["search", "search", "find", "stats"])
        for words in tries:
            done = subprocess.run([OMENDB, *shlex.split(words, comments=True)[1:]], cwd=ROOT,
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}{done.stderr}")
        done = subprocess.run([OMENDB, "check", self.file, "--deep", "--json"],
                              capture_output=True, text=True, check=False)
        self.assertTrue(json.loads(done.stdout)["ok"])

    def test_its_file_gives_the_answers_of_the_full_collection(self):
        self.demo()
        done = subprocess.run([OMENDB, "search", self.file, "packages", "-k", "10", "--json",
                               "--exact", "--vector-file", DATA / "queries.f32.npy"], capture_output=True,
                              text=True, check=True)
        found = [[hit["id"] for hit in json.loads(line)["hits"]]
                 for line in done.stdout.splitlines()]
        self.assertEqual(found, [query["nearest"] for query in lines_of(DATA / "queries.jsonl")])


class Screen(DemoTest):
    def test_elsewhere_it_is_plain_text_of_80_columns(self):
        text = self.demo(TERM="xterm").stdout
        self.assertNotIn(ESCAPE, text)
        self.assertNotIn(RETURN, text)
        text = text.replace(str(self.out), "build/demo").replace(str(DATA), "data/packages")
        self.assertEqual([line for line in text.splitlines() if len(line) > 80], [])

    def test_tables_are_cut_to_columns(self):
        for columns in (40, 57, 100):
            text = self.demo(COLUMNS=str(columns)).stdout
            rows = re.findall(r"^    \d  [\d.]{5}  .*", text, re.M)
            self.assertEqual(len(rows), 25)
            self.assertLessEqual(max(map(len, rows)), columns)
            self.assertEqual(any(row.endswith("...") for row in rows), columns < 100)

    def test_a_terminal_gets_colours_and_a_bar_unless_it_wants_none(self):
        status, drawn = self.on_a_terminal(TERM="xterm")
        self.assertEqual(status, 0, drawn)
        self.assertIn(ESCAPE + "[1m", drawn)
        self.assertIn("[####", drawn)
        for changes in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}):
            status, drawn = self.on_a_terminal(**changes)
            self.assertEqual(status, 0, drawn)
            self.assertNotIn(ESCAPE, drawn)


class Failure(DemoTest):
    def damaged(self, name, change):
        folder = pathlib.Path(self.folder.name) / "data"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(DATA, folder)
        content = change((folder / name).read_bytes())
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        return folder

    def test_missing_or_damaged_data_is_named(self):
        cases = [
            ("packages.jsonl", lambda _: None),
            ("packages.jsonl", lambda content: content[:-1]),
            ("packages.jsonl", lambda content: b'{"name":"x"}\n' + content),
            ("packages.jsonl", lambda content: b'{"id":"x"}\n' + content),
            ("packages.jsonl", lambda _: b""),
            ("packages.f16.npy", lambda content: content[:5]),
            ("packages.f16.npy", lambda content: content[:5000]),
            ("packages.f16.npy", lambda content: content.replace(b"<f2", b"<f4", 1)),
            ("packages.f16.npy", lambda content: b"x" + content[1:]),
            ("queries.jsonl", lambda content: content.split(b"\n", 1)[1]),
            ("queries.f32.npy", lambda _: None),
        ]
        for name, change in cases:
            done = self.demo(data=self.damaged(name, change), code=1)
            self.assertRegex(done.stderr, r"/(packages|queries)\.")

    def test_a_refused_vector_is_told_by_the_library(self):
        data = self.damaged("packages.f16.npy", lambda content: content[:-2] + b"\x00\x7e")
        self.assertRegex(self.demo(data=data, code=1).stderr, "writing a batch: VALUE: .*999")

    def test_a_question_that_is_not_shipped_is_named(self):
        data = self.damaged("queries.jsonl",
                            lambda content: content.replace(b"play chess against", b"play go against"))
        self.assertIn("play chess", self.demo(data=data, code=1).stderr)

    def test_a_folder_or_a_screen_that_takes_nothing_is_an_error(self):
        self.demo(out="/proc/nowhere", code=1)
        with open("/dev/full", "w", encoding="utf-8") as full:
            self.demo(stdout=full, code=1)

    def test_wrong_arguments_show_the_usage(self):
        for words in ([], ["--help"], ["a"], ["a", "b", "c"]):
            done = subprocess.run([DEMO, *words], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (2, "usage: demo DATA FOLDER\n"))


class Data(unittest.TestCase):
    def test_the_shipped_subset_is_whole_and_keeps_every_nearest(self):
        packages = lines_of(DATA / "packages.jsonl")
        names = [package["id"] for package in packages]
        self.assertEqual((len(names), len(set(names))), (10000, 10000))
        for package in packages:
            self.assertEqual(list(package), ["id", "section", "arch", "installed_kb", "summary"])
        queries = lines_of(DATA / "queries.jsonl")
        self.assertEqual(len(queries), 40)
        self.assertLessEqual({name for query in queries for name in query["nearest"]}, set(names))
        self.assertIn(b"(10000, 384)", (DATA / "packages.f16.npy").read_bytes()[:128])
        self.assertIn(b"(40, 384)", (DATA / "queries.f32.npy").read_bytes()[:128])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
