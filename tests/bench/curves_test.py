"""bench/ann/curves.py: fronts, interpolation and intervals on cases worked out by hand."""
import math
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench/ann"))
import curves  # noqa: E402 - from the folder above.


class Front(unittest.TestCase):
    def test_keeps_points_that_nothing_beats(self):
        points = [(0.90, 100), (0.95, 50), (0.94, 40), (0.99, 10), (0.99, 9), (0.90, 90)]
        self.assertEqual(curves.pareto(points), [(0.90, 100), (0.95, 50), (0.99, 10)])

    def test_a_faster_and_better_point_is_alone(self):
        self.assertEqual(curves.pareto([(0.5, 10), (0.6, 9), (0.9, 11)]), [(0.9, 11)])

    def test_every_point_is_beaten_or_on_the_front(self):
        source = random.Random(1)
        for _ in range(200):
            points = [(source.randrange(8) / 8, source.randrange(1, 8)) for _ in range(12)]
            front = curves.pareto(points)
            for point in points:
                beaten = any(other != point and other[0] >= point[0] and other[1] >= point[1]
                             for other in points)
                self.assertEqual(point in front, not beaten)
            self.assertEqual(front, sorted(front))

    def test_nothing_has_no_front(self):
        self.assertEqual(curves.pareto([]), [])


class SpeedAt(unittest.TestCase):
    points = [(0.8, 1000), (0.9, 100), (1.0, 1)]

    def test_is_geometric_between_points(self):
        self.assertAlmostEqual(curves.speed_at(self.points, 0.85), math.sqrt(1000 * 100))
        self.assertAlmostEqual(curves.speed_at(self.points, 0.95), 10)

    def test_is_the_points_own_at_a_point(self):
        self.assertEqual(curves.speed_at(self.points, 0.9), 100)

    def test_below_the_smallest_recall_counts_the_fastest_point(self):
        self.assertEqual(curves.speed_at(self.points, 0.5), 1000)

    def test_a_recall_never_reached_has_no_speed(self):
        self.assertIsNone(curves.speed_at([(0.8, 5), (0.94, 1)], 0.95))
        self.assertIsNone(curves.speed_at([], 0.95))

    def test_points_inside_the_front_change_nothing(self):
        inside = self.points + [(0.85, 90), (0.95, 0.5)]
        self.assertEqual(curves.speed_at(inside, 0.93), curves.speed_at(self.points, 0.93))

    def test_never_rises_with_recall(self):
        source = random.Random(2)
        for _ in range(100):
            points = [(source.random(), source.random() + 0.01) for _ in range(10)]
            speeds = [curves.speed_at(points, recall / 50) for recall in range(50)]
            speeds = [speed for speed in speeds if speed is not None]
            self.assertEqual(speeds, sorted(speeds, reverse=True))


class Medians(unittest.TestCase):
    def test_of_even_and_odd_counts(self):
        self.assertEqual(curves.median([3, 1, 2]), 2)
        self.assertEqual(curves.median([4, 1, 2, 3]), 2.5)

    def test_interval_of_five_is_the_range_and_says_so(self):
        self.assertEqual(curves.median_interval([5, 1, 4, 2, 3]), (1, 5, 0.9375))

    def test_interval_of_nine_leaves_the_outermost_out(self):
        low, high, coverage = curves.median_interval(range(9))
        self.assertEqual((low, high), (1, 7))
        self.assertAlmostEqual(coverage, 1 - 2 * 10 / 512)

    def test_interval_covers_the_median_as_often_as_it_says(self):
        source = random.Random(3)
        inside = 0
        for _ in range(4000):
            low, high, coverage = curves.median_interval([source.gauss(0, 1) for _ in range(9)])
            inside += low <= 0 <= high
        self.assertAlmostEqual(inside / 4000, coverage, delta=0.015)


class Efforts(unittest.TestCase):
    def test_keeps_what_encloses_each_target(self):
        recalls = [(10, 0.5), (20, 0.7), (30, 0.85), (40, 0.92), (50, 0.96), (60, 0.98), (70, 0.992),
                   (80, 0.999)]
        self.assertEqual(curves.efforts_to_keep(recalls), {20, 30, 40, 50, 60, 70, 80})
        self.assertEqual(curves.efforts_to_keep(recalls, [0.95]), {30, 40, 50, 60})

    def test_keeps_the_best_where_a_target_is_not_reached(self):
        self.assertIn(20, curves.efforts_to_keep([(10, 0.5), (20, 0.7)], [0.99]))
        self.assertEqual(curves.efforts_to_keep([]), set())

    def test_recalls_and_widths_are_grids_of_their_own(self):
        self.assertEqual(list(curves.series(["default", 10, 20, 0.9, 0.95]).values()),
                         [["default"], [10, 20], [0.9, 0.95]])

    def test_a_grid_ends_above_the_targets_or_at_a_halt(self):
        self.assertTrue(curves.exhausted([(10, 0.9), (20, 0.998)]))
        self.assertFalse(curves.exhausted([(10, 0.9), (20, 0.99)]))
        self.assertFalse(curves.exhausted([(10, 0.1), (20, 0.1)]))
        self.assertTrue(curves.exhausted([(effort, 0.98) for effort in range(7)]))
        self.assertFalse(curves.exhausted([(effort, 0.9 + effort / 100) for effort in range(7)]))


if __name__ == "__main__":
    unittest.main()
