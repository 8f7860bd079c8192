"""Tests how requests are verified, with the signatures that services publish as examples."""

from __future__ import annotations

import base64
import hmac
import time

import pytest

from falco_plugin.receiving import HmacSignature, Rejection, Request, SharedToken, Verification

SECRETS = [b"first secret", "zweites Gehéimnis 🔑".encode(), b"\xff\xfe not UTF-8"]
BODY = b'{"text": "caf\xc3\xa9"}\xff'


def request(body: bytes = BODY, **headers: str) -> Request:
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Request("POST", "/hook", "", named, "127.0.0.1", body)


def digest(message: bytes, secret: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(secret, message, algorithm).digest()


def reason(verification: Verification, wrong: Request, secrets: list[bytes] = SECRETS) -> str:
    with pytest.raises(Rejection) as rejected:
        verification.verify(wrong, secrets)
    assert rejected.value.status == 401
    return rejected.value.reason


GITHUB = HmacSignature("X-Hub-Signature-256", prefix="sha256=")
SLACK = HmacSignature(
    "X-Slack-Signature", prefix="v0=", message="v0:{timestamp}:{body}", timestamp="X-Slack-Request-Timestamp"
)
STRIPE = HmacSignature("Stripe-Signature", message="{timestamp}.{body}", pairs=("t", "v1"))


def test_published_examples_of_services_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    github = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    GITHUB.verify(request(b"Hello, World!", X_Hub_Signature_256=github), [b"It's a Secret to Everybody"])
    # https://docs.slack.dev/authentication/verifying-requests-from-slack
    monkeypatch.setattr(time, "time", lambda: 1531420618 + 299.0)
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"
        b"96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    slack = {
        "X_Slack_Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        "X_Slack_Request_Timestamp": "1531420618",
    }
    SLACK.verify(request(body, **slack), [b"8f742231b10e8888abcd99yyyzzz85a5"])


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_each_secret_is_accepted_in_each_encoding(secret: bytes, algorithm: str) -> None:
    made = digest(BODY, secret, algorithm)
    HmacSignature("X-Sig", algorithm=algorithm).verify(request(X_Sig=made.hex().upper()), SECRETS)
    encoded = HmacSignature("X-Sig", algorithm=algorithm, encoding="base64")
    encoded.verify(request(X_Sig=base64.b64encode(made).decode()), SECRETS)
    other = request(X_Sig=digest(BODY, b"guessed", algorithm).hex())
    assert reason(HmacSignature("X-Sig", algorithm=algorithm), other) == "the signature matches no secret"


GOOD = digest(BODY, SECRETS[0]).hex()


@pytest.mark.parametrize(
    "wrong",
    ["", "sha256=", "sha256=\xe9", "sha256=zz", "=" + GOOD, GOOD[:-1], GOOD[:-2], GOOD + "00", "sha1=" + GOOD, "é"],
)  # fmt: skip
def test_wrong_signature_is_rejected(wrong: str) -> None:
    assert "signature" in reason(GITHUB, request(X_Hub_Signature_256=wrong))


def test_signature_of_another_body_is_rejected() -> None:
    assert reason(GITHUB, request(b"other", X_Hub_Signature_256=GOOD)) == "the signature matches no secret"
    assert reason(GITHUB, request()) == "the signature is missing"


def slack(timestamp: str, body: bytes = BODY) -> Request:
    made = digest(b"v0:" + timestamp.encode("latin-1") + b":" + body, SECRETS[0]).hex()
    return request(body, X_Slack_Signature=f"v0={made}", X_Slack_Request_Timestamp=timestamp)


def stripe(timestamp: str, *more: str) -> Request:
    made = digest(timestamp.encode() + b"." + BODY, SECRETS[0]).hex()
    return request(Stripe_Signature=",".join([f"t={timestamp}", *more, f" v1={made}", "v0=00"]))


def test_signature_is_accepted_within_its_tolerance_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    for signed in (slack, stripe):
        verification = SLACK if signed is slack else STRIPE
        for offset in (-300, 0, 300):
            verification.verify(signed(str(1_800_000_000 + offset)), SECRETS)
        for offset in (-301, 301, -1_800_000_000):
            assert "too old" in reason(verification, signed(str(1_800_000_000 + offset)))
        for wrong in ("", "-5", "1e9", "1_800_000_000", "1800000000.0", "9" * 5000):
            assert reason(verification, signed(wrong)) == "the time of the signature is missing or malformed"
    STRIPE.verify(stripe("1800000000", f"v1={'0' * 64}", "v1=", "v1"), SECRETS)


def test_body_is_hashed_once_for_each_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def record(secret: bytes, message: bytes, algorithm: str) -> bytes:
        hashed.append(secret)
        return bytes(32)

    monkeypatch.setattr(hmac, "digest", record)
    many = request(Stripe_Signature="t=1," + "v1=," * 4000)
    assert reason(STRIPE, many) == "the signature matches no secret"
    assert hashed == SECRETS


def test_time_is_signed() -> None:
    recorded = slack(str(int(time.time()) - 3600)).headers["x-slack-signature"]
    replayed = request(X_Slack_Signature=recorded, X_Slack_Request_Timestamp=str(int(time.time())))
    assert reason(SLACK, replayed) == "the signature matches no secret"


def test_token_is_compared_whole() -> None:
    gitlab, bearer = SharedToken("X-Gitlab-Token"), SharedToken("Authorization", prefix="Bearer ")
    for secret in SECRETS:
        gitlab.verify(request(X_Gitlab_Token=secret.decode("latin-1")), SECRETS)
        bearer.verify(request(Authorization="bearer  " + secret.decode("latin-1")), SECRETS)
        assert reason(gitlab, request(X_Gitlab_Token=secret.decode("latin-1")[:-1])) == "the token matches no secret"
    for missing in ("", "Bearer ", "Basic first secret"):
        assert reason(bearer, request(Authorization=missing)) == "the token is missing"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"message": "body"}, "message has no {body}"),
        ({"timestamp": "X-Time"}, "the time must be signed too"),
        ({"pairs": ("t", "v1")}, "the time must be signed too"),
        ({"message": "{timestamp}{body}"}, "message must have {timestamp} if"),
        ({"message": "{timestamp}{body}", "timestamp": "X", "pairs": ("t", "v1")}, "both set"),
        ({"algorithm": "sha257"}, "sha257"),
        ({"encoding": "hexx"}, "encoding must be"),
    ],
)
def test_contradicting_arguments_are_rejected(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=".*") as raised:
        HmacSignature("X-Sig", **arguments)  # type: ignore[arg-type]
    assert message in str(raised.value)
