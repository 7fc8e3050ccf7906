#!/usr/bin/env python3
"""Makes the library as one C file and its header: omendb.c and omendb.h, into build/amalgamation.

usage: amalgamate.py [FOLDER]

Every file of src/ goes in once, headers before what includes them, in the order of tools/layers.txt.
What makes that possible is held up by the tree check: static names are unique, and kernels for other
processors carry their own function attributes. Here is done, beside joining:

- System headers come first, those of one processor under its guard.
- Macros that a .c file defines end with it. A header without an include guard (a template) is put in
  wherever it is included, and its macros end with that file too.
- Inner functions and tables with external linkage are renamed omendb_inner_*, so that they can't clash
  with names of the program that omendb.c is compiled into; they are hidden from dynamic linking.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"]+)"|<([^>]+)>)[^\n]*\n', re.M)
GUARD = re.compile(r"^#ifndef (\w+_H)\n#define \1\n", re.M)
# Headers that only one processor has: put first as well, since functions' names are replaced after.
PROCESSORS = {
    "__x86_64__": ("immintrin.h", "emmintrin.h", "cpuid.h"),
    "__aarch64__": ("arm_neon.h", "asm/hwcap.h", "sys/auxv.h"),
}
# Left where they stand, under conditions of their own.
CONDITIONAL = {"sanitizer/asan_interface.h", "xxh_x86dispatch.h", "xxhash.h"}

HEAD = """\
/* omendb.c - OmenDB {version}, the whole library in one file, with omendb.h beside it.
 *
 *     cc -std=c17 -O2 -ffp-contract=off -DNDEBUG -c omendb.c
 *     cc program.c omendb.o -lxxhash -lm -pthread
 *
 * Made by tools/amalgamate.py; change src/ instead. Linux, gcc or clang, x86-64 or 64-bit ARM; needs
 * xxhash.h and libxxhash. Fused multiplications would change results in their last bit, and answers
 * are the same bits on every processor: gcc's default outside -std=c17 is refused.
 *
 * Apache License 2.0.
 */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__STRICT_ANSI__) && \\
    !defined(OMENDB_FP_CONTRACT_OFF)
#error "compile with -std=c17, or with -ffp-contract=off -DOMENDB_FP_CONTRACT_OFF"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

"""


def layers():
    """Folders of src/ in build order."""
    for line in (ROOT / "tools/layers.txt").read_text().splitlines():
        name = line.split("#")[0].partition(":")[0].strip()
        if name and name != "outside":
            yield name


def sources():
    files = []
    for folder in layers():
        files += sorted((SOURCE / folder).glob("*.c"))
    if set(files) != set(SOURCE.rglob("*.c")):
        raise SystemExit("amalgamate: a folder of src/ is missing in tools/layers.txt")
    return files


def without_comments(text):
    return re.sub(r"/\*.*?\*/", lambda match: "\n" * match[0].count("\n"), text, flags=re.S)


def macros(text):
    return re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", text, re.M)


def external_names(text):
    """Inner functions and objects that the .c file defines for others: at the left margin, as
    clang-format leaves them, with no static before them."""
    text = without_comments(text)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*\n", "\n", text, flags=re.M)
    functions = re.findall(r"^(?!static\b|typedef\b|extern\b)[A-Za-z][\w \t*\n]*?\b(\w+)"
                           r"\([^;{}]*\)\s*\n\{", text, re.M)
    objects = re.findall(r"^(?!static\b|typedef\b|extern\b)(?:const |struct )*\w+[ \t*]+"
                         r"(?:const )?(\w+)(?:\[[^\]]*\])*\s*=", text, re.M)
    return [name for name in functions + objects if not name.startswith("omendb_")]


class Amalgamation:
    def __init__(self):
        self.done, self.system, self.output = set(), {}, []

    def text_of(self, path, ending):
        """The file with its includes put in; macros to be ended are added to `ending`."""
        text = path.read_text()

        def replace(match):
            quoted, angled = match.groups()
            if angled in CONDITIONAL:  # Its functions come from elsewhere: not hidden.
                return (f"#pragma GCC visibility push(default)\n{match[0]}"
                        "#pragma GCC visibility pop\n")
            if angled:
                self.system[angled] = True
                return ""
            if quoted == "omendb.h":
                return ""
            header = SOURCE / quoted
            if not GUARD.search(header.read_text()):
                ending.extend(macros(header.read_text()))
                return self.text_of(header, ending)
            if quoted not in self.done:
                self.done.add(quoted)
                self.output.append(f"/* ==== {quoted} ==== */\n{self.text_of(header, ending)}\n")
            return ""

        return INCLUDE.sub(replace, text)

    def add(self, path):
        ending = macros(path.read_text())
        text = self.text_of(path, ending)
        self.output.append(f"/* ==== {path.relative_to(SOURCE)} ==== */\n{text}")
        self.output.append("".join(f"#undef {name}\n" for name in dict.fromkeys(ending)) + "\n")


def includes(system):
    guarded = {name for names in PROCESSORS.values() for name in names}
    lines = [f"#include <{name}>\n" for name in sorted(set(system) - guarded)]
    for guard, names in PROCESSORS.items():
        lines.append(f"#if defined({guard})\n")
        lines += [f"#include <{name}>\n" for name in names if name in system]
        lines.append("#endif\n")
    return "".join(lines)


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build/amalgamation"
    folder.mkdir(parents=True, exist_ok=True)
    header = (ROOT / "include/omendb.h").read_text()
    version = re.search(r'OMENDB_VERSION_STRING "(.*)"', header)[1]
    everything, names = Amalgamation(), []
    for path in sources():
        everything.add(path)
        names += external_names(path.read_text())
    body = "".join(everything.output)
    parts = [HEAD.replace("{version}", version), includes(everything.system),
             '\n#include "omendb.h"\n\n#pragma GCC visibility push(hidden)\n\n',
             "".join(f"#define {name} omendb_inner_{name}\n" for name in sorted(set(names))), "\n",
             body, "#pragma GCC visibility pop\n"]
    (folder / "omendb.c").write_text("".join(parts))
    (folder / "omendb.h").write_text(header)
    return 0


if __name__ == "__main__":
    sys.exit(main())
