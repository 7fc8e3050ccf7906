"""How vector fields are indexed, as a user of the `omendb` command sees it; run by run.py."""

import random

from cli_help import FAILURE, USAGE, CliTest, npy


class Index(CliTest):
    COUNT, DIM = 5000, 40  # Just above the size from which there is a graph.

    def vectors(self):
        rng = random.Random(7)
        rows = [[rng.gauss(0, 1) for _ in range(self.DIM)] for _ in range(self.COUNT)]
        return self.write("v.npy", npy(rows))

    def load(self, *words):
        return self.json("import", self.db, "docs", self.vectors(), "--create", "--vector", "v",
                         *words)

    def fields(self):
        stats = self.json("stats", self.db)
        self.assertEqual(stats["unindexed"], stats["collections"][0]["vectors"][0]["unindexed"])
        return {v["name"]: v["index"] for v in stats["collections"][0]["vectors"]}

    def explain(self, *words):
        found = self.json("search", self.db, "docs", "--like", "17", "-k5", "--explain", *words)
        self.assertEqual(len(found["hits"]), 5)
        return found["explain"]

    def test_an_import_ends_with_everything_indexed(self):
        done = self.load()
        self.assertEqual((done["imported"], done["indexed"]), (self.COUNT, True))
        self.assertGreater(done["index_seconds"], 0)
        index = self.fields()["v"]
        self.assertEqual((index["profile"], index["state"]), ("fast", "ready"))
        self.assertEqual((index["indexed"], index["unindexed"], index["progress"]),
                         (self.COUNT, 0, 1))
        self.assertEqual([e["recall"] for e in index["calibration"]["efforts"]], [0.9, 0.95, 0.99])
        text = self.run_cli("stats", self.db).stdout
        self.assertRegex(text, r"\nindex of v\nprofile +fast\nstate +ready\n")
        self.assertRegex(text, r"\ncalibration.efforts\nrecall +walk +ef +")

    def test_a_search_explains_itself(self):
        self.load()
        self.assertEqual(self.explain("--exact")["plan"], "exact")
        self.assertEqual(self.explain("--exact")["why_exact"], "exact answers were asked for")
        self.assertEqual(self.explain("--recall", "1")["plan"], "exact")
        by_graph = self.explain("--ef", "50")
        self.assertEqual((by_graph["plan"], by_graph["ef"]), ("graph", 50))
        self.assertGreater(by_graph["recall_expected"], 0.5)
        self.assertGreater(by_graph["hops"], 0)
        self.assertGreater(self.explain("--ef", "200")["hops"], by_graph["hops"])
        self.assertEqual(self.explain("--where", '{"x": null}')["why_exact"], "there is a filter")
        text = self.run_cli("search", self.db, "docs", "--like", "17", "-k5", "--explain",
                            "--ef=50").stdout
        self.assertRegex(text, r"\nplan +graph\nexact +no\nrecall_expected +0\.")
        base = ["search", self.db, "docs", "--like", "17"]
        for words in (["--ef", "9"], ["--ef", "8193"], ["-k", "20", "--ef", "19"], ["--ef", "0"],
                      ["--recall", "0"], ["--recall", "1.1"], ["--recall", "nan"],
                      ["--recall", "0.9", "--ef", "50"], ["--exact", "--ef", "50"], ["-k", "0"]):
            self.run_cli(*base, *words, code=USAGE)

    def test_what_an_import_leaves_the_index_command_finishes(self):
        self.assertFalse(self.load("--no-wait")["indexed"])
        self.assertEqual(len(self.json("search", self.db, "docs", "--like", "3")["hits"]), 10)
        done = self.json("index", self.db, "docs")["fields"]["v"]
        self.assertEqual((done["state"], done["indexed"]), ("ready", self.COUNT))
        self.assertRegex(self.run_cli("index", self.db, "docs").stdout, r"v\.profile +fast\n")

    def test_a_profile_is_chosen_at_birth_and_later(self):
        self.load("--index", "exact")
        self.assertEqual(self.fields()["v"], {"profile": "exact", "state": "none"})
        self.assertEqual(self.explain("--ef", "50")["why_exact"], "the field's index is exact")
        done = self.json("index", self.db, "docs", "--profile", "compact", "--field", "v")
        self.assertEqual(done["fields"]["v"]["profile"], "compact")
        self.assertEqual(self.explain("--ef", "50")["walk"], "codes")
        self.assertIn("v:40:f32:l2:compact", self.run_cli("list", self.db).stdout)
        self.run_cli("index", self.db, "docs", "--profile", "slow", code=USAGE)
        self.run_cli("index", self.db, "docs", "--field", "v", code=USAGE)
        self.run_cli("index", self.db, "docs", "--profile", "fast", "--field", "w", code=FAILURE)
        self.run_cli("index", self.db, "other", code=FAILURE)
        self.run_cli("import", self.db, "docs", self.vectors(), "--index", "fast", code=USAGE)

    def test_create_takes_a_profile(self):
        self.run_cli("create", self.db, "docs", "--vector", "v:8", "--vector", "w:9",
                     "--index", "compact")
        vectors = self.json("stats", self.db)["collections"][0]["vectors"]
        self.assertEqual([v["index"]["profile"] for v in vectors], ["compact", "compact"])
        self.run_cli("create", self.db, "bits", "--vector", "b:8:bit", "--index", "fast",
                     code=FAILURE)
        self.run_cli("create", self.db, "x", "--vector", "v:8", "--index", "ivf", code=USAGE)

    def test_a_wait_that_is_too_long_says_so(self):
        self.load("--no-wait", "--index", "exact")
        done = self.run_cli("index", self.db, "docs", "--profile", "fast", "--timeout", "1",
                            code=FAILURE)
        self.assertIn("the index isn't finished", done.stderr)
