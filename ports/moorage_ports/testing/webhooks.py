"""What every `WebhookSource` promises. All of it is pure, so strangers' bytes are tried by the hundred."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_ports.errors import MalformedError, SignatureError
from moorage_ports.events import LeadArrived, Unmapped
from moorage_ports.lead_source import Lead
from moorage_ports.plugin import Vendor
from moorage_ports.secret import Secret
from moorage_ports.testing.contract import Contract
from moorage_ports.testing.inputs import inherited, json_values
from moorage_ports.testing.world import WebhookWorld
from moorage_ports.webhooks import (
    MOST_CHANGES,
    Change,
    Delivery,
    TooManyChangesError,
    VendorApp,
    WebhookSource,
)

LONGEST_KEY = 512
CHALLENGE = "1158201444"
TOO_DEEP = 100_000
RECEIVED_AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


def _resigned(delivery: Delivery, world: WebhookWorld, values: Sequence[str]) -> Delivery:
    """The same delivery, its signature header carrying `values` instead."""
    other = world.signed(delivery.body + b" ", world.app.secret)
    names = {name for name, value in delivery.headers if value not in other.header_values(name)}
    assert names, "no header depends on the body: nothing is signed"
    unsigned = [(name, value) for name, value in delivery.headers if name not in names]
    return Delivery(
        headers=unsigned + [(name, value) for name in names for value in values], body=delivery.body
    )


def _signature_of(delivery: Delivery, world: WebhookWorld) -> str:
    other = world.signed(delivery.body + b" ", world.app.secret)
    return next(value for name, value in delivery.headers if value not in other.header_values(name))


class WebhookSourceContract(Contract):
    """Subclass as `Test<Adapter>`; provide `vendor` and `world`; inherit the promises."""

    @pytest.fixture
    def source(self, vendor: Vendor) -> WebhookSource:
        """The vendor's webhooks."""
        assert vendor.webhooks is not None
        return vendor.webhooks

    @pytest.fixture
    def delivery(self, world: WebhookWorld) -> Delivery:
        """A delivery as the vendor sends it."""
        return world.signed(world.delivery_body(world.some_leads()), world.app.secret)

    # The handshake

    def test_the_handshake_is_answered_with_the_bare_challenge(
        self, source: WebhookSource, world: WebhookWorld
    ) -> None:
        """Nothing around it."""
        query = world.handshake(world.app.verify_token.reveal(), CHALLENGE)

        assert source.answer_handshake(query, [world.app]) == CHALLENGE

    @pytest.mark.parametrize("token", ["", "wrong", "pässwörd", "\x00"])
    def test_a_handshake_without_our_token_is_refused(
        self, source: WebhookSource, world: WebhookWorld, token: str
    ) -> None:
        """`SignatureError`: somebody else is asking."""
        with pytest.raises(SignatureError):
            source.answer_handshake(world.handshake(token, CHALLENGE), [world.app])

    @pytest.mark.parametrize("challenge", ["", "<script>alert(1)</script>", "12 34", "١٢٣", "1\n2", "1\n"])
    def test_a_challenge_that_is_no_plain_number_is_refused(
        self, source: WebhookSource, world: WebhookWorld, challenge: str
    ) -> None:
        """`SignatureError`: what we echo must not become a page."""
        query = world.handshake(world.app.verify_token.reveal(), challenge)

        with pytest.raises(SignatureError):
            source.answer_handshake(query, [world.app])

    def test_without_an_app_nothing_is_answered(self, source: WebhookSource, world: WebhookWorld) -> None:
        """`SignatureError`: no configuration means closed, not open."""
        with pytest.raises(SignatureError):
            source.answer_handshake(world.handshake(world.app.verify_token.reveal(), CHALLENGE), [])
        with pytest.raises(SignatureError):
            source.answer_handshake({}, [world.app])

    # The signature

    def test_the_app_that_signed_is_named(
        self, source: WebhookSource, world: WebhookWorld, delivery: Delivery
    ) -> None:
        """Also when it is one of several."""
        stranger = VendorApp(
            vendor=world.app.vendor,
            app_id="other",
            secrets=(Secret("x" * 32),),
            verify_token=Secret("y" * 32),
        )

        assert source.verify(delivery, [world.app]) == world.app
        assert source.verify(delivery, [stranger, world.app]) == world.app

    def test_every_live_secret_is_tried(self, source: WebhookSource, world: WebhookWorld) -> None:
        """While a secret is being rotated, both sign."""
        old, new = Secret("old" * 12), Secret("new" * 12)
        app = VendorApp(
            vendor=world.app.vendor, app_id="rotating", secrets=(new, old), verify_token=Secret("y" * 32)
        )

        for secret in (old, new):
            assert source.verify(world.signed(b"{}", secret), [app]) == app

    def test_no_app_no_trust(self, source: WebhookSource, delivery: Delivery) -> None:
        """`SignatureError`: without a secret nothing can be proven."""
        with pytest.raises(SignatureError):
            source.verify(delivery, [])

    def test_another_secret_is_refused(self, source: WebhookSource, world: WebhookWorld) -> None:
        """`SignatureError`: well signed, by somebody else."""
        with pytest.raises(SignatureError):
            source.verify(world.signed(b"{}", Secret("somebody else's")), [world.app])

    def test_one_changed_byte_is_refused(
        self, source: WebhookSource, world: WebhookWorld, delivery: Delivery
    ) -> None:
        """`SignatureError`, wherever the byte stands; also one more or one less."""
        body = delivery.body
        flipped = [body[:n] + bytes([body[n] ^ 1]) + body[n + 1 :] for n in range(len(body))]

        for tampered in [*flipped, body[:-1], body + b" ", b" " + body, b""]:
            with pytest.raises(SignatureError):
                source.verify(Delivery(headers=delivery.headers, body=tampered), [world.app])

    def test_missing_or_doubled_signatures_are_refused(
        self, source: WebhookSource, world: WebhookWorld, delivery: Delivery
    ) -> None:
        """`SignatureError`: with two, which one did the proxy before us look at?"""
        good = _signature_of(delivery, world)

        for values in ([], [""], [good, good], [good, "junk"], ["junk", good], [f"{good},{good}"]):
            with pytest.raises(SignatureError):
                source.verify(_resigned(delivery, world, values), [world.app])

    @inherited
    @given(garbage=st.text())
    def test_garbled_signatures_are_refused(
        self, source: WebhookSource, world: WebhookWorld, delivery: Delivery, garbage: str
    ) -> None:
        """`SignatureError`, never another exception: headers are anybody's text, not only ASCII."""
        with pytest.raises(SignatureError):
            source.verify(_resigned(delivery, world, [garbage]), [world.app])

    # What is in it

    def test_every_lead_of_a_delivery_becomes_a_change_and_an_event(
        self, source: WebhookSource, world: WebhookWorld
    ) -> None:
        """Vendors batch: losing all but the first is the classic mistake."""
        leads = world.some_leads()

        changes = source.split(world.delivery_body(leads))

        events = [event for change in changes for event in source.events(change.body, RECEIVED_AT)]
        assert events == list(leads)
        assert [change.owner_keys[0] for change in changes] == [lead.channel_external_id for lead in leads]

    def test_a_happening_keeps_its_key_in_any_company(
        self, source: WebhookSource, world: WebhookWorld
    ) -> None:
        """A retry may be batched differently; the business key must not care."""
        leads = world.some_leads()

        together = [change.business_key for change in source.split(world.delivery_body(leads))]
        backwards = [change.business_key for change in source.split(world.delivery_body(leads[::-1]))]
        alone = [source.split(world.delivery_body([lead]))[0].business_key for lead in leads]

        assert together == alone == backwards[::-1]
        assert len(set(together)) == len(leads)

    def test_no_lead_waits_for_another(self, source: WebhookSource, world: WebhookWorld) -> None:
        """Leads have no order: one that can't be fetched yet must not hold up those after it."""
        leads = world.some_leads()

        changes = source.split(world.delivery_body(leads))

        assert len({change.partition for change in changes}) == len(leads)

    def test_a_lead_that_is_found_is_the_one_that_is_delivered(
        self, source: WebhookSource, world: WebhookWorld
    ) -> None:
        """Same owner, key and partition: whichever comes first, the other one is a duplicate."""
        arrivals = world.some_leads()
        for arrived, delivered in zip(arrivals, source.split(world.delivery_body(arrivals)), strict=True):
            found = source.lead_change(
                Lead(
                    external_id=arrived.lead_external_id,
                    channel_external_id=arrived.channel_external_id,
                    form_external_id=arrived.form_external_id,
                    answers=(),
                    submitted_at=arrived.occurred_at,
                    ad_external_id=arrived.ad_external_id,
                )
            )
            assert (found.kind, found.owner_keys[0]) == (delivered.kind, delivered.owner_keys[0])
            assert (found.business_key, found.partition) == (delivered.business_key, delivered.partition)
            assert source.events(found.body, RECEIVED_AT) == (arrived,)

    @pytest.mark.parametrize(
        "body",
        [b"", b"null", b"[]", b"{}", b'"text"', b"12", b"{", b"\xff\xfe", b"NaN", b"<html></html>"],
        ids=repr,
    )
    def test_what_is_no_delivery_is_malformed(self, source: WebhookSource, body: bytes) -> None:
        """`MalformedError`: the host keeps it aside whole."""
        with pytest.raises(MalformedError):
            source.split(body)

    @pytest.mark.parametrize("opening", [b"[", b'{"a":'])
    def test_what_nests_too_deep_is_malformed(
        self, source: WebhookSource, world: WebhookWorld, opening: bytes
    ) -> None:
        """`MalformedError`, also far inside a delivery: a parser's recursion limit is not our failure."""
        deep = opening * TOO_DEEP
        inside = world.delivery_body(world.some_leads()).replace(b":[", b":[" + deep, 1)

        for body in (deep, inside):
            with pytest.raises(MalformedError):
                source.split(body)

    def test_a_delivery_has_a_most_of_changes(self, source: WebhookSource, world: WebhookWorld) -> None:
        """`TooManyChangesError`: the host keeps it aside whole, or each change would be a row."""
        [lead, *_] = world.some_leads()

        assert len(source.split(world.delivery_body([lead] * MOST_CHANGES))) == MOST_CHANGES
        with pytest.raises(TooManyChangesError):
            source.split(world.delivery_body([lead] * (MOST_CHANGES + 1)))

    @inherited
    @given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
    def test_any_bytes_are_split_or_malformed(self, source: WebhookSource, body: bytes) -> None:
        """Total: a signature proves the sender, not the sense."""
        self._check(source, body)

    @inherited
    @given(data=st.data())
    def test_a_delivery_with_a_surprise_in_it_is_still_read(
        self, source: WebhookSource, world: WebhookWorld, data: st.DataObject
    ) -> None:
        """Vendors change what they send without asking: anything may stand anywhere."""
        document = json.loads(world.delivery_body(world.some_leads()))  # noqa: TID251 - a test's own parser
        body = json.dumps(_with_surprise(document, data)).encode()

        self._check(source, body)

    def _check(self, source: WebhookSource, body: bytes) -> None:
        try:
            changes = source.split(body)
        except MalformedError:
            return
        for change in changes:
            self._check_keys(change)
            for event in source.events(change.body, RECEIVED_AT):
                assert isinstance(event, LeadArrived | Unmapped)

    def _check_keys(self, change: Change) -> None:
        """Keys are stored and indexed: present, short, and free of what databases refuse."""
        assert change.business_key
        for key in (change.kind, change.business_key, change.partition, *change.owner_keys):
            assert len(key) <= LONGEST_KEY
            assert "\x00" not in key
            key.encode()  # a lone surrogate would not


def _with_surprise(document: object, data: st.DataObject) -> object:
    """The document with one of its values, at any depth, replaced by any other."""
    if isinstance(document, dict) and document and data.draw(st.integers(0, 3)):
        key = data.draw(st.sampled_from(sorted(document)))
        return {**document, key: _with_surprise(document[key], data)}
    if isinstance(document, list) and document and data.draw(st.integers(0, 3)):
        place = data.draw(st.integers(0, len(document) - 1))
        return [*document[:place], _with_surprise(document[place], data), *document[place + 1 :]]
    return data.draw(json_values)
