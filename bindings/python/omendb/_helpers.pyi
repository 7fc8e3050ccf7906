from collections.abc import Callable, Mapping
from typing import Any

decode: Callable[[str], Any]
decode_binary: Callable[[str], Any]

def vector_fields(described: Mapping[str, Any]) -> dict[str, tuple[str, int]]: ...
def same_schema(
    described: Mapping[str, Any],
    vectors: Mapping[str, Any] | None,
    fields: Mapping[str, Any] | None,
) -> bool: ...
