#!/usr/bin/env python3
"""Runs every test there is and counts them one by one.

usage: run_tests.py [--long] [--only SUITE,...] [--list] [--jobs N]

A suite is a build, or a build and the programs run on it. C programs print "ok NAME" for each
test, "skip NAME" for one that can't run here; Python's runners say how many they ran. A program
that fails counts as one failed test beside those that it passed before, and all it printed is
shown. Everything printed is kept in build/test-logs/SUITE.log.

--long is OMENDB_TEST_LONG=1 in the environment of every test, and the tests labelled `long`.
The last line is "N passed, N failed", with ", N skipped" when some were; exit status 1 when any
failed or none ran.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "test-logs"
VENV_PYTHON = BUILD / "venv/bin/python"
SECONDS_MAX = {False: 1200, True: 6 * 3600}  # Of one program: in `test`, in `test-long`.

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Outcome:
    """What one program did: counts, and its output for the log."""

    def __init__(self, name, passed=0, failed=0, skipped=0, output=""):
        self.name, self.passed, self.failed, self.skipped = name, passed, failed, skipped
        self.output = output


class Run:
    """The options of this run, and how commands are started in it."""

    def __init__(self, options):
        self.long, self.jobs = options.long, options.jobs
        self.environment = {**os.environ, **SANITIZER_OPTIONS, "LC_ALL": "C.UTF-8",
                            "PYTHONDONTWRITEBYTECODE": "1"}
        if self.long:
            self.environment["OMENDB_TEST_LONG"] = "1"
        if shutil.which("ccache"):
            self.environment.setdefault("CMAKE_C_COMPILER_LAUNCHER", "ccache")
            self.environment.setdefault("CMAKE_CXX_COMPILER_LAUNCHER", "ccache")

    def command(self, words, cwd=ROOT, extra=None):
        """(exit status, what it printed); the status is negative for a signal or a time-out."""
        environment = {**self.environment, **(extra or {})}
        try:
            process = subprocess.Popen([str(word) for word in words], cwd=cwd, env=environment,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        except OSError as error:
            return 127, f"{words[0]}: {error}\n"
        output = []
        reader = threading.Thread(target=lambda: output.append(process.stdout.read()))
        reader.start()
        try:
            process.wait(SECONDS_MAX[self.long])
        except subprocess.TimeoutExpired:
            end_group(process)
            reader.join()
            return -1, output[0].decode(errors="replace") + "\nstopped: it ran too long\n"
        except BaseException:
            end_group(process)
            raise
        reader.join(30)
        if reader.is_alive():  # A child that it left behind holds the pipe open.
            end_group(process)
            reader.join()
        return process.returncode, output[0].decode(errors="replace")

    def build(self, preset, targets=()):
        """None, or the Outcome of a build that failed."""
        steps = [["cmake", "--preset", preset],
                 ["cmake", "--build", "--preset", preset, "-j", self.jobs]]
        for target in targets:
            steps[1] += ["--target", target]
        steps[1] += ["--", "-k", "0"]  # What can be built is built: other tests still run.
        for words in steps:
            status, output = self.command(words)
            if status:
                return Outcome(f"build of {preset}", failed=1, output=output)
        return None


def end_group(process):
    """Ends a program and what it started; it leads a group of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


# ---- Reading what test programs print ----------------------------------------------------------

def count_lines(name, status, output):
    """For programs that print "ok NAME", "skip NAME" and perhaps "not ok NAME"."""
    passed = len(re.findall(r"^ok \S", output, re.M))
    skipped = len(re.findall(r"^skip \S", output, re.M))
    failed = len(re.findall(r"^not ok \S", output, re.M))
    if status and not failed:
        failed = 1
        last = (re.findall(r"^ok (.*)", output, re.M) or ["the start"])[-1]
        output += f"\n{name}: {how_it_ended(status)}, after {last}\n"
    if not passed and not failed and not skipped:
        return Outcome(name, failed=1, output=output + f"\n{name}: ran no test\n")
    return Outcome(name, passed, failed, skipped, output)


def count_unittest(name, status, output):
    ran = re.findall(r"^Ran (\d+) tests? in", output, re.M)
    result = re.findall(r"^(?:OK|FAILED)(?: \((.*)\))?$", output, re.M)
    if not ran or not result:
        return Outcome(name, failed=1, output=output + f"\n{name}: {how_it_ended(status)}\n")
    numbers = dict(re.findall(r"([a-z ]+)=(\d+)", result[-1]))
    numbers = {key.strip(): int(value) for key, value in numbers.items()}
    failed = sum(numbers.get(key, 0) for key in ("failures", "errors", "unexpected successes"))
    skipped = numbers.get("skipped", 0)
    return Outcome(name, max(0, int(ran[-1]) - failed - skipped), max(failed, int(status != 0)),
                   skipped, output)


def count_pytest(name, status, output):
    last = re.findall(r"^=*\s*(.*\b(?:passed|failed|errors?|skipped)\b.*) in [\d.]+s", output, re.M)
    numbers = {}
    for number, word in re.findall(r"(\d+) (\w+)", last[-1] if last else ""):
        numbers[word.rstrip("s") if word.startswith("error") else word] = int(number)
    failed = numbers.get("failed", 0) + numbers.get("error", 0)
    if status and not failed:
        failed, output = 1, output + f"\n{name}: {how_it_ended(status)}\n"
    return Outcome(name, numbers.get("passed", 0) + numbers.get("xfailed", 0), failed,
                   numbers.get("skipped", 0), output)


def count_cargo(name, status, output):
    """cargo test prints one closing line for each program; cargo run and doc none."""
    numbers = [sum(int(number) for number in re.findall(rf"^test result: .*?(\d+) {word}", output,
                                                        re.M))
               for word in ("passed", "failed", "ignored")]
    passed, failed, skipped = numbers if "test result:" in output else (int(not status), 0, 0)
    if status and not failed:
        failed, output = 1, output + f"\n{name}: {how_it_ended(status)}\n"
    return Outcome(name, passed, failed, skipped, output)


def count_any(name, status, output):
    """By whichever closing line there is: unittest's, pytest's, or "ok NAME"."""
    if re.search(r"^Ran \d+ tests? in", output, re.M):
        return count_unittest(name, status, output)
    if re.search(r"^=*\s*\d+ (passed|failed|error|skipped).* in [\d.]+s", output, re.M):
        return count_pytest(name, status, output)
    match = re.search(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", output, re.M)
    if match:
        passed, failed, skipped = (int(number or 0) for number in match.groups())
        return Outcome(name, passed, max(failed, int(status != 0)), skipped, output)
    return count_lines(name, status, output)


def how_it_ended(status):
    return f"ended by signal {-status}" if status < 0 else f"exit status {status}"


# ---- The suites --------------------------------------------------------------------------------

def known_tests(preset):
    """What CTest knows of a configured build folder: name -> properties and command."""
    listing = subprocess.run(["ctest", "--test-dir", str(BUILD / preset), "--show-only=json-v1"],
                             capture_output=True, text=True, check=True)
    tests = {}
    for entry in json.loads(listing.stdout)["tests"]:
        values = {item["name"]: item["value"] for item in entry.get("properties", [])}
        tests[entry["name"]] = {"command": entry.get("command"), **values}
    return tests


def programs(preset, wanted, build_all=True):
    """A suite that builds a preset and runs those of its CTest tests that are wanted(name, labels)."""

    def suite(run):
        status, output = run.command(["cmake", "--preset", preset])
        if status:
            return [Outcome(f"configuration of {preset}", failed=1, output=output)]
        names = [name for name, test in known_tests(preset).items()
                 if wanted(name, test.get("LABELS", []))
                 and (run.long or "long" not in test.get("LABELS", []))]
        if not names:
            return []
        broken = run.build(preset, () if build_all else names)
        tests = known_tests(preset)
        built = [(name, tests[name]) for name in names if tests[name]["command"]]
        return ([broken] if broken else []) + in_parallel(run, built, run_program)

    return suite


def run_program(run, named_test):
    name, test = named_test
    extra = dict(item.split("=", 1) for item in test.get("ENVIRONMENT", []))
    status, output = run.command(test["command"], test.get("WORKING_DIRECTORY", ROOT), extra)
    return count_lines(name, status, output)


def in_parallel(run, items, function):
    with concurrent.futures.ThreadPoolExecutor(run.jobs) as pool:
        return list(pool.map(lambda item: function(run, item), items))


def tree(run):
    broken = run.build("release")
    if broken:
        return [broken]
    status, output = run.command([
        sys.executable, "tools/check_tree.py", "--library", BUILD / "release/libomendb.so",
        "--objects", BUILD / "release/CMakeFiles/omendb_objects.dir/src"])
    outcomes = [count_lines("check_tree", status, output)]
    status, output = run.command([sys.executable, "tools/count_prefetches.py", "--library",
                                  BUILD / "release/libomendb.so"])
    return outcomes + [count_lines("count_prefetches", status, output)]


def both_compilers(run):
    return [run.build("clang") or Outcome("builds without a warning", passed=1)]


def unittest_folder(folder):
    def suite(run):
        status, output = run.command([sys.executable, "-m", "unittest", "discover", "-v", "-s",
                                      folder, "-p", "*_test.py"])
        return [count_unittest(folder, status, output)]

    return suite


def script(*words, needs_release=False):
    """One command from the root; the paths of build/release in its environment."""

    def suite(run):
        broken = needs_release and run.build("release")
        if broken:
            return [broken]
        extra = {"OMENDB": str(BUILD / "release/omendb"),
                 "OMENDB_LIBRARY": str(BUILD / "release/libomendb.so")}
        for candidate in (BUILD / "release/cli/omendb", BUILD / "release/omendb"):
            if candidate.is_file():
                extra["OMENDB"] = str(candidate)
        status, output = run.command(words, extra=extra)
        return [count_any(words[-1], status, output)]

    return suite


def python_bindings(run):
    """Installs the package as a user would, into build/venv, and runs its suite on that."""
    pip = [VENV_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    status, output = run.command([*pip, "--force-reinstall", "--no-deps", "./bindings/python"])
    if status:
        return [Outcome("pip install ./bindings/python", failed=1, output=output)]
    status, output = run.command([VENV_PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                                  "bindings/python/tests"])
    return [Outcome("pip install", passed=1), count_pytest("pytest", status, output)]


def rust_bindings(run):
    """Both crates with Debian's Rust, offline, linked to the static library of build/release."""
    if not shutil.which("cargo") or not shutil.which("rustc"):
        return [Outcome("cargo", skipped=1, output="cargo and rustc can't be installed here\n")]
    broken = run.build("release")
    if broken:
        return [broken]
    status, output = run.command([sys.executable, "tools/rust_declarations.py", "--check"])
    outcomes = [count_lines("rust_declarations", status, output)]
    extra = {"OMENDB_LIB_DIR": str(BUILD / "release"), "CARGO_TARGET_DIR": str(BUILD / "rust"),
             "RUSTFLAGS": "-D warnings", "RUSTDOCFLAGS": "-D warnings"}
    for command in ("test --no-fail-fast", "run -q -p omendb-sys --example ffi",
                    "run -q -p omendb --example notes", "doc --no-deps"):
        first, *others = command.split()
        status, output = run.command(["cargo", first, "--offline", "--locked", "--jobs", run.jobs,
                                      *others], ROOT / "bindings/rust", extra)
        outcomes.append(count_cargo(f"cargo {command}", status, output))
    return outcomes


# Runs in `test`, so that each fuzzer takes some seconds; in `test-long` it is FUZZ_SECONDS.
FUZZ_RUNS = {"json": 60000, "document": 60000, "filter": 60000, "log": 800, "catalog": 200,
             "image": 400, "api": 150}
FUZZ_SECONDS = 1200


def fuzzers(run):
    """libFuzzer on each tests/fuzz/NAME_fuzz.c, on the seeds of tests/fuzz/make_corpus.py."""
    names = sorted(path.stem[:-len("_fuzz")] for path in ROOT.glob("tests/fuzz/*_fuzz.c"))
    if not shutil.which("clang-14") or not list(
            pathlib.Path("/usr/lib/llvm-14/lib/clang").glob("*/lib/linux/libclang_rt.fuzzer-*.a")):
        return [Outcome("fuzz", skipped=len(names),
                        output="".join(f"skip {name}_fuzz: clang-14 has no libFuzzer here\n"
                                       for name in names))]
    broken = run.build("fuzz", [f"{name}_fuzz" for name in names])
    if broken:
        return [broken]

    def one(run, name):
        effort = ["--seconds", FUZZ_SECONDS] if run.long else ["--runs", FUZZ_RUNS[name]]
        status, output = run.command([sys.executable, "tests/fuzz/run.py", name,
                                      BUILD / f"fuzz/tests/{name}_fuzz", *effort])
        return count_lines(name, status, output)

    return in_parallel(run, names, one)


def man_pages(run):
    outcomes = []
    for page in sorted(ROOT.glob("docs/*.[1-8]")):
        status, output = run.command(["mandoc", "-T", "lint", "-W", "warning", page])
        outcomes.append(Outcome(page.name, passed=int(not status), failed=int(status != 0),
                                output=output))
    return outcomes


def is_threaded(name, labels):
    return name.endswith("_threads_test") or "tsan" in labels


def suites():
    """(name, what it needs to exist, function), in the order in which they run."""
    return [
        ("tree", ["tools/check_tree.py"], tree),
        ("tree-rules", ["tests/tree/*_test.py"], unittest_folder("tests/tree")),
        ("bench-tools", ["tests/bench/*_test.py"], unittest_folder("tests/bench")),
        ("clang", ["src/*/*.c"], both_compilers),
        ("asan", ["tests/*/*_test.c"],
         programs("asan", lambda _, labels: not {"sim", "crash", "format"} & set(labels))),
        ("format", ["tests/format/run.py"],
         programs("asan", lambda _, labels: "format" in labels)),
        ("simulation", ["tests/sim/*_test.c"],
         programs("sim", lambda _, labels: {"sim", "crash"} & set(labels), build_all=False)),
        ("fuzz", ["tests/fuzz/*_fuzz.c"], fuzzers),
        ("threads", ["tests/*/*_threads_test.c"], programs("tsan", is_threaded, build_all=False)),
        ("neon", ["tools/test_neon.sh"], script("tools/test_neon.sh")),
        ("python", ["bindings/python/pyproject.toml"], python_bindings),
        ("rust", ["bindings/rust/Cargo.toml"], rust_bindings),
        ("demo", ["tests/demo/run.py"], script(sys.executable, "tests/demo/run.py",
                                               needs_release=True)),
        ("packaging", ["tests/packaging/run.py"], script(sys.executable, "tests/packaging/run.py",
                                                         needs_release=True)),
        ("amalgamation", ["tests/amalgamation/run.py"],
         script(sys.executable, "tests/amalgamation/run.py")),
        ("readme", ["README.md", "tools/readme_example.py"],
         script(sys.executable, "tools/readme_example.py", needs_release=True)),
        ("man", ["docs/*.[1-8]"], man_pages),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", help="suites, separated by commas")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    there = [(name, function) for name, needs, function in suites()
             if all(any(ROOT.glob(pattern)) for pattern in needs)]
    if options.list:
        print("\n".join(name for name, _ in there))
        return 0
    if options.only:
        chosen = options.only.split(",")
        unknown = set(chosen) - {name for name, _ in there}
        if unknown:
            parser.error(f"no such suite here: {', '.join(sorted(unknown))}")
        there = [(name, function) for name, function in there if name in chosen]
    return run_suites(Run(options), there)


def run_suites(run, there):
    LOGS.mkdir(parents=True, exist_ok=True)
    total = {"passed": 0, "failed": 0, "skipped": 0}
    print(f"{'suite':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}", flush=True)
    for name, function in there:
        begin = time.monotonic()
        outcomes = function(run)
        seconds = time.monotonic() - begin
        with open(LOGS / f"{name}.log", "w", encoding="utf-8") as log:
            for outcome in outcomes:
                log.write(f"==== {outcome.name}\n{outcome.output}\n")
        counts = {key: sum(getattr(outcome, key) for outcome in outcomes) for key in total}
        print(f"{name:<12}{counts['passed']:>8}{counts['failed']:>8}{counts['skipped']:>9}"
              f"{seconds:>9.1f}", flush=True)
        for outcome in outcomes:
            if outcome.failed:
                print(f"---- {name}: {outcome.name}\n{outcome.output.rstrip()}\n----", flush=True)
        for key in total:
            total[key] += counts[key]
    line = f"{total['passed']} passed, {total['failed']} failed"
    line += f", {total['skipped']} skipped" if total["skipped"] else ""
    (LOGS / "summary.txt").write_text(line + "\n")
    print(line, flush=True)
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
