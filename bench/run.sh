#!/usr/bin/env bash
# The figures of bench/RESULTS.md, one JSON object a line. Quiet machine, please: nothing beside it.
#   bench/run.sh          short (about four minutes)
#   bench/run.sh --full   with a million rows, and all data sets and peers of bench/ann (hours)
# Files lie in $OMENDB_BENCH_DIR (default build/bench) so that a real disk is measured.
set -euo pipefail
cd "$(dirname "$0")/.."
full=${1:-}
export OMENDB_BENCH_DIR=${OMENDB_BENCH_DIR:-$PWD/build/bench}
mkdir -p "$OMENDB_BENCH_DIR"
cmake --preset release >build/configure.log
cmake --build build/release --target store_bench >build/bench-build.log
bench=build/release/bench/store_bench
grep -m1 'model name' /proc/cpuinfo >&2 || true
grep -m1 -o -w -E 'avx2|avx512f' /proc/cpuinfo >&2 || true
"$bench" load 200000 128
"$bench" commit 1
"$bench" open 10000 384
[ "$full" = --full ] && "$bench" open 1000000 128
"$bench" size 10000 384
"$bench" upkeep 300000 128
python=$(python3 bench/ann/environment.py --only numpy,faiss-cpu)
sets=(packages)
if dpkg -s dataset-fashion-mnist >/dev/null 2>&1; then sets+=(fashion); else
    echo 'fashion784 left out: apt-get install dataset-fashion-mnist' >&2
fi
"$python" bench/exact_faiss.py "$bench" "${sets[@]}"
"$python" bench/exact_faiss.py "$bench" "${sets[@]}" --k 100
ann=build/bench/ann.jsonl
if [ "$full" = --full ]; then
    python3 bench/ann/run.py --out "$ann" --rounds 9 --build-threads "$(nproc)" --sets fashion784 \
        words100 sentences384 clustered128-100k clustered128-1m gaussian128-{100,1k,10k,100k}
    "$python" bench/ann/report.py "$ann" --plots build/bench/plots >build/bench/ann.md
else
    python3 bench/ann/run.py --out "$ann" --quick --sets packages384 --peers omendb symqg hnswlib
fi
