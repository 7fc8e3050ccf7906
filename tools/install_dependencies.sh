#!/usr/bin/env bash
# Installs what is missing, and only that: Debian packages, and Python packages into build/venv.
#
# usage: tools/install_dependencies.sh build|demo|test [COMMAND...]
#
#   build   to compile the library and the shell
#   demo    to run `make demo` as well
#   test    to run every test as well; makes build/venv
#   COMMAND a further command that the caller needs, named as its Debian package
#
# Says nothing when all is there. Looks for the thing (a command, a header), not for the package,
# so that tools from elsewhere count. Installs as root or by `sudo -n`; otherwise prints the
# command that somebody with root must run, and exits 1; `test` goes on where only optional ones are
# missing. Never touches the system's Python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# ---- What we need: "Debian package: how to see that it is there" -----------------------------

machine=$(uname -m)

build=(
    'gcc: command -v gcc'
    'libc6-dev: header stdio.h'
    'cmake: command -v cmake'
    'ninja-build: command -v ninja'
    'pkg-config: command -v pkg-config'
    'libxxhash-dev: header xxhash.h'
    'libjansson-dev: header jansson.h'
)
demo=(
    'python3: command -v python3'
)
test=(
    'g++: command -v g++'
    'clang-14: command -v clang-14'
    'libclang-rt-14-dev: compgen -G "/usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a"'
    'clang-format-14: command -v clang-format-14'
    'git: command -v git'
    'gcovr: command -v gcovr'
    'mandoc: command -v mandoc'
    'python3-venv: python3 -c "import venv, ensurepip"'
    'python3-dev: python_header'
)
# Without these, the tests that need them are skipped.
optional=(
    'cargo: command -v cargo'
    'rustc: command -v rustc'
    'dpkg-dev: command -v dpkg-shlibdeps'
)
# NEON runs as it is on an ARM machine, and under emulation elsewhere.
if [ "$machine" = x86_64 ]; then
    test+=(
        'gcc-aarch64-linux-gnu: command -v aarch64-linux-gnu-gcc'
        'libc6-dev-arm64-cross: test -e /usr/aarch64-linux-gnu/include/stdio.h'
        'qemu-user: command -v qemu-aarch64'
    )
fi

header() { echo "#include <$1>" | gcc -E - 2>&1; }
python_header() {
    python3 -c 'import os, sysconfig
assert os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h"))'
}

say() { echo "install_dependencies: $*" >&2; }

# ---- Debian packages -------------------------------------------------------------------------

[ $# -ge 1 ] || { sed -n '4,8s/^# //p' "$0" >&2; exit 2; }
what=$1
shift
case $what in
build) wanted=("${build[@]}") ;;
demo) wanted=("${build[@]}" "${demo[@]}") ;;
test) wanted=("${build[@]}" "${demo[@]}" "${test[@]}") ;;
*) say "build, demo or test, not '$what'"; exit 2 ;;
esac
for command in "$@"; do wanted+=("$command: command -v $command"); done

# Sets `missing` to the packages whose probe fails.
find_missing() {
    local entry
    missing=()
    for entry in "${wanted[@]}"; do
        eval "${entry#*: }" >/dev/null 2>&1 || missing+=("${entry%%: *}")
    done
}

# Installs what find_missing() found; 1, and says why, when that can't be.
install_missing() {
    local as_root=() install log status=0
    if ! command -v apt-get >/dev/null; then
        say "this needs the following, named as in Debian 12, and can't install them here:"
        say "    ${missing[*]}"
        return 1
    fi
    if [ "$(id -u)" != 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        else
            say "some packages are missing, and installing them needs root. Please run:"
            say "    apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
            return 1
        fi
    fi
    say "installing from Debian: ${missing[*]}"
    log=$(mktemp)
    install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y
        --no-install-recommends "${missing[@]}")
    # The package lists may be absent or old: fetched only when installing fails without.
    "${install[@]}" >"$log" 2>&1 </dev/null ||
        { "${as_root[@]}" apt-get update >"$log" 2>&1 </dev/null &&
            "${install[@]}" >"$log" 2>&1 </dev/null; } || status=1
    [ $status = 0 ] || cat "$log" >&2
    rm -f "$log"
    [ $status = 0 ] || return 1
    hash -r
    find_missing
    if [ ${#missing[@]} -gt 0 ]; then
        say "still missing after installing: ${missing[*]}"
        return 1
    fi
}

find_missing
if [ ${#missing[@]} -gt 0 ]; then
    install_missing || exit 1
fi
if [ "$what" = test ]; then
    wanted=("${optional[@]}")
    find_missing
    if [ ${#missing[@]} -gt 0 ]; then
        install_missing || say "going on without: ${missing[*]}"
    fi
fi

# ---- Python packages -------------------------------------------------------------------------

if [ "$what" = test ]; then
    list=tools/requirements-test.txt
    stores=tools/requirements-stores.txt
    done_mark=build/venv/requirements.installed
    if ! cat "$list" "$stores" | cmp -s - "$done_mark" || ! build/venv/bin/python -c '' 2>/dev/null; then
        say "installing into build/venv: $(sed 's/#.*//' "$list" | xargs)"
        mkdir -p build
        python3 -m venv --clear build/venv
        build/venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$list"
        # Each alone: tests of an importer skip themselves where its package is missing.
        sed 's/#.*//' "$stores" | xargs -n 1 | while read -r package; do
            build/venv/bin/python -m pip install --quiet --disable-pip-version-check "$package" ||
                say "going on without $package"
        done
        cat "$list" "$stores" > "$done_mark"
    fi
fi
