"""What every `Governor` promises: a limit is heard of once, kept to by everybody, and waited out exactly."""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Final, Protocol

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_ports.errors import RateLimitError
from moorage_ports.governor import Governor, Meter, MeterScope, Reading
from moorage_ports.testing.contract import Contract

APP: Final = Meter(scope=MeterScope.APP)
CHANNEL: Final = Meter(scope=MeterScope.CHANNEL, owner_id="1", use_case="posts")
OTHER_CHANNEL: Final = Meter(scope=MeterScope.CHANNEL, owner_id="2", use_case="posts")
OTHER_USE: Final = Meter(scope=MeterScope.CHANNEL, owner_id="1", use_case="leads")
A_WHILE: Final = timedelta(minutes=5)
A_SECOND: Final = timedelta(seconds=1)
# Examples may meet what earlier ones left behind; several adapters run the same promise.
_SHARED: Final = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors)


class MovableClock(Protocol):
    """A clock that stands still until a test moves it."""

    def advance(self, duration: timedelta) -> None:
        """Let `duration` pass."""
        ...


def refusal(meter: Meter = CHANNEL, wait: timedelta | None = A_WHILE) -> Reading:
    """The vendor turned a call away."""
    return Reading(meter=meter, is_refused=True, regain_after=wait)


async def wait_of(governor: Governor, *meters: Meter) -> timedelta | None:
    """How long a call on these meters would have to wait; `None`: it may be sent."""
    try:
        await governor.admit(meters, org_id="acme")
    except RateLimitError as failure:
        limit = failure
    else:
        return None
    assert limit.retry_after is not None, "a limit without an end is waited out by nobody"
    return limit.retry_after


some_readings = st.lists(
    st.builds(
        Reading,
        meter=st.builds(
            Meter,
            scope=st.sampled_from(MeterScope),
            owner_id=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
            use_case=st.text(alphabet="abc_", max_size=5),
        ),
        used=st.none() | st.floats(min_value=0, allow_infinity=False, allow_nan=False),
        is_refused=st.booleans(),
        regain_after=st.none() | st.timedeltas(min_value=timedelta(), max_value=timedelta(days=10_000)),
    ),
    max_size=4,
)


class GovernorContract(Contract):
    """Subclass as `Test<Adapter>`; provide `governor`, `governor_of(vendor, app_id)` and its `clock`.

    `governor` is one of `governor_of`'s; the others share with it whatever the adapter shares.
    """

    async def test_who_knows_nothing_lets_calls_through(self, governor: Governor) -> None:
        """Limits are learnt, not guessed."""
        assert await wait_of(governor, APP, CHANNEL) is None
        assert await wait_of(governor) is None

    async def test_a_refusal_stops_calls_for_as_long_as_the_vendor_says(
        self, governor: Governor, clock: MovableClock
    ) -> None:
        """Not a second longer, and none gets through before."""
        assert await governor.report([refusal()]) == A_WHILE

        assert await wait_of(governor, CHANNEL) == A_WHILE
        clock.advance(A_WHILE - A_SECOND)
        assert await wait_of(governor, CHANNEL) == A_SECOND
        clock.advance(A_SECOND)
        assert await wait_of(governor, CHANNEL) is None

    async def test_only_what_counts_on_the_meter_waits(self, governor: Governor) -> None:
        """Another channel, or another use of the same one, has a limit of its own."""
        await governor.report([refusal()])

        assert await wait_of(governor, APP, OTHER_CHANNEL) is None
        assert await wait_of(governor, APP, OTHER_USE) is None
        assert await wait_of(governor, APP, CHANNEL) == A_WHILE

    async def test_the_longest_pause_counts(self, governor: Governor) -> None:
        """A call needs all of its meters."""
        await governor.report([refusal(), refusal(APP, A_WHILE * 2)])

        assert await wait_of(governor, CHANNEL, APP) == A_WHILE * 2

    async def test_a_shorter_answer_does_not_shorten_a_pause(self, governor: Governor) -> None:
        """Answers to calls that were under way arrive in any order."""
        await governor.report([refusal()])
        await governor.report([refusal(wait=A_SECOND), refusal(wait=None), Reading(meter=CHANNEL, used=0.1)])

        assert await wait_of(governor, CHANNEL) == A_WHILE

    async def test_without_a_word_about_when_the_pauses_grow(
        self, governor: Governor, clock: MovableClock
    ) -> None:
        """A minute at least, and longer each time that it was too short."""
        waits = []
        for _ in range(4):
            wait = await governor.report([refusal(wait=None)])
            assert wait is not None
            assert await wait_of(governor, CHANNEL) == wait
            waits.append(wait)
            clock.advance(wait)

        assert waits[0] >= timedelta(minutes=1)
        assert waits == sorted(set(waits))

    async def test_a_meter_that_is_used_up_is_not_called_on(self, governor: Governor) -> None:
        """Whoever asks at 100 % is refused, and prolongs the block."""
        await governor.report([Reading(meter=CHANNEL, used=1.0)])

        assert await wait_of(governor, CHANNEL) is not None

    async def test_a_successful_answer_may_announce_a_pause(self, governor: Governor) -> None:
        """Some vendors say so with the last call that got through."""
        await governor.report([Reading(meter=CHANNEL, used=0.9, regain_after=A_WHILE)])

        assert await wait_of(governor, CHANNEL) == A_WHILE

    async def test_apps_and_vendors_do_not_share_limits(
        self, governor_of: Callable[[str, str], Governor]
    ) -> None:
        """The same meter of another app is another meter."""
        await governor_of("quay", "app-1").report([refusal(APP)])

        assert await wait_of(governor_of("quay", "app-1"), APP) == A_WHILE
        assert await wait_of(governor_of("quay", "app-2"), APP) is None
        assert await wait_of(governor_of("lantern", "app-1"), APP) is None

    @given(readings=some_readings)
    @settings(suppress_health_check=_SHARED, deadline=None, max_examples=30)
    async def test_no_reading_breaks_it(self, governor: Governor, readings: Collection[Reading]) -> None:
        """Reporting never raises: the call that was made is more than its footnotes."""
        await governor.report(readings)
        await governor.report([])

        for reading in readings:
            await wait_of(governor, reading.meter)
