"""Checks conditions, outputs and exceptions of rules on the fields of an event source."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from falco_plugin._rules.fields import FALCO_FIELDS, NETWORK, NUMBER, STRING, FieldType, KnownField, Sources
from falco_plugin._rules.names import did_you_mean, listed
from falco_plugin._rules.outputs import State
from falco_plugin._rules.problems import Severity
from falco_plugin._rules.tree import (
    And,
    Call,
    Check,
    Expression,
    Field,
    Macro,
    Not,
    Operand,
    Operands,
    Or,
    Value,
    Values,
)
from falco_plugin._rules.types import problem_of_operator, problem_of_value

Found = tuple[int, str, Severity]
"""The offset of a problem, its message, and its severity."""
_OF_TEXT = ("tolower", "toupper", "b64", "basename")
_SEVERAL = {"join": 2, "concat": 2, "getopt": 2}
_EVENT_TYPE = (
    "evt.type does not exist for events of plugins, which all have one type: compare a field of the plugin instead"
)


class FieldChecker:
    """Checks the parts of conditions of rules for one event source.

    Args:
        sources: the known fields.
        source: the event source of the rules.
        has_source: whether the rule names its source.
        unknown_severity: the severity of fields that do not exist.
    """

    only_falco_knows: str = ""
    """A field of which only Falco knows whether it exists."""

    def __init__(self, sources: Sources, source: str, *, has_source: bool, unknown_severity: Severity) -> None:
        self._sources = sources
        self._source = source
        self._has_source = has_source
        self._fields = sources.fields(source)
        self._unknown_severity: Severity = unknown_severity
        self._reported_source = False

    def state(self, operand: Field | Call) -> State:
        """Returns whether Falco accepts a field or a function in an output."""
        checker = FieldChecker(self._sources, self._source, has_source=True, unknown_severity="error")
        problems: list[Found] = []
        checker.type_of(operand, problems)
        if problems:
            return "wrong"
        return "unknown" if checker.only_falco_knows else "right"

    @property
    def names(self) -> list[str]:
        """The names of all known fields."""
        return list(self._fields)

    def check(self, tree: Expression) -> Iterator[Found]:
        """Yields the problems of a condition, without those of its macros."""
        match tree:
            case And(children) | Or(children):
                for child in children:
                    yield from self.check(child)
            case Not(child):
                yield from self.check(child)
            case Check():
                yield from self._check_comparison(tree)
            case Macro():
                pass

    def _check_comparison(self, check: Check) -> Iterator[Found]:
        problems: list[Found] = []
        left = self.type_of(check.left, problems)
        right = None
        if isinstance(check.right, Field | Call):
            right = self.type_of(check.right, problems)
        yield from problems
        if left is None:
            return
        name = _title(check.left)
        if message := problem_of_operator(check.operator, left, name):
            yield check.offset, message, "error"
            return
        match check.right:
            case Value():
                yield from self._check_value(check, check.right, left, name)
            case Values(items):
                for item in items:
                    yield from self._check_value(check, item, left, name)
            case Field() | Call() if right is not None:
                yield from _check_fields(check, left, right, name)
            case _:
                pass

    def _check_value(self, check: Check, value: Value, kind: FieldType, name: str) -> Iterator[Found]:
        if message := problem_of_value(check.operator, value, kind, name):
            yield value.offset, message, "error"
        elif not value.is_quoted and value.text in self._fields:
            message = f"{name} is compared with the text {value.text!r}, not with the field: write val({value.text})"
            yield value.offset, message, "warning"
        elif value.text == "<NA>":
            message = f"{name} is never '<NA>', which only outputs show: write 'not {name} exists'"
            yield value.offset, message, "warning"

    # Fields and functions

    def type_of(self, operand: Field | Call, problems: list[Found]) -> FieldType | None:
        """Returns the type of a field or function; ``None`` if it is unknown or has a problem, which is appended."""
        if isinstance(operand, Field):
            return self._type_of_field(operand, problems)
        return self._type_of_call(operand, problems)

    def _type_of_field(self, field: Field, problems: list[Found]) -> FieldType | None:
        known = self._fields.get(field.name)
        if known is None:
            message = self._problem_of_name(field.name)
            if message:
                problems.append((field.offset, message, self._unknown_severity))
            elif not self._reported_source:
                self.only_falco_knows = self.only_falco_knows or field.name
            return None
        if message := _problem_of_argument(field, known):
            problems.append((field.offset, message, "error"))
        return known.type

    def _problem_of_name(self, name: str) -> str:
        owners = [owner for owner in self._sources.owners(name) if owner != self._source]
        if owners and not self._has_source:
            if self._reported_source:
                return ""
            self._reported_source = True
            return (
                f"the rule has no source, so it is for system calls, which have no field {name}: add "
                f"'source: {owners[0]}'"
            )
        if owners:
            return f"events of {self._source} have no field {name}, but those of {listed(owners)} do: change the source"
        if not self._is_decidable(name):
            return ""
        if name == "evt.type":
            return _EVENT_TYPE
        of_plugins = [known for known in self._fields if known not in FALCO_FIELDS]
        hint = did_you_mean(name, self._fields) or f"they have {listed(of_plugins, 8) or 'only those of Falco'}"
        return f"events of {self._source} have no field {name}: {hint}"

    def _is_decidable(self, name: str) -> bool:
        """Returns whether a field that is not known does not exist. Plugins that are not given may have it."""
        if not self._sources.is_complete(self._source):
            return False
        group = name.partition(".")[0]
        return not self._sources.lacks_plugins or any(known.partition(".")[0] == group for known in self._fields)

    def _type_of_call(self, call: Call, problems: list[Found]) -> FieldType | None:
        def fail(message: str) -> None:
            problems.append((call.offset, message, "error"))

        before = len(problems)
        kinds = [self._type_of_argument(argument, problems) for argument in call.arguments]
        if len(problems) > before:
            return None
        function, count = call.function, len(call.arguments)
        if call.argument is not None and (function != "getopt" or len(call.argument) != 1):
            fail(f"{function}(…) takes no argument in brackets: leave out [{call.argument}]")
        elif function in _SEVERAL:
            return self._type_of_several(call, kinds, fail)
        elif count != 1:
            fail(f"{function}(…) takes one argument, got {count}: leave out the others")
        elif (kind := kinds[0]) is None:
            return None
        elif function == "len":
            if kind.is_list or kind.kind == STRING:
                return FieldType(NUMBER)
            fail(f"len(…) needs text or a list, but {_title(call.arguments[0])} is {kind}: compare it without len")
        elif function in _OF_TEXT and kind.kind != STRING:
            fail(f"{function}(…) needs text, but {_title(call.arguments[0])} is {kind}: leave out {function}")
        else:
            return kind
        return None

    @staticmethod
    def _type_of_several(call: Call, kinds: list[FieldType | None], fail: Callable[[str], None]) -> FieldType | None:
        function, count = call.function, len(call.arguments)
        text, texts = FieldType(STRING), FieldType(STRING, True)
        if count < 2 or (count > 2 and function != "concat"):
            several = "at least two arguments" if function == "concat" else "two arguments"
            fail(f"{function}(…) takes {several}, got {count}: see Falco's documentation of functions")
            return None
        if None in kinds:
            return None
        if function == "concat" and any(kind != text for kind in kinds):
            fail("concat(…) needs texts: leave out lists and numbers")
        elif function == "join" and (kinds[0] is None or kinds[0].is_list or kinds[1] is None or not kinds[1].is_list):
            fail("join(…) needs a separator and a list: write join(',', field), or join(',', (a.b, c.d))")
        elif function == "getopt" and kinds != [texts, text]:
            fail("getopt(…) needs a list of texts and a text: write getopt(field, 'ab:')")
        elif function == "getopt" and call.argument is None:
            return texts
        else:
            return text
        return None

    def _type_of_argument(self, argument: Operand, problems: list[Found]) -> FieldType | None:
        match argument:
            case Value():
                return FieldType(STRING)
            case Operands(items):
                for item in items:
                    self._type_of_argument(item, problems)
                return FieldType(STRING, True)
            case _:
                return self.type_of(argument, problems)


def _check_fields(check: Check, left: FieldType, right: FieldType, name: str) -> Iterator[Found]:
    other = _title(check.right) if isinstance(check.right, Field | Call) else ""
    operator = check.operator.partition(" ")[0]
    if operator in {"pmatch", "regex"}:
        yield check.offset, f"{operator} cannot compare {name} with another field: write a value", "error"
    elif left.kind == NETWORK:
        yield (
            check.offset,
            f"{name} is {left}, which has no comparison with fields: write a network",
            "error",
        )
    elif left != right:
        message = f"{name} is {left}, but {other} is {right}: compare fields of one type"
        yield check.offset, message, "error"


def _problem_of_argument(field: Field, known: KnownField) -> str:
    name, argument = field.name, field.argument
    example = f"{name}[0]" if known.takes_index else f"{name}[key]"
    if argument is None:
        return f"{name} needs an argument: write {example}" if known.is_required else ""
    if not known.takes_argument:
        return f"{name} takes no argument: leave out [{argument}]"
    if any(character in argument for character in " ]"):
        return f"the argument of {name} has a blank or a bracket, which Falco cannot read: {argument!r} is not possible"
    is_index = argument.isascii() and argument.isdigit() and (argument == "0" or argument[0] != "0")
    if not known.takes_key and not (is_index and int(argument) < 2**64):
        return f"the argument of {name} is an index, got {argument!r}: write digits without a leading zero"
    return ""


def _title(operand: Operand) -> str:
    match operand:
        case Field():
            return operand.name
        case Call():
            return f"{operand.function}(…)"
        case Value():
            return repr(operand.text)
        case _:
            return "a list"
