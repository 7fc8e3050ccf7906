"""What the tables are computed with: Pareto fronts, speed at a recall, medians and their intervals.

Plain Python; tests/bench/curves_test.py checks it. A point is (recall, speed).
"""
import math

RECALL_ENOUGH = 0.9975


def pareto(points):
    """The points that no other one beats in both, by rising recall (and so by falling speed)."""
    front = []
    for recall, speed in sorted(set(points), key=lambda point: (-point[0], -point[1])):
        if not front or speed > front[-1][1]:
            front.append((recall, speed))
    return front[::-1]


def speed_at(points, recall):
    """Speed at `recall`: on the front, the logarithm of speed is linear in recall between points.

    A recall that the fastest point already exceeds counts with that point's speed: nobody can be
    asked to be worse. None where no point reaches it.
    """
    front = pareto(points)
    below = [point for point in front if point[0] < recall]
    above = [point for point in front if point[0] >= recall]
    if not above:
        return None
    if not below or above[0][0] == recall:
        return above[0][1]
    (low, fast), (high, slow) = below[-1], above[0]
    share = (recall - low) / (high - low)
    return math.exp((1 - share) * math.log(fast) + share * math.log(slow))


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def median_interval(values, coverage=0.95):
    """(low, high, its coverage): order statistics that enclose the median, whatever the
    distribution. The narrowest symmetric pair that covers enough; of five values no pair covers
    95 %, and the whole range (93.75 %) is given."""
    values = sorted(values)
    count = len(values)
    best = (values[0], values[-1], 1 - 2 * 0.5 ** count)
    for skipped in range(1, (count + 1) // 2):
        tail = sum(math.comb(count, i) for i in range(skipped + 1)) * 0.5 ** count
        if 1 - 2 * tail < coverage:
            break
        best = (values[skipped], values[count - 1 - skipped], 1 - 2 * tail)
    return best


def efforts_to_keep(recalls, targets=(0.9, 0.95, 0.99)):
    """Which efforts further rounds need: [(effort, recall)] by rising effort -> set of efforts.

    For each target the two points that enclose it, and their neighbours, since recalls that lie
    close may change places on the front; the last effort when none reaches the target.
    """
    kept = set()
    for target in targets:
        reached = next((i for i, (_, recall) in enumerate(recalls) if recall >= target),
                       len(recalls) - 1)
        for i in range(reached - 2, reached + 2):
            if 0 <= i < len(recalls):
                kept.add(recalls[i][0])
    return kept


def series(efforts):
    """{kind: efforts}: each kind of value is a grid of its own, from coarse to fine. Integers are
    beam widths and the like, fractions are recalls that a database is asked for, names stand alone."""
    out = {}
    for effort in efforts:
        out.setdefault(type(effort), []).append(effort)
    return out


def exhausted(seen):
    """Whether finer efforts than those of [(effort, recall)] have nothing to tell: the recall is
    above all targets, or has come to a halt (codes without full precision behind them)."""
    recalls = [recall for _, recall in seen]
    return recalls[-1] >= RECALL_ENOUGH or (len(recalls) > 6 and recalls[-1] - recalls[-4] < 5e-4)
