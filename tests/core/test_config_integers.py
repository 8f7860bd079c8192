"""Tests the range of integers in the configuration: 64 bits, as in Falco and the native host."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from support.config_classes import ACCEPTED_INTEGERS, INTEGER_LIMITS, REFUSED_INTEGERS

from falco_plugin._declare.config.parser import parse
from falco_plugin.errors import PluginError


@dataclass
class Config:
    number: int = 0
    maybe: int | None = None
    many: list[int] = field(default_factory=list)
    real: float = 0


@pytest.mark.parametrize("number", ACCEPTED_INTEGERS)
def test_integer_of_64_bits_is_accepted(number: str) -> None:
    config = parse(f'{{"number": {number}, "maybe": {number}, "many": [{number}]}}', Config)
    expected = int(number) if number.lstrip("-").isdigit() else int(float(number))
    assert config == Config(expected, expected, [expected])


@pytest.mark.parametrize("number", REFUSED_INTEGERS)
def test_larger_integer_is_rejected_with_range(number: str) -> None:
    with pytest.raises(PluginError) as caught:
        parse(f'{{"number": {number}, "maybe": {number}, "many": [{number}]}}', Config)
    range_ = f"got an int out of range (from {INTEGER_LIMITS}, all that Falco accepts)"
    assert str(caught.value) == (
        f"init_config does not fit: number: expected int, {range_}; maybe: expected int or null, {range_}; "
        f"many[0]: expected int, {range_}"
    )
    assert parse(f'{{"real": {number}}}', Config) == Config(real=float(number))
