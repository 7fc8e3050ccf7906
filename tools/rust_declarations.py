#!/usr/bin/env python3
"""Writes include/omendb.h as Rust: bindings/rust/omendb-sys/src/declarations.rs.

usage: rust_declarations.py [--check]

The file is checked in, so that building the crate needs no such tool; `make test` runs --check,
which writes nothing and fails when the file isn't what the header says. Whether the declarations
mean the same to both compilers is for the crate's own test to say (tests/layout.rs): it asks gcc.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADER = ROOT / "include/omendb.h"
OUTPUT = ROOT / "bindings/rust/omendb-sys/src/declarations.rs"

TYPES = {"uint32_t": "u32", "int32_t": "i32", "uint64_t": "u64", "uint8_t": "u8",
         "size_t": "usize", "float": "f32", "char": "c_char", "int": "c_int", "void": "c_void"}
ZERO = {"usize": "0", "f32": "0.0"}
NOT_CONSTANTS = {"OMENDB_API", "OMENDB_NODISCARD", "OMENDB_H"}
HEAD = """\
// Written by tools/rust_declarations.py from include/omendb.h: change that, and run it.
use std::os::raw::{c_char, c_int, c_void};

"""


def rust_type(text):
    """Of a C type without the name that it declares; `const` stands before its base type."""
    constant, result = False, None
    for token in re.findall(r"\w+|\*", text):
        if token == "const":
            constant = True
        elif token == "*":
            result = f"*{'const' if constant else 'mut'} {result}"
            constant = False
        else:
            result = TYPES.get(token, token)
    return result


def declared(text):
    """(name, Rust type) of one C parameter or member; a type is no name in Rust."""
    match = re.fullmatch(r"(.*?)(\w+)(?:\[(\d+)\])?", text.strip(), re.S)
    kind = rust_type(match[1])
    name = "type_" if match[2] == "type" else match[2]
    return name, f"[{kind}; {match[3]}]" if match[3] else kind


def zero(kind):
    if kind.startswith("*"):
        return "std::ptr::null()" if kind.startswith("*const") else "std::ptr::null_mut()"
    return "None" if kind.endswith("_progress") else ZERO.get(kind, "0")


def constants(header):
    for name, value in re.findall(r"^#define (OMENDB_\w+) (\S.*?)\s*(?:/\*.*)?$", header, re.M):
        if name in NOT_CONSTANTS or name.endswith("_INIT"):
            continue
        if value.startswith('"'):
            yield f"pub const {name}: &str = {value};\n"
        elif "UINT64_MAX" in value:
            yield f"pub const {name}: u64 = {value.strip('()').replace('UINT64_MAX', 'u64::MAX')};\n"
        else:
            yield f"pub const {name}: u32 = {int(value.rstrip('u')):_};\n"


def enumerations(code):
    for base, alias, body in re.findall(
            r"(?:typedef (u?int32_t) (\w+);\s*)?enum \{(.*?)\};", code, re.S):
        yield "\n"
        if alias:
            yield f"pub type {alias} = {TYPES[base]};\n"
        for name, value in re.findall(r"(OMENDB_\w+) = (-?\d+)u?", body):
            yield f"pub const {name}: {alias or 'u32'} = {value};\n"


def function(name, parameters, result):
    text = ", ".join(f"{key}: {kind}" for key, kind in parameters)
    tail = "" if result == "c_void" else f" -> {result}"
    line = f"    pub fn {name}({text}){tail};\n"
    if len(line) <= 101:
        return line
    rows = "".join(f"        {key}: {kind},\n" for key, kind in parameters)
    return f"    pub fn {name}(\n{rows}    ){tail};\n"


def structures(code):
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", code, re.S):
        members = [declared(member) for member in body.split(";") if member.strip()]
        rows = "".join(f"    pub {key}: {kind},\n" for key, kind in members)
        yield f"\n#[repr(C)]\n#[derive(Debug, Clone, Copy)]\npub struct {name} {{\n{rows}}}\n"
        if members[0][0] != "struct_size":
            continue
        rows = "".join(f"        {key}: {zero(kind)},\n" for key, kind in members[1:])
        yield (f"\nimpl {name} {{\n"
               "    /// `struct_size`, and every other member zero: the default.\n"
               "    pub const INIT: Self = Self {\n"
               f"        struct_size: std::mem::size_of::<Self>() as u32,\n{rows}    }};\n}}\n")


def translate():
    header = HEADER.read_text()
    code = subprocess.run(["gcc", "-E", "-P", HEADER], capture_output=True, text=True,
                          check=True).stdout
    code = code[code.index("typedef struct omendb omendb;"):]
    code = re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)", "", code)
    parts = [HEAD, *constants(header), *enumerations(code), "\n"]
    for name in re.findall(r"typedef struct (\w+) \1;", code):
        parts.append(f"opaque!({name});\n")
    for name, text in re.findall(r"typedef int \(\*(\w+)\)\((.*?)\);", code):
        parameters = ", ".join(": ".join(declared(item)) for item in text.split(","))
        parts.append(f'\npub type {name} =\n    Option<unsafe extern "C" fn({parameters}) -> c_int>;\n')
    parts += structures(code)
    parts.append('\nextern "C" {\n')
    for result, name, text in re.findall(
            r"^\s*((?:const )?\w+\s+\**)\s*(omendb_\w+)\(([^;]*)\);", code, re.M):
        text = " ".join(text.split())
        parameters = [] if text == "void" else [declared(item) for item in text.split(",")]
        parts.append(function(name, parameters, rust_type(result)))
    return "".join(parts) + "}\n"


def main():
    text = translate()
    if sys.argv[1:] == ["--check"]:
        same = OUTPUT.read_text() == text
        print("ok the_rust_declarations_are_those_of_the_header" if same else
              "not ok the_rust_declarations_are_those_of_the_header\n"
              "  run tools/rust_declarations.py")
        return 0 if same else 1
    OUTPUT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
