#!/usr/bin/env python3
"""Tables and plots of what run.py measured.

    report.py [FILE ...] [--run ID] [--plots FOLDER] [--clock cpu|wall]

Reads build/bench/ann.jsonl unless told otherwise, takes the newest run that measured each set (or
--run), prints Markdown tables, and with --plots draws recall against queries a second for each set
as SVG and PNG (matplotlib). Speeds are medians over the rounds at each effort, interpolated at a
recall on the Pareto front (curves.py); ratios are of single rounds, then their median, with the
interval of the median when there are five rounds or more.
"""
import argparse
import collections
import json
import pathlib
import sys

import curves

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGETS = (0.90, 0.95, 0.99)
OURS, CLASSIC = "omendb", "hnswlib"


def read(paths, run=None):
    """All lines of `run`; without it, of each set the lines of the newest run that searched it."""
    lines = []
    for path in paths:
        with open(path) as file:
            lines += [json.loads(line) for line in file if line.strip()]
    if run:
        return [line for line in lines if line["run"] == run]
    newest = {line["set"]: line["run"] for line in lines if line["kind"] == "search"}
    return [line for line in lines if newest.get(line["set"]) == line["run"]]


def is_ours(peer):
    """OmenDB under any of its profiles."""
    return peer.split("-")[0] == OURS


class Set:
    """What was measured on one set."""

    def __init__(self, name, lines, clock=None):
        self.name = name
        self.lines = [line for line in lines if line["set"] == name]
        searches = self.of("search")
        self.first = searches[0] if searches else None
        # CPU time is the steadier one; over several threads it isn't what a caller waits for.
        self.clock = clock or ("cpu" if self.first and self.first["threads"] == 1 else "wall")
        self.speed_key = "qps_cpu" if self.clock == "cpu" else "qps"
        self.searches = collections.defaultdict(list)
        for line in searches:
            self.searches[line["peer"]].append(line)

    def of(self, kind):
        return [line for line in self.lines if line["kind"] == kind]

    def one(self, kind, peer):
        found = [line for line in self.of(kind) if line["peer"] == peer]
        return found[-1] if found else {}

    def points(self, peer, number=None):
        """[(recall, speed)]: medians over the rounds, or those of one round."""
        efforts = collections.defaultdict(list)
        for line in self.searches[peer]:
            if line["effort"] != "default" and number in (None, line["round"]):
                efforts[line["effort"]].append(line)
        return [(curves.median([line["recall"] for line in lines]),
                 curves.median([line[self.speed_key] for line in lines]))
                for lines in efforts.values()]

    def rounds(self):
        return sorted({line["round"] for line in self.of("search")})

    def speed(self, peer, target, number=None):
        return curves.speed_at(self.points(peer, number), target)

    def best(self, target):
        """The fastest peer but ours at that recall, or None."""
        speeds = {peer: self.speed(peer, target) for peer in self.searches
                  if not is_ours(peer)}
        speeds = {peer: speed for peer, speed in speeds.items() if speed}
        return max(speeds, key=speeds.get) if speeds else None

    def ratio(self, target, other):
        """(median, low, high) of our speed over the other's round by round; None without either.
        low and high are None with fewer than five rounds."""
        values = []
        for number in self.rounds():
            ours, theirs = self.speed(OURS, target, number), self.speed(other, target, number)
            if ours and theirs:
                values.append(ours / theirs)
        if not values:
            return None
        low, high = curves.median_interval(values)[:2] if len(values) >= 5 else (None, None)
        return curves.median(values), low, high


def number(value, unit=""):
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}{unit}"
    return f"{value:.3g}{unit}"


def ratio_text(ratio):
    if not ratio:
        return "-"
    middle, low, high = ratio
    return f"{middle:.2f}x" + (f" ({low:.2f}-{high:.2f})" if low else "")


def speed_table(measured):
    rows = []
    for peer in measured.searches:
        points = measured.points(peer)
        top = max((recall for recall, _ in points), default=None)
        rows.append((peer, [measured.speed(peer, target) for target in TARGETS], top))
    rows.sort(key=lambda row: -(row[1][1] or 0))
    out = ["| peer | version | " + " | ".join(f"QPS at {target:.2f}" for target in TARGETS)
           + " | highest recall measured |", "|---|---|" + "---:|" * (len(TARGETS) + 1)]
    for peer, speeds, top in rows:
        mark = "" if measured.searches[peer][0]["batch"] else " ¹"
        out.append(f"| {peer}{mark} | {measured.searches[peer][0]['peer_version']} | "
                   + " | ".join(map(number, speeds)) + f" | {number(top)} |")
    if any(not lines[0]["batch"] for lines in measured.searches.values()):
        out.append("\n¹ one Python call for each query.")
    return out


def ratio_table(measured):
    if OURS not in measured.searches:
        return []
    out = ["| " + OURS + " over | " + " | ".join(f"at {target:.2f}" for target in TARGETS) + " |",
           "|---|" + "---:|" * len(TARGETS)]
    best = [measured.best(target) for target in TARGETS]
    out.append("| the best peer | " + " | ".join(
        f"{ratio_text(measured.ratio(target, peer))} {peer}" if peer else "-"
        for target, peer in zip(TARGETS, best)) + " |")
    if CLASSIC in measured.searches:
        out.append(f"| {CLASSIC} | " + " | ".join(
            ratio_text(measured.ratio(target, CLASSIC)) for target in TARGETS) + " |")
    return out


def default_lines(measured):
    out = []
    for peer in filter(is_ours, measured.searches):
        lines = [line for line in measured.searches[peer] if line["effort"] == "default"]
        if lines:
            recall = curves.median([line["recall"] for line in lines])
            speed = curves.median([line[measured.speed_key] for line in lines])
            plan = lines[-1].get("explain", {}).get("plan", "?")
            out += [f"{peer} at untouched defaults: recall {recall:.4f}, {number(speed)} queries/s, "
                    f"plan '{plan}', {lines[-1].get('unindexed', '?')} rows not in the graph.", ""]
    return out


def change_text(entry):
    if not entry or "unsupported" in entry:
        return "no"
    return f"{entry['wall_p50_us']:,.0f} / {entry['cpu_p50_us']:,.0f}"


def cost_table(measured):
    out = ["| peer | build wall s | build CPU s | threads | bytes/vector hot | of them mapped | on "
           "disk | insert p50 µs wall / CPU | delete p50 µs wall / CPU |",
           "|---|" + "---:|" * 8]
    for build in sorted(measured.of("build"), key=lambda line: line["cpu_s"]):
        peer, rows = build["peer"], build["rows"]
        memory, change = measured.one("memory", peer), measured.one("change", peer)
        hot = mapped = None
        if memory:
            hot = (memory["own_bytes"] + memory["mapped_bytes"]) / rows
            mapped = memory["mapped_bytes"] / rows
        insert = change_text(change.get("insert")) if change else "-"
        if insert not in ("no", "-") and not change["links"]:
            insert += " ²"
        out.append(f"| {peer} | {build['wall_s']:.1f} | {build['cpu_s']:.1f} | {build['threads']} | "
                   f"{number(hot)} | {number(mapped)} | {number(build['disk_bytes'] / rows)} | "
                   f"{insert} | {change_text(change.get('delete')) if change else '-'} |")
    if any("²" in line for line in out):
        out.append("\n² acknowledged; it is linked into the graph later.")
    return out


def tables(lines, clock=None):
    """Markdown of all sets in `lines`."""
    out = []
    names = list(dict.fromkeys(line["set"] for line in lines))
    for name in names:
        measured = Set(name, lines, clock)
        absent = [f"{line['peer'] or 'the set'} left out: {line['reason']}"
                  for line in measured.of("absent")]
        if not measured.first:
            out += [f"## {name}", "", *absent, ""]
            continue
        first = measured.first
        out += [f"## {name}: {first['rows']:,} x {first['dim']}, {first['metric']}", "",
                f"recall@{first['k']}, {first['threads']} thread(s), queries a second by "
                f"{'CPU time' if measured.clock == 'cpu' else 'the clock'}, median of "
                f"{len(measured.rounds())} rounds, {first['cpu']}, {first['date']}, commit "
                f"{first['commit']}", "", f"`{first['command']}`", "",
                *speed_table(measured), "", *ratio_table(measured), "", *default_lines(measured), "",
                *cost_table(measured), "", *absent, ""]
    return "\n".join(line for i, line in enumerate(out) if line or (i and out[i - 1]))


# ---- Plots ---------------------------------------------------------------------------------------

# Distinguishable also by those who see fewer colours; ours stands out by its width.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f")
MARKERS = "osD^vPX*"
ERROR_MIN = 5e-4  # Smaller errors, and none, are drawn there.


def plot(measured, folder):
    """folder/SET.svg and .png: recall to the right, queries a second upwards, both stretched."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot
    figure, axes = pyplot.subplots(figsize=(9, 6), layout="constrained")
    order = sorted(measured.searches, key=lambda peer: -(measured.speed(peer, 0.95) or 0))
    drawn = 0
    for peer in order:
        front = [(recall, speed) for recall, speed in curves.pareto(measured.points(peer))
                 if recall >= 0.5]
        if not front:
            continue
        if is_ours(peer):
            style = {"color": "#d40000" if peer == OURS else "#7a0000", "linewidth": 3,
                     "marker": "o", "zorder": 10}
        else:
            style = {"color": COLOURS[drawn % len(COLOURS)], "linewidth": 1.4, "markersize": 4,
                     "marker": MARKERS[drawn % len(MARKERS)],
                     "linestyle": "-" if drawn < len(COLOURS) else "--"}
            drawn += 1
        # The error on a logarithmic axis: .9, .99 and .999 are as far apart as they feel. Answers
        # without any stand at its end.
        axes.plot([max(1 - recall, ERROR_MIN) for recall, _ in front],
                  [speed for _, speed in front], label=peer, clip_on=False, **style)
    ticks = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(0.5, ERROR_MIN)
    axes.xaxis.set_major_locator(matplotlib.ticker.FixedLocator([1 - tick for tick in ticks]
                                                          + [ERROR_MIN]))
    axes.xaxis.set_major_formatter(matplotlib.ticker.FixedFormatter([f"{t:g}" for t in ticks]
                                                                    + ["1"]))
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda v, _: f"{v:,.0f}"))
    first = measured.first
    axes.set_xlabel(f"recall@{first['k']}")
    axes.set_ylabel(f"queries/s ({'CPU' if measured.clock == 'cpu' else 'wall'}, "
                    f"{first['threads']} thread)")
    axes.set_title(f"{measured.name}: {first['rows']:,} x {first['dim']}, {first['metric']}")
    axes.grid(True, which="major", color="#dddddd")
    axes.legend(fontsize=9)
    folder.mkdir(parents=True, exist_ok=True)
    for ending in ("svg", "png"):
        figure.savefig(folder / f"{measured.name}.{ending}", dpi=130)
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="*", type=pathlib.Path,
                        default=[ROOT / "build/bench/ann.jsonl"])
    parser.add_argument("--run")
    parser.add_argument("--plots", type=pathlib.Path)
    parser.add_argument("--clock", choices=("cpu", "wall"),
                        help="otherwise cpu for one thread, wall for several")
    options = parser.parse_args()
    lines = read(options.files, options.run)
    print(tables(lines, options.clock))
    if options.plots:
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            sys.exit("report: no plots without matplotlib (build/bench-venv/bin/python has it)")
        for name in dict.fromkeys(line["set"] for line in lines if line["kind"] == "search"):
            plot(Set(name, lines, options.clock), options.plots)
            print(f"{options.plots}/{name}.svg, .png", file=sys.stderr)


if __name__ == "__main__":
    main()
