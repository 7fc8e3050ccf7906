#!/usr/bin/env python3
"""Compiles and runs the README's C example as a reader would: against an installed copy.

Installs build/release into a temporary prefix, takes the first C block of README.md, compiles it
as strict C99 with the flags that the installed pkg-config file gives, runs it in an empty folder
and compares what it prints with the text block that follows it. It is run twice: the second run
must say that the collection exists, which shows that the first one left a database behind.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(words, **options):
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
    return result.returncode, result.stdout + result.stderr


def fail(name, text):
    print(f"not ok {name}\n{text}")
    sys.exit(1)


def compiler_flags(prefix):
    """From pkg-config, or read from its file where there is no such tool."""
    file = next(prefix.rglob("omendb.pc"))
    if shutil.which("pkg-config"):
        status, output = run(["pkg-config", "--cflags", "--libs", "omendb"],
                             env={**os.environ, "PKG_CONFIG_PATH": str(file.parent)})
        if status:
            fail("pkg_config_finds_it", output)
        return output.split()
    return [f"-I{prefix}/include", f"-L{file.parent.parent}", "-lomendb"]


def main():
    text = (ROOT / "README.md").read_text()
    match = re.search(r"```c\n(.*?)```.*?```text\n(.*?)```", text, re.S)
    if not match:
        fail("the_readme_has_an_example", "no C block with a text block after it in README.md")
    code, expected = match.groups()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        prefix, work = folder / "prefix", folder / "work"
        work.mkdir()
        status, output = run(["cmake", "--install", ROOT / "build/release", "--prefix", prefix])
        if status:
            fail("it_installs", output)
        print("ok it_installs")
        (work / "example.c").write_text(code)
        status, output = run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                              "example.c", "-o", "example", *compiler_flags(prefix)], cwd=work)
        if status:
            fail("the_example_compiles", output)
        print("ok the_example_compiles")
        libraries = next(prefix.rglob("libomendb.so")).parent
        environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
        status, output = run(["./example"], cwd=work, env=environment)
        if status or output != expected:
            fail("the_example_prints_what_the_readme_says",
                 f"exit status {status}; printed:\n{output}expected:\n{expected}")
        print("ok the_example_prints_what_the_readme_says")
        status, output = run(["./example"], cwd=work, env=environment)
        if status != 1 or "exist" not in output.lower():
            fail("the_example_leaves_a_database", f"exit status {status}; printed:\n{output}")
        print("ok the_example_leaves_a_database")
    return 0


if __name__ == "__main__":
    sys.exit(main())
