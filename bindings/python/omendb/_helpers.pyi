from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ._omendb import Collection, Document

decode: Callable[[str], Any]
decode_binary: Callable[[str], Any]

def vector_fields(described: Mapping[str, Any]) -> dict[str, tuple[str, int]]: ...
def same_schema(
    described: Mapping[str, Any],
    vectors: Mapping[str, Any] | None,
    fields: Mapping[str, Any] | None,
) -> bool: ...
def collection_text(described: Mapping[str, Any]) -> str: ...
def items(collection: Collection, where: Mapping[str, Any] | str | None) -> Iterator[Document]: ...
def ids(
    collection: Collection, where: Mapping[str, Any] | str | None
) -> Iterator[int | str]: ...
