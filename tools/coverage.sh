#!/usr/bin/env bash
# Branch coverage of a folder of src/, as a table and as build/cov/index.html.
#
# usage: tools/coverage.sh                  src/store by simulation alone: tests/sim and tests/crash
#        tools/coverage.sh FOLDER [LABELS]  a folder by the tests whose label matches (default: all)
#
# What counts: a branch is one that gcc 12 makes at -O1 of code that runs in a release: NDEBUG takes
# the assertions away, the seeded bugs aren't compiled in. Of those, gcovr leaves out
#   --exclude-unreachable-branches  lines without code of their own (braces, declarations),
#   --exclude-throw-branches        exception edges; C has none, so it is a safeguard only.
# Nothing is excluded by a marker in the source.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-src/store}
labels=${2:-$([ $# -eq 0 ] && echo '^(sim|crash)$' || echo '.')}

cmake --preset cov >/dev/null
cmake --build --preset cov
find build/cov -name '*.gcda' -delete
ctest --preset cov -L "$labels" -LE long -j "$(nproc)" --output-on-failure
gcovr --root . --object-directory build/cov --filter "$folder/" --branches \
    --exclude-unreachable-branches --exclude-throw-branches \
    --html-details build/cov/index.html --txt build/cov/branches.txt
cat build/cov/branches.txt
