"""A promise can be broken on purpose, with a reason; it can't be dropped."""

from collections.abc import Callable
from typing import ClassVar

import pytest

from moorage_ports.testing.contract import Contract, deviates


class GreetingContract(Contract):
    def test_says_hello(self) -> None: ...

    def test_says_goodbye(self) -> None: ...


def _silent(_: object) -> None: ...


def test_a_deviation_is_kept_with_its_reason() -> None:
    """Docs print it from here."""

    class TestMute(GreetingContract):
        @deviates("It has no voice.")
        def test_says_hello(self) -> None: ...

        def test_waves(self) -> None: ...

    assert TestMute.deviations == {"test_says_hello": "It has no voice."}
    assert GreetingContract.deviations == {}


def test_a_deviation_is_inherited() -> None:
    """Who builds on a vendor that deviates, deviates."""

    class TestMute(GreetingContract):
        @deviates("It has no voice.")
        def test_says_hello(self) -> None: ...

    class TestMuteToo(TestMute): ...

    assert TestMuteToo.deviations == {"test_says_hello": "It has no voice."}


def _replace() -> None:
    class TestReplaced(GreetingContract):
        def test_says_hello(self) -> None: ...


def _set_to_none() -> None:
    class TestDropped(GreetingContract):
        test_says_hello = None  # type: ignore[assignment]


def _hide_behind_a_mixin() -> None:
    class Mixin:
        def test_says_hello(self) -> None: ...

    class TestHidden(Mixin, GreetingContract): ...


def _replace_further_down() -> None:
    class TestFirst(GreetingContract): ...

    class TestSecond(TestFirst):
        def test_says_goodbye(self) -> None: ...


def _skip_all() -> None:
    class TestSkipped(GreetingContract):
        pytestmark: ClassVar = [pytest.mark.skip]


def _switch_off() -> None:
    class TestOff(GreetingContract):
        __test__ = False


def _forget_the_deviation() -> None:
    class TestMute(GreetingContract):
        @deviates("It has no voice.")
        def test_says_hello(self) -> None: ...

    class TestMuteToo(TestMute):
        def test_says_hello(self) -> None: ...


@pytest.mark.parametrize(
    "drop",
    [
        _replace,
        _set_to_none,
        _hide_behind_a_mixin,
        _replace_further_down,
        _skip_all,
        _switch_off,
        _forget_the_deviation,
    ],
)
def test_a_promise_is_not_dropped_quietly(drop: Callable[[], None]) -> None:
    """However somebody goes about it, the class is refused."""
    with pytest.raises(TypeError, match="promise"):
        drop()


def test_a_reason_is_not_empty() -> None:
    """Blanks are no reason."""
    with pytest.raises(ValueError, match="reason"):
        deviates("  ")(_silent)
