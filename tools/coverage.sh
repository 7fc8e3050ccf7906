#!/usr/bin/env bash
# Branch coverage of a folder of src/ by all tests, as a table and as build/cov/index.html.
#
# usage: tools/coverage.sh [FOLDER]   (default src/store)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-src/store}

cmake --preset cov >/dev/null
cmake --build --preset cov
find build/cov -name '*.gcda' -delete
ctest --preset cov -LE long -j "$(nproc)" --output-on-failure
gcovr --root . --object-directory build/cov --filter "$folder/" --branches \
    --exclude-unreachable-branches --html-details build/cov/index.html --txt build/cov/branches.txt
cat build/cov/branches.txt
