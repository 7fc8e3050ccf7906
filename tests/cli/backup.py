"""Backups, restoring, repairing, exporting, as a user of the `omendb` command sees it; run by run.py."""

import json
import os
import random
import struct
import subprocess
import sys

import cli_help
from cli_help import FAILURE, NEGATIVE, USAGE, CliTest, f32, npy

BLOCK = 65536
TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools")
sys.path.insert(0, TOOLS)


class Backup(CliTest):
    def content(self, path=None):
        return self.json_lines("find", path or self.db, "docs", "--limit", "0", "--with-vectors")

    def add(self, first, count):
        rows = "".join(json.dumps({"id": i, "v": [i, 1], "n": "x" * 500}) + "\n"
                       for i in range(first, first + count))
        self.run_cli("import", self.db, "docs", "-", stdin=rows.encode())

    def test_a_backup_is_the_database(self):
        self.fill()
        copy = self.path("copy.omen")
        done = self.json("backup", self.db, copy)
        self.assertEqual((done["path"], done["kind"]), (copy, "backup"))
        self.assertEqual(done["bytes"] % BLOCK, 0)
        self.assertGreater(done["bytes"], 0)
        self.assertEqual(self.content(copy), self.content())
        self.assertTrue(self.json("check", copy, "--deep")["ok"])
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["copy.omen", "x.omen"])
        self.run_cli("import", copy, "docs", "-", stdin=b'{"id": 99, "v": [5, 5]}\n')
        self.assertEqual(self.count(), 4)

    def test_a_backup_replaces_only_if_asked(self):
        self.fill()
        copy = self.path("copy.omen")
        self.run_cli("backup", self.db, copy)
        self.assertIn("exists", self.run_cli("backup", self.db, copy, code=FAILURE).stderr)
        self.add(10, 3)
        self.assertIn("backup of", self.run_cli("backup", self.db, copy, "--replace").stdout)
        self.assertEqual(len(self.content(copy)), 7)
        self.run_cli("backup", self.db, self.db, "--replace", code=FAILURE)
        self.run_cli("backup", self.path("none.omen"), copy, code=FAILURE)
        self.run_cli("backup", self.db, code=USAGE)

    def test_increments_are_small_and_restore_their_moment(self):
        self.fill()
        self.add(1000, 2000)
        files, contents = [self.path("full.omen")], []
        self.run_cli("backup", self.db, files[0])
        contents.append(self.content())
        for i in range(3):
            self.add(5000 + i, 1)
            files.append(self.path("%d.increment" % i))
            done = self.json("backup", self.db, files[-1], "--base", files[-2])
            self.assertEqual(done["kind"], "increment")
            self.assertLess(done["bytes"], os.path.getsize(files[0]))
            contents.append(self.content())
        back = self.path("back.omen")
        for i in range(4):
            self.json("restore", back, *files[:i + 1], "--replace")
            self.assertEqual(self.content(back), contents[i])
        self.assertTrue(self.json("check", back, "--deep")["ok"])
        self.restored_by_the_text_alone(files, contents[3])
        done = self.run_cli("restore", self.path("b.omen"), *files[1:], code=FAILURE)
        self.assertIn("missing", done.stderr)
        self.assertFalse(os.path.exists(self.path("b.omen")))

    def restored_by_the_text_alone(self, files, content):
        """Python's reader, which was written from docs/FORMAT.md, comes to the same database."""
        from omen_reader.increment import restore
        out = self.path("text.omen")
        restore(files, out)
        for path in (out, self.path("back.omen"), files[0]):
            done = subprocess.run([sys.executable, os.path.join(TOOLS, "omen_dump.py"), "--verify", path],
                                  capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(self.content(out), content)

    def test_graphs_come_along_and_are_built_anew_by_repair(self):
        rng = random.Random(7)
        rows = [[rng.gauss(0, 1) for _ in range(16)] for _ in range(5000)]
        self.run_cli("import", self.db, "docs", self.write("v.npy", npy(rows)), "--create", "--vector", "v")
        copy, repaired = self.path("copy.omen"), self.path("repaired.omen")
        self.run_cli("backup", self.db, copy)
        self.assertTrue(self.json("repair", copy, repaired)["complete"])
        for path in (copy, repaired):
            index = self.json("stats", path)["collections"][0]["vectors"][0]["index"]
            self.assertEqual((index["state"], index["unindexed"]), ("ready", 0))
            found = self.json("search", path, "docs", "--like", "17", "--ef", "50", "--explain")
            self.assertEqual(found["explain"]["plan"], "graph")
            self.assertTrue(self.json("check", path, "--deep")["ok"])

    def test_a_base_of_another_database_is_refused(self):
        self.fill()
        full, other = self.path("full.omen"), self.path("other.omen")
        self.run_cli("backup", self.db, full)
        self.run_cli("create", other, "docs", "--vector", "v:2")
        done = self.run_cli("backup", other, self.path("i"), "--base", full, code=FAILURE)
        self.assertIn("not a backup of this database", done.stderr)


class Completion(CliTest):
    def complete(self, *words):
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); '
                  '_omendb; printf "%s\\n" "${COMPREPLY[@]}"')
        source = os.path.join(TOOLS, "../cli/completion/omendb.bash")
        done = subprocess.run(["bash", "-c", script, "bash", source, cli_help.BINARY, *words],
                              capture_output=True, check=True, cwd=self.folder.name)
        return done.stdout.decode().split()

    def test_bash_completes_commands_options_collections_and_files(self):
        self.fill()
        self.assertEqual(self.complete("re"), ["rename", "restore", "repair"])
        self.assertEqual(self.complete("help", "ba"), ["backup"])
        self.assertEqual(self.complete("backup", "x.omen", "y", "--b"), ["--base"])
        self.assertEqual(self.complete("find", "x.omen", "d"), ["docs"])
        self.assertEqual(self.complete("find", "x.o"), ["x.omen"])
        self.assertEqual(self.complete("backup", "x.omen", "x"), ["x.omen"])


class Repair(CliTest):
    def test_a_sound_file_comes_out_complete(self):
        self.fill()
        out = self.path("out.omen")
        report = self.json("repair", self.db, out)
        self.assertTrue(report["complete"])
        self.assertEqual(report["collections"][0]["documents"], 4)
        self.assertIn("complete", self.run_cli("repair", self.db, out, "--replace").stdout)
        found = self.json_lines("find", out, "docs", "--with-vectors")
        self.assertEqual(found, self.json_lines("find", self.db, "docs", "--with-vectors"))

    def test_lost_documents_are_listed(self):
        self.run_cli("create", self.db, "docs", "--vector", "v:2")
        rows = "".join(json.dumps({"id": i, "v": [i, 1], "t": "t%d " % i * 200}) + "\n"
                       for i in range(500))
        self.run_cli("import", self.db, "docs", "-", stdin=rows.encode())
        with open(self.db, "r+b") as file:
            data = file.read()
            at = data.index(b"t250 t250 ")
            file.seek(at)
            file.write(b"T")
        out = self.path("out.omen")
        report = self.json("repair", self.db, out, code=NEGATIVE)
        part = report["collections"][0]
        self.assertFalse(report["complete"])
        self.assertIn(250, part["lost_ids"])
        self.assertEqual(part["lost"], len(part["lost_ids"]))
        self.assertEqual(part["documents"] + part["lost"], 500)
        self.assertEqual([d["part"] for d in report["damage"]], ["documents"])
        kept = {o["id"] for o in self.json_lines("find", out, "docs", "--limit", "0")}
        self.assertEqual(kept, set(range(500)) - set(part["lost_ids"]))
        text = self.run_cli("repair", self.db, out, "--replace", code=NEGATIVE).stdout
        self.assertRegex(text, r"something is lost(.|\n)*damaged: documents: (.|\n)* lost: ")

    def test_what_is_no_database_is_refused(self):
        self.write("x.omen", b"no database" * 20000)
        self.run_cli("repair", self.db, self.path("out.omen"), code=FAILURE)
        self.assertFalse(os.path.exists(self.path("out.omen")))


class Export(CliTest):
    def test_what_is_exported_is_imported_without_loss(self):
        rng = random.Random(3)
        types = {"f32": 5, "f16": 5, "bf16": 5, "i8": 5, "u8": 5, "bit": 21}
        words = []
        for name, dim in types.items():
            words += ["--vector", "%s:%d:%s%s" % (name, dim, name,
                                                  ":hamming" if name == "bit" else "")]
        self.run_cli("create", self.db, "docs", *words)
        rows = []
        for i in range(300):
            row = {"id": i if i % 3 else "%d" % i, "t": 'line\n"\u4e2d" %d' % i,
                   "deep": {"a": [1, 2.5, None, True, {"b": -0.0}]}, "big": 2 ** 70 + i,
                   "bytes": {"$binary": "AAEC"}, "real": rng.random() * 10.0 ** rng.randint(-30, 30)}
            for name, dim in types.items():
                if rng.random() < 0.2:
                    continue
                row[name] = [rng.randint(0, 1) if name == "bit" else rng.randint(0, 127)
                             if name in ("i8", "u8") else f32(rng.gauss(0, 1) * 2.0 ** rng.randint(-9, 9))
                             for _ in range(dim)]
                if name == "f32":
                    row[name][0] = rng.choice([-0.0, f32(1e-45), f32(3.4028235e38), row[name][0]])
            rows.append(json.dumps(row))
        self.run_cli("import", self.db, "docs", "-", stdin="\n".join(rows).encode())
        first, second = self.path("first.jsonl"), self.path("second.jsonl")
        self.assertEqual(self.json("export", self.db, "docs", "-o", first)["exported"], 300)
        again = self.path("again.omen")
        self.run_cli("create", again, "docs", *words)
        self.run_cli("import", again, "docs", first)
        self.run_cli("export", again, "docs", "--output", second)
        with open(first, "rb") as a, open(second, "rb") as b:
            self.assertEqual(a.read(), b.read())
        text = self.run_cli("export", self.db, "docs", "--where", '{"big": %d}' % (2 ** 70 + 7)).stdout
        line, original = json.loads(text), json.loads(rows[7])
        # As floats: "-0" is no integer.
        self.assertEqual(struct.pack("5f", *json.loads(text, parse_int=float)["f32"]),
                         struct.pack("5f", *original["f32"]))
        self.assertEqual((line["id"], line["big"], line["deep"], line["real"]),
                         (original["id"], original["big"], original["deep"], original["real"]))

    def test_names_that_clash_end_the_export_and_can_be_chosen(self):
        self.run_cli("create", self.db, "docs", "--vector", "v:2")
        row = {"key": 5, "vec": [1, 2], "id": "mine", "v": "text"}
        self.run_cli("import", self.db, "docs", "-", "--id", "key", "--vector", "v=vec",
                     stdin=json.dumps(row).encode())
        done = self.run_cli("export", self.db, "docs", code=FAILURE)
        self.assertIn("document 5 has a member", done.stderr)
        text = self.run_cli("export", self.db, "docs", "--id", "key", "--vector", "v=vec").stdout
        self.assertEqual(json.loads(text), row)
        self.run_cli("export", self.db, "docs", "--vector", "w=x", code=FAILURE)
        self.run_cli("export", self.db, "docs", "--vector", "w", code=USAGE)
        self.run_cli("export", self.db, "docs", "--id", "v", code=FAILURE)
        path = self.write("there", "")
        self.run_cli("export", self.db, "docs", "--id", "key", "-o", path, code=FAILURE)
