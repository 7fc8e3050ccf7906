#!/usr/bin/env python3
"""Writes the seeds of the fuzzers, the same every time.

usage: make_corpus.py DIR      (DIR/<fuzzer>/<n>)
"""
import pathlib
import random
import struct
import sys

JSON = [
    "{}", '{"a":1,"b":-2.5e3,"c":"text","d":null,"e":true,"f":[1,[2,{"g":[]}]],"h":{"i":{"j":0}}}',
    '{"u":"\\u00e9\\ud83d\\ude00\\n\\t\\"","v":"é😀"}', '{"x":{"$binary":"AQIDBA=="}}',
    '{"n":[18446744073709551615,-9223372036854775808,1e308,5e-324,0.1,123456789012345678]}',
    '{"deep":' + "[" * 30 + "]" * 30 + "}", '[1,2.5,3e2,-4]', '{"a":{"b":[{"c":1},{"c":2},{"d":3}]}}',
]
FILTERS = [
    '{}', '{"a":1}', '{"a":{"$gte":1,"$lt":9},"b":{"$ne":"x"}}', '{"a":{"$in":[1,"x",null,2.5]}}',
    '{"$or":[{"a":1},{"$and":[{"b":2},{"c":{"$exists":false}}]}]}', '{"a.b.c":{"$nin":[1,2]}}',
    '{"a":{"$not":{"$gt":{"x":1}}}}', '{"$nor":[{"f.1.0":2},{"f":[1,[2]]}]}', '{"$not":{"d":null}}',
    '{"e":{"$lte":true},"x":{"$eq":{"$binary":"AQI="}}}', '{"a":{"$gt":null}}',
]


# What the fuzzers found: each was a crash once.
FOUND = {
    "image": [
        # Rows of a graph that lead to vectors that aren't there.
        "028c91fc4bfeffffffaf80ac0007000000cb3e4802ffffffffa8375d0ca4010000ab450002feffffffcfb6ba"
        "a507000000d3b3280200000080f2fc8201ffffffff",
        # A chunk of short records that holds a long one.
        "0207c19f0000000207c19f000000000100",
    ],
    "log": [
        # A document that is no document.
        "0100000000000000005000000000000000010000000000000050000000000000000100010001000000000000"
        "0001000000050000000000000000000000000000000000000020000000000000000000803f00000040000040"
        "40000080400000a0400000c0400000e040",
    ],
}


def changes(rng, places, count):
    values = [0, 1, 2, 0xFFFFFFFF, 0xFFFFFFFE, 0x80000000, 0x10000, 7, 420]
    return b"".join(struct.pack("<BBHI", rng.choice(places), rng.randrange(256),
                                rng.choice([rng.randrange(0x10000), rng.randrange(600)]),
                                rng.choice(values)) for _ in range(count))


def operation(kind, collection, id_number, document=b"", vectors=()):
    body = document + b"\0" * (-len(document) % 8)
    for field, data in vectors:
        body += struct.pack("<II", field, len(data)) + data + b"\0" * (-len(data) % 8)
    return struct.pack("<QBBHIIIQ", 32 + len(body), kind, 0, len(vectors), collection, 0,
                       len(document), id_number) + body


def batch(*operations):
    body = b"".join(operations)
    return struct.pack("<QQII", 0, len(body), len(operations), 0) + body


def seeds():
    rng = random.Random(1)
    yield "json", [text.encode() for text in JSON]
    yield "document", [b"\0", b"\x08\1\1a\3\0", bytes(range(40))] + [text.encode() for text in JSON]
    yield "filter", [f"{f}\0{JSON[i % len(JSON)]}".encode() for i, f in enumerate(FILTERS * 2)]
    yield "image", [bytes([image]) + changes(rng, places, count) for image in range(3)
                    for places, count in ((range(32), 2), (range(32, 64), 3), (range(64, 96), 3),
                                          (range(96, 256), 8), (range(256), 20))]
    vector = struct.pack("<8f", *range(8))
    yield "log", [bytes([1]) + payload for payload in (
        batch(operation(1, 1, 5, b"\0", [(0, vector)])), batch(operation(2, 1, 5)),
        batch(operation(1, 1, 7, b"\0", [(0, vector)]), operation(2, 1, 3), operation(4, 1, 0)),
        batch(operation(5, 2, 0), operation(3, 9, 0, bytes(24))), batch())]
    yield "catalog", [struct.pack("<H", at) + tail for at in (0, 8, 40, 100, 300, 900, 2000)
                      for tail in (b"\xff" * 16, bytes(48), struct.pack("<6I", 1, 0, 48, 0, 1, 0))]
    yield "api", [bytes(rng.randrange(256) for _ in range(size)) for size in (20, 60, 200, 600)] + [
        bytes(range(120)), bytes(sum(([op, op * 7, 3] for op in range(16)), [])) * 3]


def write(root):
    for name, texts in seeds():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(texts):
            (folder / str(number)).write_bytes(text)
        for number, text in enumerate(FOUND.get(name, [])):
            (folder / f"found-{number}").write_bytes(bytes.fromhex(text))


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))
