"""OmenDB: an embedded database for documents that hold vectors, text and fields.

    >>> import omendb
    >>> with omendb.open(":memory:") as db:  # or "my.omen"
    ...     docs = db.create_collection("docs", vectors={"v": omendb.Vector(3, "cosine")})
    ...     docs.upsert(ids=["a", "b"], vectors=[[1, 0, 0], [0, 1, 0]],
    ...                 documents=[{"n": 1}, {"n": 2}])
    ...     for hit in docs.search([1, 0.1, 0], k=2, where={"n": {"$gte": 1}}):
    ...         print(hit.id, round(hit.score, 3), hit.document)
    a 0.995 {'n': 1}
    b 0.1 {'n': 2}
"""

from ._omendb import (
    ArgumentError,
    Batch,
    BusyError,
    Collection,
    ConflictError,
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
    Snapshot,
    TimeoutError,
    Transaction,
    UnsupportedError,
    __version__,
    open,
    repair,
    restore,
)

# `import omendb` must stay below 10 ms: this file imports nothing from the standard library.


class Vector:
    """A vector field: its dimension, its metric, the type its elements are stored in, its index.

    metric: 'l2', 'cosine', 'ip', 'hamming'. type: 'f32', 'f16', 'bf16', 'i8', 'u8', or 'bit',
    which goes with 'hamming' and whose dimension counts bits. index: 'fast' and 'compact' build
    a graph in the background, which 'compact' keeps in a third of the memory; 'exact' has none.
    None: 'fast' where the type can have a graph (f32, f16, bf16), else 'exact'.

        >>> db.create_collection("pictures", vectors={"color": omendb.Vector(64, "cosine", "f16"),
        ...                                           "shape": omendb.Vector(256, "hamming", "bit")})
        <omendb.Collection 'pictures': 0 documents, \
color: Vector(64, 'cosine', type='f16'), shape: Vector(256, 'hamming', type='bit')>
    """

    __slots__ = {  # A dict gives each its docstring.
        "dim": "Components of a vector; bits for 'bit'.",
        "metric": "'l2', 'cosine', 'ip' or 'hamming'.",
        "type": "'f32', 'f16', 'bf16', 'i8', 'u8' or 'bit'.",
        "index": "'fast', 'compact', 'exact' or None.",
    }

    def __init__(
        self, dim: int, metric: str = "l2", type: str = "f32", *, index: str | None = None
    ) -> None:
        self.dim = dim
        self.metric = metric
        self.type = type
        self.index = index

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index!r}"
        return f"omendb.Vector({self.dim!r}, {self.metric!r}, type={self.type!r}{index})"


class Field:
    """The type of a document's top-level field; null and a missing field are always allowed.

        >>> books = db.create_collection("books", fields={"year": omendb.Int()})
        >>> books.upsert("a", documents={"year": 1999, "other": [1, "free"]})
        >>> books.upsert("b", documents={"year": "MCMXCIX"})  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        omendb.InvalidValueError
    """

    __slots__ = ()
    kind = "any"

    def __repr__(self) -> str:
        return f"omendb.{type(self).__name__}()"


class Bool(Field):
    """true or false.

        >>> c = db.create_collection("c", fields={"x": omendb.Bool()})
        >>> c.upsert(1, documents={"x": True})
        >>> c.get(1)
        {'x': True}
    """

    __slots__ = ()
    kind = "bool"


class Int(Field):
    """A whole number.

        >>> c = db.create_collection("c", fields={"x": omendb.Int()})
        >>> c.upsert(1, documents={"x": 7})
        >>> c.get(1)
        {'x': 7}
    """

    __slots__ = ()
    kind = "int"


class Float(Field):
    """A number; whole ones too.

        >>> c = db.create_collection("c", fields={"x": omendb.Float()})
        >>> c.upsert(1, documents={"x": 0.5})
        >>> c.get(1)
        {'x': 0.5}
    """

    __slots__ = ()
    kind = "float"


class String(Field):
    """A string.

        >>> c = db.create_collection("c", fields={"x": omendb.String()})
        >>> c.upsert(1, documents={"x": 'red'})
        >>> c.get(1)
        {'x': 'red'}
    """

    __slots__ = ()
    kind = "string"


class Text(Field):
    """A string to be searched by words.

        >>> c = db.create_collection("c", fields={"x": omendb.Text()})
        >>> c.upsert(1, documents={"x": 'red fox'})
        >>> c.get(1)
        {'x': 'red fox'}
    """

    __slots__ = ()
    kind = "text"


class Bytes(Field):
    """A byte string.

        >>> c = db.create_collection("c", fields={"x": omendb.Bytes()})
        >>> c.upsert(1, documents={"x": b'\\x01'})
        >>> c.get(1)
        {'x': b'\\x01'}
    """

    __slots__ = ()
    kind = "bytes"


class Array(Field):
    """A list.

        >>> c = db.create_collection("c", fields={"x": omendb.Array()})
        >>> c.upsert(1, documents={"x": [1, 'two']})
        >>> c.get(1)
        {'x': [1, 'two']}
    """

    __slots__ = ()
    kind = "array"


class Object(Field):
    """A dict.

        >>> c = db.create_collection("c", fields={"x": omendb.Object()})
        >>> c.upsert(1, documents={"x": {'x': 1}})
        >>> c.get(1)
        {'x': {'x': 1}}
    """

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
    "ConflictError",
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
    "Snapshot",
    "String",
    "Text",
    "TimeoutError",
    "Transaction",
    "UnsupportedError",
    "Vector",
    "__version__",
    "open",
    "repair",
    "restore",
]
