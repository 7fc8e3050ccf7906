#!/usr/bin/env python3
"""Compares OmenDB's JSON reader and writer with Python's json module.

usage: json_differential.py JSON_TOOL [--seed N] [--rounds N]

Texts are generated, mutated, and put together from tokens. Python, made as strict as RFC 8259
asks (no NaN, no key twice, no lone surrogate, no number beyond a double) and told our two limits
(the root is an object, 64 levels), must agree on which to accept; what is accepted must be
written back exactly as Python's json.dumps() writes it: same order, same kinds of numbers, same digits.
Arrays of floats must be, bit for bit, the nearest f32 of the exact rational number.
"""
import argparse
import fractions
import json
import math
import pathlib
import random
import struct
import subprocess
import sys

DEPTH_MAX = 64
sys.set_int_max_str_digits(0)


class Refused(Exception):
    pass


def unique(pairs):
    out = dict(pairs)
    if len(out) != len(pairs):
        raise Refused("key twice")
    return out


def finite(text):
    value = float(text)
    if math.isinf(value):
        raise Refused("number")
    return value


def constant(text):
    raise Refused(text)


def depth(value):
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def reference(text):
    """What `text` (bytes) is written back as, or None: it must be refused."""
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_float=finite,
                           parse_constant=constant)
        if not isinstance(value, dict) or depth(value) > DEPTH_MAX:
            return None
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except (Refused, ValueError, RecursionError):  # ValueError: JSON and UTF-8 errors.
        return None


def ask(tool, mode, texts):
    """[(accepted, bytes)] for all texts, from one run of the tool."""
    data = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    run = subprocess.run([tool, *mode], input=data, stdout=subprocess.PIPE, check=True)
    out, at, answers = run.stdout, 0, []
    while at < len(out):
        size = struct.unpack_from("<I", out, at + 1)[0]
        answers.append((out[at] == ord("+"), out[at + 5:at + 5 + size]))
        at += 5 + size
    assert len(answers) == len(texts), "the tool stopped early"
    return answers


# ---- Generating -----------------------------------------------------------------------

CHARACTERS = ["a", "b", "key", "0", " ", "\\", '"', "/", "\n", "\t", "\x00", "\x1f", "\x7f", "é", "ß", "€",
              "日本", "\ud7ff", "\ue000", "\uffff", "😀", "\U0010ffff", "\u2028", "$", ".", "x" * 20]


def random_string(rng):
    size = rng.choice((0, 1, 1, 2, 3, 5, 20)) if rng.random() < 0.98 else 100
    return "".join(rng.choice(CHARACTERS) for _ in range(size))


def number_text(rng):
    kind = rng.randrange(9)
    if kind == 0:
        return str(rng.randrange(-200, 200))
    if kind == 1:
        return str(rng.getrandbits(rng.randrange(1, 80)) * rng.choice((1, -1)))
    if kind == 2:
        return str(2 ** rng.randrange(7, 70) + rng.randrange(-2, 3))
    if kind == 3:
        return repr(rng.uniform(-1, 1))
    if kind == 4:
        value = struct.unpack("<d", rng.randbytes(8))[0]
        return repr(value) if math.isfinite(value) else "-0.0"
    if kind == 5:
        return "%.*f" % (rng.randrange(30), rng.uniform(-1000, 1000))
    if kind == 6:
        return "%.*e" % (rng.randrange(25), struct.unpack("<f", rng.randbytes(3) + b"\x3f")[0])
    if kind == 7:
        digits = "".join(rng.choice("0123456789") for _ in range(rng.randrange(1, 40)))
        return "%s%d.%s%s%s%d" % (rng.choice(("", "-")), rng.randrange(100), digits, rng.choice("eE"),
                                  rng.choice(("", "+", "-")), rng.randrange(320))
    return rng.choice(("0", "-0", "0.0", "-0.0", "1e5", "1E400", "1e308", "5e-324", "1e-400",
                       "9007199254740993", "9223372036854775808", "18446744073709551616"))


def string_text(rng, value):
    """A literal of `value`, some characters escaped that needn't be."""
    out = ['"']
    for c in value:
        code = ord(c)
        if rng.random() < 0.1 or code < 0x20 or c in '"\\':
            short = {"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\", "/": "\\/"}.get(c)
            if short and rng.random() < 0.6:
                out.append(short)
            elif code > 0xFFFF:
                code -= 0x10000
                out.append("\\u%04x\\u%04X" % (0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF)))
            else:
                out.append(rng.choice(("\\u%04x", "\\u%04X")) % code)
        else:
            out.append(c)
    return "".join(out) + '"'


def space(rng):
    return rng.choice(("", "", "", "", " ", "\n", "\t", "\r\n  "))


def value_text(rng, level, budget):
    roll = rng.random()
    if level == 0 or (level < budget and roll < 0.2):
        count = rng.choice((0, 1, 2, 3, 5, 10)) if rng.random() < 0.97 else 40
        keys = list({random_string(rng): None for _ in range(count)})
        if rng.random() < 0.01 and keys:
            keys.append(rng.choice(keys))
        if rng.random() < 0.05:
            keys = ["$binary"]
        members = [space(rng) + string_text(rng, k) + space(rng) + ":" + space(rng) +
                   value_text(rng, level + 1, budget) + space(rng) for k in keys]
        return "{" + (",".join(members) or space(rng)) + "}"
    if level < budget and roll < 0.4:
        items = [space(rng) + value_text(rng, level + 1, budget) + space(rng)
                 for _ in range(rng.choice((0, 1, 2, 3, 8)))]
        return "[" + (",".join(items) or space(rng)) + "]"
    if roll < 0.65:
        return number_text(rng)
    if roll < 0.7:
        return rng.choice(('"AAEC"', '"AA=="', '"AB=="', '"////"', '"A"', '"_w=="', '""'))
    if roll < 0.92:
        return string_text(rng, random_string(rng))
    return rng.choice(("true", "false", "null"))


def generated(rng):
    text = space(rng) + value_text(rng, 0, rng.choice((1, 2, 3, 5))) + space(rng)
    if rng.random() < 0.01:
        levels = rng.randrange(DEPTH_MAX - 3, DEPTH_MAX + 3)
        text = '{"d":' + "[" * levels + "]" * levels + "}"
    return text.encode("utf-8", "surrogatepass")


TOKENS = [b"{", b"}", b"[", b"]", b",", b":", b'"', b'"a"', b'"b"', b"\\", b"\\u", b"d800", b"dc00", b"0", b"1",
          b"-", b"+", b".", b"e", b"E", b"true", b"false", b"null", b"NaN", b"Infinity", b" ", b"\n", b"\x00", b"\x1f",
          b"\x7f", b"\x80", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"/", b"//", b"'", b"\xa0"]


def mutated(rng, text):
    out = bytearray(text)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(out) + 1)
        roll = rng.randrange(6)
        if roll == 0:
            out[at:at] = rng.choice(TOKENS)
        elif roll == 1:
            del out[at:at + rng.choice((1, 1, 2, 8))]
        elif roll == 2 and at < len(out):
            out[at] = rng.randrange(256)
        elif roll == 3 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif roll == 4:
            out[at:at + 1] = rng.choice(TOKENS)
        else:
            other = rng.randrange(len(out) + 1)
            out[at:at] = out[other:other + rng.randrange(12)]
    return bytes(out)


def from_tokens(rng):
    body = b"".join(rng.choice(TOKENS) for _ in range(rng.randrange(8)))
    return rng.choice((body, b'{"a":' + body + b"}", b'{"a":"' + body + b'"}', b"{" + body + b"}"))


# ---- Checking -------------------------------------------------------------------------

def check_documents(tool, texts):
    accepted = 0
    for text, (ok, answer) in zip(texts, ask(tool, [], texts)):
        want = reference(text)
        if ok != (want is not None):
            sys.exit(f"text {text!r}\npython: {want!r}\nomendb: {'accepted' if ok else 'refused'} {answer!r}")
        if ok and answer != want:
            sys.exit(f"text {text!r}\npython: {want!r}\nomendb: {answer!r}")
        if not ok and not answer.startswith(b"json: "):
            sys.exit(f"text {text!r}\nmessage {answer!r}")
        accepted += ok
    return accepted


def nearest_f32(text):
    """The nearest f32 of a decimal text by rational arithmetic, ties to even; None: too large."""
    exact = abs(fractions.Fraction(text))
    negative = text.startswith("-")
    if exact == 0:
        return b"\0\0\0" + (b"\x80" if negative else b"\0")
    power = exact.numerator.bit_length() - exact.denominator.bit_length()
    if exact < fractions.Fraction(2) ** power:
        power -= 1
    unit = fractions.Fraction(2) ** (max(power, -126) - 23)
    value = round(exact / unit) * unit  # round(): ties to even.
    if value >= 2 ** 128:
        return None
    return struct.pack("<f", -float(value) if negative else float(value))


def check_floats(tool, rng, count):
    arrays = []
    for _ in range(count):
        numbers = []
        while len(numbers) < 20:
            text = number_text(rng)
            if nearest_f32(text) is not None:
                numbers.append(text)
        arrays.append(numbers)
    texts = [("[" + ",".join(space(rng) + n + space(rng) for n in a) + "]").encode() for a in arrays]
    for numbers, (ok, answer) in zip(arrays, ask(tool, ["floats"], texts)):
        want = b"".join(map(nearest_f32, numbers))
        if not ok or answer != want:
            sys.exit(f"floats {numbers}\nwant {want.hex()}\ngot {answer.hex() if ok else answer}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    tools = pathlib.Path(__file__).resolve().parent
    written = subprocess.run([sys.executable, tools / "json_powers.py"], stdout=subprocess.PIPE, check=True)
    assert written.stdout == (tools.parent / "src/doc/json_powers.c").read_bytes(), "json_powers.c"
    print("ok table_of_powers_is_what_its_generator_writes")
    for _ in range(options.rounds):
        good = [generated(rng) for _ in range(1500)]
        seen = check_documents(options.tool, good)
        assert seen > len(good) * 3 // 4, "most generated texts are valid"
        bad = [mutated(rng, rng.choice(good)) for _ in range(4000)]
        seen = check_documents(options.tool, bad)
        assert 0 < seen < len(bad), "some mutated texts are valid"
        check_documents(options.tool, [from_tokens(rng) for _ in range(4000)])
        check_floats(options.tool, rng, 60)
    print("ok agrees_with_python_on_generated_texts")
    print("ok agrees_with_python_on_mutated_texts")
    print("ok agrees_with_python_on_token_soup")
    print("ok agrees_with_rational_arithmetic_on_floats")


main()
