"""Makes the bytes of ``marshal.dumps`` reproducible.

``marshal`` gives an object a number for later references if another reference to the object exists anywhere in the
process. It also notes whether a string is interned. For strings of one character this depends on the process too,
because all code of the process shares them. So the same code object has other bytes in another process.

This module removes the numbers of objects that the bytes never refer to, and marks all strings of one character as
interned.
"""

from __future__ import annotations

_HAS_NUMBER = 0x80
_REFERENCE = ord("r")
_CODE = ord("c")
_SMALL_TUPLE = ord(")")
_COLLECTIONS = frozenset(b"([<>")
"""Tuple, list, set and frozenset: a 32-bit count, then the elements."""
_SHORT_STRINGS = frozenset(b"zZ")
_INTERNED = {ord("z"): ord("Z"), ord("u"): ord("t")}
"""The types of strings, short ASCII and others, and of the same strings if they are interned."""
_SHARED_UTF8 = (b"\xc2", b"\xc3")
"""The first byte of the characters from U+0080 to U+00FF. Strings of one larger character are not shared."""
_STRINGS = frozenset(b"stuaA")
_FIXED = {**dict.fromkeys(b"NFTS.", 0), ord("i"): 4, ord("g"): 8, ord("y"): 16}
"""Sizes of singletons, int, float and complex."""
_LONG = ord("l")
_SLICE = ord(":")

_CODE_NUMBERS = 20
"""Bytes of the numbers at the start of a code object."""
_CODE_OBJECTS = (8, 2)
"""Objects of a code object before and after the number of its first line, as in Python 3.11 to 3.15."""


def normalise(data: bytes) -> bytes:
    """Returns the bytes in the form that does not depend on the process.

    Raises:
        ValueError: the bytes are not those of a code object in a format of Python 3.11 to 3.15.
    """
    numbered, references, shared = _scan(data)
    used = {number for _, number in references}
    numbers: dict[int, int] = {}
    result = bytearray(data)
    for position in shared:
        kind = result[position]
        result[position] = _INTERNED[kind & ~_HAS_NUMBER] | kind & _HAS_NUMBER
    for number, position in enumerate(numbered):
        if number in used:
            numbers[number] = len(numbers)
        else:
            result[position] &= ~_HAS_NUMBER
    for position, number in references:
        result[position : position + 4] = numbers[number].to_bytes(4, "little")
    return bytes(result)


def _scan(data: bytes) -> tuple[list[int], list[tuple[int, int]], list[int]]:
    """Returns positions of objects with a number, of references with their numbers, and of strings that are shared."""
    shared: list[int] = []
    numbered: list[int] = []
    references: list[tuple[int, int]] = []
    position = 0
    pending = 1
    """Objects to read of the current collection."""
    stack: list[int] = []
    """Objects to read of the outer collections. -1 is the rest of a code object, from the number of its first line."""
    while pending or stack:
        if not pending:
            pending = stack.pop()
            if pending < 0:
                position += 4
                pending = _CODE_OBJECTS[1]
            continue
        pending -= 1
        kind = data[position]
        if kind & _HAS_NUMBER:
            numbered.append(position)
            kind &= ~_HAS_NUMBER
        position += 1
        if kind == _REFERENCE:
            references.append((position, _number(data, position)))
            position += 4
        elif kind == _CODE:
            stack += (pending, -1)
            pending = _CODE_OBJECTS[0]
            position += _CODE_NUMBERS
        elif kind == _SMALL_TUPLE:
            stack.append(pending)
            pending = data[position]
            position += 1
        elif kind in _COLLECTIONS:
            stack.append(pending)
            pending = _number(data, position)
            position += 4
        elif kind == _SLICE:
            stack.append(pending)
            pending = 3
        else:
            if kind in _INTERNED and _is_shared(data, position, kind):
                shared.append(position - 1)
            position += _size(data, position, kind)
    if position != len(data):
        raise ValueError("bytes follow the marshalled object")
    return numbered, references, shared


def _is_shared(data: bytes, position: int, kind: int) -> bool:
    """Returns whether a string that is not interned is empty or has one character that all of the process shares."""
    if kind in _SHORT_STRINGS:
        return data[position] <= 1
    length = _number(data, position)
    return length == 0 or (length == 2 and data[position + 4 : position + 5] in _SHARED_UTF8)


def _size(data: bytes, position: int, kind: int) -> int:
    """Returns the size of an object that contains no others, without its type."""
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _SHORT_STRINGS:
        return 1 + data[position]
    if kind in _STRINGS:
        return 4 + _number(data, position)
    if kind == _LONG:
        return 4 + 2 * abs(_number(data, position))
    raise ValueError(f"unknown type {kind:#x} of a marshalled object")


def _number(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "little", signed=True)
