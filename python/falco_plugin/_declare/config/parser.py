"""Reads ``init_config`` into an object of the plugin's configuration class."""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import inspect as mi

from falco_plugin._declare.config.description import describe
from falco_plugin._declare.config.kinds import (
    allowed_values,
    can_be_key,
    is_one_of,
    json_types,
    names_of,
    options_of,
    preference,
    python_type,
)
from falco_plugin.errors import PluginError
from falco_plugin.secret import from_config

_NAMES = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "map"}
_MSGSPEC_NAMES = {"array": "list", "object": "map"}
_INTEGERS = (-(2**63), 2**63 - 1)
"""The smallest and the largest number that Falco accepts as an integer."""
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*")
_NOT_USER_CODE = frozenset({"falco_plugin", *sys.stdlib_module_names})


def parse(text: str, config: type) -> object:
    """Reads ``init_config`` into an object of a configuration class. Blank text is an empty map.

    Inner objects are made before the objects that contain them, each with its ``__post_init__``. A ``ValueError`` or
    ``TypeError`` that this raises is reported as any other problem.

    Raises:
        PluginError: the text does not fit the class. The message has every problem with its path and the expected
            type. It never has a value, which may be a secret.
    """
    described = describe(config)
    reader = _Reader()
    try:
        made: object = reader.read(described, _decode(text), "")
    except RecursionError as error:
        if _is_from_user_code(error):
            raise
        raise PluginError("init_config is nested too deeply: make it flatter") from None
    if reader.problems:
        raise PluginError(f"init_config does not fit: {'; '.join(reader.problems)}")
    return made


def _is_from_user_code(error: RecursionError) -> bool:
    """Returns whether the recursion went through user code, such as the ``__post_init__`` of a class."""
    modules = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(module.partition(".")[0] not in _NOT_USER_CODE for module in modules)


def _decode(text: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text if text.strip() else "{}")
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ").partition(" - at ")[0]
        raise PluginError(f"init_config must be a map, but it is not valid JSON: {_in_sentence(reason)}") from None
    if not isinstance(value, dict):
        raise PluginError(f"init_config must be a map, not {_NAMES[type(value)]}")
    return value


class _Reader:
    """Reads a value into a type by the rules of msgspec, and collects all problems.

    msgspec alone stops at the first problem, and quotes some values in its messages.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []

    def read(self, expected: mi.Type, value: Any, path: str) -> Any:
        """Returns the value with its inner objects made, which msgspec keeps when it makes the outer object."""
        options = list(options_of(expected))
        value = _as_integer(options, value)
        fitting = [option for option in options if type(value) in json_types(option)]
        if _is_out_of_range(value):
            fitting = [option for option in fitting if float in json_types(option)]
            if not fitting:
                limits = f"from {_INTEGERS[0]} to {_INTEGERS[1]}, all that Falco accepts"
                self._add_problem(path, f"expected {names_of(options)}, got an int out of range ({limits})")
                return value
        if not fitting:
            self._add_problem(path, f"expected {names_of(options)}, got {_NAMES[type(value)]}")
            return value
        match option := min(fitting, key=preference):
            case mi.LiteralType() | mi.EnumType():
                if not any(is_one_of(value, allowed_values(other)) for other in fitting):
                    self._add_problem(path, f"expected {names_of(options)}")
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
                self._check_constraints(option, value, path)
                return [self.read(option.item_type, item, f"{path}[{index}]") for index, item in enumerate(value)]
            case mi.DictType():
                self._check_constraints(option, value, path)
                return self._read_dict(option, value, path)
            case mi.CustomType():
                return self._read_secret(value, path)
            case _:
                self._check_constraints(option, value, path)
                return value

    def _read_fields(
        self, option: mi.StructType | mi.DataclassType | mi.TypedDictType, value: dict[str, Any], path: str
    ) -> Any:
        problems_before = len(self.problems)
        fields = [*option.fields]
        if isinstance(option, mi.StructType) and option.tag_field is not None:
            fields.insert(0, mi.Field(option.tag_field, option.tag_field, mi.LiteralType((option.tag,))))
        made: dict[str, Any] = {}
        for field in fields:
            name = field.encode_name
            if name in value:
                made[name] = self.read(field.type, value[name], _join(path, name))
            elif field.required:
                self._add_problem(_join(path, name), "required")
        known = f" (known: {', '.join(field.encode_name for field in fields) or 'none'})"
        for name in value:
            if name not in made:
                self._add_problem(_join(path, name), f"unknown key{known}")
                # List the known keys once, because the host cuts long messages.
                known = ""
        if isinstance(option, mi.TypedDictType) or len(self.problems) > problems_before:
            return made
        return self._make(option.cls, made, path)

    def _make(self, cls: type, made: dict[str, Any], path: str) -> Any:
        try:
            return msgspec.convert(made, cls, str_keys=True)
        except msgspec.ValidationError as error:
            cause = error.__cause__
        # An error without a cause comes from a conversion of msgspec in user code. Its message may quote a value.
        self._add_problem(path, str(cause or "") or f"{cls.__name__} does not accept the value")
        return made

    def _read_tagged(self, structs: list[Any], value: dict[str, Any], path: str) -> Any:
        """Reads a value into the one of several structs that has its tag."""
        key: str = structs[0].tag_field
        for struct in structs:
            if key in value and is_one_of(value[key], [struct.tag]):
                return self._read_fields(struct, value, path)
        # Report only the tag, because it decides which other keys are known.
        tag = mi.Field(key, key, mi.LiteralType(tuple(struct.tag for struct in structs)))
        only_tag = {key: value[key]} if key in value else {}
        return self._read_fields(mi.TypedDictType(dict, (tag,)), only_tag, path)

    def _read_secret(self, text: str, path: str) -> Any:
        try:
            return from_config(text, path)
        except ValueError as error:
            self._add_problem(path, str(error))
            return text

    def _read_dict(self, option: mi.DictType, value: dict[str, Any], path: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, item in value.items():
            where = _join(path, key)
            self._check_key(option.key_type, key, f"{where}: key")
            made[key] = self.read(option.value_type, item, where)
        return made

    def _check_key(self, expected: mi.Type, key: str, path: str) -> None:
        options = list(options_of(expected))
        if any(str in json_types(option) for option in options):
            self.read(expected, key, path)
        elif not any(can_be_key(option, key) for option in options):
            self._add_problem(path, f"expected {names_of(options)}")

    def _read_positions(self, types: Sequence[mi.Type], required: int, value: list[Any], path: str) -> list[Any]:
        if not required <= len(value) <= len(types):
            length = f"{required}" if required == len(types) else f"{required} to {len(types)}"
            self._add_problem(path, f"expected list of length {length}, got {len(value)}")
        return [
            self.read(expected, item, f"{path}[{index}]")
            for index, (expected, item) in enumerate(zip(types, value, strict=False))
        ]

    def _check_constraints(self, option: mi.Type, value: Any, path: str) -> None:
        try:
            msgspec.convert(value, python_type(option))
        except msgspec.ValidationError as error:
            # The first name in backquotes is that of a type. A pattern of user code may follow it.
            text = re.sub("`(.*?)`", lambda name: _MSGSPEC_NAMES.get(name[1], name[1]), str(error), count=1)
            self._add_problem(path, _in_sentence(text))

    def _add_problem(self, path: str, text: str) -> None:
        self.problems.append(f"{path}: {text}" if path else text)


def _is_out_of_range(value: object) -> bool:
    return isinstance(value, int) and not _INTEGERS[0] <= value <= _INTEGERS[1]


def _as_integer(options: Sequence[mi.Type], value: Any) -> Any:
    """Returns an integer for a whole float if only integers are expected.

    Falco makes floats of large integers in YAML, and to JSON schema these are integers, too.
    """
    types = {kind for option in options for kind in json_types(option)}
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole and int in types and float not in types else value


def _in_sentence(text: str) -> str:
    return text[0].lower() + text[1:]


def _join(path: str, key: str) -> str:
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key
