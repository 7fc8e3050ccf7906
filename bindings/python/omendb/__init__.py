"""OmenDB: an embedded database for documents that hold vectors, text and fields.

    import omendb
    with omendb.open("my.omen") as db:
        docs = db.create_collection("docs", vectors={"v": omendb.Vector(3, "cosine")})
        docs.upsert(ids=["a", "b"], vectors=[[1, 0, 0], [0, 1, 0]], documents=[{"n": 1}, {"n": 2}])
        for hit in docs.search([1, 0.1, 0], k=2, where={"n": {"$gte": 1}}):
            print(hit.id, hit.score, hit.document)
"""

from ._omendb import (
    ArgumentError,
    Batch,
    BusyError,
    Collection,
    CorruptError,
    Database,
    DimensionError,
    Document,
    Error,
    ExistsError,
    FullError,
    Hit,
    InternalError,
    InterruptedError,
    InvalidValueError,
    IOError_,
    MisuseError,
    NoMemoryError,
    NotFoundError,
    Numbers,
    ReadOnlyError,
    Result,
    TimeoutError,
    UnsupportedError,
    __version__,
    open,
)

# `import omendb` must stay below 10 ms: this file imports nothing from the standard library.


class Vector:
    """A vector field: its dimension, its metric and the type its elements are stored in.

    metric: 'l2', 'cosine', 'ip', 'hamming'. type: 'f32', 'f16', 'bf16', 'i8', 'u8', or 'bit',
    which goes with 'hamming' and whose dimension counts bits.
    """

    __slots__ = ("dim", "metric", "type")

    def __init__(self, dim: int, metric: str = "l2", type: str = "f32") -> None:
        self.dim = dim
        self.metric = metric
        self.type = type

    def __repr__(self) -> str:
        return f"omendb.Vector({self.dim!r}, {self.metric!r}, type={self.type!r})"


class Field:
    """The type of a document's top-level field; null and a missing field are always allowed."""

    __slots__ = ()
    kind = "any"

    def __repr__(self) -> str:
        return f"omendb.{type(self).__name__}()"


class Bool(Field):
    """true or false."""

    __slots__ = ()
    kind = "bool"


class Int(Field):
    """A whole number."""

    __slots__ = ()
    kind = "int"


class Float(Field):
    """A number; whole ones too."""

    __slots__ = ()
    kind = "float"


class String(Field):
    """A string."""

    __slots__ = ()
    kind = "string"


class Text(Field):
    """A string to be searched by words."""

    __slots__ = ()
    kind = "text"


class Bytes(Field):
    """A byte string."""

    __slots__ = ()
    kind = "bytes"


class Array(Field):
    """A list."""

    __slots__ = ()
    kind = "array"


class Object(Field):
    """A dict."""

    __slots__ = ()
    kind = "object"


__all__ = [
    "ArgumentError",
    "Array",
    "Batch",
    "Bool",
    "BusyError",
    "Bytes",
    "Collection",
    "CorruptError",
    "Database",
    "DimensionError",
    "Document",
    "Error",
    "ExistsError",
    "Field",
    "Float",
    "FullError",
    "Hit",
    "IOError_",
    "Int",
    "InternalError",
    "InterruptedError",
    "InvalidValueError",
    "MisuseError",
    "NoMemoryError",
    "NotFoundError",
    "Numbers",
    "Object",
    "ReadOnlyError",
    "Result",
    "String",
    "Text",
    "TimeoutError",
    "UnsupportedError",
    "Vector",
    "__version__",
    "open",
]
