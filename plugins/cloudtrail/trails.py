"""The layout of CloudTrail's log files in a bucket.

A log file of a trail has the key
``[prefix/]AWSLogs/[o-organisation/]account/CloudTrail/region/2026/01/31/account_CloudTrail_region_20260131T1805Z_id.json.gz``.
The keys of one account and region are therefore in the order of their times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

_TOP = r"(?:.*/)?AWSLogs/"
_ORGANISATION_ID = r"o-[a-z0-9]{10,32}/"
_ACCOUNTS_PATH = f"{_TOP}(?:{_ORGANISATION_ID})?"
_ORGANISATION = re.compile(_TOP + _ORGANISATION_ID)
_ACCOUNTS = re.compile(_ACCOUNTS_PATH)
_ACCOUNT = re.compile(rf"{_ACCOUNTS_PATH}\d{{12}}/")
_REGIONS = re.compile(rf"{_ACCOUNTS_PATH}\d{{12}}/CloudTrail/")
_REGION = re.compile(rf"(?P<folder>{_ACCOUNTS_PATH}(?P<account>\d{{12}})/CloudTrail/(?P<region>[^/]+)/).*")
_NAME = re.compile(r".*_CloudTrail_[^_/]+_(?P<minute>\d{8}T\d{4})Z_(?P<id>[^/]*)")
_LOG_FILES = (".json", ".json.gz")
_DIGEST = "/CloudTrail-Digest/"
_ID = re.compile(r"\d{12}")

Folders = Callable[[str], Iterable[str]]
"""Returns the folders directly below a prefix, with the prefix and a ``/`` at their end."""


class LogName(NamedTuple):
    """The parts of a log file's name."""

    minute: str = ""
    """The minute of the delivery, such as ``20260131T1805``; empty if the name has another form."""
    id: str = ""
    """The rest of the name, which is unique in this minute."""


class Trail(NamedTuple):
    """Keys that are listed together, in their order."""

    prefix: str
    account: str = ""
    region: str = ""
    """Account and region of all keys; empty if the layout below the prefix is unknown."""

    @property
    def is_ordered(self) -> bool:
        """Whether the order of the keys is that of their times."""
        return bool(self.region)

    def key_before(self, minute: str) -> str:
        """Returns a key that comes directly before the log files of a minute, so that a listing can begin after it."""
        if not (minute and self.is_ordered):
            return ""
        folder = _REGION.fullmatch(self.prefix)
        assert folder is not None
        day = f"{minute[:4]}/{minute[4:6]}/{minute[6:8]}"
        return f"{folder['folder']}{day}/{self.account}_CloudTrail_{self.region}_{minute}"


def is_log_file(key: str) -> bool:
    """Returns whether a key is that of a log file, and not of a digest or of another file."""
    return key.endswith(_LOG_FILES) and _DIGEST not in key


def parse_name(key: str) -> LogName:
    """Returns the parts of a log file's name."""
    found = _NAME.fullmatch(key)
    return LogName(found["minute"], found["id"]) if found else LogName()


def parse_accounts(accounts: Iterable[str]) -> list[str]:
    """Checks the account ids of ``s3AccountList``, and returns each once.

    Raises:
        ValueError: one does not have 12 digits.
    """
    found = list(dict.fromkeys(accounts))
    for account in found:
        if not _ID.fullmatch(account):
            raise ValueError(f"s3AccountList: {account!r} is not an account id: write its 12 digits")
    return found


def find_trails(prefix: str, accounts: list[str], folders: Folders) -> Iterator[Trail]:
    """Yields the trails below a prefix, one for each account and region.

    If the prefix is not part of CloudTrail's layout, such as an empty one, it is one trail without an order.

    Args:
        prefix: the prefix in the open params.
        accounts: ids of the accounts to read; all if empty.
        folders: lists folders of the bucket.
    """
    if found := _REGION.fullmatch(prefix):
        yield Trail(prefix, found["account"], found["region"])
        return
    # Users also write a prefix without the last slash, as the official plugin allows.
    folder = prefix if prefix.endswith("/") else f"{prefix}/"
    if _REGIONS.fullmatch(folder):
        for region in folders(folder):
            yield from find_trails(region, [], folders)
    elif _ACCOUNT.fullmatch(folder):
        yield from find_trails(f"{folder}CloudTrail/", [], folders)
    elif _ACCOUNTS.fullmatch(folder):
        for account in _accounts(folder, accounts, folders):
            yield from find_trails(account, [], folders)
    else:
        yield Trail(prefix)


def _accounts(folder: str, accounts: list[str], folders: Folders) -> Iterator[str]:
    """Yields the folders of accounts, those of organisations too."""
    if accounts and _ORGANISATION.fullmatch(folder):
        yield from (f"{folder}{account}/" for account in accounts)
        return
    for found in folders(folder):
        if _ORGANISATION.fullmatch(found):
            yield from _accounts(found, accounts, folders)
        elif _ACCOUNT.fullmatch(found) and (not accounts or found.rstrip("/").rpartition("/")[2] in accounts):
            yield found
