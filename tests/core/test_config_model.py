"""Tests properties of all configurations: schema and parser agree, and errors never contain a value."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from support.config_classes import (
    Basic,
    Colour,
    DataConfig,
    Level,
    Listen,
    Pair,
    StructConfig,
    TextConfig,
    Tls,
    Token,
    validator,
)

from falco_plugin._declare.config.parser import parse
from falco_plugin.errors import PluginError

# Falco accepts only 64-bit integers.
integers = st.integers(-(2**63), 2**63 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
listens = st.builds(Listen, port=st.integers(1, 65535), hosts=st.lists(st.text(max_size=5), max_size=3))
pairs = st.builds(Pair, st.text(max_size=3), integers)
shared = {
    "listen": listens,
    "tls": st.none() | st.builds(Tls, st.text(max_size=5).map("/{}".format), st.sampled_from(["1.2", "1.3"])),
    "auth": st.none()
    | integers
    | st.builds(Basic, st.text(max_size=5))
    | st.builds(Token, st.text(min_size=3, max_size=5)),
    "colour": st.sampled_from(Colour),
    "mode": st.sampled_from(["fast", "safe"]),
    "ratio": st.floats(0, 1, exclude_min=True),
    "labels": st.dictionaries(st.text(max_size=3), st.text() | integers | finite | st.booleans(), max_size=3),
}  # fmt: skip
struct_leaves = st.builds(
    StructConfig,
    **shared,
    level=st.sampled_from(Level),
    name=st.none() | st.text("abc", min_size=1, max_size=9),
    limits=st.dictionaries(st.text(max_size=3), st.integers(0, 2**63 - 1), max_size=3),
    tags=st.sets(st.text(max_size=3), max_size=3),
    point=st.none() | st.tuples(integers, st.text(max_size=3)),
    pair=st.none() | pairs,
    extra=st.just({}) | st.builds(dict, note=st.text(max_size=3)),
    follow=st.booleans(),
    anything=st.none() | st.lists(integers, max_size=2),
)
structs = struct_leaves | st.builds(StructConfig, listens, children=st.lists(struct_leaves, max_size=2))
data_leaves = st.builds(DataConfig, **shared, points=st.lists(pairs, max_size=2).map(tuple))
datas = data_leaves | st.builds(DataConfig, listens, children=st.lists(data_leaves, max_size=2))
texts = st.builds(
    TextConfig,
    start=st.none() | st.datetimes(timezones=st.just(UTC)),
    day=st.none() | st.dates(),
    wait=st.timedeltas(timedelta(-1000), timedelta(1000)),
    amount=st.decimals(allow_nan=False, allow_infinity=False),
    key=st.binary(max_size=5),
    id=st.none() | st.uuids(),
    ports=st.dictionaries(st.integers(-(2**63), 2**63), listens, max_size=2),
    colours=st.dictionaries(st.sampled_from(Colour), integers),
)
configs = structs | datas | texts
VALIDATORS = {config: validator(config) for config in (StructConfig, DataConfig, TextConfig)}


@given(configs)
def test_object_written_as_json_is_read_back(config):
    text = msgspec.json.encode(config).decode()
    assert parse(text, type(config)) == config
    assert VALIDATORS[type(config)].is_valid(json.loads(text))


# A float without a fraction is an integer to some validators.
numbers = finite.filter(lambda number: not number.is_integer())
values = st.recursive(
    st.none() | st.booleans() | integers | numbers | st.text(max_size=4) | st.sampled_from(["red", "fast"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


def walk_entries(document):
    """Yields each map or list of a document with each of its keys or indices."""
    if isinstance(document, dict):
        entries = list(document.items())
    elif isinstance(document, list):
        entries = list(enumerate(document))
    else:
        return
    for key, inner in entries:
        yield document, key
        yield from walk_entries(inner)


@st.composite
def changed_documents(draw, valid, value):
    """Draws a configuration class and a document for it with one random change."""
    config = draw(valid)
    document = json.loads(msgspec.json.encode(config))
    holder, key = draw(st.sampled_from(list(walk_entries(document))))
    change = draw(st.sampled_from(["replace", "delete", "add"]))
    if change == "delete":
        del holder[key]
    elif change == "add" and isinstance(holder, dict):
        holder[draw(st.sampled_from(["type", "tls", "port", "note"]) | st.text(max_size=3))] = draw(value)
    elif change == "add":
        holder.insert(key, draw(value))
    else:
        holder[key] = draw(value)
    return type(config), document


def is_accepted(config, document):
    try:
        parse(json.dumps(document), config)
    except PluginError:
        return False
    return True


@given(changed_documents(structs | datas, values))
def test_schema_and_parser_accept_the_same(case):
    config, document = case
    assert VALIDATORS[config].is_valid(document) == is_accepted(config, document)


@given(changed_documents(texts, values | st.sampled_from(["2026-01-31 08:00:00Z", "PT1M", "1e5", "AAE="])))
def test_schema_accepts_what_parser_accepts(case):
    config, document = case
    assert VALIDATORS[config].is_valid(document) or not is_accepted(config, document)


SECRETS = ["s3cr3t", -8675309, 8675309.25]
secrets = st.sampled_from(SECRETS).flatmap(
    lambda secret: st.sampled_from([secret, [secret], {"type": secret}, {"listen": [secret]}, {"port": secret}])
)


def format_error(config, text):
    """Returns the error with its whole traceback, all of which can reach a log."""
    try:
        parse(text, config)
    except PluginError as error:
        return "".join(traceback.format_exception(error))
    return ""


@given(changed_documents(configs, secrets))
def test_errors_never_contain_values(case):
    config, document = case
    text = format_error(config, json.dumps(document))
    assert not any(str(secret).lstrip("-") in text for secret in SECRETS)


@given(changed_documents(configs, secrets), st.data())
def test_errors_never_contain_invalid_json(case, data):
    config, document = case
    whole = json.dumps(document)
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(whole)), st.integers(0, len(whole)))))
    text = format_error(config, whole[:start] + whole[end:])
    assert not any(str(secret).lstrip("-") in text for secret in SECRETS)
