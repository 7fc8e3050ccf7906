"""What the extension needs of Python's own library, imported when it is first needed."""

from binascii import a2b_base64
from json import JSONDecoder


def _bytes_hook(value):
    if len(value) == 1:
        encoded = value.get("$binary")
        if isinstance(encoded, str):
            return a2b_base64(encoded)
    return value


decode = JSONDecoder().decode
decode_binary = JSONDecoder(object_hook=_bytes_hook).decode


def vector_fields(described):
    """{name: (type, dim)} of a described collection."""
    return {field["name"]: (field["type"], field["dim"]) for field in described["vectors"]}


def same_schema(described, vectors, fields):
    """Whether a collection is declared as these dicts (or None) say; indexes may be switched."""
    have = {f["name"]: (f["dim"], f["type"], f["metric"]) for f in described["vectors"]}
    want = {name: (v.dim, v.type, v.metric) for name, v in (vectors or {}).items()}
    have_fields = {f["name"]: f["type"] for f in described["fields"]}
    want_fields = {name: f.kind for name, f in (fields or {}).items()}
    return have == want and have_fields == want_fields


def collection_text(described):
    """The repr of a described collection."""
    count = described["count"]
    parts = [f"{count:,} document{'' if count == 1 else 's'}"]
    for f in described["vectors"]:
        # Only where there was something to choose.
        usual = "fast" if f["type"] in ("f32", "f16", "bf16") and f["dim"] >= 4 else "exact"
        index = "" if f["index"] == usual else f", index={f['index']!r}"
        parts.append(f"{f['name']}: Vector({f['dim']}, {f['metric']!r}, type={f['type']!r}{index})")
    parts += (f"{f['name']}: {f['type'].capitalize()}()" for f in described["fields"])
    return f"<omendb.Collection {described['name']!r}: {', '.join(parts)}>"


def _pages(collection, where, limit, documents, page):
    while page:
        yield page
        if len(page) < limit:
            return
        page = collection.find(where, limit=limit, after=page[-1].id, documents=documents)


def _begin(collection, where, documents):
    # Each find() looks at all ids: some thirty pages, whatever the size. The first is read now, so
    # that wrong arguments are told at once.
    limit = max(1000, len(collection) // 32)
    first = collection.find(where, limit=limit, documents=documents)
    return _pages(collection, where, limit, documents, first)


def items(collection, where):
    """Iterator over Document."""
    return (entry for page in _begin(collection, where, True) for entry in page)


def ids(collection, where):
    """Iterator over ids."""
    return (entry.id for page in _begin(collection, where, False) for entry in page)
