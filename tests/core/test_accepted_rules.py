"""Rules that a real Falco accepts: those that are probably a mistake, and those that are right."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.checked import RULE, exceptions, rule
from support.checks import check_rules

SUSPICIOUS: dict[str, tuple[str, list[str]]] = {
    "unknown key": (
        rule(extra="  sevrity: high\n"),
        [
            "rules.yaml:7: warning: the rule 'R' has the unknown key 'sevrity', which Falco ignores: use one of "
            "append, capture, capture_duration, condition, desc, enabled, exceptions, output, override, "
            "priority, rule, skip-if-unknown-filter, source, tags, warn_evttypes",
        ],
    ),
    "unknown entry": (
        "- rul: R\n" + RULE,
        [
            "rules.yaml:1: warning: an entry with the keys rul is nothing that Falco knows, and it ignores it: "
            "did you mean rule?",
        ],
    ),
    "duplicate key": (
        rule(extra="  condition: evt.num > 1\n"),
        [
            "rules.yaml:7: warning: the key 'condition' is there twice, and Falco uses only that of line 4: "
            "remove one, or begin a new entry with '- '",
        ],
    ),
    "no source, field of all events": (
        rule(source="", condition="evt.num > 0", output="An event"),
        [
            "rules.yaml:1: warning: the rule 'R' has no source, so it is for system calls, not for events of "
            "shop: add 'source: shop'",
        ],
    ),
    "unknown source": (
        rule(source="shopp"),
        [
            "rules.yaml:3: warning: no given plugin has the source shopp, and Falco skips its rules without one: "
            "did you mean shop?",
        ],
    ),
    "field with a longer name in an output": (
        rule(output="Order of %shop.userid"),
        [
            "rules.yaml:5: warning: the output has %shop.userid, of which Falco reads only %shop.user as a "
            "field: did you mean shop.user?",
        ],
    ),
    "field as text": (
        rule(condition="shop.user = shop.header"),
        [
            "rules.yaml:4: warning: shop.user is compared with the text 'shop.header', not with the field: write "
            "val(shop.header)",
        ],
    ),
    "<NA>": (
        rule(condition="shop.user = <NA>"),
        [
            "rules.yaml:4: warning: shop.user is never '<NA>', which only outputs show: write 'not shop.user exists'",
        ],
    ),
    "unused macro and list": (
        "- macro: a\n  condition: shop.paid = true\n- list: l\n  items: [x]\n" + RULE,
        [
            "rules.yaml:1: note: the macro 'a' is not used: use it, or remove it",
            "rules.yaml:3: note: the list 'l' is not used: use it, or remove it",
        ],
    ),
    "unknown list": (
        "- list: known_users\n  items: [a, b]\n" + rule(condition="shop.user in (known_user)"),
        [
            "rules.yaml:1: note: the list 'known_users' is not used: use it, or remove it",
            "rules.yaml:6: warning: there is no list known_user, so Falco compares with this text: did you mean "
            "known_users?",
        ],
    ),
    "unknown list without parentheses": (
        rule(condition="shop.user in users"),
        [
            "rules.yaml:4: warning: there is no list users, so Falco compares with this text: define it",
        ],
    ),
    "rule that is defined twice": (
        RULE + rule(condition="evt.num > 1"),
        [
            "rules.yaml:7: warning: the rule 'R' is defined twice, and replaces that of line 1: give it another name",
        ],
    ),
    "append of an old kind": (
        RULE + "- rule: R\n  condition: and evt.num > 1\n  append: true\n",
        [
            "rules.yaml:7: warning: append of the rule 'R' is deprecated: write 'override: {condition: append}'",
        ],
    ),
    "enabled alone": (
        RULE + "- rule: R\n  enabled: false\n",
        [
            "rules.yaml:1: note: the rule 'R' is not enabled, so it never fires",
            "rules.yaml:7: warning: enabled of the rule 'R' alone is deprecated: add 'override: {enabled: replace}'",
        ],
    ),
    "skip-if-unknown-filter": (
        rule(condition="shop.new = x", extra="  skip-if-unknown-filter: true\n"),
        [
            "rules.yaml:4: warning: events of shop have no field shop.new: did you mean shop.network?",
        ],
    ),
    "merge key": (
        "- macro: m\n  condition: &c\n    shop.amount > 5\n" + rule(condition="*c"),
        [
            "rules.yaml:1: note: the macro 'm' is not used: use it, or remove it",
        ],
    ),
    "syscall rule": (
        RULE + rule(source="", name="S", condition="evt.type = open and proc.name = x", output="Open %proc.name"),
        [
            "rules.yaml:7: note: only Falco can decide whether system calls have the fields of their rules, such "
            "as evt.type",
        ],
    ),
    "list in one without parentheses": (
        "- list: one\n  items: [a]\n" + rule(condition="shop.user in one"),
        [
            "rules.yaml:6: warning: there is no list a, so Falco compares with this text: define it",
        ],
    ),
    "list name with blank": (
        "- list: a b\n  items: [x]\n" + RULE,
        [
            "rules.yaml:1: warning: the list 'a b' cannot be used: leave out blanks, quotes and ()=,",
            "rules.yaml:1: note: the list 'a b' is not used: use it, or remove it",
        ],
    ),
    "exception twice": (
        rule(
            extra="  exceptions:\n"
            "  - {name: e, fields: [shop.user], values: [[a]]}\n"
            "  - {name: e, fields: [shop.user], values: [[b]]}\n"
        ),
        [
            "rules.yaml:9: warning: the exception 'e' of the rule 'R' is there twice: give each exception another name",
        ],
    ),
    "override null": (
        RULE + "- rule: R\n  enabled: false\n  override:\n",
        [
            "rules.yaml:1: note: the rule 'R' is not enabled, so it never fires",
            "rules.yaml:7: warning: enabled of the rule 'R' alone is deprecated: add 'override: {enabled: replace}'",
        ],
    ),
    "override empty": (
        RULE + "- rule: R\n  enabled: false\n  override: {}\n",
        [
            "rules.yaml:1: note: the rule 'R' is not enabled, so it never fires",
            "rules.yaml:7: warning: enabled of the rule 'R' alone is deprecated: add 'override: {enabled: replace}'",
        ],
    ),
    "override enabled": (
        RULE + "- rule: R\n  enabled: false\n  override: {enabled: replace}\n",
        [
            "rules.yaml:1: note: the rule 'R' is not enabled, so it never fires",
        ],
    ),
    "output with a bracket": (
        rule(output="Order %shop.user[0]"),
        [
            "rules.yaml:5: warning: the output has %shop.user[0], of which Falco reads only %shop.user as a "
            "field: did you mean shop.user?",
        ],
    ),
    "output with unclosed bracket": (
        rule(output="Order %shop.user[a"),
        [
            "rules.yaml:5: warning: the output has %shop.user[, of which Falco reads only %shop.user as a field: "
            "did you mean shop.user?",
        ],
    ),
    "inx": (
        rule(condition="shop.user inx"),
        [
            "rules.yaml:4: warning: there is no list x, so Falco compares with this text: define it",
        ],
    ),
    "requirement with more": (
        "- required_plugin_versions: [{name: shop, version: 1.0.0.1}]\n" + RULE,
        [
            "rules.yaml:1: warning: the version '1.0.0.1' of shop is not semantic, which falcoctl needs: write 1.2.3",
        ],
    ),
    "requirement with leading zeros": (
        "- required_plugin_versions: [{name: shop, version: 01.0.0}]\n" + RULE,
        [
            "rules.yaml:1: warning: the version '01.0.0' of shop is not semantic, which falcoctl needs: write 1.2.3",
        ],
    ),
}


@pytest.mark.parametrize("kind", SUSPICIOUS)
def test_suspicious_rules_are_no_error(tmp_path: Path, kind: str) -> None:
    rules, lines = SUSPICIOUS[kind]
    assert check_rules(tmp_path, rules) == lines


ACCEPTED = {
    "expression of Perl": rule(condition="shop.user regex '[0-9]+?'"),
    "quoted number for equality": rule(condition='shop.amount = "5"'),
    "number for a text": rule(condition="shop.user = 5"),
    "order of texts": rule(condition="shop.user > 5"),
    "length of a list": rule(condition="len(shop.items) > 5"),
    "macro that is defined after a rule": rule(condition="a") + "- macro: a\n  condition: shop.paid = true\n",
    "exception of one field": exceptions("fields: shop.user", "comps: in", "values: [a, b c]"),
    "empty file": "# nothing\n",
    "good": (
        "- required_engine_version: 0.31.0\n- required_plugin_versions: [{name: shop, version: 1.0.0}]\n"
        "- list: users\n  items: [a, b c]\n- macro: paid\n  condition: (shop.paid = true)\n"
    )
    + rule(
        condition="paid and shop.user in (users, d) and not shop.items intersects (pen, 'a b') and "
        "shop.address != 10.0.0.1 and shop.network = 10.0.0.0/8 and len(shop.items) > 0 and "
        "shop.header[a-b] startswith anyof (x, y) and join(',', shop.items) contains z and shop.time > 5 and "
        "evt.source = shop and shop.item[0] exists",
        output="'%shop.user %10shop.amount %shop.header[x] %shop.items %evt.time %tolower(shop.user)'",
    ),
    "all in one list field": rule(condition="shop.items in (a) and shop.prices intersects (1) and shop.items exists"),
    "list in quotes": "- list: many\n  items: [a, b]\n" + rule(condition="shop.user = 'x many y'"),
    "list with = ": "- list: one\n  items: [5]\n" + rule(condition="shop.amount = one"),
    "empty list": "- list: none\n  items: []\n" + rule(condition="shop.user in (none)"),
    "empty list and more": "- list: none\n  items: []\n" + rule(condition="shop.user in (none, a)"),
    "list of a list": "- list: a\n  items: [x, y]\n- list: b\n  items: [a, z]\n" + rule(condition="shop.user in (b)"),
    "empty item": "- list: one\n  items: ['']\n" + rule(condition="shop.user in (one)"),
    "item with a comma": "- list: one\n  items: ['a,b']\n" + rule(condition="shop.user in (one)"),
    "append macro": (
        "- macro: m\n  condition: shop.amount > 5\n- macro: m\n"
        "  condition: and shop.paid = true\n  override: {condition: append}\n"
    )
    + rule(condition="m"),
    "deep": rule(condition="(" * 50 + "shop.amount > 5" + ")" * 50),
    "not not": rule(condition="not not not shop.amount > 5"),
    "two documents": "---\n" + RULE + "---\n" + RULE.replace("R", "S"),
    "null entry": "- \n" + RULE,
    "null document": "---\n---\n" + RULE,
    "priority with case": rule(priority="iNfO"),
    "exceptions null": rule(extra="  exceptions:\n"),
    "exception with in and a list": exceptions(
        "fields: [shop.user, shop.items]", "comps: [in, intersects]", "values:", "- [[a, b], [c d]]", "- [a, (x)]"
    ),
    "exception with startswith anyof": exceptions("fields: shop.user", "comps: startswith anyof", "values: [a, b]"),
    "exception with a function": exceptions("fields: [tolower(shop.user)]", "values: [[a]]"),
    "exception with an argument": exceptions("fields: ['shop.header[a]']", "values: [[a]]"),
    "append exceptions": exceptions("fields: [shop.user]")
    + "- rule: R\n  exceptions:\n  - name: e\n    values: [[a]]\n  override: {exceptions: append}\n",
    "append false": RULE.replace("rule: R", "rule: R\n  append: false"),
    "output with join": rule(output="Order %join(',', shop.items)"),
    "output with a dot": rule(output="Order %shop.user."),
    "output star": rule(output="'*%shop.user'"),
    "large number": rule(condition="shop.amount = 99999999999999999999"),
    "negative number": rule(condition="shop.amount = -5"),
    "number with blanks": rule(condition="shop.amount = ' 5'"),
    "IPv6": rule(condition="shop.address = ::1 and shop.network = fe80::/10"),
    "IPv4 network of host": rule(condition="shop.network = 10.1.2.3/8"),
    "in of network": rule(condition="shop.network in (10.0.0.0/8, 11.0.0.0/8)"),
    "anyof of addresses": rule(condition="shop.address = anyof (10.0.0.1)"),
    "anyof of numbers": rule(condition="shop.amount = anyof (1, 2)"),
    "contains anyof": rule(condition="shop.user contains anyof ()"),
    "bool in": rule(condition="shop.paid in (true, false)"),
    "intersects of a text": rule(condition="shop.user intersects (a)"),
    "pmatch": rule(condition="shop.user pmatch (/etc, /usr/*)"),
    "field = field list": rule(condition="shop.items in val(shop.items)"),
    "text function of value": rule(condition="tolower('A') = a"),
    "len of operands": rule(condition="len((shop.user, 'a')) = 2"),
    "b64": rule(condition="b64(shop.user) contains x and basename(shop.user) = y and toupper(shop.user) in (A)"),
    "tolower of a list": rule(condition="tolower(shop.items) in (a)"),
    "join of values": rule(condition="join(',', ('a', shop.user, 5)) = x"),
    "join of numbers": rule(condition="join(',', shop.prices) = x"),
    "join of a number list": rule(condition="join(',', (shop.amount, 'x')) = x"),
    "concat": rule(condition="concat(shop.user, '-', 'x') = x and concat(shop.user, 5) = y"),
    "getopt": rule(condition="getopt(shop.items, 'ab:') in (a) and getopt(shop.items, 'ab:')[b] = x"),
    "nested functions": rule(condition="len(tolower(b64(shop.user))) > 5 and shop.user = tolower(shop.user)"),
    "in(": rule(condition="shop.user in(a,b)"),
    "word in quotes without blank": rule(condition="shop.user='a'and shop.paid=true"),
    "hash": rule(condition="shop.user = a#b"),
    "value with brackets": rule(condition="shop.user = a[b]"),
    "value with dots": rule(condition="shop.user startswith ../"),
    "non-ASCII": rule(condition="shop.user = é and shop.user = 'ü'"),
    "requirement with a suffix": "- required_plugin_versions: [{name: shop, version: 1.0.0-rc1}]\n" + RULE,
    "requirement empty": "- required_plugin_versions: []\n" + RULE,
    "alternative": "- required_plugin_versions:\n"
    "  - {name: x, version: 1.0.0, alternatives: [{name: shop, version: 1.0.0}]}\n" + RULE,
    "engine 0x1f": "- required_engine_version: 0x1f\n" + RULE,
    "engine suffix": "- required_engine_version: 0.31.0-rc1\n" + RULE,
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_right_rules_have_no_problem(tmp_path: Path, kind: str) -> None:
    assert check_rules(tmp_path, ACCEPTED[kind]) == []
