"""Pollers for APIs of different kinds, as a plugin author writes them."""

from __future__ import annotations

from datetime import datetime

from falco_plugin import json_field
from falco_plugin.polling import HttpPoller, Request, Response


class OnePassword(HttpPoller):
    """Sign-in attempts of 1Password: a POST, with the cursor in the bodies"""

    name = "onepassword"
    id_field = "uuid"
    timestamp_field = "timestamp"
    records_field = "items"

    user = json_field("onepassword.user", "/target_user/email", desc="The user who signed in")

    def first_request(self, params: str, start: datetime) -> Request:
        return Request(f"{params}/api/v2/signinattempts", {"limit": 5, "start_time": start.isoformat()})

    def next_request(self, response: Response) -> Request:
        return response.request.with_json({"cursor": response.json["cursor"]})

    def has_more(self, response: Response, count: int) -> bool:
        return bool(response.json["has_more"])


class Slack(HttpPoller):
    """Audit logs of Slack: the newest record first, and the cursor in the body"""

    name = "slack"
    id_field = "id"
    timestamp_field = "date_create"
    records_field = "entries"
    overlap = 60

    action = json_field("slack.action", "/action", desc="The action")

    def first_request(self, params: str, start: datetime) -> Request:
        return Request(f"{params}/audit/v1/logs").with_query(limit=5, oldest=int(start.timestamp()))

    def next_request(self, response: Response) -> Request | None:
        cursor = response.json["response_metadata"]["next_cursor"]
        return response.request.with_query(cursor=cursor) if cursor else None


class Offsets(HttpPoller):
    """Records of an API with offsets, oldest first"""

    name = "offsets"
    id_field = "/meta/id"
    records_field = "/result/items"

    def next_request(self, response: Response) -> Request | None:
        result = response.json["result"]
        end = result["offset"] + len(result["items"])
        return response.request.with_query(offset=end) if end < result["total"] else None
