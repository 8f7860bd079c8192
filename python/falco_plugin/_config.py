"""A plugin's configuration as an object: the class that it declares, its JSON schema, and ``init_config`` read into it.

Schema and :func:`parse` both go by msgspec's rules, and are stricter in one: a key that the class does not have is an
error, since most often it is a misspelt one.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import inspect
import json
import re
import sys
import typing
import uuid
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypeGuard

import msgspec
from msgspec import inspect as mi

from falco_plugin import _annotations, _types
from falco_plugin.errors import PluginError


class _Kind(NamedTuple):
    """A type of msgspec, as the operator meets it."""

    called: str
    json: tuple[type, ...]
    """What it is read from."""
    python: Any
    """What msgspec checks the constraints on: of a container, its length."""


_LIST = _Kind("list", (list,), list)
_MAP = _Kind("map", (dict,), dict)

# A type that is not in here has no place in a configuration.
_KINDS: dict[type[mi.Type], _Kind] = {
    mi.AnyType: _Kind("anything", (type(None), bool, int, float, str, list, dict), Any),
    mi.NoneType: _Kind("null", (type(None),), None),
    mi.BoolType: _Kind("bool", (bool,), bool),
    mi.IntType: _Kind("int", (int,), int),
    mi.FloatType: _Kind("float", (int, float), float),
    mi.DecimalType: _Kind("decimal number", (str, int, float), decimal.Decimal),
    mi.StrType: _Kind("str", (str,), str),
    mi.BytesType: _Kind("base64 text", (str,), bytes),
    mi.DateTimeType: _Kind("date and time", (str,), datetime.datetime),
    mi.DateType: _Kind("date", (str,), datetime.date),
    mi.TimeType: _Kind("time of day", (str,), datetime.time),
    mi.TimeDeltaType: _Kind("ISO 8601 duration", (str,), datetime.timedelta),
    mi.UUIDType: _Kind("UUID", (str,), uuid.UUID),
    mi.ListType: _LIST,
    mi.SetType: _LIST,
    mi.FrozenSetType: _LIST,
    mi.VarTupleType: _LIST,
    mi.TupleType: _LIST,
    mi.NamedTupleType: _LIST,
    mi.DictType: _MAP,
    mi.TypedDictType: _MAP,
    mi.DataclassType: _MAP,
    mi.StructType: _MAP,
}
_WithFields: TypeAlias = mi.StructType | mi.DataclassType | mi.TypedDictType | mi.NamedTupleType
_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")
_NAMES = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "map"}
_MSGSPEC_NAMES = {"array": "list", "object": "map"}
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*")


# The class


def declared(cls: type) -> type | None:
    """The class that a plugin's configuration is read into, from its annotation ``config: T``; None where it is text.

    The annotation nearest in the method resolution order counts, and is evaluated alone. No annotation, ``str`` and
    ``Any``, which is that of :class:`falco_plugin.Plugin`, mean text.

    Raises:
        PluginError: T is neither ``str`` nor a dataclass nor a ``msgspec.Struct``, or cannot be evaluated.
    """
    where = f"{cls.__qualname__}.config"
    for base in cls.__mro__:
        value = vars(base).get("config")
        if "config" not in _annotations.own(base) and (_is_config_class(value) or _is_config_class(type(value))):
            name = (value if isinstance(value, type) else type(value)).__name__
            raise PluginError(f"{where} is set, but not annotated: write config: {name}")
    try:
        annotation = _annotation(cls, "config")
    except Exception as error:
        raise PluginError(
            f"{where}: its annotation cannot be evaluated ({error}): name a class that its module has at run time"
        ) from None
    if annotation is str or annotation is Any:
        return None
    if _is_config_class(annotation):
        return annotation
    hint = " (put @dataclass on it)" if isinstance(annotation, type) and annotation.__module__ != "builtins" else ""
    raise PluginError(
        f"{where} must be annotated with str, a dataclass or a msgspec.Struct, not {_types.name(annotation)}{hint}"
    )


def _is_config_class(annotation: object) -> TypeGuard[type]:
    return isinstance(annotation, type) and (
        dataclasses.is_dataclass(annotation) or issubclass(annotation, msgspec.Struct)
    )


def _annotation(cls: type, name: str) -> object:
    """The annotation of one attribute; ``str`` where it has none."""
    for base in cls.__mro__:
        if name not in (annotations := _annotations.own(base)):
            continue
        return _annotations.evaluate(annotations[name], vars(sys.modules[base.__module__]), vars(base))
    return str


def _describe(config: type) -> mi.Type:
    """What msgspec knows of a class, all of which must be readable from JSON."""
    try:
        described = mi.type_info(config)
    except Exception as error:
        where = ".".join([config.__qualname__, *_culprit(config, {config})])
        raise PluginError(f"{where}: {error}") from None
    for problem in _unfit(described, config.__qualname__, set()):
        raise PluginError(problem)
    return described


def _culprit(cls: type, seen: set[type]) -> tuple[str, ...]:
    """The path to the field that msgspec cannot describe; its own text names none."""
    names = cls.__struct_fields__ if issubclass(cls, msgspec.Struct) else [f.name for f in _dataclass_fields(cls)]
    for name in names:
        nested: set[type] = set()
        try:
            annotation = _annotation(cls, name)
            nested.update(_config_classes(annotation))
            mi.type_info(annotation)
        except Exception:
            for part in nested - seen:
                if inner := _culprit(part, seen | nested):
                    return (name, *inner)
            # A field that leads back to a class being searched fails for the sake of another one.
            if not nested & seen:
                return (name,)
    return ()


def _config_classes(annotation: object) -> Iterator[type]:
    if _is_config_class(annotation):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _config_classes(part)


def _unfit(described: mi.Type, path: str, seen: set[object]) -> Iterator[str]:
    """What msgspec describes, and a configuration still cannot be."""
    if isinstance(described, _WithFields):
        if described.cls in seen:
            return
        seen.add(described.cls)
        yield from _not_made(described, typing.get_origin(described.cls) or described.cls, path)
    elif not isinstance(described, (*_KINDS, mi.Metadata, mi.UnionType, mi.LiteralType, mi.EnumType)):
        cls = getattr(described, "cls", type(described))
        name = getattr(cls, "__name__", cls)
        yield f"{path}: {name} cannot be read from JSON: annotate it with str, and convert it where it is used"
    for value in (getattr(described, name) for name in described.__struct_fields__):
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, mi.Type):
                yield from _unfit(part, path, seen)
            elif isinstance(part, mi.Field):
                yield from _unfit(part.type, f"{path}.{part.name}", seen)


def _not_made(described: _WithFields, cls: Any, path: str) -> Iterator[str]:
    """Why a class would not be instantiated as its author means."""
    if inspect.isabstract(cls):
        yield f"{path}: {cls.__qualname__} cannot be instantiated, it is abstract: name a class that is not"
    if getattr(described, "array_like", False):
        yield f"{path}: {cls.__qualname__} is array_like, which leaves no names to configure it by: leave that out"
    for field in _dataclass_fields(cls):
        if not field.init:
            yield f"{path}.{field.name}: with init=False it would still be read from the text: make it a property"
    for described_field in described.fields:
        try:
            msgspec.json.encode(None if described_field.default is msgspec.NODEFAULT else described_field.default)
        except Exception as error:
            yield f"{path}.{described_field.name}: its default cannot be written as JSON: {error}"


def _dataclass_fields(cls: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()


# Its schema


def schema(config: type) -> str:
    """The JSON schema of a configuration class, draft 7, as text (``sdk.InitSchema`` of the Go SDK).

    It has the descriptions (docstrings of classes, ``msgspec.Meta(description=…)``), defaults, required keys, ranges
    and patterns, and accepts whatever :func:`parse` accepts. What draft 7 cannot say is left to :func:`parse`: that a
    text is a date, that a key is a number, what a ``__post_init__`` refuses.

    Raises:
        PluginError: a field, which is named, cannot be described, or a class cannot be instantiated.
    """
    _describe(config)
    (reference,), written = msgspec.json.schema_components((config,), ref_template="{name}")
    root = reference["$ref"]
    definitions = {name: _draft_7(inner, root) for name, inner in written.items()}
    out = {"$schema": "http://json-schema.org/draft-07/schema#", **definitions.pop(root)}
    if definitions:
        out["definitions"] = definitions
    return msgspec.json.encode(out).decode()


# Falco compiles a pattern as ECMAScript does, and refuses the plugin where it cannot.
_PYTHON_ONLY = re.compile(r"\(\?(?![:=!])|\\[AZ]|[*+?}]\+|\{,")


def _draft_7(node: dict[str, Any], root: str) -> dict[str, Any]:
    """One node that msgspec wrote for draft 2020-12, in the words of draft 7. The definition ``root`` is inlined."""
    out: dict[str, Any] = {}
    for word, value in node.items():
        match word:
            case "properties":
                out[word] = {name: _draft_7(inner, root) for name, inner in value.items()}
            case "anyOf":
                out[word] = [_draft_7(inner, root) for inner in value]
            case "prefixItems":
                out["items"] = [_draft_7(inner, root) for inner in value]
                out["additionalItems"] = False
            case "items" | "additionalProperties" | "propertyNames":
                if isinstance(value, dict):
                    out[word] = _draft_7(value, root)
            case "description":
                out[word] = inspect.cleandoc(value)
            case "format":
                # Left out: Falco's validator takes fewer dates than msgspec. A decimal number may be a number as well.
                if value == "decimal":
                    out["type"] = ["string", "number"]
            case "pattern" if _PYTHON_ONLY.search(value):
                pass
            case "discriminator" | "uniqueItems":
                pass  # The one is OpenAPI's; and a list that names something twice is a set all the same.
            case "$ref":
                reference = {"$ref": "#" if value == root else f"#/definitions/{value}"}
                if len(node) == 1:
                    return reference
                # Draft 7 ignores what stands beside a reference.
                out["allOf"] = [reference]
            case _:
                out[word] = value
    if "properties" in out:
        out["additionalProperties"] = False
    return out


# Its text


def parse(text: str, config: type) -> object:
    """Reads ``init_config`` into an object of a configuration class; blank text is an empty map.

    Objects are made from the inside out, each with its ``__post_init__``, whose ``ValueError`` or ``TypeError`` is told
    as any other problem is.

    Raises:
        PluginError: the text does not fit. Every problem is told, with its path and with what is expected; a value
            never is, for it may be a secret.
    """
    described = _describe(config)
    reader = _Reader()
    try:
        made: object = reader.read(described, _decode(text), "")
    except RecursionError:
        raise PluginError("init_config is nested too deeply") from None
    if reader.problems:
        raise PluginError(f"init_config does not fit: {'; '.join(reader.problems)}")
    return made


def _decode(text: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text if text.strip() else "{}")
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ").partition(" - at ")[0]
        raise PluginError(f"init_config must be a map, and is no JSON: {_in_sentence(reason)}") from None
    if not isinstance(value, dict):
        raise PluginError(f"init_config must be a map, not {_NAMES[type(value)]}")
    return value


class _Reader:
    """Reads a value into a type as msgspec does, which alone would stop at the first problem and quote some values."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def read(self, expected: mi.Type, value: Any, path: str) -> Any:
        """The value with the objects in it made; msgspec takes them as they are when it makes the one around them."""
        options = list(_options(expected))
        fitting = [option for option in options if type(value) in _json_kinds(option)]
        if not fitting:
            self._wrong(path, f"expected {_called(options)}, got {_NAMES[type(value)]}")
            return value
        match option := min(fitting, key=_preference):
            case mi.LiteralType() | mi.EnumType():
                if not any(_is_one_of(value, _allowed(other)) for other in fitting):
                    self._wrong(path, f"expected {_called(options)}")
                return value
            case mi.StructType() if len(fitting) > 1:
                return self._read_tagged(fitting, value, path)
            case mi.StructType() | mi.DataclassType() | mi.TypedDictType():
                return self._read_fields(option, value, path)
            case mi.TupleType():
                return self._read_positions(option.item_types, len(option.item_types), value, path)
            case mi.NamedTupleType():
                required = sum(field.required for field in option.fields)
                return self._read_positions([field.type for field in option.fields], required, value, path)
            case mi.CollectionType():
                self._check(option, value, path)
                return [self.read(option.item_type, item, f"{path}[{index}]") for index, item in enumerate(value)]
            case mi.DictType():
                self._check(option, value, path)
                return self._read_dict(option, value, path)
            case _:
                self._check(option, value, path)
                return value

    def _read_fields(
        self, option: mi.StructType | mi.DataclassType | mi.TypedDictType, value: dict[str, Any], path: str
    ) -> Any:
        told = len(self.problems)
        fields = [*option.fields]
        if isinstance(option, mi.StructType) and option.tag_field is not None:
            fields.insert(0, mi.Field(option.tag_field, option.tag_field, mi.LiteralType((option.tag,))))
        made: dict[str, Any] = {}
        for field in fields:
            name = field.encode_name
            if name in value:
                made[name] = self.read(field.type, value[name], _join(path, name))
            elif field.required:
                self._wrong(_join(path, name), "required")
        known = f" (known: {', '.join(field.encode_name for field in fields) or 'none'})"
        for name in value:
            if name not in made:
                self._wrong(_join(path, name), f"unknown key{known}")
                known = ""  # once is enough: the host cuts long texts
        if isinstance(option, mi.TypedDictType) or len(self.problems) > told:
            return made
        return self._make(option.cls, made, path)

    def _make(self, cls: type, made: dict[str, Any], path: str) -> Any:
        try:
            return msgspec.convert(made, cls, str_keys=True)
        except msgspec.ValidationError as error:
            cause = error.__cause__
        # Without a cause it is msgspec's own, from a conversion in the author's code, and may have a value in it.
        self._wrong(path, str(cause or "") or f"{cls.__name__} refuses it")
        return made

    def _read_tagged(self, structs: list[Any], value: dict[str, Any], path: str) -> Any:
        key: str = structs[0].tag_field
        for struct in structs:
            if key in value and _is_one_of(value[key], [struct.tag]):
                return self._read_fields(struct, value, path)
        # Which keys there may be depends on the tag.
        tag = mi.Field(key, key, mi.LiteralType(tuple(struct.tag for struct in structs)))
        given = {key: value[key]} if key in value else {}
        return self._read_fields(mi.TypedDictType(dict, (tag,)), given, path)

    def _read_dict(self, option: mi.DictType, value: dict[str, Any], path: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, item in value.items():
            where = _join(path, key)
            self._read_key(option.key_type, key, f"{where}: its key")
            made[key] = self.read(option.value_type, item, where)
        return made

    def _read_key(self, expected: mi.Type, key: str, path: str) -> None:
        options = list(_options(expected))
        if any(str in _json_kinds(option) for option in options):
            self.read(expected, key, path)
        elif not any(_reads_key(option, key) for option in options):
            self._wrong(path, f"expected {_called(options)}")

    def _read_positions(self, types: Sequence[mi.Type], required: int, value: list[Any], path: str) -> list[Any]:
        if not required <= len(value) <= len(types):
            length = f"{required}" if required == len(types) else f"{required} to {len(types)}"
            self._wrong(path, f"expected list of length {length}, got {len(value)}")
        return [
            self.read(expected, item, f"{path}[{index}]")
            for index, (expected, item) in enumerate(zip(types, value, strict=False))
        ]

    def _check(self, option: mi.Type, value: Any, path: str) -> None:
        try:
            msgspec.convert(value, _python(option))
        except msgspec.ValidationError as error:
            # The first name in backquotes is a type's, whatever follows is the author's pattern.
            text = re.sub("`(.*?)`", lambda name: _MSGSPEC_NAMES.get(name[1], name[1]), str(error), count=1)
            self._wrong(path, _in_sentence(text))

    def _wrong(self, path: str, text: str) -> None:
        self.problems.append(f"{path}: {text}" if path else text)


def _options(expected: mi.Type) -> Iterator[mi.Type]:
    match expected:
        case mi.Metadata():
            yield from _options(expected.type)
        case mi.UnionType():
            for option in expected.types:
                yield from _options(option)
        case _:
            yield expected


def _preference(option: mi.Type) -> int:
    """Which of several types msgspec reads a value into."""
    order = (mi.AnyType, mi.IntType, mi.StrType, mi.LiteralType, mi.EnumType, mi.FloatType)
    return order.index(type(option)) if type(option) in order else len(order)


def _allowed(option: mi.Type) -> Sequence[Any]:
    match option:
        case mi.LiteralType():
            return option.values
        case mi.EnumType():
            return [member.value for member in option.cls]
        case _:
            return ()


def _is_one_of(value: Any, allowed: Sequence[Any]) -> bool:
    # To Python, True is 1.
    return any(type(value) is type(other) and value == other for other in allowed)


def _json_kinds(option: mi.Type) -> Collection[type]:
    kind = _KINDS.get(type(option))
    return kind.json if kind else {type(value) for value in _allowed(option)}


def _called(options: Sequence[mi.Type]) -> str:
    """What is expected, such as "int, str or null"."""
    names: dict[str, None] = {}
    for option in options:
        kind = _KINDS.get(type(option))
        called = [kind.called] if kind else [json.dumps(value, ensure_ascii=False) for value in _allowed(option)]
        names.update(dict.fromkeys(called))
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _python(option: mi.Type) -> Any:
    """A type that has the constraints of what msgspec described, and no types within."""
    if isinstance(option, mi.LiteralType):
        literal: Any = Literal
        return literal[option.values]
    if isinstance(option, mi.EnumType):
        return option.cls
    limits = {name: limit for name in _CONSTRAINTS if (limit := getattr(option, name, None)) is not None}
    python = _KINDS[type(option)].python
    return Annotated[python, msgspec.Meta(**limits)] if limits else python


def _reads_key(option: mi.Type, key: str) -> bool:
    mapping: Any = dict
    try:
        msgspec.convert({key: None}, mapping[_python(option), None], str_keys=True)
    except msgspec.ValidationError:
        return False
    return True


def _in_sentence(text: str) -> str:
    return text[0].lower() + text[1:]


def _join(path: str, key: str) -> str:
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key
