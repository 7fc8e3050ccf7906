#!/bin/sh
# Runs the tests of kernels and walks as an ARM program: cross-compiled, linked statically, under user-mode qemu,
# on a processor with the dot product instructions and on one without. Prints "skipped" and
# succeeds where the tools are missing. (AVX-512 has no such stand-in: qemu-x86_64 can't run it, so
# that kernels_test itself says "skipped avx512" on a processor without it.)
#
# usage: tools/test_neon.sh [folder for the program; default: a new one under TMPDIR]
# CROSS_CC and QEMU name other tools, EXTRA_CFLAGS adds flags.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
compiler=${CROSS_CC:-aarch64-linux-gnu-gcc}
qemu=${QEMU:-$(command -v qemu-aarch64 || command -v qemu-aarch64-static || echo qemu-aarch64)}

for tool in "$compiler" "$qemu"; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "skipped: $tool is missing (Debian: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user)"
        exit 0
    fi
done

if [ $# -gt 0 ]; then
    folder=$1
    mkdir -p "$folder"
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi

vector=$root/src/index/vector
graph="$root/src/base/alloc.c $root/src/base/status.c $vector/codes.c $vector/rotate.c
    $vector/graph.c $vector/graph_search.c"
for test in kernels_test distance_test graph_kernels_test graph_walk_test; do
    case $test in
    graph_kernels_test) more=$graph ;; # It includes the files of the instruction sets.
    graph_walk_test) more="$graph $vector/graph_portable.c $vector/graph_neon.c" ;;
    *) more= ;;
    esac
    # shellcheck disable=SC2086
    "$compiler" -std=c17 -D_GNU_SOURCE -O2 -g -static -ffp-contract=off -fno-math-errno \
        -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror ${EXTRA_CFLAGS:-} \
        -I"$root/include" -I"$root/src" -I"$root/tests" \
        "$root/tests/unit/$test.c" $more "$root"/src/simd/*.c "$root/src/os/cpu.c" \
        -lm -lpthread -o "$folder/${test}_arm"
    for processor in max cortex-a53; do
        echo "# $test on qemu-aarch64 -cpu $processor"
        "$qemu" -cpu "$processor" "$folder/${test}_arm"
    done
done
