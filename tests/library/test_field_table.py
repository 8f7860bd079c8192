"""Values of fields of each type and argument in a built library, and their offsets in the event."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.events import SUCCESS, encode_event
from support.field_table import ALL_ROWS, BY, PAYLOAD, SHAPES, TYPES, rows
from support.fields import Extraction, replay, replay_together
from support.hosts import static_answers


@pytest.fixture(scope="module")
def extracted_separately(field_table: Path) -> dict[str, Extraction]:
    (extracted,) = replay(field_table, [row.asked for row in ALL_ROWS], [PAYLOAD])
    return extracted


@pytest.fixture(scope="module")
def extracted_in_one_call(field_table: Path) -> dict[str, Extraction]:
    (extracted,) = replay_together(field_table, [row.asked for row in ALL_ROWS], [PAYLOAD])
    return extracted


COMBINATIONS = [
    pytest.param(by, name, shape, id=f"{by}-{name}-{shape}") for by in BY for name in TYPES for shape in SHAPES
]


@pytest.mark.parametrize(("by", "name", "shape"), COMBINATIONS)
def test_field_has_values_in_c_host(extracted_separately, by: str, name: str, shape: str) -> None:
    expected = {row.asked: row.values for row in rows(by, name, shape)}
    assert {field: extracted_separately[field].values for field in expected} == expected
    assert {extracted_separately[field].code for field in expected} == {SUCCESS}, "an absent field is not a failure"


@pytest.mark.parametrize(("by", "name", "shape"), COMBINATIONS)
def test_fields_have_values_in_one_call(extracted_in_one_call, by: str, name: str, shape: str) -> None:
    expected = {row.asked: row.values for row in rows(by, name, shape)}
    assert {field: extracted_in_one_call[field].values for field in expected} == expected


def test_values_have_types_of_plugin_api(field_table: Path) -> None:
    fields = static_answers(field_table)["fields"]
    assert {field["name"]: (field["type"], field["isList"]) for field in fields} == {
        row.asked.partition("[")[0]: (TYPES[name].kind, shape == "many")
        for by in BY
        for name in TYPES
        for shape in SHAPES
        for row in rows(by, name, shape)
    }


# Offsets of values in the event


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_json_value_has_offset(extracted_separately, name: str, shape: str) -> None:
    event = encode_event(PAYLOAD)
    for row in rows("pointer", name, shape):
        spans = extracted_separately[row.asked].places
        found = None if spans is None else [event[start : start + length].decode() for start, length in spans]
        assert found == (row.json or None), row.asked


def test_method_value_has_no_offset(extracted_separately) -> None:
    extractions = [
        extracted_separately[row.asked] for name in TYPES for shape in SHAPES for row in rows("method", name, shape)
    ]
    assert {span for extracted in extractions for span in extracted.places or ()} == {(0, 0)}


def test_offsets_are_unset_for_several_fields(extracted_in_one_call) -> None:
    assert {extracted.places for extracted in extracted_in_one_call.values()} == {None}
