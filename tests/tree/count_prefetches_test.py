"""tools/count_prefetches.py sees walks that lost their prefetches: the real walks are compiled with
and without them."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@unittest.skipUnless(shutil.which(os.environ.get("OBJDUMP", "objdump")), "no objdump")
class CountPrefetches(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        for name in ("include", "src"):
            shutil.copytree(ROOT / name, self.root / name)

    def edit(self, name, pattern, replacement):
        path = self.root / name
        text, count = re.subn(pattern, replacement, path.read_text(encoding="utf-8"), flags=re.S)
        self.assertGreaterEqual(count, 1)
        path.write_text(text, encoding="utf-8")

    def count(self):
        """(exit status, what was printed) for the walks as they are in the copy."""
        library = self.root / "walks.so"
        sources = [path for path in (self.root / "src/index/vector").glob("graph_*.c")
                   if '"index/vector/graph_loop.h"' in path.read_text(encoding="utf-8")]
        self.assertGreaterEqual(len(sources), 3)
        subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-D_GNU_SOURCE", "-O2", "-DNDEBUG",
                        "-fPIC", "-shared", "-fvisibility=hidden", "-I", self.root / "include",
                        "-I", self.root / "src", *sources, "-o", library], check=True)
        result = subprocess.run([sys.executable, ROOT / "tools/count_prefetches.py", "--root",
                                 self.root, "--library", library], capture_output=True, text=True)
        return result.returncode, result.stdout

    def test_walks_as_they_are_pass(self):
        status, output = self.count()
        self.assertEqual(status, 0, output)
        self.assertGreaterEqual(len(re.findall("^ok prefetches of .*_walk_", output, re.M)), 4)

    def test_walks_without_prefetches_fail(self):
        self.edit("src/base/compiler.h", r"\n#if defined\(__x86_64__\)\n    __asm__.*?#endif\n",
                  "\n    (void)address;\n")
        status, output = self.count()
        self.assertEqual(status, 1)
        self.assertNotIn("\nok ", "\n" + output)

    def test_a_single_lost_loop_fails(self):
        # Those of a constant size vanish, the others stay.
        self.edit("src/index/vector/graph_loop.h",
                  r"(?=    for \(size_t i = 0; i < size; i \+= CACHE)",
                  "    if (__builtin_constant_p(size)) return;\n")
        status, output = self.count()
        self.assertEqual(status, 1, output)
        self.assertRegex(output, "not ok prefetches of graph_portable_walk_edges: [1-9]")


if __name__ == "__main__":
    unittest.main()
