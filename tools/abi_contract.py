#!/usr/bin/env python3
"""Writes down the ABI of include/omendb.h as a C program: what a later header may not change.

usage: abi_contract.py >tests/abi/contract_0.c     (when a version is released whose ABI is new)

The program declares every function again, states the value of each constant, and the offset and type of
each member; it compiles only as long as they hold. Functions, constants, and members at the end of
structures that begin with struct_size may be added; other structures keep their size. It is linked to
libomendb.so, which must have every function.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADER = ROOT / "include/omendb.h"
NOT_CONSTANTS = {"OMENDB_API", "OMENDB_NODISCARD", "OMENDB_H"}

HEAD = """\
/* contract_0.c - the ABI of libomendb.so.0, as programs that exist were compiled against it.
 *
 * Written by tools/abi_contract.py. It isn't written again when the header grows: that it still compiles
 * is the test. Only a new SONAME begins a new one.
 */
#include <omendb.h>

#include <stdio.h>

/* clang-format off */
#define SAME_TYPE(type, member, wanted) \\
    _Static_assert(__builtin_types_compatible_p(__typeof__(((type *)0)->member), wanted), #type)
"""


def preprocessed():
    text = subprocess.run(["gcc", "-E", "-P", HEADER], capture_output=True, text=True,
                          check=True).stdout
    text = text[text.index("typedef struct omendb omendb;"):]
    return re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)", "", text)


def members(code):
    """(structure, member, C type), in order."""
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", code, re.S):
        for text in filter(str.strip, body.split(";")):
            match = re.fullmatch(r"(.*?)(\w+)(\[\d+\])?", " ".join(text.split()))
            yield name, match[2], match[1].strip() + (match[3] or "")


def numbers(expressions):
    """What gcc makes of them, with the header included."""
    lines = "".join(f'    printf("%lld\\n", (long long)({text}));\n' for text in expressions)
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "ask.c"
        source.write_text(f'#include "{HEADER}"\n#include <stdio.h>\nint main(void) {{\n{lines}}}\n')
        subprocess.run(["gcc", source, "-o", source.with_suffix("")], check=True)
        output = subprocess.run([source.with_suffix("")], capture_output=True, text=True, check=True)
    return output.stdout.split()


def main():
    code, header = preprocessed(), HEADER.read_text()
    rows = list(members(code))
    fixed = [name for name in dict.fromkeys(row[0] for row in rows)
             if (name, "struct_size", "uint32_t") not in rows]
    names = re.findall(r"\b(OMENDB_\w+) = ", code)
    # The version changes with every release, and limits may be raised.
    names += [name for name, value in re.findall(r"^#define (OMENDB_\w+) (\S+)", header, re.M)
              if name not in NOT_CONSTANTS and not name.endswith("_INIT")
              and not name.endswith("_MAX") and "_VERSION_M" not in name and "_VERSION_P" not in name
              and not value.startswith('"')]
    functions = [(" ".join(result.split()), name, " ".join(text.split())) for result, name, text in
                 re.findall(r"^\s*((?:const )?\w+\s+\**)\s*(omendb_\w+)\(([^;]*)\);", code, re.M)]
    values = numbers([f"offsetof({row[0]}, {row[1]})" for row in rows]
                     + [f"sizeof({name})" for name in fixed])
    constants = numbers(names)
    out = [HEAD]
    for (name, member, kind), value in zip(rows, values):
        out.append(f'_Static_assert(offsetof({name}, {member}) == {value}, "{name}");\n'
                   f"SAME_TYPE({name}, {member}, {kind});\n")
    for name, value in zip(fixed, values[len(rows):]):
        out.append(f'_Static_assert(sizeof({name}) == {value}, "{name}");\n')
    for name, value in zip(names, constants):
        value = f"UINT64_MAX - {-1 - int(value)}" if "_VERSION_" in name else value
        out.append(f'_Static_assert({name} == {value}, "{name}");\n')
    out += [f"{result} {name}({text});\n" for result, name, text in functions]
    out.append("\nstatic void (*const functions[])(void) = {\n")
    out += [f"    (void (*)(void)){name},\n" for _, name, _ in functions]
    out.append("};\n\nint main(void)\n{\n"
               "    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)\n"
               "        if (functions[i] == NULL) return 1;\n"
               '    puts("ok programs_of_this_abi_still_run");\n    return 0;\n}\n')
    sys.stdout.write("".join(out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
