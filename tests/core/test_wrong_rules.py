"""Wrong rules files, and the messages of each. A real Falco refuses each of them, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.checked import RULE, exceptions, rule
from support.checks import check_rules

WRONG: dict[str, tuple[str, list[str]]] = {
    "not YAML": (
        "- rule: R\n  output: %shop.user\n",
        [
            "rules.yaml:2: not YAML: found character that cannot start any token: quote the text: it begins with '%'",
        ],
    ),
    "tab": (
        "- rule: R\n\tdesc: d\n",
        [
            "rules.yaml:2: not YAML: found a tab character that violates indentation: indent with spaces",
        ],
    ),
    "colon in a text": (
        RULE.replace("desc: d", "desc: a: b"),
        [
            "rules.yaml:2: not YAML: mapping values are not allowed in this context: quote the text, or check "
            "the indentation: it contains ': '",
        ],
    ),
    "mapping instead of a list": (
        "rule: R\n",
        [
            "rules.yaml:1: not a list of rules, got a mapping: begin each rule with '- rule: …'",
        ],
    ),
    "text instead of an entry": (
        "- R\n",
        [
            "rules.yaml:1: an entry must be a mapping such as '- rule: …', got 'R': write its name after 'rule: "
            "', 'macro: ' or 'list: '",
        ],
    ),
    "missing keys": (
        "- rule: R\n  condition: evt.num > 0\n",
        [
            "rules.yaml:1: the rule 'R' has no output and no desc and no priority: add them",
        ],
    ),
    "key without value": (
        RULE.replace("  desc: d\n", "  desc:\n"),
        [
            "rules.yaml:2: desc of the rule 'R' is empty: write it, or leave the key out",
        ],
    ),
    "unknown priority": (
        rule(priority="HIGH"),
        [
            "rules.yaml:6: priority of the rule 'R' is 'HIGH': use one of EMERGENCY, ALERT, CRITICAL, ERROR, "
            "WARNING, NOTICE, INFORMATIONAL, INFO, DEBUG",
        ],
    ),
    "misspelt priority": (
        rule(priority="Warnin"),
        [
            "rules.yaml:6: priority of the rule 'R' is 'Warnin': did you mean WARNING?",
        ],
    ),
    "no source, field of the plugin": (
        rule(source=""),
        [
            "rules.yaml:3: the rule has no source, so it is for system calls, which have no field shop.amount: "
            "add 'source: shop'",
        ],
    ),
    "tags are a text": (
        rule(extra="  tags: a\n"),
        [
            "rules.yaml:7: tags of the rule 'R' is 'a': write a list, such as [a, b]",
        ],
    ),
    "enabled is a number": (
        rule(extra="  enabled: 1\n"),
        [
            "rules.yaml:7: enabled of the rule 'R' is '1': write true or false",
        ],
    ),
    "newer plugin is required": (
        "- required_plugin_versions: [{name: shop, version: 2.0.0}]\n" + RULE,
        [
            "rules.yaml:1: the rules require shop 2.0.0, and Falco does not accept shop 1.2.0 for it: change the "
            "version in required_plugin_versions",
        ],
    ),
    "misspelt plugin is required": (
        "- required_plugin_versions: [{name: shopp, version: 1.0.0}]\n" + RULE,
        [
            "rules.yaml:1: the rules require the plugin shopp, which is not given: did you mean shop?",
        ],
    ),
    "version of a plugin has two numbers": (
        "- required_plugin_versions: [{name: shop, version: 1.0}]\n" + RULE,
        [
            "rules.yaml:1: required_plugin_versions has shop with the version '1.0': use a semantic version, "
            "such as 1.2.3",
        ],
    ),
    "engine version has no numbers": (
        "- required_engine_version: v1\n" + RULE,
        [
            "rules.yaml:1: required_engine_version is 'v1': use a number, or a semantic version such as 0.31.0",
        ],
    ),
    "unknown field in a folded condition": (
        RULE.replace("condition: shop.amount > 5", "condition: >\n    shop.amount > 5\n    and not\n    shop.usr = x"),
        [
            "rules.yaml:7: events of shop have no field shop.usr: did you mean shop.user?",
        ],
    ),
    "wrong escape": (
        rule(condition='shop.user regex "\\d+"'),
        [
            "rules.yaml:4: \\d is not an escape: write \\\\ for a backslash, or leave it out",
        ],
    ),
    "unknown macro": (
        rule(condition="paied and shop.amount > 5", extra="- macro: paid\n  condition: shop.paid = true\n"),
        [
            "rules.yaml:4: there is no macro paied: did you mean paid?",
            "rules.yaml:7: note: the macro 'paid' is not used: use it, or remove it",
        ],
    ),
    "macro that is defined later": (
        "- macro: a\n  condition: b\n- macro: b\n  condition: shop.paid = true\n" + rule(condition="a"),
        [
            "rules.yaml:2: the macro b is defined after the macro a that uses it, at line 3: define it before",
        ],
    ),
    "macro that uses itself": (
        "- macro: a\n  condition: shop.paid = true\n- macro: a\n  condition: or a\n  override: {condition: append}\n"
        + rule(condition="a"),
        [
            "rules.yaml:4: the macro a uses itself: remove a",
        ],
    ),
    "macro with a wrong field": (
        "- macro: a\n  condition: shop.payed = true\n" + rule(condition="a"),
        [
            "rules.yaml:2: events of shop have no field shop.payed: did you mean shop.paid?",
        ],
    ),
    "macro with a wrong name": (
        "- macro: a-b\n  condition: shop.paid = true\n" + rule(condition="a-b"),
        [
            "rules.yaml:1: warning: the macro 'a-b' cannot be used: use letters, digits and '_', beginning "
            "with a letter",
            "rules.yaml:1: note: the macro 'a-b' is not used: use it, or remove it",
            "rules.yaml:6: unexpected '-b': join conditions by 'and' or 'or', and quote values with blanks",
        ],
    ),
    "macro without a condition": (
        "- macro: a\n" + RULE,
        [
            "rules.yaml:1: the macro 'a' has no condition: add 'condition: …'",
        ],
    ),
    "list without parentheses": (
        "- list: users\n  items: [a, b]\n" + rule(condition="shop.user in users"),
        [
            "rules.yaml:6: unexpected ',': write the values of a list in parentheses",
        ],
    ),
    "list of texts for a number": (
        "- list: many\n  items: [a, 5]\n" + rule(condition="shop.amount in (many)"),
        [
            "rules.yaml:6: 'a' is not a number, as shop.amount is: write a whole number, in decimal digits",
        ],
    ),
    "list with quotes": (
        "- list: many\n  items: [a(b, 5]\n" + rule(condition="shop.user in (many)"),
        [
            "rules.yaml:6: expected ',' or ')', got '(': separate values by ',', and close the list",
        ],
    ),
    "items are a text": (
        "- list: many\n  items: a\n" + RULE,
        [
            "rules.yaml:2: items of the list 'many' is 'a': write a list, such as [a, b]",
        ],
    ),
    "list of lists": (
        "- list: many\n  items: [a, [b]]\n" + RULE,
        [
            "rules.yaml:2: items of the list 'many' has a list: write texts only",
        ],
    ),
    "rule of two sources": (
        RULE + rule(source="syscall"),
        [
            "rules.yaml:7: the rule 'R' is for the source syscall, but was defined for shop at rules.yaml:1: "
            "give it another name, or the same source",
        ],
    ),
    "append to an unknown rule": (
        "- rule: X\n  condition: and evt.num > 1\n  override: {condition: append}\n" + RULE,
        [
            "rules.yaml:1: the rule 'X' is changed, but is not defined before: define it before, in this file or "
            "in one that is loaded before",
        ],
    ),
    "append to an unknown list": (
        "- list: l\n  items: [a]\n  override: {items: append}\n" + RULE,
        [
            "rules.yaml:1: the list 'l' is changed, but is not defined before: define it before, in this file or "
            "in one that is loaded before",
        ],
    ),
    "override of a key that is missing": (
        RULE + "- rule: R\n  override: {condition: append}\n",
        [
            "rules.yaml:8: the rule 'R' overrides condition, but has no condition: add 'condition: …'",
        ],
    ),
    "override without a key": (
        RULE + "- rule: R\n  condition: evt.num > 1\n  output: x\n  override: {condition: replace}\n",
        [
            "rules.yaml:7: the rule 'R' has output, but not under override: add 'output: replace' there",
        ],
    ),
    "append to a priority": (
        RULE + "- rule: R\n  priority: INFO\n  override: {priority: append}\n",
        [
            "rules.yaml:9: priority of the rule 'R' cannot be appended to: use replace",
        ],
    ),
    "unknown operation": (
        RULE + "- rule: R\n  condition: evt.num > 1\n  override: {condition: add}\n",
        [
            "rules.yaml:9: override of the rule 'R' has condition: add: write append or replace",
        ],
    ),
    "appended condition without and": (
        RULE + "- rule: R\n  condition: evt.num > 1\n  override: {condition: append}\n",
        [
            "rules.yaml:8: unexpected 'evt.num': join conditions by 'and' or 'or', and quote values with blanks",
        ],
    ),
    "exception without fields": (
        exceptions("values: [[a]]"),
        [
            "rules.yaml:8: the exception 'e' of the rule 'R' has no fields: add 'fields: …'",
        ],
    ),
    "exception with an unknown field": (
        exceptions("fields: [shop.usr]"),
        [
            "rules.yaml:9: events of shop have no field shop.usr: did you mean shop.user?",
        ],
    ),
    "exception with an unknown operator": (
        exceptions("fields: [shop.user]", "comps: [like]", "values: [[a]]"),
        [
            "rules.yaml:10: comps of the exception 'e' of the rule 'R' has 'like': use one of exists, <=, <, >=, "
            ">, ==, =, !=, glob, iglob, contains, icontains, bcontains, startswith, bstartswith, endswith, "
            "regex, intersects, in, pmatch",
        ],
    ),
    "exception with too few operators": (
        exceptions("fields: [shop.user, shop.amount]", "comps: [=]", "values: [[a, 5]]"),
        [
            "rules.yaml:10: the exception 'e' of the rule 'R' has 2 fields and 1 comps: write one operator for "
            "each field",
        ],
    ),
    "exception with too few values": (
        exceptions("fields: [shop.user, shop.amount]", "values:", "- [a, 5]", "- [b]"),
        [
            "rules.yaml:12: the exception 'e': 2 fields, but a value has 1: write a list with one value for each field",
        ],
    ),
    "exception with a text for a number": (
        exceptions("fields: [shop.user, shop.amount]", "values:", "- [a, 5]", "- [b, many]"),
        [
            "rules.yaml:12: 'many' is not a number, as shop.amount is: write a whole number, in decimal digits",
        ],
    ),
    "exception of one field with lists": (
        exceptions("fields: shop.user", "values: [[a]]"),
        [
            "rules.yaml:10: the exception 'e': fields is one field, but a value is a list: write texts only",
        ],
    ),
    "exception of one field with =": (
        exceptions("fields: shop.user", "comps: =", "values: [a]"),
        [
            "rules.yaml:10: comps of the exception 'e' of the rule 'R' has '=': use one of intersects, in, pmatch",
        ],
    ),
    "exception of one list": (
        exceptions("fields: [shop.items]", "values: [[a]]"),
        [
            "rules.yaml:9: shop.items is a list of strings, which has no operator =: use one of in, intersects, exists",
        ],
    ),
    "exceptions are a mapping": (
        rule(extra="  exceptions: {name: e}\n"),
        [
            "rules.yaml:7: exceptions of the rule 'R' is a mapping: write a list",
        ],
    ),
    "merge": (
        "- macro: m\n  condition: shop.amount > 5\n- &r\n"
        + RULE[2:].replace("rule: R", "  rule: R", 1)
        + "- <<: *r\n  rule: S\n  desc: e\n",
        [
            "rules.yaml:1: note: the macro 'm' is not used: use it, or remove it",
            "rules.yaml:10: warning: Falco does not merge mappings, and ignores '<<': write the keys in each entry",
            "rules.yaml:10: the rule 'S' has no condition and no output and no priority: add them",
        ],
    ),
    "list of two with =": (
        "- list: two\n  items: [5, 6]\n" + rule(condition="shop.amount = two"),
        [
            "rules.yaml:6: unexpected ',': write the values of a list in parentheses",
        ],
    ),
    "item with a quote and a blank": (
        "- list: one\n  items: ['a \"b']\n" + rule(condition="shop.user in (one)"),
        [
            "rules.yaml:6: expected ',' or ')', got 'b\"': separate values by ',', and close the list",
        ],
    ),
    "priority is null": (
        rule(priority=""),
        [
            "rules.yaml:6: priority of the rule 'R' is empty: write it, or leave the key out",
        ],
    ),
    "source is null": (
        rule(source="~"),
        [
            "rules.yaml:3: source of the rule 'R' is empty: write it, or leave the key out",
        ],
    ),
    "source is a list": (
        rule(source="[shop]"),
        [
            "rules.yaml:3: source of the rule 'R' is a list: write one text",
        ],
    ),
    "rule without name": (
        RULE.replace("rule: R", "rule:"),
        [
            "rules.yaml:1: a rule has no name: write it after 'rule: '",
        ],
    ),
    "rule name is a list": (
        RULE.replace("rule: R", "rule: [a]"),
        [
            "rules.yaml:1: a rule has no name: write it after 'rule: '",
        ],
    ),
    "items null": (
        "- list: ab\n  items:\n" + RULE,
        [
            "rules.yaml:2: items of the list 'ab' is nothing: write a list, such as [a, b]",
        ],
    ),
    "exception name null": (
        rule(extra="  exceptions:\n  - fields: [shop.user]\n"),
        [
            "rules.yaml:8: an exception of the rule 'R' has no name: add 'name: …'",
        ],
    ),
    "exception values null": (
        exceptions("fields: [shop.user]", "values:"),
        [
            "rules.yaml:10: values of the exception 'e' of the rule 'R' is nothing: write a list",
        ],
    ),
    "exception empty value": (
        exceptions("fields: [shop.user]", "values: [['']]"),
        [
            "rules.yaml:8: expected a value, got ')': write text in quotes",
        ],
    ),
    "exception fields null": (
        exceptions("fields:"),
        [
            "rules.yaml:9: fields of the exception 'e' of the rule 'R' is nothing: write a field or a list",
        ],
    ),
    "exception fields empty": (
        exceptions("fields: []", "values: [[]]"),
        [
            "rules.yaml:8: expected a field, a macro or '(', got ')'",
        ],
    ),
    "exception comps list for one": (
        exceptions("fields: shop.user", "comps: [in]"),
        [
            "rules.yaml:10: comps of the exception 'e' of the rule 'R' is a list: write one operator",
        ],
    ),
    "exception comps text for list": (
        exceptions("fields: [shop.user]", "comps: in"),
        [
            "rules.yaml:10: comps of the exception 'e' of the rule 'R' is 'in': write a list of operators, one "
            "for each field",
        ],
    ),
    "exception with exists": (
        exceptions("fields: [shop.user]", "comps: [exists]", "values: [[a]]"),
        [
            "rules.yaml:11: unexpected 'a': join conditions by 'and' or 'or', and quote values with blanks",
        ],
    ),
    "exception without an argument": (
        exceptions("fields: [shop.header]", "values: [[a]]"),
        [
            "rules.yaml:9: shop.header needs an argument: write shop.header[key]",
        ],
    ),
    "append exceptions with fields": (
        exceptions("fields: [shop.user]")
        + "- rule: R\n  exceptions:\n  - name: e\n    fields: [shop.user]\n    values: [[a]]\n"
        "  override: {exceptions: append}\n",
        [
            "rules.yaml:12: the exception 'e' of the rule 'R' exists, so only values can be added: leave out "
            "fields and comps",
        ],
    ),
    "append new exception without values": (
        RULE + "- rule: R\n  exceptions:\n  - name: e\n    fields: [shop.user]\n  override: {exceptions: append}\n",
        [
            "rules.yaml:9: the exception 'e' of the rule 'R' has no values: add 'values: …'",
        ],
    ),
    "override list": (
        RULE + "- rule: R\n  enabled: false\n  override: [enabled]\n",
        [
            "rules.yaml:9: override of the rule 'R' is a list: write a mapping, such as {condition: append}",
        ],
    ),
    "override source": (
        RULE + "- rule: R\n  source: syscall\n  condition: and evt.num > 1\n  override: {condition: append}\n",
        [
            "rules.yaml:7: the rule 'R' is for the source syscall, but was defined for shop at rules.yaml:1: "
            "give it another name, or the same source",
        ],
    ),
    "append nothing": (
        RULE + "- rule: R\n  append: true\n",
        [
            "rules.yaml:7: warning: append of the rule 'R' is deprecated: write 'override: {condition: append}'",
            "rules.yaml:7: the rule 'R' appends nothing: add a condition or exceptions",
        ],
    ),
    "capture duration": (
        rule(extra="  capture: true\n  capture_duration: x\n"),
        [
            "rules.yaml:8: capture_duration of the rule 'R' is 'x': write a number of milliseconds",
        ],
    ),
    "tags null": (
        rule(extra="  tags:\n"),
        [
            "rules.yaml:7: tags of the rule 'R' is nothing: write a list, such as [a, b]",
        ],
    ),
    "tags of a list": (
        rule(extra="  tags: [[a]]\n"),
        [
            "rules.yaml:7: tags of the rule 'R' has a list: write texts only",
        ],
    ),
    "requirement without a version": (
        "- required_plugin_versions: [{name: shop}]\n" + RULE,
        [
            "rules.yaml:1: required_plugin_versions has shop with no version: use a semantic version, such as 1.2.3",
        ],
    ),
    "requirement with a v": (
        "- required_plugin_versions: [{name: shop, version: v1.0.0}]\n" + RULE,
        [
            "rules.yaml:1: required_plugin_versions has shop with the version 'v1.0.0': use a semantic version, "
            "such as 1.2.3",
        ],
    ),
    "requirement null": (
        "- required_plugin_versions:\n" + RULE,
        [
            "rules.yaml:1: required_plugin_versions must be a list of plugins with name and version",
        ],
    ),
    "requirement alternatives null": (
        "- required_plugin_versions: [{name: shop, version: 1.0.0, alternatives: }]\n" + RULE,
        [
            "rules.yaml:1: alternatives of the plugin shop must be a list of plugins with name and version",
        ],
    ),
    "alternative twice": (
        "- required_plugin_versions: [{name: shop, version: 1.0.0, alternatives: [{name: shop, version: 1.0.0}]}]\n"
        + RULE,
        [
            "rules.yaml:1: shop and its alternatives name a plugin twice: leave one out",
        ],
    ),
    "engine null": (
        "- required_engine_version:\n" + RULE,
        [
            "rules.yaml:1: required_engine_version is nothing: use a number, or a semantic version such as 0.31.0",
        ],
    ),
    "recursive alias": (
        "- &a [*a]\n" + RULE,
        [
            "rules.yaml:1: an entry must be a mapping such as '- rule: …', got a list: write its name after "
            "'rule: ', 'macro: ' or 'list: '",
        ],
    ),
    "key is a list": (
        "- [a]: b\n" + RULE,
        [
            "rules.yaml:1: a key is a list: write a text before ':', in quotes if necessary",
            "rules.yaml:1: warning: an entry with the keys none is nothing that Falco knows, and it ignores it: "
            "begin it with one of rule, macro, list, required_engine_version, required_plugin_versions",
        ],
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_rules_file_is_an_error(tmp_path: Path, kind: str) -> None:
    rules, lines = WRONG[kind]
    assert check_rules(tmp_path, rules) == lines
