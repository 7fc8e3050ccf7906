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
    """Whether a collection is declared as these dicts (or None) say."""
    have = {f["name"]: (f["dim"], f["type"], f["metric"]) for f in described["vectors"]}
    want = {name: (v.dim, v.type, v.metric) for name, v in (vectors or {}).items()}
    have_fields = {f["name"]: f["type"] for f in described["fields"]}
    want_fields = {name: f.kind for name, f in (fields or {}).items()}
    return have == want and have_fields == want_fields
