"""Wrong conditions and outputs of rules, and the message of each. A real Falco refuses each of them, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.checked import rule
from support.checks import check_rules

WRONG: dict[str, tuple[str, list[str]]] = {
    "empty condition": (
        rule(condition='""'),
        [
            "rules.yaml:4: condition of the rule 'R' is empty: write it, or leave the key out",
        ],
    ),
    "unknown field": (
        rule(condition="shop.amoun > 5"),
        [
            "rules.yaml:4: events of shop have no field shop.amoun: did you mean shop.amount?",
        ],
    ),
    "unknown field in an output": (
        rule(output="Order of %shop.usr"),
        [
            "rules.yaml:5: events of shop have no field shop.usr: did you mean shop.user?",
        ],
    ),
    "percent sign in an output": (
        rule(output="50% of %shop.user"),
        [
            "rules.yaml:5: '%' has no field after it, and outputs cannot have this character: write 'percent'",
        ],
    ),
    "percent sign at the end": (
        rule(output="Paid to 100%"),
        [
            "rules.yaml:5: the output ends with '%', which begins a field: write a field after it",
        ],
    ),
    "function in an output": (
        rule(output="Order %tolower(shop.amount)"),
        [
            "rules.yaml:5: tolower(…) needs text, but shop.amount is a number: leave out tolower",
        ],
    ),
    "upper case": (
        rule(condition="shop.user = x AND shop.amount > 5"),
        [
            "rules.yaml:4: unexpected 'AND': write and in lower case",
        ],
    ),
    "&&": (
        rule(condition="shop.user = x && shop.amount > 5"),
        [
            "rules.yaml:4: unexpected '&&': write and",
        ],
    ),
    "value with a blank": (
        rule(condition="shop.user = Jane Doe"),
        [
            "rules.yaml:4: unexpected 'Doe': join conditions by 'and' or 'or', and quote values with blanks",
        ],
    ),
    "unclosed parenthesis": (
        rule(condition="(shop.user = x"),
        [
            "rules.yaml:4: the parenthesis is not closed: add ')'",
        ],
    ),
    "unclosed quote": (
        rule(condition="shop.user = 'x"),
        [
            "rules.yaml:4: the quote ' is not closed: add it",
        ],
    ),
    "wrong expression": (
        rule(condition="shop.user regex '(a'"),
        [
            "rules.yaml:4: the expression '(a' is wrong: missing ), unterminated subpattern at position 0",
        ],
    ),
    "text for a number": (
        rule(condition="shop.amount = many"),
        [
            "rules.yaml:4: 'many' is not a number, as shop.amount is: write a whole number, in decimal digits",
        ],
    ),
    "hexadecimal number": (
        rule(condition="shop.amount > 0x10"),
        [
            "rules.yaml:4: '0x10' is not a number, as shop.amount is: write a whole number, in decimal digits",
        ],
    ),
    "decimal number": (
        rule(condition="shop.amount > 1.5"),
        [
            "rules.yaml:4: '1.5' is not a number, as shop.amount is: write a whole number, in decimal digits",
        ],
    ),
    "quoted number": (
        rule(condition='shop.amount > "5"'),
        [
            "rules.yaml:4: expected a number, got '\"5\"': compare a number without quotes, or a field in val(…)",
        ],
    ),
    "contains for a number": (
        rule(condition="shop.amount contains 5"),
        [
            "rules.yaml:4: shop.amount is a number, which has no operator contains: use one of =, ==, !=, <, <=, "
            ">, >=, in, intersects, exists",
        ],
    ),
    "text for a boolean": (
        rule(condition="shop.paid = yes"),
        [
            "rules.yaml:4: 'yes' is not a boolean, as shop.paid is: write true or false",
        ],
    ),
    "order of booleans": (
        rule(condition="shop.paid > 0"),
        [
            "rules.yaml:4: shop.paid is a boolean, which has no operator >: use one of =, ==, !=, in, "
            "intersects, exists",
        ],
    ),
    "equality of a list": (
        rule(condition="shop.items = pen"),
        [
            "rules.yaml:4: shop.items is a list of strings, which has no operator =: use one of in, intersects, exists",
        ],
    ),
    "contains of a list": (
        rule(condition="shop.items contains pen"),
        [
            "rules.yaml:4: shop.items is a list of strings, which has no operator contains: use one of in, "
            "intersects, exists",
        ],
    ),
    "modifier for a list": (
        rule(condition="shop.items contains anyof (pen)"),
        [
            "rules.yaml:4: shop.items is a list of strings, which has no operator contains anyof: use one of in, "
            "intersects, exists",
        ],
    ),
    "equality of an element": (
        rule(condition="shop.items[0] = pen"),
        [
            "rules.yaml:4: shop.items is a list of strings, which has no operator =: use one of in, intersects, exists",
        ],
    ),
    "text in a list of numbers": (
        rule(condition="shop.prices in (1, two)"),
        [
            "rules.yaml:4: 'two' is not a number, as shop.prices is: write a whole number, in decimal digits",
        ],
    ),
    "network for an address": (
        rule(condition="shop.address = 10.0.0.0/8"),
        [
            "rules.yaml:4: '10.0.0.0/8' is not an IP address, as shop.address is: give the plugin a field of a "
            "network type for this comparison",
        ],
    ),
    "order of addresses": (
        rule(condition="shop.address > 5"),
        [
            "rules.yaml:4: shop.address is an IP address, which has no operator >: use one of =, ==, !=, in, "
            "intersects, exists",
        ],
    ),
    "address for a network": (
        rule(condition="shop.network = 10.0.0.1"),
        [
            "rules.yaml:4: '10.0.0.1' is not an IP network, as shop.network is: write an address and a prefix, "
            "such as 10.0.0.0/8",
        ],
    ),
    "time as text": (
        rule(condition="shop.time > 2026-01-01"),
        [
            "rules.yaml:4: unexpected '-01-01': join conditions by 'and' or 'or', and quote values with blanks",
        ],
    ),
    "duration as text": (
        rule(condition="shop.took = 5s"),
        [
            "rules.yaml:4: '5s' is not a duration, as shop.took is: write a whole number of nanoseconds, in "
            "decimal digits",
        ],
    ),
    "bcontains": (
        rule(condition="shop.user bcontains ff"),
        [
            "rules.yaml:4: shop.user is a string, which has no operator bcontains: use one of =, ==, !=, <, <=, "
            ">, >=, in, intersects, exists, contains, icontains, startswith, endswith, glob, iglob, regex, pmatch",
        ],
    ),
    "argument is missing": (
        rule(condition="shop.header = x"),
        [
            "rules.yaml:4: shop.header needs an argument: write shop.header[key]",
        ],
    ),
    "argument is not allowed": (
        rule(condition="shop.user[0] = x"),
        [
            "rules.yaml:4: shop.user takes no argument: leave out [0]",
        ],
    ),
    "key instead of an index": (
        rule(condition="shop.item[first] = x"),
        [
            "rules.yaml:4: the argument of shop.item is an index, got 'first': write digits without a leading zero",
        ],
    ),
    "leading zero of an index": (
        rule(condition="shop.item[01] = x"),
        [
            "rules.yaml:4: the argument of shop.item is an index, got '01': write digits without a leading zero",
        ],
    ),
    "blank in an argument": (
        rule(condition='shop.header["a b"] = x'),
        [
            "rules.yaml:4: the argument of shop.header has a blank or a bracket, which Falco cannot read: 'a b' "
            "is not possible",
        ],
    ),
    "bracket in an argument": (
        rule(condition='shop.header["a]b"] = x'),
        [
            "rules.yaml:4: the argument of shop.header has a blank or a bracket, which Falco cannot read: 'a]b' "
            "is not possible",
        ],
    ),
    "argument in an output": (
        rule(output="Order %shop.header"),
        [
            "rules.yaml:5: shop.header needs an argument: write shop.header[key]",
        ],
    ),
    "empty argument": (
        rule(condition="shop.header[] = x"),
        [
            "rules.yaml:4: expected an argument in the brackets, got ']': write an index or a key without blanks",
        ],
    ),
    "fields of different types": (
        rule(condition="shop.user = val(shop.amount)"),
        [
            "rules.yaml:4: shop.user is a string, but shop.amount is a number: compare fields of one type",
        ],
    ),
    "regex with a field": (
        rule(condition="shop.user regex val(shop.user)"),
        [
            "rules.yaml:4: regex cannot compare shop.user with another field: write a value",
        ],
    ),
    "pmatch with a field": (
        rule(condition="shop.user pmatch val(shop.user)"),
        [
            "rules.yaml:4: pmatch cannot compare shop.user with another field: write a value",
        ],
    ),
    "network with a field": (
        rule(condition="shop.network = val(shop.network)"),
        [
            "rules.yaml:4: shop.network is an IP network, which has no comparison with fields: write a network",
        ],
    ),
    "function of a number": (
        rule(condition="tolower(shop.amount) = 5"),
        [
            "rules.yaml:4: tolower(…) needs text, but shop.amount is a number: leave out tolower",
        ],
    ),
    "length of a number": (
        rule(condition="len(shop.amount) > 5"),
        [
            "rules.yaml:4: len(…) needs text or a list, but shop.amount is a number: compare it without len",
        ],
    ),
    "length compared with text": (
        rule(condition="len(shop.user) contains 5"),
        [
            "rules.yaml:4: len(…) is a number, which has no operator contains: use one of =, ==, !=, <, <=, >, "
            ">=, in, intersects, exists",
        ],
    ),
    "function with two arguments": (
        rule(condition="tolower(shop.user, shop.user) = 5"),
        [
            "rules.yaml:4: tolower(…) takes one argument, got 2: leave out the others",
        ],
    ),
    "join without a list": (
        rule(condition="join(',', shop.user) = 5"),
        [
            "rules.yaml:4: join(…) needs a separator and a list: write join(',', field), or join(',', (a.b, c.d))",
        ],
    ),
    "join of one": (
        rule(condition="join(shop.items) = 5"),
        [
            "rules.yaml:4: join(…) takes two arguments, got 1: see Falco's documentation of functions",
        ],
    ),
    "concat of a number": (
        rule(condition="concat(shop.user, shop.amount) = a5"),
        [
            "rules.yaml:4: concat(…) needs texts: leave out lists and numbers",
        ],
    ),
    "evt.type": (
        rule(condition="evt.type = open"),
        [
            "rules.yaml:4: evt.type does not exist for events of plugins, which all have one type: compare a "
            "field of the plugin instead",
        ],
    ),
    "field of system calls": (
        rule(condition="proc.name = x"),
        [
            "rules.yaml:4: events of shop have no field proc.name: they have shop.user, shop.amount, shop.paid, "
            "shop.items, shop.prices, shop.header, shop.item, shop.address, and 3 more",
        ],
    ),
    "nothing": (
        rule(condition="not"),
        [
            "rules.yaml:4: there is no macro not: define it, or compare a field, such as a.b = 1",
        ],
    ),
    "keyword as macro": (
        rule(condition="true"),
        [
            "rules.yaml:4: there is no macro true: define it, or compare a field, such as a.b = 1",
        ],
    ),
    "output of width": (
        rule(output="Order %10shop.user %5"),
        [
            "rules.yaml:5: the output ends with '%', which begins a field: write a field after it",
        ],
    ),
    "output of percent percent": (
        rule(output="Order %%shop.user"),
        [
            "rules.yaml:5: '%' has no field after it, and outputs cannot have this character: write 'percent'",
        ],
    ),
    "output of a value": (
        rule(output="Order %val(shop.user)"),
        [
            "rules.yaml:5: '%' has no field after it, and outputs cannot have this character: write 'percent'",
        ],
    ),
    "output with a shorter field": (
        rule(output="Order %shop.use"),
        [
            "rules.yaml:5: events of shop have no field shop.use: did you mean shop.user?",
        ],
    ),
    "output is null": (
        rule(output="''"),
        [
            "rules.yaml:5: output of the rule 'R' is empty: write it, or leave the key out",
        ],
    ),
    "output with index": (
        rule(output="Order %shop.items[0] %shop.item[x]"),
        [
            "rules.yaml:5: the argument of shop.item is an index, got 'x': write digits without a leading zero",
        ],
    ),
    "field with capitals": (
        rule(condition="shop.User = x"),
        [
            "rules.yaml:4: events of shop have no field shop.User: did you mean shop.user?",
        ],
    ),
    "field with an index and text": (
        rule(condition="shop.items[x] in (a)"),
        [
            "rules.yaml:4: the argument of shop.items is an index, got 'x': write digits without a leading zero",
        ],
    ),
    "large index": (
        rule(condition="shop.item[99999999999999999999] = a"),
        [
            "rules.yaml:4: the argument of shop.item is an index, got '99999999999999999999': write digits "
            "without a leading zero",
        ],
    ),
    "number with blanks after": (
        rule(condition="shop.amount = '5 '"),
        [
            "rules.yaml:4: '5 ' is not a number, as shop.amount is: write a whole number, in decimal digits",
        ],
    ),
    "empty number": (
        rule(condition="shop.amount = ''"),
        [
            "rules.yaml:4: '' is not a number, as shop.amount is: write a whole number, in decimal digits",
        ],
    ),
    "IPv6 prefix": (
        rule(condition="shop.network = fe80::/129"),
        [
            "rules.yaml:4: 'fe80::/129' is not an IP network, as shop.network is: write an address and a prefix, "
            "such as 10.0.0.0/8",
        ],
    ),
    "IPv4 prefix": (
        rule(condition="shop.network = 10.0.0.0/33"),
        [
            "rules.yaml:4: '10.0.0.0/33' is not an IP network, as shop.network is: write an address and a "
            "prefix, such as 10.0.0.0/8",
        ],
    ),
    "IPv4 leading zero": (
        rule(condition="shop.address = 010.0.0.1"),
        [
            "rules.yaml:4: '010.0.0.1' is not an IP address, as shop.address is: write an address such as 10.0.0.1",
        ],
    ),
    "bool True": (
        rule(condition="shop.paid = True"),
        [
            "rules.yaml:4: 'True' is not a boolean, as shop.paid is: write true or false",
        ],
    ),
    "pmatch of number": (
        rule(condition="shop.amount pmatch (5)"),
        [
            "rules.yaml:4: shop.amount is a number, which has no operator pmatch: use one of =, ==, !=, <, <=, "
            ">, >=, in, intersects, exists",
        ],
    ),
    "field in field": (
        rule(condition="shop.user in val(shop.items)"),
        [
            "rules.yaml:4: shop.user is a string, but shop.items is a list of strings: compare fields of one type",
        ],
    ),
    "getopt of text": (
        rule(condition="getopt(shop.user, 'ab:') in (a)"),
        [
            "rules.yaml:4: getopt(…) needs a list of texts and a text: write getopt(field, 'ab:')",
        ],
    ),
    "getopt of long selector": (
        rule(condition="getopt(shop.items, 'ab:')[bc] = x"),
        [
            "rules.yaml:4: getopt(…) takes no argument in brackets: leave out [bc]",
        ],
    ),
    "bracket after function": (
        rule(condition="tolower(shop.user)[a] = x"),
        [
            "rules.yaml:4: tolower(…) takes no argument in brackets: leave out [a]",
        ],
    ),
    "val with bracket": (
        rule(condition="shop.user = val(shop.user)[a]"),
        [
            "rules.yaml:4: val(…) takes no argument in brackets: leave out [a]",
        ],
    ),
    "val of a function": (
        rule(condition="shop.user = val(tolower(shop.user))"),
        [
            "rules.yaml:4: expected a field in val(…), got 'tolower'",
        ],
    ),
    "val at the left": (
        rule(condition="val(shop.user) = x"),
        [
            "rules.yaml:4: unexpected '(': join conditions by 'and' or 'or', and quote values with blanks",
        ],
    ),
    "or(": (
        rule(condition="shop.user=a or(shop.user=b)and(shop.paid=true)"),
        [
            "rules.yaml:4: unexpected 'and': join conditions by 'and' or 'or', and quote values with blanks",
        ],
    ),
    "comma at the end": (
        rule(condition="shop.user in (a,)"),
        [
            "rules.yaml:4: expected a value, got ')': write text in quotes",
        ],
    ),
    "comma at the start": (
        rule(condition="shop.user in (,a)"),
        [
            "rules.yaml:4: expected a value, got ',a': write text in quotes",
        ],
    ),
    "unknown alias": (
        rule(condition="*x"),
        [
            "rules.yaml:4: not YAML: undefined alias 'x': define the anchor before the alias, or quote the text: "
            "it begins with '*'",
        ],
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_condition_or_output_is_an_error(tmp_path: Path, kind: str) -> None:
    rules, lines = WRONG[kind]
    assert check_rules(tmp_path, rules) == lines
