#!/usr/bin/env python3
"""Long because: one class for each command shares the fixture below; split when it grows further.

Drives the `omendb` binary as a user does: run.py BINARY [TEST...].

Prints "ok <name>" for each test, as the C tests do. Nothing but Python's standard library; every
file lies in a temporary directory.
"""

import fcntl
import json
import math
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

import cli_help
from cli_help import FAILURE, NEGATIVE, OK, USAGE, CliTest, f32, npy, vecs
from index import Index  # Found by the loader, like the classes below.
from backup import Backup, Completion, Export, Repair


class Usage(CliTest):
    def test_no_command_shows_the_overview_and_is_a_usage_error(self):
        done = self.run_raw()
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("Commands:", done.stderr)

    def test_every_command_has_help_that_names_its_options(self):
        overview = self.run_cli("help").stdout
        names = re.findall(r"^  ([a-z]+) +[A-Z]", overview, re.M)
        self.assertEqual(len(names), 19)
        self.assertEqual([c["name"] for c in self.json("help")["commands"]], names)
        for name in names:
            by_help = self.run_cli("help", name).stdout
            self.assertEqual(by_help, self.run_cli(name, "--help").stdout)
            self.assertIn("Usage: omendb " + name, by_help)
            self.assertIn("--json", by_help)
            for line in by_help.splitlines():
                self.assertLessEqual(len(line), 110, line)

    def test_the_version_is_told_in_both_forms(self):
        version = self.json("version")["version"]
        self.assertEqual(self.run_cli("--version").stdout, "omendb %s\n" % version)

    def test_unknown_things_are_usage_errors_with_a_hint(self):
        for words, hint in [
            (["serach", "a", "b"], "did you mean 'search'"),
            (["frobnicate"], "unknown command"),
            (["search", "a", "b", "--vectr", "[1]"], "did you mean '--vector'"),
            (["search", "a", "b", "-z"], "unknown option '-z'"),
            (["search", "a", "b", "--vector"], "needs a value"),
            (["search", "a", "b", "--exact=1"], "takes no value"),
            (["search", "a", "b", "--vector", "[1]", "-k", "0"], "from 1 to"),
            (["search", "a", "b", "--vector", "[1]", "-k", "ten"], "from 1 to"),
            (["search", "a", "b", "--vector", "[1]", "--recall", "2"], "recall"),
            (["search", "a", "b", "--vector", "[1]", "--like", "1"], "one of"),
            (["search", "a", "b"], "one of"),
            (["search", "a", "b", "c", "--vector", "[1]"], "unexpected"),
            (["count", "a", "b", "--where", "{}", "--where", "{}"], "twice"),
            (["get", "a", "b"], "too few"),
            (["get", "a", "b", "99999999999999999999"], "s:99999999999999999999"),
            (["get", "a", "b", "s:"], "1 to 1024"),
            (["delete", "a", "b"], "either"),
            (["delete", "a", "b", "1", "--where", "{}"], "either"),
            (["create", "a", "b", "--vector", "v"], "dimension"),
            (["create", "a", "b", "--vector", "v:0"], "dimension"),
            (["create", "a", "b", "--vector", "v:99999999"], "dimension"),
            (["create", "a", "b", "--vector", "v:3:f99"], "unknown type"),
            (["create", "a", "b", "--vector", "v:3:f32:near"], "unknown metric"),
            (["create", "a", "b", "--vector", "v:3:f32:l2:x"], "wants NAME"),
            (["create", "a", "b", "--field", "n:number"], "wants NAME:TYPE"),
            (["import", "a", "b", "x.parquet"], "format is not known"),
            (["import", "a", "b", "x.csv", "--metric", "l2"], "--create"),
            (["import", "a", "b", "x.csv", "--durability", "much"], "durability"),
            (["import", "a", "b", "x.csv", "--vectors", "v"], "FIELD=FILE"),
            (["import", "a", "b", "x.csv", "--vector", "v", "--vector", "v"], "twice"),
            (["import", "a", "b", "x.csv", "--batch", "0"], "from 1 to"),
        ]:
            with self.subTest(words):
                self.assertIn(hint, self.run_cli(*words, code=USAGE).stderr)
                self.assertFalse(os.path.exists("a"))

    def test_a_missing_file_or_collection_is_a_failure_and_makes_nothing(self):
        for words in (["count", self.db, "docs"], ["list", self.db], ["check", self.db],
                      ["import", self.db, "docs", "-"], ["delete", self.db, "docs", "1"]):
            self.assertIn("x.omen", self.run_cli(*words, code=FAILURE).stderr)
            self.assertFalse(os.path.exists(self.db))
        self.run_cli("create", self.db, "other")
        self.assertIn("no collection 'docs'",
                      self.run_cli("count", self.db, "docs", code=FAILURE).stderr)

    def test_a_file_that_is_no_database_is_refused(self):
        self.write("x.omen", "this is not a database\n" * 10000)
        self.run_cli("list", self.db, code=FAILURE)

    def test_a_full_output_device_is_a_failure(self):
        self.fill()
        with open("/dev/full", "wb") as full:
            done = subprocess.run([cli_help.BINARY, "find", self.db, "docs"], stdout=full,
                                  stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, FAILURE)
        self.assertIn(b"cannot write the output", done.stderr)


class Collections(CliTest):
    def test_create_list_rename_drop_tell_the_schema(self):
        self.assertEqual(
            self.json("create", self.db, "docs", "--vector", "a:3", "--vector", "b:16:bit",
                      "--vector", "c:8:f16:cosine", "--field", "n:int"), {"created": "docs"})
        self.run_cli("create", self.db, "docs", code=FAILURE)
        self.run_cli("create", self.db, "plain")
        listed = {c["name"]: c for c in self.json("list", self.db)["collections"]}
        self.assertEqual(set(listed), {"docs", "plain"})
        vectors = [(v["name"], v["dim"], v["type"], v["metric"]) for v in listed["docs"]["vectors"]]
        self.assertEqual(vectors, [("a", 3, "f32", "l2"), ("b", 16, "bit", "hamming"),
                                   ("c", 8, "f16", "cosine")])
        table = self.run_cli("list", self.db).stdout
        self.assertIn("a:3:f32:l2:exact b:16:bit:hamming:exact c:8:f16:cosine:fast", table)
        self.assertIn("n:int", table)
        self.assertEqual(self.json("rename", self.db, "docs", "texts"),
                         {"renamed": "docs", "to": "texts"})
        self.run_cli("rename", self.db, "docs", "other", code=FAILURE)
        self.assertEqual(self.json("drop", self.db, "texts"), {"dropped": "texts"})
        self.run_cli("drop", self.db, "texts", code=FAILURE)
        self.assertEqual([c["name"] for c in self.json("list", self.db)["collections"]], ["plain"])

    def test_stats_and_check_report_in_both_forms(self):
        self.fill()
        self.assertIsInstance(self.json("stats", self.db), dict)
        self.assertIn("docs", self.run_cli("stats", self.db).stdout)
        for words in ([], ["--deep"]):
            report = self.json("check", self.db, *words)
            self.assertTrue(report["ok"])
            self.assertEqual(report["problems"], [])
            self.assertIn("ok (", self.run_cli("check", self.db, *words).stdout)

    def test_check_of_a_damaged_file_exits_1_or_refuses_to_open(self):
        self.fill()
        with open(self.db, "r+b") as file:
            content = bytearray(file.read())
            for at in range(2 * 65536 + 17, len(content), 65536):
                content[at] ^= 0x40
            file.seek(0)
            file.write(content)
        done = self.run_raw("check", self.db, "--deep", "--json")
        self.assertIn(done.returncode, (NEGATIVE, FAILURE))
        if done.returncode == NEGATIVE:
            self.assertFalse(done.object()["ok"])
            self.assertNotEqual(done.object()["problems"], [])
            self.assertIn("problem", self.run_cli("check", self.db, "--deep", code=1).stdout)


class Reading(CliTest):
    def test_get_shows_documents_and_exits_1_for_missing_ids(self):
        self.fill()
        got = self.json_lines("get", self.db, "docs", "2", "west")
        self.assertEqual(got, [
            {"found": True, "id": 2, "document": {"title": "east", "n": 20}},
            {"found": True, "id": "west", "document": {"title": "west", "n": 40}}])
        got = self.json_lines("get", self.db, "docs", "1", "99", code=NEGATIVE)
        self.assertEqual([g["found"] for g in got], [True, False])
        done = self.run_cli("get", self.db, "docs", "1", "99", code=NEGATIVE)
        self.assertRegex(done.stdout, r"title +north")
        self.assertIn("no document 99", done.stderr)

    def test_fields_and_vectors_can_be_chosen(self):
        self.fill()
        got = self.json("get", self.db, "docs", "1", "--fields", "n,absent", "--with-vectors")
        self.assertEqual(got["document"], {"n": 10})
        self.assertEqual(got["vectors"], {"v": [0, 1]})
        text = self.run_cli("get", self.db, "docs", "1", "--with-vectors").stdout
        self.assertIn("[0,1]  (2 x f32)", text)

    def test_find_pages_in_the_order_of_ids(self):
        self.fill()
        self.assertEqual([o["id"] for o in self.json_lines("find", self.db, "docs")],
                         [1, 2, 3, "west"])
        page = self.json_lines("find", self.db, "docs", "--limit", "2")
        self.assertEqual([o["id"] for o in page], [1, 2])
        page = self.json_lines("find", self.db, "docs", "--limit", "2", "--after", "2")
        self.assertEqual([o["id"] for o in page], [3, "west"])
        self.run_cli("find", self.db, "docs", "--after", "west", code=NEGATIVE)
        self.assertIn("more: --after 2", self.run_cli("find", self.db, "docs", "-n2").stdout)

    def test_find_goes_over_pages_of_the_library(self):
        rows = "".join('{"id": %s}\n' % (i if i % 2 else '"k%04d"' % i) for i in range(2500))
        self.run_cli("import", self.db, "docs", "-", "--create", stdin=rows.encode())
        found = self.json_lines("find", self.db, "docs", "--limit", "0")
        self.assertEqual([o["id"] for o in found],
                         list(range(1, 2500, 2)) + ["k%04d" % i for i in range(0, 2500, 2)])

    def test_where_filters_find_count_search_and_delete(self):
        self.fill()
        where = ["--where", '{"n": {"$gte": 30}}']
        self.assertEqual(len(self.json_lines("find", self.db, "docs", *where)), 2)
        self.assertEqual(self.json("count", self.db, "docs", *where)["count"], 2)
        hits = self.json("search", self.db, "docs", "--vector", "[0, 1]", *where)["hits"]
        self.assertEqual({h["id"] for h in hits}, {3, "west"})
        self.assertEqual(self.json("delete", self.db, "docs", *where)["deleted"], 2)
        self.assertEqual(self.json("delete", self.db, "docs", *where, code=1)["deleted"], 0)
        self.assertEqual(self.count(), 2)
        self.run_cli("count", self.db, "docs", "--where", "{broken", code=FAILURE)

    def test_delete_by_id_exits_1_when_there_was_nothing(self):
        self.fill()
        self.assertEqual(self.json("delete", self.db, "docs", "1", "west", "77")["deleted"], 2)
        self.assertEqual(self.json("delete", self.db, "docs", "1", code=NEGATIVE)["deleted"], 0)
        self.assertEqual(self.run_cli("count", self.db, "docs").stdout, "2\n")

    def test_number_and_string_ids_are_different(self):
        rows = '{"id": 7, "a": 1}\n{"id": "7", "a": 2}\n{"id": "007", "a": 3}\n{"id": "s:x", "a": 4}\n'
        self.run_cli("import", self.db, "docs", "-", "--create", stdin=rows.encode())
        for words, a in ([["7"], 1], [["s:7"], 2], [["7", "--string-ids"], 2], [["007"], 3],
                         [["s:s:x"], 4], [["s:x", "--string-ids"], 4]):
            self.assertEqual(self.json("get", self.db, "docs", *words)["document"], {"a": a})
        shown = re.findall(r"^(\S+) ", self.run_cli("find", self.db, "docs").stdout, re.M)
        self.assertEqual(shown, ["id", "7", "007", "s:7", "s:s:x"])

    def test_control_characters_never_reach_the_terminal(self):
        row = json.dumps({"id": "e\x1b[31m", "t": "a\x1b[2Jb\u009bc\u202ed"})
        self.run_cli("import", self.db, "docs", "-", "--create", stdin=row.encode())
        for words in (["find"], ["find", "--fields", "t"]):
            text = self.run_cli(words[0], self.db, "docs", *words[1:]).stdout
            for bad in "\x1b\u009b\u202e":
                self.assertNotIn(bad, text)


class Search(CliTest):
    def test_the_nearest_come_first_with_scores_and_latency(self):
        self.fill()
        found = self.json("search", self.db, "docs", "--vector", "[0.1, 0.9]", "-k", "2")
        self.assertEqual([h["id"] for h in found["hits"]], [1, 2])
        first = found["hits"][0]
        self.assertAlmostEqual(first["distance"], 0.02, places=5)
        self.assertAlmostEqual(first["score"], 1 / 1.02, places=5)
        self.assertEqual(first["document"], {"title": "north", "n": 10})
        self.assertGreaterEqual(found["took_ms"], 0)
        text = self.run_cli("search", self.db, "docs", "--vector", "[0.1, 0.9]").stdout
        self.assertRegex(text, r"\n4 hits in [0-9.]+ (us|ms|s)\n")
        self.assertRegex(text.splitlines()[0], r"# +score +distance +id +document")

    def test_offset_field_exact_and_explain_are_passed_on(self):
        self.fill()
        base = ["search", self.db, "docs", "--vector", "[0, 1]", "--field", "v"]
        self.assertEqual([h["id"] for h in self.json(*base, "-k1", "--offset=1", "--exact")["hits"]],
                         [h["id"] for h in self.json(*base, "-k", "2")["hits"][1:]])
        self.assertIn("explain", self.json(*base, "--explain"))
        self.assertIn("no vector field 'w'",
                      self.run_cli(*base[:-1], "w", code=FAILURE).stderr)

    def test_like_leaves_the_document_itself_out(self):
        self.fill()
        hits = self.json("search", self.db, "docs", "--like", "west")["hits"]
        self.assertEqual(len(hits), 3)
        self.assertNotIn("west", [h["id"] for h in hits])
        hits = self.json("search", self.db, "docs", "--like", "1", "-k", "1", "--offset", "2")["hits"]
        self.assertEqual([h["id"] for h in hits], [3])
        self.run_cli("search", self.db, "docs", "--like", "99", code=NEGATIVE)

    def test_queries_come_from_files_of_vectors(self):
        self.fill()
        queries = self.write("q.npy", npy([[0, 1], [1, 0]]))
        found = self.json_lines("search", self.db, "docs", "--vector-file", queries, "-k", "1")
        self.assertEqual([(f["query"], f["hits"][0]["id"]) for f in found], [(0, 1), (1, 2)])
        one = self.json("search", self.db, "docs", "--vector-file", queries + ":1", "-k", "1")
        self.assertEqual(one["hits"][0]["id"], 2)
        self.assertIn("no such row", self.run_cli("search", self.db, "docs", "--vector-file",
                                                  queries + ":2", code=FAILURE).stderr)
        single = self.write("q1.npy", npy([[0, -1]], "<f8", shape="(2,)"))
        self.assertEqual(self.json("search", self.db, "docs", "--vector-file",
                                   single)["hits"][0]["id"], 3)
        self.write("q.fvecs", vecs([[1, 0]]))
        self.assertEqual(self.json("search", self.db, "docs", "--vector-file",
                                   self.path("q.fvecs"))["hits"][0]["id"], 2)
        self.run_cli("search", self.db, "docs", "--vector-file", "x.txt", code=FAILURE)

    def test_a_query_can_come_from_stdin(self):
        self.fill()
        found = self.json("search", self.db, "docs", "--vector", "-", stdin=b"[1, 0]\n")
        self.assertEqual(found["hits"][0]["id"], 2)

    def test_bad_queries_are_failures(self):
        self.fill()
        for query, like in [("[1]", "1 components"), ("[1, 2, 3]", "3 components"),
                            ("[1, NaN]", "not a number"), ("[1, 1e99]", "out of the range"),
                            ("[1, 0x1]", "not a number"), ("[1, .5]", "not a number"),
                            ("[1, +5]", "not a number"), ("[]", "empty"), ("1, 2", "array"),
                            ("[1, 2", "JSON"), ("[1, 2] 3", "nothing more"), ("[[1, 2]]", "number"),
                            ("", "array")]:
            done = self.run_cli("search", self.db, "docs", "--vector", query, code=FAILURE)
            self.assertIn(like, done.stderr)

    def test_no_hits_exit_1(self):
        self.run_cli("create", self.db, "docs", "--vector", "v:2")
        done = self.run_cli("search", self.db, "docs", "--vector", "[1, 0]", code=NEGATIVE)
        self.assertIn("0 hits", done.stdout)

    def test_bit_fields_take_zeros_and_ones_and_packed_bytes(self):
        self.run_cli("create", self.db, "docs", "--vector", "b:16:bit")
        bits = self.write("b.npy", npy([[1, 0], [255, 3]], "|u1"))
        self.run_cli("import", self.db, "docs", bits)
        row = json.dumps({"id": 9, "b": [0, 1] * 8})
        self.run_cli("import", self.db, "docs", "-", stdin=row.encode())
        got = self.documents()
        self.assertEqual(got[0]["vectors"]["b"], [1] + [0] * 15)
        self.assertEqual(got[1]["vectors"]["b"], [1] * 10 + [0] * 6)
        self.assertEqual(got[9]["vectors"]["b"], [0, 1] * 8)
        query = json.dumps([1] + [0] * 15)
        self.assertEqual([(h["id"], h["distance"]) for h in self.json(
            "search", self.db, "docs", "--vector", query)["hits"]], [(0, 0), (1, 9), (9, 9)])


class ImportJson(CliTest):
    def test_documents_and_vectors_come_back_as_they_went_in(self):
        rows = [{"id": i, "emb": [i / 7, -i, 1e-30], "t": "grün \u2028 \"q\" %d" % i, "deep": {"a": [1, None, True]}}
                for i in range(50)]
        source = self.write("a.jsonl", "\ufeff" + "".join(json.dumps(r) + "\r\n\n" for r in rows))
        done = self.json("import", self.db, "docs", source, "--create", "--vector", "v=emb",
                         "--metric", "cosine", "--batch", "7")
        self.assertEqual((done["imported"], done["skipped"], done["created"], done["complete"]),
                         (50, 0, True, True))
        got = self.documents()
        for row in rows:
            shown = got[row["id"]]
            self.assertEqual(shown["document"], {"t": row["t"], "deep": row["deep"]})
            self.assertEqual([f32(x) for x in shown["vectors"]["v"]], [f32(x) for x in row["emb"]])
        collection = self.json("list", self.db)["collections"][0]
        self.assertEqual(collection["vectors"],
                         [{"name": "v", "dim": 3, "type": "f32", "metric": "cosine",
                           "index": "exact"}])

    def test_large_numbers_keep_their_digits(self):
        row = '{"id": 18446744073709551615, "n": 9007199254740993, "f": 0.1}'
        self.run_cli("import", self.db, "docs", "-", "--create", stdin=row.encode())
        out = self.run_cli("get", self.db, "docs", "18446744073709551615", "--json").stdout
        self.assertIn('"id":18446744073709551615', out)
        self.assertRegex(out, r'"n": ?9007199254740993\b')
        self.assertRegex(out, r'"f": ?0\.1\b')

    def test_rows_without_ids_get_free_running_numbers(self):
        rows = b'{"a": 1}\n{"a": 2}\n'
        self.run_cli("import", self.db, "docs", "-", "--create", stdin=rows)
        self.run_cli("import", self.db, "docs", "-", stdin=rows)
        self.assertEqual(sorted(self.documents()), [0, 1, 2, 3])
        self.run_cli("delete", self.db, "docs", "0", "1")
        self.run_cli("import", self.db, "docs", "-", stdin=rows)
        self.assertEqual(sorted(self.documents()), [2, 3, 4, 5])

    def test_the_id_field_can_be_named_and_be_all_strings(self):
        rows = b'{"key": 5, "id": 1}\n{"key": "x\\u0041", "id": 2}\n'
        self.run_cli("import", self.db, "docs", "-", "--create", "--id", "key", "--string-ids",
                     stdin=rows)
        got = self.documents()
        self.assertEqual({k: d["document"] for k, d in got.items()}, {"5": {"id": 1}, "xA": {"id": 2}})

    def test_an_id_that_exists_replaces_its_document(self):
        self.fill()
        self.run_cli("import", self.db, "docs", "-", stdin=b'{"id": 1, "v": [5, 5], "new": true}')
        self.assertEqual(self.count(), 4)
        got = self.documents()[1]
        self.assertEqual((got["document"], got["vectors"]["v"]), ({"new": True}, [5, 5]))

    def test_a_vector_may_be_absent_or_null(self):
        self.fill()
        rows = b'{"id": 8}\n{"id": 9, "v": null}\n{"id": 10, "v": [3, 4]}\n'
        self.run_cli("import", self.db, "docs", "-", stdin=rows)
        got = self.documents()
        self.assertEqual([got[i]["vectors"] for i in (8, 9, 10)], [{}, {}, {"v": [3, 4]}])

    def test_bad_rows_name_file_and_line_and_the_rows_before_are_in(self):
        for bad, like in [
            (b'{"id": 3, "v": [1, NaN]}', "component 1 is not a number"),
            (b'{"id": 3, "v": [1, 2, 3]}', "3 components, the field has 2"),
            (b'{"id": 3, "v": "x"}', "not an array"),
            (b'{"id": 3, "v": [1, 1e40]}', "range"),
            (b'{"id": 3, "v": [1, 2], "v": [1, 2]}', "twice"),
            (b'{"id": 3, "id": 4}', "twice"),
            (b'{"id": -3}', "neither a string nor a number"),
            (b'{"id": 3.5}', "neither"), (b'{"id": null}', "neither"),
            (b'{"id": 18446744073709551616}', "neither"),
            (b'{"id": ""}', "1 to 1024"), (b'{"id": "%s"}' % (b"x" * 1025), "1 to 1024"),
            (b'{"id": 3, "a": NaN}', ".+"), (b'{"id": 3, "a": 01}', ".+"),
            (b'{"id": 3, "a": "\xff"}', ".+"), (b'{"id": 3, "a": "\\ud800"}', ".+"),
            (b'{"id": 3, "a": tru}', ".+"), (b'{"id": 3, "a": [1,]}', ".+"),
            (b'{"id": 3,}', "JSON"), (b'{"id": 3', "JSON"), (b"[1]", "JSON"), (b"7", "JSON"),
            (b'{"id" 3}', "JSON"), (b'{"a": [1}', "JSON"), (b'{"a": "x}', "closing quote"),
            (b'{"id": 3} {"id": 4}', "nothing more"), (b'{"a": }', "JSON"), (b'{, "a": 1}', "JSON"),
            (b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", "nested"),
        ]:
            with self.subTest(bad[:40]):
                if os.path.exists(self.db):
                    os.unlink(self.db)
                self.run_cli("create", self.db, "docs", "--vector", "v:2")
                good = b'{"id": %d, "v": [1, 2]}\n'
                source = self.write("b.jsonl", good % 1 + b"\n" + good % 2 + bad + b"\n" + good % 5)
                self.import_bad(source, place="b.jsonl:4: ", like=like, imported=2)
                done = self.json("import", self.db, "docs", source, "--skip-errors")
                self.assertEqual((done["imported"], done["skipped"]), (3, 1))
                self.assertEqual(sorted(self.documents()), [1, 2, 5])

    def test_values_of_the_wrong_declared_type_are_refused(self):
        self.run_cli("create", self.db, "docs", "--field", "n:int")
        source = self.write("c.jsonl", '{"id":1,"n":1}\n{"id":2,"n":"x"}\n')
        self.import_bad(source, place="c.jsonl:2: ", like="n", imported=1)

    def test_a_zero_vector_under_cosine_is_refused(self):
        self.run_cli("create", self.db, "docs", "--vector", "v:2:f32:cosine")
        source = self.write("z.jsonl", '{"id":1,"v":[1,0]}\n{"id":2,"v":[0,0]}\n')
        self.import_bad(source, place="z.jsonl:2: ", like=".", imported=1)

    def test_many_skipped_rows_are_counted_and_not_all_shown(self):
        source = self.write("m.jsonl", "x\n" * 100 + '{"id":1}\n')
        done = self.run_cli("import", self.db, "docs", source, "--create", "--skip-errors", "--json")
        self.assertEqual(done.object()["skipped"], 100)
        self.assertLess(len(done.stderr.splitlines()), 30)

    def test_limit_and_several_sources(self):
        a = self.write("a.jsonl", '{"id":1}\n{"id":2}\n')
        b = self.write("b.ndjson", '{"id":3}\n{"id":4}\n')
        done = self.json("import", self.db, "docs", a, b, "--create", "--limit", "3")
        self.assertEqual(done["imported"], 3)
        self.assertEqual(sorted(self.documents()), [1, 2, 3])
        for level in ("full", "interval", "none"):
            self.run_cli("import", self.db, "docs", a, "--durability", level)

    def test_missing_and_unreadable_sources_are_failures(self):
        self.fill()
        for name in ("none.jsonl", "none.npy", "none.csv"):
            self.import_bad(self.path(name), place=name, like="No such file")
        os.mkdir(self.path("d.jsonl"))
        self.import_bad(self.path("d.jsonl"), place="d.jsonl", like="directory")

    def test_create_needs_a_vector_that_tells_the_dimension(self):
        source = self.write("a.jsonl", '{"id":1}\n')
        done = self.run_cli("import", self.db, "docs", source, "--create", "--vector", "v",
                            code=FAILURE)
        self.assertIn("a.jsonl:1: no vector 'v'", done.stderr)

    def test_a_line_over_the_limit_is_refused_and_skipped_whole(self):
        long = '{"id":2,"a":"' + "x" * (33 << 20) + '"}\n'
        source = self.write("l.jsonl", '{"id":1}\n' + long + '{"id":3}\n')
        done = self.run_cli("import", self.db, "docs", source, "--create", "--skip-errors")
        self.assertIn("l.jsonl:2: the line is longer", done.stderr)
        self.assertEqual(sorted(self.documents()), [1, 3])


class ImportVectors(CliTest):
    def test_npy_of_every_version_and_type_comes_in(self):
        rows = [[1.5, -2.0, 0.25], [3.0, 4.0, -5.0]]
        whole = [[1, 2, 3], [100, 5, 6]]
        for descr, given in [("<f4", rows), ("<f8", rows), ("<f2", rows), ("|i1", whole),
                             ("|u1", whole)]:
            for version in (1, 2, 3):
                with self.subTest((descr, version)):
                    source = self.write("x.npy", npy(given, descr, version))
                    name = "%s%d" % (descr[1:], version)
                    self.run_cli("import", self.db, name, source, "--create", "--vector", "e")
                    got = self.json_lines("find", self.db, name, "--with-vectors")
                    self.assertEqual([g["vectors"]["e"] for g in got], given)
                    self.assertEqual([g["id"] for g in got], [0, 1])
        kinds = {c["name"]: c["vectors"][0]["type"] for c in self.json("list", self.db)["collections"]}
        self.assertEqual((kinds["f81"], kinds["f21"], kinds["i11"]), ("f32", "f16", "i8"))

    def test_npy_comes_through_stdin(self):
        self.run_cli("import", self.db, "docs", "-", "--format", "npy", "--create",
                     stdin=npy([[1, 2]] * 5000))
        self.assertEqual(self.count(), 5000)
        self.assertIn("truncated", self.run_cli("import", self.db, "docs", "-", "--format", "npy",
                                                code=FAILURE, stdin=npy([[1, 2]] * 9)[:-3]).stderr)

    def test_bad_npy_files_are_refused_before_anything_is_written(self):
        self.fill()
        good = npy([[1, 2], [3, 4]])
        head = "{'descr': '<f4', 'fortran_order': False, 'shape': "
        for content, like in [
            (good[:-1], "truncated"), (good[:60], "truncated"), (good[:8], "not an .npy"),
            (b"", "not an .npy"), (b"PK\x03\x04" + good, "not an .npy"),
            (good[:6] + b"\x09" + good[7:], "version 9"),
            (npy([[1, 2]], fortran=True), "Fortran"),
            (npy([[1, 2]], ">f4"), ">f4"), (npy([[1, 2]], "<i4"), "<i4"),
            (npy([[1, 2, 3]]), "3 components"), (npy([[1]], shape="(1, 1, 1)"), "3 axes"),
            (npy([], header=head + "(), }"), "0 axes"),
            (npy([], header=head + "(18446744073709551615, 2), }"), "truncated"),
            (npy([], header=head + "(99999999999999999999, 2), }"), "plain array"),
            (npy([], header=head + "(2, 0), }"), "0 components"),
            (npy([], header=head + "(2, 4000000000), }"), "4000000000 components"),
            (npy([], header=head + "(-2, 2), }"), "plain array"),
            (npy([], header=head + "(1, 2), 'x': 1}"), "plain array"),
            (npy([], header=head + "(1, 2"), "plain array"),
            (npy([], header="{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 2), }"),
             "plain array"),
            (npy([], header="{}"), "plain array"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b" " * 100, "limit"),
        ]:
            with self.subTest(like):
                source = self.write("bad.npy", content)
                self.import_bad(source, place="bad.npy: ", like=like, imported=4)

    def test_not_a_number_in_a_file_names_its_row(self):
        source = self.write("nan.npy", npy([[1, 2], [3, 4], [5, math.nan], [7, 8]]))
        self.run_cli("create", self.db, "docs", "--vector", "v:2")
        self.import_bad(source, place="nan.npy: row 2: ", like=".", imported=2)
        done = self.json("import", self.db, "docs", source, "--skip-errors")
        self.assertEqual((done["imported"], done["skipped"]), (3, 1))

    def test_texmex_files_come_in(self):
        f = self.write("a.fvecs", vecs([[1.5, 2], [3, 4]]))
        b = self.write("b.bvecs", vecs([[1, 255]], "B"))
        i = self.write("c.ivecs", vecs([[-7, 1 << 20]], "i"))
        self.run_cli("import", self.db, "docs", f, b, i, "--create", "--vector", "v")
        got = self.documents()
        self.assertEqual([got[k]["vectors"]["v"] for k in range(4)],
                         [[1.5, 2], [3, 4], [1, 255], [-7, 1 << 20]])
        for content, like in [
            (vecs([[1, 2]])[:-1], "truncated"), (vecs([[1, 2], [3]]), "different sizes"),
            (vecs([[1], [2, 3, 4]]), "components"), (struct.pack("<i", -1) * 4, "-1 components"),
            (struct.pack("<i", 1 << 30), "components"),
        ]:
            source = self.write("bad.fvecs", content)
            self.import_bad(source, place="bad.fvecs", like=like, imported=4)
        source = self.write("bad.ivecs", vecs([[1, 1 << 30]], "i"))
        self.import_bad(source, place="bad.ivecs: row 0", like="not exact", imported=4)

    def test_an_empty_file_of_vectors_is_no_row(self):
        self.fill()
        for name, content in (("e.fvecs", b""), ("e.npy", npy([], shape="(0, 2)"))):
            self.run_cli("import", self.db, "docs", self.write(name, content))
        self.assertEqual(self.count(), 4)

    def test_vectors_are_paired_with_documents_row_by_row(self):
        docs = self.write("d.jsonl", '{"id":"a","t":1}\nbad\n{"id":"c","t":3}\n')
        emb = self.write("e.npy", npy([[1, 0], [2, 0], [3, 0]]))
        second = self.write("f.fvecs", vecs([[1], [2], [3]]))
        self.run_cli("import", self.db, "docs", docs, "--create", "--vectors", "v=" + emb,
                     "--vectors", "w=" + second, "--skip-errors")
        got = self.documents()
        self.assertEqual({k: d["vectors"] for k, d in got.items()},
                         {"a": {"v": [1, 0], "w": [1]}, "c": {"v": [3, 0], "w": [3]}})

    def test_paired_files_must_have_as_many_rows(self):
        docs = self.write("d.jsonl", '{"id":1}\n{"id":2}\n')
        for rows, like in ([[[1, 0]], "has 1 rows, none for .*d.jsonl:2"],
                           [[[1, 0]] * 3, "has 3 rows, the documents were only 2"]):
            emb = self.write("e.npy", npy(rows))
            self.import_bad(docs, "--create", "--vectors", "v=" + emb, place="e.npy: ", like=like)
        self.run_cli("import", self.db, "docs", docs, "--vectors", "v=" + emb, "--limit", "2")

    def test_a_source_of_vectors_needs_one_field(self):
        self.run_cli("create", self.db, "docs", "--vector", "a:2", "--vector", "b:2")
        source = self.write("x.npy", npy([[1, 2]]))
        self.import_bad(source, place="say which", like="--vector")
        self.run_cli("import", self.db, "docs", source, "--vector", "b")
        self.assertEqual(self.documents()[0]["vectors"], {"b": [1, 2]})
        self.run_cli("create", self.db, "plain")
        self.assertIn("no vector field", self.run_cli("import", self.db, "plain", source,
                                                      code=FAILURE).stderr)


class ImportCsv(CliTest):
    def test_cells_get_types_and_quotes_are_honoured(self):
        text = ('id,name,n,f,b,zip,empty,v\r\n'
                '1,"a ""q"", b",42,1.5e3,true,007,,"[1, 2]"\r\n'
                '"x y","two\nlines",-1,0.1,False,12,"","[3,4]"\n'
                '3,plain,9223372036854775808,NaN,yes,1.,x,')
        source = self.write("a.csv", text)
        self.run_cli("import", self.db, "docs", source, "--create", "--vector", "v",
                     "--string-fields", "zip,other")
        got = self.documents()
        self.assertEqual({k: d["document"] for k, d in got.items()}, {
            1: {"name": 'a "q", b', "n": 42, "f": 1500.0, "b": True, "zip": "007"},
            "x y": {"name": "two\nlines", "n": -1, "f": 0.1, "b": False, "zip": "12", "empty": ""},
            3: {"name": "plain", "n": "9223372036854775808", "f": "NaN", "b": "yes", "zip": "1.",
                "empty": "x"}})
        self.assertEqual([got[k]["vectors"] for k in (1, "x y", 3)],
                         [{"v": [1, 2]}, {"v": [3, 4]}, {}])

    def test_declared_types_decide(self):
        self.run_cli("create", self.db, "docs", "--field", "code:string", "--field", "tags:array")
        source = self.write("a.csv", 'id,code,tags\n1,42,"[1,""x""]"\n')
        self.run_cli("import", self.db, "docs", source)
        self.assertEqual(self.documents()[1]["document"], {"code": "42", "tags": [1, "x"]})
        source = self.write("b.csv", 'id,tags\n2,"[1], ""more"": 1"\n')
        self.import_bad(source, place="b.csv:2: ", like="nothing more", imported=1)

    def test_columns_pair_with_a_file_of_vectors(self):
        source = self.write("a.csv", "id,t\n5,x\n6,y\n")
        emb = self.write("e.npy", npy([[1, 2], [3, 4]]))
        self.run_cli("import", self.db, "docs", source, "--create", "--vectors", "v=" + emb)
        self.assertEqual(self.documents()[6]["vectors"], {"v": [3, 4]})

    def test_malformed_csv_names_the_line_where_the_record_began(self):
        self.run_cli("create", self.db, "docs")
        for bad, like in [
            ('3,"a"b\n', "behind the closing quote"), ('3,a"b\n', "inside an unquoted"),
            ('3\n', "1 cells, the header has 2"), ('3,a,b\n', "3 cells"),
            ('3,"a\n5,b\n', "never closed"), ("3,a\rb\n", "carriage return"),
            ("3,\udcff\n", "."), ("-3.5,\"\"x\n", "closing quote"),
        ]:
            with self.subTest(bad):
                content = 'id,t\n1,"x\ny"\n' + bad + "5,z\n"
                source = self.write("b.csv", content.encode("utf-8", "surrogateescape"))
                self.import_bad(source, place="b.csv:4: ", like=like, imported=1)
                if "never" not in like:
                    self.json("import", self.db, "docs", source, "--skip-errors")
                    self.assertEqual(self.count(), 2)
                    self.run_cli("delete", self.db, "docs", "5")

    def test_bad_headers_are_refused(self):
        self.run_cli("create", self.db, "docs")
        for content, words, like in [("", [], "no header"), ("a,a\n", [], "twice"),
                                     ("a,\n", [], "no name"), ("a,b\n", ["--id", "key"], "'key'"),
                                     ('a,"b\n', [], "never closed"),
                                     (",".join("c%d" % i for i in range(5000)), [], "4096 cells")]:
            self.import_bad(self.write("h.csv", content), *words, place="h.csv:1: ", like=like,
                            imported=0)


class Terminal(CliTest):
    def run_pty(self, words, env=None, columns=100):
        """Runs with stdout and stderr on a pseudo-terminal; returns the status and the output."""
        fd, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        env = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", "NO_COLOR": "", **(env or {})}
        process = subprocess.Popen([cli_help.BINARY, *words], stdin=subprocess.DEVNULL, stdout=terminal,
                                   stderr=terminal, env=env)
        os.close(terminal)
        output = b""
        while True:
            try:
                part = os.read(fd, 65536)
            except OSError:  # EIO: the other side is closed.
                break
            output += part
        os.close(fd)
        return process.wait(timeout=60), output.decode()

    def big_source(self, rows=150000):
        row = '{"id": %d, "v": [0.123456, 2.5, -1, 4], "t": "some text of this row"}\n'
        return self.write("big.jsonl", "".join(row % i for i in range(rows)))

    def test_progress_is_drawn_on_a_terminal_only_and_not_too_often(self):
        source = self.big_source()
        words = ["import", self.db, "docs", source, "--create", "--vector", "v", "--durability",
                 "none", "--batch", "500"]
        began = time.monotonic()
        code, output = self.run_pty(words)
        took = time.monotonic() - began
        self.assertEqual(code, OK, output)
        drawn = re.findall(r"\[[#-]+\] +\d+ % .* rows/s  ETA \d+:\d\d", output)
        self.assertGreater(len(drawn), 0)
        self.assertLess(len(drawn), took * 10 + 2)
        self.assertIn("imported 150\u202f000 rows", output)
        os.unlink(self.db)
        done = self.run_cli(*words)
        self.assertEqual(done.stderr, "")
        self.assertIn("imported 150000 rows", done.stdout)
        self.assertNotIn("\r", done.stdout)

    def test_colours_only_on_a_terminal_and_not_with_no_color(self):
        self.fill()
        words = ["find", self.db, "docs"]
        self.assertIn("\x1b[1m", self.run_pty(words)[1])
        self.assertNotIn("\x1b[", self.run_pty(words, {"NO_COLOR": "1"})[1])
        self.assertNotIn("\x1b[", self.run_pty(words, {"TERM": "dumb"})[1])
        self.assertNotIn("\x1b[", self.run_cli(*words).stdout)

    def test_tables_are_cut_to_the_width_of_the_terminal(self):
        row = json.dumps({"id": 1, "t": "\u4e2d\u6587 long " * 100}, ensure_ascii=False)
        self.run_cli("import", self.db, "docs", "-", "--create", stdin=row.encode())
        code, output = self.run_pty(["find", self.db, "docs"], {"NO_COLOR": "1"}, columns=60)
        self.assertEqual(code, OK)
        for line in output.splitlines():
            self.assertLessEqual(len(line), 60)
        self.assertIn("\u2026", output)
        self.assertIn("\u4e2d\u6587 long " * 100,
                      self.run_cli("find", self.db, "docs").stdout)


class Interrupt(CliTest):
    def start(self, *words):
        return subprocess.Popen([cli_help.BINARY, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def finish(self, process):
        process.wait(timeout=30)  # With stdin open: its end would end the import too.
        out, err = process.communicate()
        self.assertEqual(process.returncode, FAILURE, err)
        durable = re.search(r"omendb: interrupted: (\d+) rows? (?:is|are) durable", err.decode())
        self.assertIsNotNone(durable, err)
        return int(durable.group(1)), out

    def interrupt_after_rows(self, signal_number, durability):
        """Feeds rows without end, interrupts, reopens: what was told to be durable is there."""
        process = self.start("import", self.db, "docs", "-", "--create", "--vector", "v", "--json",
                             "--batch", "100", "--durability", durability)
        row = 0
        os.set_blocking(process.stdin.fileno(), False)
        deadline = time.monotonic() + 1.0
        waiting = b""
        while time.monotonic() < deadline:
            if not waiting:
                waiting = b'{"id": %d, "v": [1, %d], "n": %d}\n' % (row, row % 97, row)
                row += 1
            _, writable, _ = select.select([], [process.stdin], [], 0.1)
            if writable:
                waiting = waiting[os.write(process.stdin.fileno(), waiting):]
        process.send_signal(signal_number)
        durable, out = self.finish(process)
        report = json.loads(out)
        self.assertEqual((report["imported"], report["interrupted"], report["complete"]),
                         (durable, True, False))
        self.assertGreater(durable, 0)
        self.assertEqual(self.count(), durable)
        self.assertTrue(self.json("check", self.db, "--deep")["ok"])
        last = self.json("get", self.db, "docs", str(durable - 1))
        self.assertEqual(last["document"], {"n": durable - 1})
        self.run_cli("get", self.db, "docs", str(durable), code=NEGATIVE)

    def test_ctrl_c_ends_an_import_and_tells_what_is_durable(self):
        self.interrupt_after_rows(signal.SIGINT, "full")

    def test_a_term_signal_does_the_same_at_any_level(self):
        self.interrupt_after_rows(signal.SIGTERM, "none")

    def test_ctrl_c_wakes_a_command_that_waits_for_stdin(self):
        self.fill()
        for words in (["import", self.db, "docs", "-"],
                      ["import", self.db, "docs", "-", "--format", "csv"],
                      ["import", self.db, "docs", "-", "--format", "npy"]):
            process = self.start(*words)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            self.assertEqual(self.finish(process)[0], 0)
        self.assertEqual(self.count(), 4)

    def test_a_killed_import_loses_no_batch_that_was_committed(self):
        process = self.start("import", self.db, "docs", "-", "--create", "--batch", "10")
        process.stdin.write(b"".join(b'{"id": %d}\n' % i for i in range(95)))
        process.stdin.flush()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            seen = self.run_raw("count", self.db, "docs", "--json")
            if seen.returncode == OK and seen.object()["count"] == 90:
                break
            time.sleep(0.05)
        process.kill()
        process.communicate()
        self.assertEqual(self.count(), 90)
        self.assertTrue(self.json("check", self.db, "--deep")["ok"])
        self.run_cli("import", self.db, "docs", "-", stdin=b'{"id": 1000}\n')
        self.assertEqual(self.count(), 91)


class OkResult(unittest.TextTestResult):
    def addSuccess(self, test):
        super().addSuccess(test)
        print("ok " + test.id().split(".", 1)[1].replace(".test_", "."), flush=True)


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: run.py BINARY [Class.test_name...]")
    cli_help.BINARY = os.path.abspath(sys.argv[1])
    loader = unittest.defaultTestLoader
    module = sys.modules["__main__"]
    if len(sys.argv) > 2:
        suite = loader.loadTestsFromNames(sys.argv[2:], module)
    else:
        suite = loader.loadTestsFromModule(module)
    runner = unittest.TextTestRunner(stream=sys.stderr, verbosity=0, resultclass=OkResult)
    sys.exit(0 if runner.run(suite).wasSuccessful() else 1)


if __name__ == "__main__":
    main()
