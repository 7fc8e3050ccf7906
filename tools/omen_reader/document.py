"""Binary documents and encoded schemas (docs/FORMAT.md, "Documents", "Schema")."""
import base64
import math
import struct

DEPTH_MAX = 64


class Corrupt(Exception):
    """Bytes that break a rule of the format."""


def need(condition, text):
    if not condition:
        raise Corrupt(text)


# ---- Documents ----

INTEGERS = {0x03: "<b", 0x04: "<h", 0x05: "<i", 0x06: "<q", 0x07: "<Q"}
WIDTHS = {0: 1, 1: 2, 2: 4}


def _take(data, at, size, end):
    need(size <= end - at, "document: a value is cut off")
    return data[at:at + size]


def _number(data, at, size, end):
    return int.from_bytes(_take(data, at, size, end), "little")


def _text(data):
    try:
        return bytes(data).decode("utf-8")
    except UnicodeDecodeError:
        raise Corrupt("document: a string isn't UTF-8") from None


def _decimal(data):
    text = bytes(data)
    digits = text[1:] if text[:1] == b"-" else text
    need(digits.isdigit() and digits[:1] != b"0", "document: a decimal isn't one")
    value = int(text)
    need(not -2**63 <= value < 2**64, "document: a decimal fits 64 bits")
    return value


def _array(data, at, end, width, depth):
    size = _number(data, at + 1, width, end)
    count = _number(data, at + 1 + width, width, end)
    stride = _number(data, at + 1 + 2 * width, 1, end)
    need(size <= end - at, "document: an array exceeds what holds it")
    end, offsets = at + size, at + 2 + 2 * width
    item = offsets if stride else offsets + count * width
    need(item <= end, "document: an array is cut off")
    items = []
    for i in range(count):
        if not stride:
            need(_number(data, offsets + i * width, width, end) == item - at,
                 "document: an item isn't where its offset says")
        value, after = value_decode(data, item, end, depth)
        need(not stride or after - item == stride, "document: an item hasn't the array's stride")
        items.append(value)
        item = after
    need(item == end, "document: an array has bytes behind its items")
    return items, end


def _object(data, at, end, width, depth):
    size = _number(data, at + 1, width, end)
    count = _number(data, at + 1 + width, width, end)
    need(size <= end - at, "document: an object exceeds what holds it")
    end, offsets = at + size, at + 1 + 2 * width
    order = offsets + count * width
    member = order + (count * width if count > 16 else 0)
    need(member <= end, "document: an object is cut off")
    members, keys = {}, []
    for i in range(count):
        need(_number(data, offsets + i * width, width, end) == member - at,
             "document: a member isn't where its offset says")
        key_size, key_at = _number(data, member, 1, end), member + 1
        if key_size == 255:
            key_size, key_at = _number(data, member + 1, 4, end), member + 5
        key = _take(data, key_at, key_size, end)
        value, member = value_decode(data, key_at + key_size, end, depth)
        keys.append(bytes(key))
        need(_text(key) not in members, "document: a key comes twice")
        members[_text(key)] = value
    need(member == end, "document: an object has bytes behind its members")
    if count > 16:
        listed = [_number(data, order + i * width, width, end) for i in range(count)]
        need(listed == sorted(range(count), key=lambda i: keys[i]),
             "document: the order of keys is wrong")
    return members, end


def value_decode(data, at, end, depth=DEPTH_MAX):
    """(value, where it ends). Byte strings become {"$binary": base64}, as in JSON."""
    tag = _number(data, at, 1, end)
    if tag <= 0x02:
        return (None, False, True)[tag], at + 1
    if tag in INTEGERS:
        form = INTEGERS[tag]
        size = struct.calcsize(form)
        value = struct.unpack(form, _take(data, at + 1, size, end))[0]
        need(tag != 0x07 or value >= 2**63, "document: an unsigned integer fits a signed one")
        return value, at + 1 + size
    if tag in (0x08, 0x09):
        size = 4 if tag == 0x08 else 8
        value = struct.unpack("<f" if size == 4 else "<d", _take(data, at + 1, size, end))[0]
        need(math.isfinite(value), "document: a float isn't finite")
        return value, at + 1 + size
    if 0x40 <= tag <= 0x7F:
        return tag - 0x40, at + 1
    if 0x80 <= tag <= 0xBF:
        return _text(_take(data, at + 1, tag - 0x80, end)), at + 1 + tag - 0x80
    width = WIDTHS.get(tag & 3)
    need(0x10 <= tag < 0x24 and width is not None, f"document: tag {tag:#x}")
    kind = tag & ~3
    if kind >= 0x1C:
        need(depth > 0, "document: nested too deep")
        return (_array if kind == 0x1C else _object)(data, at, end, width, depth - 1)
    size = _number(data, at + 1, width, end)
    content, after = _take(data, at + 1 + width, size, end), at + 1 + width + size
    if kind == 0x10:
        return _text(content), after
    if kind == 0x14:
        return {"$binary": base64.b64encode(content).decode()}, after
    return _decimal(content), after


def document_decode(data):
    value, end = value_decode(data, 0, len(data))
    need(end == len(data), "document: bytes behind it")
    need(data[0] & ~3 == 0x20, "document: it isn't an object")
    return value


# ---- Schemas ----

class VectorField:
    def __init__(self, name, kind, metric, dim):
        self.name, self.type, self.metric, self.dim = name, kind, metric, dim
        self.size = (dim + 7) // 8 if kind == 5 else dim * {0: 4, 1: 2, 2: 2, 3: 1, 4: 1}[kind]


class Schema:
    def __init__(self, data):
        need(len(data) >= 4, "schema: cut off")
        version, vectors_count, fields_count = struct.unpack_from("<BBH", data)
        need(version == 1, f"schema: version {version}")
        need(vectors_count <= 16 and fields_count <= 256, "schema: too many fields")
        self.vectors, self.fields, names, at = [], [], set(), 4
        for _ in range(vectors_count):
            need(at + 8 <= len(data), "schema: cut off")
            kind, metric, size, options, dim = struct.unpack_from("<BBBBI", data, at)
            need(options <= 1 and kind <= 5 and metric <= 3 and (kind == 5) == (metric == 3)
                 and 1 <= dim <= 16384, "schema: an impossible vector field")
            name = self._name(data, at + 8, size, names)
            self.vectors.append(VectorField(name, kind, metric, dim))
            at += 8 + size
            if options == 1:
                need(at < len(data) and 1 <= data[at] <= 3, "schema: an unknown index")
                at += 1
        for _ in range(fields_count):
            need(at + 4 <= len(data), "schema: cut off")
            kind, size, options = struct.unpack_from("<BBH", data, at)
            need(kind <= 8 and options == 0, "schema: an impossible field")
            self.fields.append((self._name(data, at + 4, size, names), kind))
            at += 4 + size
        need(at == len(data), "schema: bytes behind it")

    @staticmethod
    def _name(data, at, size, names):
        need(1 <= size <= 128 and at + size <= len(data), "schema: a name's size")
        name = _text(data[at:at + size])
        need(not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or c == "/" for c in name),
             "schema: a name with a control character or '/'")
        need(name not in names, "schema: a name comes twice")
        names.add(name)
        return name
