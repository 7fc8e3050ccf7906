#!/usr/bin/env python3
"""Installs build/release into an empty folder and builds programs against that alone: run.py [TEST...].

Needs build/release (the suite builds it), gcc, CMake, pkg-config and binutils; for Debian's packages
dpkg-dev as well.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build/release"
PROGRAM = ROOT / "tests/abi/c99_program.c"
STRICT = ["-std=c99", "-pedantic-errors", "-Wall", "-Wextra", "-Werror"]

PROJECT = """\
cmake_minimum_required(VERSION 3.22)
project(user LANGUAGES C)
find_package(omendb 0.1 REQUIRED CONFIG)
foreach(kind omendb static)
  add_executable(with_${kind} program.c)
  target_link_libraries(with_${kind} PRIVATE omendb::${kind})
endforeach()
"""


def run(*words, **changes):
    """What it printed; a failure shows it."""
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, **changes)
    if result.returncode:
        raise AssertionError(f"{words[0]}: {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def declared():
    """The functions of omendb.h."""
    text = run("gcc", "-E", "-P", ROOT / "include/omendb.h")
    return set(re.findall(r"\b(omendb_\w+)\s*\(", text))


class Packaging(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="omendb-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        # DESTDIR as packagers use it: the files find each other by where they lie.
        run("cmake", "--install", BUILD, "--prefix", "/opt/omendb",
            env={**os.environ, "DESTDIR": str(cls.folder)})
        cls.prefix = cls.folder / "opt/omendb"
        cls.libraries = next(cls.prefix.rglob("libomendb.so")).parent

    def names(self, *words):
        return {line.split()[0] for line in run("nm", "-P", *words).splitlines()
                if len(line.split()) >= 2}

    def flags(self, *options):
        folder = self.libraries / "pkgconfig"
        return run("pkg-config", *options, "omendb",
                   env={**os.environ, "PKG_CONFIG_PATH": str(folder)}).split()

    def try_program(self, program):
        data = pathlib.Path(program).with_suffix(".omen")
        run(program, data, env={**os.environ, "LD_LIBRARY_PATH": str(self.libraries)})

    def needed(self, program):
        return re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", program))

    def test_the_archive_has_only_public_names(self):
        archive = self.libraries / "libomendb.a"
        self.assertEqual(self.names("-g", "--defined-only", archive), declared())

    def test_the_shared_library_has_versioned_public_names_and_a_soname(self):
        library = self.libraries / "libomendb.so"
        names = self.names("-D", "--defined-only", library) - {"OMENDB_0"}
        self.assertEqual({name.split("@")[0] for name in names} - {"OMENDB_0"}, declared())
        self.assertTrue(all("@OMENDB_0" in name for name in names if name.startswith("omendb_")))
        self.assertIn("soname: [libomendb.so.0]", run("readelf", "-d", library))
        self.assertTrue(library.is_symlink() and (self.libraries / "libomendb.so.0").is_symlink())

    def test_everything_is_installed(self):
        for name in ("include/omendb.h", "bin/omendb", "share/man/man1/omendb.1"):
            self.assertTrue((self.prefix / name).is_file(), name)

    def test_no_installed_file_names_the_build_folder(self):
        for path in self.prefix.rglob("*"):
            if path.suffix in (".pc", ".cmake", ".h"):
                self.assertNotIn(str(ROOT), path.read_text(), path)

    def test_pkg_config_links_the_shared_library(self):
        program = self.folder / "shared"
        run("gcc", *STRICT, PROGRAM, "-o", program, *self.flags("--cflags", "--libs"))
        self.assertIn("libomendb.so.0", self.needed(program))
        self.try_program(program)

    def test_pkg_config_links_the_archive(self):
        program = self.folder / "archive"
        flags = [self.libraries / "libomendb.a" if flag == "-lomendb" else flag
                 for flag in self.flags("--cflags", "--libs", "--static")]
        run("gcc", *STRICT, PROGRAM, "-o", program, *flags)
        self.assertNotIn("libomendb.so.0", self.needed(program))
        self.try_program(program)

    def test_a_program_s_own_names_do_not_clash_with_the_archive_s(self):
        inner = {name for name in self.names("--defined-only", self.libraries / "libomendb.a")
                 if re.fullmatch(r"[a-z]\w*", name)} - declared()
        self.assertTrue("store_open" in inner, "the names are there, and local")
        clash = self.folder / "clash.c"
        clash.write_text("int store_open(void); int store_open(void) { return 1; }\n")
        program = self.folder / "clash"
        run("gcc", *STRICT, PROGRAM, clash, f"-I{self.prefix}/include", "-o", program,
            self.libraries / "libomendb.a", "-lxxhash", "-lm", "-pthread")
        self.try_program(program)

    def test_find_package_links_both(self):
        project = self.folder / "project"
        project.mkdir()
        (project / "CMakeLists.txt").write_text(PROJECT)
        shutil.copy(PROGRAM, project / "program.c")
        run("cmake", "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", project / "build")
        self.assertIn("libomendb.so.0", self.needed(project / "build/with_omendb"))
        self.assertNotIn("libomendb.so.0", self.needed(project / "build/with_static"))
        for kind in ("omendb", "static"):
            self.try_program(project / f"build/with_{kind}")

    @unittest.skipUnless(shutil.which("dpkg-shlibdeps"), "no dpkg-dev here")
    def test_debian_packages_hold_everything_once(self):
        made = self.folder / "debian"
        root = made / "root"
        run("cpack", "-G", "DEB", "-B", made, cwd=BUILD)
        files, needs = {}, {}
        for path in made.glob("*.deb"):
            name = run("dpkg-deb", "-f", path, "Package").strip()
            needs[name] = run("dpkg-deb", "-f", path, "Depends")
            listed = run("dpkg-deb", "-c", path).splitlines()
            files[name] = {line.split()[5] for line in listed if not line.startswith("d")}
            run("dpkg-deb", "-x", path, root)
        self.assertEqual(set(files), {"libomendb0", "libomendb-dev", "omendb"})
        copyrights = {f"./usr/share/doc/{name}/copyright" for name in files}
        together = set.union(*files.values())
        self.assertEqual(len(together), sum(map(len, files.values())))
        self.assertLess(copyrights, together)
        installed = {f"./usr/{path.relative_to(self.prefix)}" for path in self.prefix.rglob("*")
                     if path.is_symlink() or path.is_file()}
        self.assertEqual(together - copyrights, installed)
        self.assertIn("libxxhash0", needs["libomendb0"])
        self.assertIn("libomendb0 (= ", needs["libomendb-dev"])
        self.assertIn("libxxhash-dev", needs["libomendb-dev"])
        library = root / "usr/lib"
        program = made / "program"
        run("gcc", *STRICT, PROGRAM, "-o", program, f"-I{root}/usr/include", f"-L{library}",
            "-lomendb")
        run(program, made / "x.omen", env={**os.environ, "LD_LIBRARY_PATH": str(library)})
        self.assertIn("0.1.0", run(root / "usr/bin/omendb", "--version"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
