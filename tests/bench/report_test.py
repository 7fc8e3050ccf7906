"""bench/ann/report.py: what the tables say of measurements made up for the purpose."""
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench/ann"))
import report  # noqa: E402 - from the folder above.


def search(peer, effort, recall, speed, number=0, run="r", set_name="s"):
    return {"kind": "search", "peer": peer, "set": set_name, "rows": 1000, "dim": 8, "metric": "l2",
            "k": 10, "effort": effort, "round": number, "threads": 1, "batch": True, "recall": recall,
            "qps": speed / 2, "qps_cpu": speed, "peer_version": "1", "cpu": "c", "date": "d",
            "commit": "h", "command": "run.py", "run": run}


def two_peers(rounds):
    """Ours is twice as fast as the slow one and half as fast as the fast one, whatever the round."""
    lines = []
    for number in range(rounds):
        scale = 1 + number
        for peer, speed in (("omendb", 100), ("hnswlib", 50), ("quick", 200)):
            lines += [search(peer, 10, 0.9, speed * scale, number),
                      search(peer, 20, 0.99, speed * scale / 10, number)]
    return lines


class Tables(unittest.TestCase):
    def test_ratios_are_of_the_same_round(self):
        measured = report.Set("s", two_peers(9))
        for target in report.TARGETS:
            self.assertEqual(measured.best(target), "quick")
            for got, wanted in zip(measured.ratio(target, "hnswlib"), (2, 2, 2)):
                self.assertAlmostEqual(got, wanted)
            self.assertAlmostEqual(measured.ratio(target, "quick")[0], 0.5)

    def test_no_interval_below_five_rounds(self):
        self.assertIsNone(report.Set("s", two_peers(4)).ratio(0.95, "quick")[1])
        self.assertIsNotNone(report.Set("s", two_peers(5)).ratio(0.95, "quick")[1])

    def test_speeds_are_medians_over_rounds(self):
        self.assertAlmostEqual(report.Set("s", two_peers(3)).speed("omendb", 0.9), 200)
        self.assertAlmostEqual(report.Set("s", two_peers(3), "wall").speed("omendb", 0.9), 100)

    def test_several_threads_are_timed_by_the_clock(self):
        lines = [{**line, "threads": 2} for line in two_peers(3)]
        self.assertAlmostEqual(report.Set("s", lines).speed("omendb", 0.9), 100)
        self.assertIn("by the clock", report.tables(lines))
        self.assertIn("by CPU time", report.tables(two_peers(3)))

    def test_defaults_are_told_apart_from_the_efforts(self):
        lines = two_peers(3) + [search("omendb", "default", 0.97, 10_000)]
        measured = report.Set("s", lines)
        self.assertAlmostEqual(measured.speed("omendb", 0.95), report.Set("s", two_peers(3))
                               .speed("omendb", 0.95))
        self.assertIn("untouched defaults: recall 0.9700", report.tables(lines))

    def test_a_peer_left_out_is_named_with_its_reason(self):
        lines = two_peers(1) + [{"kind": "absent", "peer": "gone", "set": "s", "run": "r",
                                 "reason": "no wheel"}]
        self.assertIn("gone left out: no wheel", report.tables(lines))

    def test_a_recall_out_of_reach_is_a_dash(self):
        lines = two_peers(1) + [search("low", 10, 0.5, 1e6)]
        row = next(line for line in report.tables(lines).splitlines() if line.startswith("| low"))
        self.assertEqual(row.count(" - "), 3)

    def test_the_newest_run_of_each_set_is_taken(self):
        lines = [search("a", 1, 0.9, 1, run="old"), search("a", 1, 0.9, 2, run="new"),
                 search("a", 1, 0.9, 3, run="old", set_name="other")]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "lines"
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
            read = report.read([path])
            self.assertEqual([line["qps_cpu"] for line in read], [2, 3])
            self.assertEqual([line["qps_cpu"] for line in report.read([path], "old")], [1, 3])


if __name__ == "__main__":
    unittest.main()
