#!/usr/bin/env python3
"""Writes src/doc/json_powers.c: 128-bit powers of ten for reading and writing floats.

usage: json_powers.py > src/doc/json_powers.c

Entry q is 10^q divided by the power of two that leaves 128 bits with the top bit set: rounded
towards zero, except that -27 <= q < 0 is rounded up (Lemire, "Number parsing at a gigabyte per
second", 2021, section 7: reciprocals of powers of five below 2^64 must not be too small).
"""

MIN, MAX = -342, 324


def power(q):
    if q >= 0:
        value = 5**q
        shift = value.bit_length() - 128
        return value >> shift if shift > 0 else value << -shift
    five = 5**-q
    bits = 127 + five.bit_length()
    value = (1 << bits) // five
    shift = value.bit_length() - 128
    value >>= shift
    return value + 1 if q >= -27 else value


def main():
    print("/* Written by tools/json_powers.py; see json_powers.h. */")
    print('#include "doc/json_powers.h"\n')
    print("/* clang-format off */")
    print("const uint64_t json_powers[JSON_POWERS_MAX - JSON_POWERS_MIN + 1][2] = {")
    for q in range(MIN, MAX + 1):
        value = power(q)
        assert 1 << 127 <= value < 1 << 128
        print(f"    {{0x{value >> 64:016x}, 0x{value & (1 << 64) - 1:016x}}}, /* {q} */")
    print("};")


main()
