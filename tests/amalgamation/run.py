#!/usr/bin/env python3
"""Compiles the single-file library and runs a program on it: run.py [TEST...].

It is made in an empty folder, so that nothing of src/ can be found from there. Needs gcc, clang 14,
binutils and libxxhash-dev; where there is a cross compiler for 64-bit ARM, that must take it too.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
CROSS = "aarch64-linux-gnu-gcc"


def run(*words, **changes):
    """What it printed; a failure shows it."""
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, **changes)
    if result.returncode:
        raise AssertionError(f"{words[0]}: {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def names(*words):
    return {line.split()[0].split("@")[0] for line in run("nm", "-P", *words).splitlines()}


class Amalgamation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="omendb-amalgamation-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        run(sys.executable, ROOT / "tools/amalgamate.py", cls.folder)
        run("gcc", "-std=c17", "-O2", "-fPIC", *WARNINGS, "-c", "omendb.c", cwd=cls.folder)
        cls.declared = set(re.findall(r"\b(omendb_\w+)\s*\(",
                                      run("gcc", "-E", "-P", cls.folder / "omendb.h")))

    def test_two_files_are_made(self):
        made = {path.name for path in self.folder.iterdir()}
        self.assertTrue({"omendb.c", "omendb.h"} <= made)
        text = (self.folder / "omendb.c").read_text()
        self.assertEqual(re.findall(r'^#include "(.*)"', text, re.M), ["omendb.h"])

    def test_the_c99_program_runs_on_it(self):
        shutil.copy(ROOT / "tests/abi/c99_program.c", self.folder)
        run("gcc", "-std=c99", *WARNINGS, "-I.", "c99_program.c", "omendb.o", "-o", "program",
            "-lxxhash", "-lm", "-pthread", cwd=self.folder)
        run("./program", "file.omen", cwd=self.folder)

    def test_every_global_name_begins_with_ours(self):
        found = names("-g", "--defined-only", self.folder / "omendb.o")
        self.assertEqual({name for name in found if not name.startswith("omendb_")}, set())
        self.assertLessEqual(self.declared, found)

    def test_a_shared_library_of_it_exports_the_header_s_names(self):
        run("gcc", "-shared", "omendb.o", "-o", "libone.so", "-lxxhash", "-lm", "-pthread",
            cwd=self.folder)
        self.assertEqual(names("-D", "--defined-only", self.folder / "libone.so"), self.declared)

    def test_clang_takes_it_without_a_warning(self):
        # Of small functions that were in headers, clang would have them all used.
        run("clang-14", "-std=c17", *WARNINGS, "-Wno-unused-function", "-fsyntax-only", "omendb.c",
            cwd=self.folder)

    def test_results_that_depend_on_flags_are_refused(self):
        result = subprocess.run(["gcc", "-std=gnu17", "-fsyntax-only", "omendb.c"],
                                cwd=self.folder, capture_output=True, text=True)
        self.assertIn("compile with -std=c17", result.stderr)
        self.assertNotEqual(result.returncode, 0)

    @unittest.skipUnless(shutil.which(CROSS), "no cross compiler for 64-bit ARM")
    def test_arm_takes_it_without_a_warning(self):
        system = self.folder / "system"  # One header of /usr/include; the others are x86's.
        system.mkdir()
        shutil.copy("/usr/include/xxhash.h", system)
        run(CROSS, "-std=c17", *WARNINGS, "-isystem", system, "-fsyntax-only", "omendb.c",
            cwd=self.folder)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
