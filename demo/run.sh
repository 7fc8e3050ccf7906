#!/usr/bin/env bash
# The demonstration: installs what is missing, builds what it needs, runs it.
#
# usage: demo/run.sh [--no-install] [FOLDER]
#
# FOLDER (build/demo) gets packages.omen, which stays for the visitor to play with. Exit status 0
# only if all that was shown was so. Compiling shows one line; its log is build/demo-build.log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

install=yes
if [ "${1:-}" = --no-install ]; then install=no; shift; fi
folder=${1:-build/demo}
log=build/demo-build.log

[ $install = no ] || tools/install_dependencies.sh demo

# ccache, where there is one, makes a second build of the same sources short.
if command -v ccache >/dev/null; then
    export CMAKE_C_COMPILER_LAUNCHER="${CMAKE_C_COMPILER_LAUNCHER-ccache}"
fi

failed() {
    [ ! -t 1 ] || printf '\r\033[K'
    cat "$log" >&2
    echo "demo: $1 failed; the log above is $log" >&2
    exit 1
}

mkdir -p build
cmake --preset release >"$log" 2>&1 || failed configuring

# ninja writes a line "[done/total] ..." for each step; on a terminal one line shows them all.
begin=$SECONDS
if [ -t 1 ]; then
    printf 'Building ...'
    cmake --build --preset release --target omendb_demo omendb_cli 2>&1 | tee -a "$log" |
        sed -un 's/^\(\[[0-9]*\/[0-9]*\]\) .*/\1/p' |
        while read -r step; do printf '\rBuilding %s ' "$step"; done || failed building
    printf '\r\033[K'
else
    cmake --build --preset release --target omendb_demo omendb_cli >>"$log" 2>&1 || failed building
fi
seconds=$((SECONDS - begin))
[ $seconds -lt 2 ] || printf 'Built in %d seconds.\n\n' "$seconds"

mkdir -p "$(dirname "$folder")"
exec build/release/demo/demo data/packages "$folder"
