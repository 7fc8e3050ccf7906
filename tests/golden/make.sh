#!/bin/sh
# Makes the golden files of a format version: databases as that version wrote them, and what is in them.
#
# usage: tests/golden/make.sh FORMAT_TOOL PREFIX        (PREFIX: v1, v1.1, ...)
#
# Once a version is released, its golden files are never made again and never changed: they are the
# proof that what users have on disk stays readable. A new format version, or a state that none of
# the files shows, gets files of its own. So this script overwrites nothing.
#
# NAME.omen.gz        the data file             NAME.jsonl.gz   tools/omen_dump.py --raw of it,
# NAME.omen-wal-N.gz  its log, if it has one                    equal to what the library read
set -eu
tool=$(realpath "$1")
prefix=$2
golden=$(cd "$(dirname "$0")" && pwd)
reader=$golden/../../tools/omen_dump.py
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

killed() { "$tool" "$@" 2>/dev/null || [ $? -eq 137 ]; }

keep() {
    python3 "$reader" "$work/$1.omen" --raw >"$work/$1.jsonl"
    python3 "$reader" "$work/$1.omen" --verify >/dev/null
    "$tool" check "$work/$1.omen" >/dev/null
    for file in "$work/$1".*; do
        to=$golden/$(basename "$file").gz
        [ ! -e "$to" ] || { echo "make.sh: $to exists" >&2; exit 1; }
        gzip -9 -n <"$file" >"$to"
    done
    echo "$1: $(wc -l <"$work/$1.jsonl") documents"
}

for file in "$golden/$prefix"-*; do
    [ ! -e "$file" ] || { echo "make.sh: $file exists: golden files aren't made again" >&2; exit 1; }
done

name=$prefix-closed # every element type, documents beyond 32 KiB, a clean close
"$tool" write "$work/$name.omen" 4 7 67108864 close
keep "$name"

name=$prefix-log # an empty image: all is in the log
killed write "$work/$name.omen" 5 4 67108864 kill
keep "$name"

name=$prefix-killed # an image, and a log that goes on from it
"$tool" write "$work/$name.omen" 7 4 67108864 close
killed write "$work/$name.omen" 8 3 67108864 kill
keep "$name"

name=$prefix-lives # checkpoints, reuse, and a log that a recovery began
for life in 11 12 13; do killed write "$work/$name.omen" $life 4 262144 kill; done
keep "$name"

name=$prefix-torn # the last frame was cut off by a crash
killed write "$work/$name.omen" 17 4 67108864 kill
python3 - "$work/$name.omen" <<'END'
import glob, sys
logs = glob.glob(sys.argv[1] + "-wal-*")
with open(max(logs, key=lambda name: int(name.rsplit("-", 1)[1])), "r+b") as log:
    data = log.read()
    last = max(at for at in range(0, len(data), 4096) if any(data[at:at + 4096]))
    assert last, "the last segment has no frame"
    log.seek(last)
    log.write(bytes(512))
END
keep "$name"

name=$prefix-catalog # a catalog in blocks of its own
"$tool" catalog "$work/$name.omen" 220 close
"$tool" write "$work/$name.omen" 19 2 67108864 close
keep "$name"
