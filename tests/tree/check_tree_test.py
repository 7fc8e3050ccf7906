"""Seeds one violation of each rule of tools/check_tree.py into a small tree; each must be seen."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

HEADER = """\
#ifndef OMENDB_H
#define OMENDB_H
#ifdef __cplusplus
extern "C" {
#endif
__attribute__((visibility("default"))) int omendb_count(void);
#ifdef __cplusplus
}
#endif
#endif
"""

# The smallest tree that keeps every rule: path -> text.
CLEAN = {
    "include/omendb.h": HEADER,
    "src/base/add.h": "#ifndef BASE_ADD_H\n#define BASE_ADD_H\nint add(int a, int b);\n#endif\n",
    "src/base/add.c": """\
        #include "base/add.h"

        static int sum_of(int a, int b)
        {
            return a + b;
        }

        int add(int a, int b)
        {
            return sum_of(a, b);
        }
        """,
    "src/os/seam.h": "#ifndef OS_SEAM_H\n#define OS_SEAM_H\nint seam(void);\n#endif\n",
    "src/os/seam.c": """\
        #include "os/seam.h"

        #include <unistd.h>

        int seam(void)
        {
            return getpid();
        }
        """,
    "src/store/keep.c": """\
        #include <string.h>

        #include "base/add.h"
        #include "os/seam.h"

        int keep(const char *text);
        int keep(const char *text)
        {
            return add(seam(), (int)strlen(text));
        }
        """,
    "src/api/count.c": """\
        #include "base/add.h"
        #include "omendb.h"

        int omendb_count(void)
        {
            return add(1, 2);
        }
        """,
    "cli/main.c": """\
        #include <stdio.h>

        #include "omendb.h"

        int main(void)
        {
            printf("%d\\n", omendb_count());
            return 0;
        }
        """,
}


class CheckTreeTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        for name, text in CLEAN.items():
            self.write(name, text)
        (self.folder / "tools").mkdir()
        for name in ("layers.txt", "symbols.txt"):
            shutil.copy(ROOT / "tools" / name, self.folder / "tools")
        shutil.copy(ROOT / ".clang-format", self.folder)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def build(self):
        """Object files laid out as in src/, and the shared library."""
        objects = self.folder / "build/objects"
        sources = sorted((self.folder / "src").rglob("*.c"))
        made = []
        for source in sources:
            out = objects / (str(source.relative_to(self.folder / "src")) + ".o")
            out.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-O1", "-fPIC",
                            "-fvisibility=hidden", f"-I{self.folder}/include",
                            f"-I{self.folder}/src", "-c", str(source), "-o", str(out)], check=True)
            made.append(str(out))
        library = self.folder / "build/libomendb.so"
        subprocess.run(["gcc", "-shared", "-o", str(library), *made], check=True)
        return ["--objects", str(objects), "--library", str(library)]

    def check(self, rule, *more):
        """(exit status, output) of one rule on the tree."""
        result = subprocess.run([sys.executable, str(ROOT / "tools/check_tree.py"), "--root",
                                 str(self.folder), *(["--only", rule] if rule else []), *more],
                                capture_output=True, text=True)
        self.assertEqual(result.stderr, "")
        return result.returncode, result.stdout

    def refuses(self, rule, pattern, *more):
        status, output = self.check(rule, *more)
        self.assertIn(f"not ok {rule}", output)
        self.assertRegex(output, pattern)
        self.assertEqual(status, 1)

    def test_a_clean_tree_passes_every_rule(self):
        status, output = self.check(None, *self.build())
        self.assertEqual(status, 0, output)
        self.assertEqual(len(re.findall(r"^ok ", output, re.M)), 8, output)

    # ---- layers ----

    def test_including_upwards_is_refused(self):
        self.write("src/store/wal.h", "int wal(void);\n")
        self.write("src/base/up.c", '#include "store/wal.h"\nint up;\n')
        self.refuses("layers", r"src/base/up\.c:1: base/ may not include store/")

    def test_one_index_may_not_see_another(self):
        self.write("src/index/text/terms.h", "int terms(void);\n")
        self.write("src/index/vector/graph.c", '#include "index/text/terms.h"\nint graph;\n')
        self.refuses("layers", r"index/vector/ may not include index/text/")

    def test_a_folder_without_a_layer_is_refused(self):
        self.write("src/misc/a.c", "int a;\n")
        self.refuses("layers", r"misc/ is not in tools/layers\.txt")

    def test_an_include_may_not_climb(self):
        self.write("src/base/up.c", '#include "../os/seam.h"\nint up;\n')
        self.refuses("layers", r"is no path below src/")

    def test_an_include_without_its_folder_is_refused(self):
        self.write("src/base/up.c", '#include "add.h"\nint up;\n')
        self.refuses("layers", r'"add\.h" is no path below src/')

    def test_angle_brackets_do_not_hide_a_layer(self):
        self.write("src/base/up.c", "#include <os/seam.h>\nint up;\n")
        self.refuses("layers", r"include it with quotes")

    def test_a_macro_does_not_hide_a_layer(self):
        self.write("src/base/up.c", '#define UP "os/seam.h"\n#include UP\nint up;\n')
        self.refuses("layers", r"hides what is included")

    def test_the_shell_lives_on_the_public_header(self):
        self.write("cli/main.c", '#include "../src/base/add.h"\nint main(void);\n')
        self.refuses("layers", r"cli/ may include omendb\.h, its own and system headers only")

    def test_the_shell_does_not_reach_inside_by_angle_brackets(self):
        self.write("cli/main.c", "#include <base/add.h>\nint main(void);\n")
        self.refuses("layers", r"cli/main\.c:1: cli/ may include omendb\.h")

    def test_the_shell_may_have_headers_of_its_own(self):
        self.write("cli/table.h", "int table(void);\n")
        self.write("cli/main.c", '#include "table.h"\nint main(void);\n')
        self.assertEqual(self.check("layers")[0], 0)

    def test_bindings_live_on_the_public_header(self):
        self.write("bindings/python/module.c", '#include "base/add.h"\nint module;\n')
        self.refuses("layers", r"bindings/ may include omendb\.h")

    # ---- symbols ----

    def test_the_heap_has_one_door(self):
        self.write("src/store/leak.c", "#include <stdlib.h>\nvoid *leak(void);\n"
                                       "void *leak(void) { return malloc(9); }\n")
        self.refuses("symbols", r"store/leak: uses malloc", *self.build())

    def test_only_os_touches_files(self):
        for call in ('fopen("x", "r") != 0', "(int)write(1, 0, 0)", "ftruncate(1, 0)"):
            self.write("src/store/io.c", "#include <stdio.h>\n#include <unistd.h>\n"
                                         f"int io(void);\nint io(void) {{ return {call}; }}\n")
            self.refuses("symbols", r"store/io: uses (fopen|write|ftruncate)", *self.build())

    def test_only_os_starts_threads_and_reads_the_clock(self):
        self.write("src/query/now.c", "#include <threads.h>\n#include <time.h>\nint now(void);\n"
                                      "int now(void) { thrd_t t; return (int)time(0) + "
                                      "thrd_create(&t, 0, 0); }\n")
        build = self.build()
        self.refuses("symbols", r"query/now: uses time", *build)
        self.refuses("symbols", r"query/now: uses thrd_create", *build)

    def test_the_library_prints_nothing(self):
        self.write("src/os/say.c", "#include <stdio.h>\nint say(void);\n"
                                   'int say(void) { return printf("%d", 1); }\n')
        self.refuses("symbols", r"os/say: uses printf", *self.build())

    def test_a_declaration_by_hand_does_not_reach_upwards(self):
        self.write("src/base/up.c", "int keep(const char *);\nint up(void);\n"
                                    'int up(void) { return keep(""); }\n')
        self.refuses("symbols", r"base/up: calls keep of store/", *self.build())

    def test_no_object_files_is_no_pass(self):
        (self.folder / "empty").mkdir()
        self.refuses("symbols", r"no object files", "--objects", str(self.folder / "empty"))

    # ---- headers ----

    def test_a_header_must_compile_alone(self):
        self.write("src/base/size.h", "size_t size_of(void);\n")
        self.refuses("headers", r"src/base/size\.h: not self-contained under gcc -std=c17")

    def test_a_header_must_bear_being_included_twice(self):
        self.write("src/base/twice.h", "struct twice {\n    int a;\n};\n")
        self.refuses("headers", r"src/base/twice\.h: not self-contained")

    def test_the_public_header_is_c99(self):
        self.write("include/omendb.h", HEADER.replace(
            "#ifdef", '_Static_assert(1, "C11");\n#ifdef', 1))
        self.refuses("headers", r"omendb\.h: not self-contained under gcc -std=c99")

    def test_the_public_header_is_cxx11(self):
        self.write("include/omendb.h", HEADER.replace("int omendb_count(void)",
                                                      "int omendb_count(int class)"))
        self.refuses("headers", r"omendb\.h: not self-contained under g\+\+ -std=c\+\+11")

    # ---- exports ----

    def test_an_export_must_be_declared(self):
        self.write("src/api/more.c", '__attribute__((visibility("default"))) int more(void);\n'
                                     "int more(void) { return 1; }\n")
        self.refuses("exports", r"exports more, which omendb\.h does not declare", *self.build())

    def test_a_declaration_must_be_exported(self):
        self.write("include/omendb.h", HEADER.replace(
            "int omendb_count(void);", "int omendb_count(void);\nint omendb_more(void);"))
        self.refuses("exports", r"lacks omendb_more, which omendb\.h declares", *self.build())

    def test_a_version_script_does_not_confuse_the_exports(self):
        build = self.build()
        script = self.folder / "build/map"
        script.write_text("OMENDB_0 { global: omendb_*; local: *; };\n")
        objects = [str(path) for path in (self.folder / "build/objects").rglob("*.o")]
        subprocess.run(["gcc", "-shared", f"-Wl,--version-script={script}", "-o", build[3],
                        *objects], check=True)
        status, output = self.check("exports", *build)
        self.assertEqual(status, 0, output)

    # ---- statics, format, length, words ----

    def test_static_names_are_unique(self):
        self.write("src/store/twin.c", "static int sum_of(int a)\n{\n    return a;\n}\n"
                                       "int twin(void)\n{\n    return sum_of(1);\n}\n")
        self.refuses("statics", r"src/store/twin\.c:1: static sum_of is also in src/base/add\.c")

    def test_static_tables_count_too(self):
        for name in ("one", "two"):
            self.write(f"src/store/{name}.c", "static const unsigned char weights[2] = {1, 2};\n")
        self.refuses("statics", r"static weights is also in src/store/one\.c")

    def test_unformatted_code_is_refused(self):
        self.write("src/base/ugly.c", "int ugly( void ){return 1;}\n")
        self.refuses("format", r"src/base/ugly\.c:1: not formatted")

    def test_a_long_file_must_say_why(self):
        lines = "".join(f"int number_{i};\n" for i in range(801))
        self.write("src/base/long.c", lines)
        self.refuses("length", r"src/base/long\.c: 801 lines")
        self.write("src/base/long.c", "/* Long because: it is one table. */\n" + lines)
        self.assertEqual(self.check("length")[0], 0)

    def test_unfinished_work_is_refused(self):
        for word in ("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"):
            self.write("docs/notes.md", f"# Notes\n\n{word}: finish this\n")
            self.refuses("words", rf"docs/notes\.md:3: {word}")

    def test_every_rule_is_seeded_here(self):
        listed = subprocess.run([sys.executable, str(ROOT / "tools/check_tree.py"), "--list"],
                                capture_output=True, text=True, check=True).stdout
        rules = {line.split()[0] for line in listed.splitlines()}
        seeded = set(re.findall(r'self\.refuses\("(\w+)"', pathlib.Path(__file__).read_text()))
        self.assertEqual(rules, seeded)


if __name__ == "__main__":
    unittest.main()
