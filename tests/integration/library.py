#!/usr/bin/env python3
"""libtruespan as another program meets it: installed into a scratch folder, found through pkg-config, compiled, linked
and run. usage: library.py BUILD EXAMPLES HEADERS SANITIZE CC... TAP on stdout."""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_tap import Tap

BUILD, EXAMPLES, HEADERS, SANITIZE = sys.argv[1:5]
CC = sys.argv[5:] + ([] if SANITIZE == "none" else ["-fsanitize=" + SANITIZE])


def run(*words, **settings):
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, **settings)
    return done.returncode, done.stdout, done.stderr


class Installed:
    def __init__(self, root):
        self.root = root
        self.rc, _, self.err = run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", root)
        self.files = {os.path.relpath(os.path.join(at, name), root): os.path.join(at, name)
                      for at, _, names in os.walk(root) for name in names}

    def find(self, end):
        found = [path for name, path in self.files.items() if name.endswith(end)]
        if not found:
            raise AssertionError(f"{end} was not installed: {sorted(self.files)}")
        return found[0]

    def flags(self, *words):
        environment = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(self.find("truespan.pc")),
                           PKG_CONFIG_SYSROOT_DIR=self.root)
        rc, out, err = run("pkg-config", *words, "truespan", env=environment)
        if rc:
            raise AssertionError(err)
        # The system's own folders (of zlib, say) are not below the scratch folder.
        return [word for word in out.split() if not word.startswith("-I") or os.path.isdir(word[2:])]


def what_is_installed(tap, there):
    tap.equal((there.rc, there.err), (0, ""), "meson install")
    headers = sorted(name for name in os.listdir(HEADERS) if name.endswith(".h"))
    got = sorted(os.path.basename(name) for name in there.files if "include/truespan/" in name)
    tap.equal(got, headers, "headers")
    names = [os.path.basename(name) for name in there.files]
    tap.check(any(re.fullmatch(r"libtruespan\.so\.\d+\.\d+\.\d+", name) for name in names), "a versioned library:", names)
    tap.check("libtruespan.a" in names, "a static library:", names)
    tap.check("truespan" in names and "truespan.1" in names, "the program and its page:", names)
    version = open(os.path.join(BUILD, "meson-info/intro-projectinfo.json")).read()
    version = re.search(r'"version": "([^"]+)"', version).group(1)
    tap.equal(there.flags("--modversion"), [version], "pkg-config's version")


def symbols(path, *options):
    rc, out, err = run("nm", "--defined-only", *options, path)
    if rc:
        raise AssertionError(err)
    return [line.split()[-1] for line in out.splitlines() if len(line.split()) == 3]


def exports(tap, there):
    """Nothing but tsp_*, and every function that a header declares."""
    shared = [name.split("@")[0] for name in symbols(there.find(".so." + there.flags("--modversion")[0]), "-D")]
    tap.equal([name for name in shared if not name.startswith("tsp_")], [], "symbols that are not ours")
    declared = set()
    for name in os.listdir(HEADERS):
        if name.endswith(".h"):
            text = open(os.path.join(HEADERS, name)).read()
            declared |= set(re.findall(r"TSP_API[^;{]*?\b(tsp_[a-z0-9_]+)\(", text))
    tap.check(len(declared) > 20, "declared:", declared)
    tap.equal(sorted(declared ^ set(shared)), [], "declared or exported, not both")
    rc, out, _ = run("readelf", "-d", there.find(".so." + there.flags("--modversion")[0]))
    tap.check(rc == 0 and re.search(r"SONAME.*libtruespan\.so\.\d+\]", out), "soname:", out)


def build(tap, there, source, name, static):
    program = os.path.join(there.root, name)
    flags = there.flags("--cflags", "--libs", *(["--static"] if static else []))
    if static:
        flags = [there.find("libtruespan.a") if word == "-ltruespan" else word for word in flags]
    rc, _, err = run(*CC, "-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", source, "-o", program, *flags)
    tap.equal((rc, err), (0, ""), "compiling " + source)
    _, needed, _ = run("readelf", "-d", program)
    tap.equal("libtruespan.so" in needed, not static, "is linked to the shared library")
    return program


def run_example(there, program):
    library = os.path.dirname(there.find(".so." + there.flags("--modversion")[0]))
    return run(program, env=dict(os.environ, LD_LIBRARY_PATH=library))


def clocks_example(tap, there):
    """7 ms behind: that is what it was made with, and the bounds are the fastest of its hops: 2 and 3 ms."""
    source = os.path.join(EXAMPLES, "example_clocks.c")
    tap.check(len(open(source).read().splitlines()) < 60, "longer than 60 lines")
    for static in (False, True):
        rc, out, err = run_example(there, build(tap, there, source, f"clocks-{static}", static))
        tap.equal((rc, err), (0, ""), "exit code")
        found = re.search(r"clock 1 is proven: ([-+.\d]+) ms, surely between ([-+.\d]+) and ([-+.\d]+) ms", out)
        if tap.check(found, "said", out):
            offset, lo, hi = map(float, found.groups())
            tap.check(abs(offset + 7) < 0.6 and abs(lo + 10) < 0.2 and abs(hi + 5) < 0.2, "said", out)


def every_header_alone(tap, there):
    """Each header compiles by itself, in C and, where there is a compiler, in C++."""
    for name in sorted(os.listdir(HEADERS)):
        if not name.endswith(".h"):
            continue
        for compiler, language in ((CC, ["-x", "c", "-std=c11"]), (["c++"], ["-x", "c++", "-std=c++17"])):
            words = [*compiler, *language, "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-"]
            try:
                rc, _, err = run(*words, *there.flags("--cflags"), input=f"#include <truespan/{name}>\n")
            except FileNotFoundError:
                continue
            tap.equal((rc, err), (0, ""), f"{name} as {language[1]}")


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="truespan-install-") as root:
        there = Installed(root)
        tap.run("what is installed", what_is_installed, there)
        tap.run("only tsp_* is exported, and all that is declared", exports, there)
        tap.run("every header stands alone", every_header_alone, there)
        tap.run("docs/example_clocks.c through pkg-config", clocks_example, there)
    tap.done()


main()
