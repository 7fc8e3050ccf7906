#!/usr/bin/env python3
"""Checks what reviewers should not have to: layers, seams, headers, exports, names, format.

usage: check_tree.py [--root DIR] [--objects DIR] [--library FILE] [--only RULE,...] [--list]

  --objects  object files of src/, laid out as in src/ (a plain release build, no sanitizers)
  --library  the shared library

Prints "ok RULE" or "not ok RULE" with the problems, and exits 1 when there are any. Rules that
need --objects or --library are left out without them; --only names the rules that must run.
Their tables are tools/layers.txt and tools/symbols.txt; tests/tree/ holds one seeded violation
of each rule.
"""
import argparse
import concurrent.futures
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys

LINES_MAX = 800
C_FOLDERS = ("include", "src", "tests", "cli", "bindings", "server", "cluster", "bench", "demo", "examples")
TEXT_ENDINGS = {".c", ".h", ".cc", ".cpp", ".py", ".pyi", ".sh", ".md", ".txt", ".cmake", ".toml",
                ".json", ".yml", ".yaml", ".rs", ".1", ".5", ".7", ".in", ".map", ""}
# In two halves each, so that this file may stand in the tree that it checks.
FORBIDDEN = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"]+)"|<([^>]+)>|(\w+))')
LINKER_NAMES = {"_init", "_fini", "_edata", "_end", "__bss_start"}


class Tree:
    """The files to look at: what git tracks or would track; without git, all but builds."""

    def __init__(self, root):
        self.root = root
        if (root / ".git").exists():
            listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"],
                                    cwd=root, capture_output=True, check=True).stdout
            names = [os.fsdecode(name) for name in listed.split(b"\0") if name]
        else:
            names = [str(path.relative_to(root)) for path in root.rglob("*")
                     if not re.match(r"build\b|\.git/", str(path.relative_to(root)))]
        self.files = sorted(name for name in set(names) if (root / name).is_file())

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    def sources(self, folders=C_FOLDERS, endings=(".c", ".h", ".cc")):
        return [name for name in self.files
                if name.split("/")[0] in folders and name.endswith(endings)]


def read_table(path):
    """Lines "name : words"; rows of one name add up. '#' begins a comment."""
    table = {}
    for line in path.read_text().splitlines():
        line = line.split("#")[0]
        if ":" in line:
            name, _, rest = line.partition(":")
            table.setdefault(name.strip(), []).extend(rest.split())
    return table


def folder_of(source):
    """The layer of a path below src/: its folder."""
    return str(pathlib.PurePosixPath(source).parent)


def check_layers(tree, _options):
    """src/ includes downwards only; everything beside it lives on omendb.h."""
    table = read_table(tree.root / "tools/layers.txt")
    outside = table.pop("outside", [])
    inner = {name[len("src/"):] for name in tree.files if name.startswith("src/")}
    for name in tree.sources(("src",)):
        here = folder_of(name[len("src/"):])
        if here not in table:
            yield f"{name}: the folder {here}/ is not in tools/layers.txt"
            continue
        for number, quoted, angled, macro in includes(tree.text(name)):
            where = f"{name}:{number}"
            if macro:
                yield f"{where}: #include of the macro {macro} hides what is included"
            elif angled:
                if angled in inner or angled == "omendb.h":
                    yield f"{where}: <{angled}> is ours; include it with quotes"
            elif quoted != "omendb.h":
                if quoted not in inner or ".." in quoted.split("/"):
                    yield f'{where}: "{quoted}" is no path below src/'
                elif folder_of(quoted) not in {here, *table[here]}:
                    yield f"{where}: {here}/ may not include {folder_of(quoted)}/"
    for name in tree.sources(tuple(outside)):
        top = name.split("/")[0]
        for number, quoted, angled, macro in includes(tree.text(name)):
            own = quoted and any(is_below(tree.root / base / quoted, tree.root / top)
                                 for base in (folder_of(name), top))
            if (quoted and quoted != "omendb.h" and not own) or angled in inner or macro:
                yield (f"{name}:{number}: {top}/ may include omendb.h, its own and system "
                       f"headers only, not {quoted or angled or macro}")


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield (number, *match.groups())


def is_below(path, folder):
    return path.is_file() and folder.resolve() in path.resolve().parents


def check_symbols(tree, options):
    """An object file needs only what tools/symbols.txt and tools/layers.txt allow."""
    layers = read_table(tree.root / "tools/layers.txt")
    allowed = read_table(tree.root / "tools/symbols.txt")
    objects = sorted(options.objects.rglob("*.o"))
    if not objects:
        yield f"{options.objects}: no object files"
    home, needed = {}, {}
    for path in objects:
        unit = re.sub(r"(\.c)?\.o$", "", str(path.relative_to(options.objects)))
        output = subprocess.run(["nm", "-P", str(path)], capture_output=True, text=True, check=True)
        for line in output.stdout.splitlines():
            symbol, kind = line.split()[:2]
            if kind in "Uwv":
                needed.setdefault(unit, []).append(symbol.split("@")[0])
            elif kind.isupper() or kind == "u":
                home[symbol.split("@")[0]] = unit
    for unit, symbols in needed.items():
        here = folder_of(unit)
        patterns = [word for key, words in allowed.items() for word in words
                    if key == "*" or unit == key or unit.startswith(key + "/")]
        for symbol in sorted(set(symbols)):
            if symbol in home:
                there = folder_of(home[symbol])
                if there != here and there not in layers.get(here, []):
                    yield f"{unit}: calls {symbol} of {there}/, which {here}/ may not include"
                continue
            plain = re.sub(r"^__(\w+)_chk$", r"\1", symbol)  # What _FORTIFY_SOURCE makes of it.
            plain = re.sub(r"^__isoc\d+_", "", plain)
            if not any(fnmatch.fnmatchcase(name, p) for p in patterns for name in (symbol, plain)):
                yield f"{unit}: uses {symbol}, which tools/symbols.txt does not allow there"


def check_headers(tree, _options):
    """Every header compiles alone and twice; the public one as C99 and C++11 as well."""
    jobs = []
    strict = ["-Wall", "-Wextra", "-Werror"]
    public = ["-Wpedantic", "-pedantic-errors", *strict]
    clang = shutil.which("clang-14")
    for name in tree.sources(("include", "src", "tests"), (".h",)):
        paths = [f"-I{tree.root}/include"]
        if not name.startswith("include/"):
            paths += [f"-I{tree.root}/src", f"-I{tree.root}/tests", "-D_GNU_SOURCE"]
        for compiler in ["gcc", clang] if clang else ["gcc"]:
            jobs.append((name, [compiler, "-std=c17", "-x", "c", *strict, *paths]))
            if name.startswith("include/"):
                jobs.append((name, [compiler, "-std=c99", "-x", "c", *public, *paths]))
                # Clang's C++ finds no headers where no libstdc++-dev is installed.
                cxx = "g++" if compiler == "gcc" else clang
                if shutil.which("g++"):
                    jobs.append((name, [cxx, "-std=c++11", "-x", "c++", *public, *paths]))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for problem in pool.map(lambda job: compile_header(tree, *job), jobs):
            if problem:
                yield problem


def compile_header(tree, name, command):
    path = tree.root / name
    result = subprocess.run([*command, "-fsyntax-only", "-Wno-unused-function", "-"],
                            input=f'#include "{path}"\n' * 2,
                            capture_output=True, text=True)
    if result.returncode == 0:
        return None
    lines = [line for line in result.stderr.splitlines() if "error:" in line] or ["no message"]
    return f"{name}: not self-contained under {command[0]} {command[1]}: {lines[0]}"


def check_exports(tree, options):
    """The shared library exports what omendb.h declares, no more and no less."""
    text = subprocess.run(["gcc", "-E", "-P", str(tree.root / "include/omendb.h")],
                          capture_output=True, text=True, check=True).stdout
    declared = set(re.findall(r"\b(omendb_\w+)\s*\(", text))
    exported = set()
    output = subprocess.run(["nm", "-D", "-P", "--defined-only", str(options.library)],
                            capture_output=True, text=True, check=True).stdout
    for line in output.splitlines():
        symbol, kind = line.split()[:2]
        if kind != "A":  # The names of versions are absolute symbols.
            exported.add(symbol.split("@")[0])
    for symbol in sorted(exported - declared - LINKER_NAMES):
        yield f"{options.library.name}: exports {symbol}, which omendb.h does not declare"
    for symbol in sorted(declared - exported):
        yield f"{options.library.name}: lacks {symbol}, which omendb.h declares"


def check_statics(tree, _options):
    """Static names of src/ are unique, so that all of it can be compiled as one file."""
    # The definitions stand at the left margin: clang-format sees to that.
    name_pattern = re.compile(r"^static\b([^;={(]*?)\b(\w+)\s*(?=[(\[=;])", re.M)
    seen = {}
    for name in tree.sources(("src",), (".c", ".h")):
        text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), tree.text(name), flags=re.S)
        text = re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)", " ", text)
        text = re.sub(r"\b(?:ALIGNED|PRINTF_LIKE|_Alignas)\([^()]*\)", " ", text)
        for match in name_pattern.finditer(text):
            symbol = match[2]
            other = seen.setdefault(symbol, name)
            if other != name:
                line = text.count("\n", 0, match.start()) + 1
                yield f"{name}:{line}: static {symbol} is also in {other}"
                seen[symbol] = name


def check_format(tree, _options):
    """clang-format 14 would change nothing."""
    files = tree.sources()
    tool = shutil.which("clang-format-14")
    if not tool:
        yield "clang-format-14 is not installed (tools/install_dependencies.sh test)"
    elif files:
        result = subprocess.run([tool, "--dry-run", "-Werror", *files], cwd=tree.root,
                                capture_output=True, text=True)
        wrong = [line for line in result.stderr.splitlines() if "error:" in line]
        for name in dict.fromkeys(line.split(":")[0] for line in wrong):
            line = next(line for line in wrong if line.startswith(name + ":"))
            yield f"{':'.join(line.split(':')[:2])}: not formatted (make format)"
        if result.returncode and not wrong:
            yield f"clang-format-14: {result.stderr.strip()}"


def written_by_hand(tree, endings):
    """Text files that are ours: no data, no licence, nothing stored for comparison."""
    for name in tree.files:
        path = pathlib.PurePosixPath(name)
        if path.suffix in endings and path.name != "LICENSE" and not (
                {"data", "golden", "vendor", "corpus"} & set(path.parts)):
            yield name


def check_length(tree, _options):
    """No file of code is over 800 lines unless its first 30 lines say why."""
    for name in written_by_hand(tree, {".c", ".h", ".cc", ".py", ".pyi", ".sh", ".rs", ".cmake"}):
        lines = tree.text(name).splitlines()
        if len(lines) > LINES_MAX and not any("Long because:" in line for line in lines[:30]):
            yield f"{name}: {len(lines)} lines, more than {LINES_MAX}, without 'Long because:'"


def check_words(tree, _options):
    """What is unfinished stands in an issue, not in the tree."""
    for name in written_by_hand(tree, TEXT_ENDINGS):
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            match = FORBIDDEN.search(line)
            if match:
                yield f"{name}:{number}: {match[0]}"


RULES = {rule.__name__[len("check_"):]: rule for rule in (
    check_layers, check_symbols, check_headers, check_exports, check_statics, check_format,
    check_length, check_words)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--objects", type=pathlib.Path)
    parser.add_argument("--library", type=pathlib.Path)
    parser.add_argument("--only", help="rules, separated by commas")
    parser.add_argument("--list", action="store_true", help="print the rules")
    options = parser.parse_args()
    if options.list:
        for name, rule in RULES.items():
            print(f"{name:9} {rule.__doc__}")
        return 0
    needs = {"symbols": options.objects, "exports": options.library}
    names = options.only.split(",") if options.only else [n for n in RULES if needs.get(n, True)]
    for name in names:
        if name not in RULES or not needs.get(name, True):
            parser.error(f"rule {name} is unknown or lacks its --objects or --library")
    tree = Tree(options.root.resolve())
    failed = False
    for name in names:
        problems = list(RULES[name](tree, options))
        print("\n".join([f"{'not ok' if problems else 'ok'} {name}",
                         *("  " + problem for problem in problems)]))
        failed = failed or bool(problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
