"""How large an item is, and may be, in DynamoDB."""

from typing import Any

LARGEST_ITEM = 409_600  # DynamoDB: 400 KB


def stored_bytes(item: dict[str, Any]) -> int:
    """Return the size of an item as DynamoDB counts it: the tests' own count."""

    def size(value: Any) -> int:
        if isinstance(value, dict):
            return 3 + sum(1 + len(name.encode()) + size(part) for name, part in value.items() if part is not None)
        if isinstance(value, list | tuple):
            return 3 + sum(1 + size(part) for part in value)
        return len(value) if isinstance(value, bytes) else len(str(value).encode())

    return size(item)
