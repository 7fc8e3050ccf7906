"""XXH3 (Yann Collet's xxHash 0.8) in plain Python: 64 bits with a seed, 128 bits without.

Written so that a file can be checked where nothing is installed. Long
inputs are summed by whole blocks of 1,024 bytes, lane by lane: within a block the additions may
come in any order, so the inner loops are those of sum() and map(). 64 KiB take 2 ms.

If the PyPI package `xxhash` is importable, it is used instead; SOURCE says which.
"""
import operator
import struct

_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_M32, _M64 = (1 << 32) - 1, (1 << 64) - 1
_P32_1, _P32_2, _P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
_P64_1, _P64_2, _P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P64_4, _P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_MX1, _MX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25
_STRIPE, _BLOCK = 64, 1024  # A block is 16 stripes; the secret moves on 8 bytes with each.


def _le64(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def _le32(data, at):
    return int.from_bytes(data[at:at + 4], "little")


def _swap(value, size):
    return int.from_bytes(value.to_bytes(size, "little"), "big")


def _rotl64(value, by):
    return (value << by | value >> (64 - by)) & _M64


def _fold(a, b):
    product = a * b
    return (product ^ product >> 64) & _M64


def _avalanche(h):
    h ^= h >> 37
    h = h * _MX1 & _M64
    return h ^ h >> 32


def _avalanche64(h):
    h ^= h >> 33
    h = h * _P64_2 & _M64
    h ^= h >> 29
    h = h * _P64_3 & _M64
    return h ^ h >> 32


def _mix16(data, at, key, seed):
    return _fold(_le64(data, at) ^ (_le64(_SECRET, key) + seed & _M64),
                 _le64(data, at + 8) ^ (_le64(_SECRET, key + 8) - seed & _M64))


# ---- 64 bits, up to 240 bytes ----

def _short64(data, seed):
    size = len(data)
    if size == 0:
        return _avalanche64(seed ^ _le64(_SECRET, 56) ^ _le64(_SECRET, 64))
    if size <= 3:
        combined = data[0] << 16 | data[size >> 1] << 24 | data[-1] | size << 8
        return _avalanche64(combined ^ (_le32(_SECRET, 0) ^ _le32(_SECRET, 4)) + seed & _M64)
    if size <= 8:
        seed ^= _swap(seed & _M32, 4) << 32
        flip = (_le64(_SECRET, 8) ^ _le64(_SECRET, 16)) - seed & _M64
        h = (_le32(data, size - 4) + (_le32(data, 0) << 32) & _M64) ^ flip
        h ^= _rotl64(h, 49) ^ _rotl64(h, 24)
        h = h * _MX2 & _M64
        h ^= (h >> 35) + size
        h = h * _MX2 & _M64
        return h ^ h >> 28
    if size <= 16:
        low = _le64(data, 0) ^ (_le64(_SECRET, 24) ^ _le64(_SECRET, 32)) + seed & _M64
        high = _le64(data, size - 8) ^ (_le64(_SECRET, 40) ^ _le64(_SECRET, 48)) - seed & _M64
        return _avalanche(size + _swap(low, 8) + high + _fold(low, high) & _M64)
    acc = size * _P64_1
    if size <= 128:
        for i in range((size - 1) // 32, -1, -1):
            acc += _mix16(data, 16 * i, 32 * i, seed)
            acc += _mix16(data, size - 16 * (i + 1), 32 * i + 16, seed)
        return _avalanche(acc & _M64)
    for i in range(8):
        acc += _mix16(data, 16 * i, 16 * i, seed)
    acc = _avalanche(acc & _M64)
    for i in range(8, size // 16):
        acc += _mix16(data, 16 * i, 16 * (i - 8) + 3, seed)
    acc += _mix16(data, size - 16, 136 - 17, seed)
    return _avalanche(acc & _M64)


# ---- 128 bits, up to 240 bytes, seed 0 ----

def _mix32(acc, data, first, second, key):
    low = acc[0] + _mix16(data, first, key, 0) & _M64
    low ^= _le64(data, second) + _le64(data, second + 8) & _M64
    high = acc[1] + _mix16(data, second, key + 16, 0) & _M64
    high ^= _le64(data, first) + _le64(data, first + 8) & _M64
    return low, high


def _short128(data):
    size = len(data)
    if size == 0:
        return (_avalanche64(_le64(_SECRET, 64) ^ _le64(_SECRET, 72)),
                _avalanche64(_le64(_SECRET, 80) ^ _le64(_SECRET, 88)))
    if size <= 3:
        low = data[0] << 16 | data[size >> 1] << 24 | data[-1] | size << 8
        high = _swap(low, 4)
        high = (high << 13 | high >> 19) & _M32
        return (_avalanche64(low ^ _le32(_SECRET, 0) ^ _le32(_SECRET, 4)),
                _avalanche64(high ^ _le32(_SECRET, 8) ^ _le32(_SECRET, 12)))
    if size <= 8:
        both = _le32(data, 0) + (_le32(data, size - 4) << 32)
        product = (both ^ _le64(_SECRET, 16) ^ _le64(_SECRET, 24)) * (_P64_1 + (size << 2))
        low, high = product & _M64, product >> 64
        high = high + (low << 1) & _M64
        low ^= high >> 3
        low ^= low >> 35
        low = low * _MX2 & _M64
        return low ^ low >> 28, _avalanche(high)
    if size <= 16:
        first, last = _le64(data, 0), _le64(data, size - 8)
        product = (first ^ last ^ _le64(_SECRET, 32) ^ _le64(_SECRET, 40)) * _P64_1
        low, high = (product & _M64) + ((size - 1) << 54) & _M64, product >> 64
        last ^= _le64(_SECRET, 48) ^ _le64(_SECRET, 56)
        high = high + last + (last & _M32) * (_P32_2 - 1) & _M64
        low ^= _swap(high, 8)
        product = low * _P64_2
        return (_avalanche(product & _M64),
                _avalanche((product >> 64) + high * _P64_2 & _M64))
    acc = (size * _P64_1 & _M64, 0)
    if size <= 128:
        for i in range((size - 1) // 32, -1, -1):
            acc = _mix32(acc, data, 16 * i, size - 16 * (i + 1), 32 * i)
    else:
        for i in range(4):
            acc = _mix32(acc, data, 32 * i, 32 * i + 16, 32 * i)
        acc = _avalanche(acc[0]), _avalanche(acc[1])
        for i in range(4, size // 32):
            acc = _mix32(acc, data, 32 * i, 32 * i + 16, 3 + 32 * (i - 4))
        acc = _mix32(acc, data, size - 16, size - 32, 136 - 17 - 16)
    low, high = acc
    return (_avalanche(low + high & _M64),
            -_avalanche(low * _P64_1 + high * _P64_4 + size * _P64_2 & _M64) & _M64)


# ---- Long inputs ----

def _seeded_secret(seed):
    if seed == 0:
        return _SECRET
    return b"".join(struct.pack("<QQ", _le64(_SECRET, at) + seed & _M64,
                                _le64(_SECRET, at + 8) - seed & _M64)
                    for at in range(0, len(_SECRET), 16))


def _accumulate(acc, stripes, secret):
    """Adds whole stripes; stripe n is keyed by secret[8 n : 8 n + 64]."""
    count = len(stripes) // _STRIPE
    keys = b"".join(secret[8 * n:8 * n + _STRIPE] for n in range(count))
    mixed = int.from_bytes(stripes, "little") ^ int.from_bytes(keys, "little")
    words = struct.unpack(f"<{16 * count}I", mixed.to_bytes(len(stripes), "little"))
    values = struct.unpack(f"<{8 * count}Q", stripes)
    for i in range(8):
        acc[i] += (sum(map(operator.mul, words[2 * i::16], words[2 * i + 1::16]))
                   + sum(values[i ^ 1::8]))


def _long(data, secret):
    acc = [_P32_3, _P64_1, _P64_2, _P64_3, _P64_4, _P32_2, _P64_5, _P32_1]
    scramble = struct.unpack("<8Q", secret[-_STRIPE:])
    blocks = (len(data) - 1) // _BLOCK
    for at in range(0, blocks * _BLOCK, _BLOCK):
        _accumulate(acc, data[at:at + _BLOCK], secret)
        for i in range(8):
            value = acc[i] & _M64
            acc[i] = ((value ^ value >> 47 ^ scramble[i]) * _P32_1) & _M64
    rest = data[blocks * _BLOCK:]
    _accumulate(acc, rest[:(len(rest) - 1) // _STRIPE * _STRIPE], secret)
    _accumulate(acc, data[-_STRIPE:], secret[len(secret) - _STRIPE - 7:])
    return [value & _M64 for value in acc]


def _merge(acc, secret, at, start):
    for i in range(4):
        start += _fold(acc[2 * i] ^ _le64(secret, at + 16 * i),
                       acc[2 * i + 1] ^ _le64(secret, at + 16 * i + 8))
    return _avalanche(start & _M64)


def plain_64(data, seed=0):
    data = bytes(data)
    if len(data) <= 240:
        return _short64(data, seed)
    secret = _seeded_secret(seed)
    return _merge(_long(data, secret), secret, 11, len(data) * _P64_1)


def plain_128(data):
    """(low, high)"""
    data = bytes(data)
    if len(data) <= 240:
        return _short128(data)
    acc = _long(data, _SECRET)
    return (_merge(acc, _SECRET, 11, len(data) * _P64_1),
            _merge(acc, _SECRET, len(_SECRET) - _STRIPE - 11, ~(len(data) * _P64_2) & _M64))


try:
    import xxhash as _package
except ImportError:
    SOURCE, xxh3_64, xxh3_128 = "plain Python", plain_64, plain_128
else:
    SOURCE = f"xxhash {_package.VERSION}"

    def xxh3_64(data, seed=0):
        return _package.xxh3_64_intdigest(data, seed)

    def xxh3_128(data):
        value = _package.xxh3_128_intdigest(data)
        return value & _M64, value >> 64
