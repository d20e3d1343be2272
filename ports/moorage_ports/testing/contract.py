"""`Contract`: a set of promises that a subclass inherits and cannot quietly drop."""

from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar

F = TypeVar("F", bound=Callable[..., object])

_REASON = "__deviates__"


def deviates(reason: str) -> Callable[[F], F]:
    """Mark a replaced promise with the reason for it, in a sentence that docs can print."""
    if not reason.strip():
        msg = "a deviation needs a reason"
        raise ValueError(msg)

    def mark(test: F) -> F:
        setattr(test, _REASON, reason)
        return test

    return mark


class Contract:
    """Promises: methods called `test_…`. Subclass as `Test<Adapter>` and provide the fixtures it names.

    A subclass may add tests. Replacing one takes `@deviates('why')`; setting one to `None`, hiding it
    behind a mixin or skipping the whole class does not work.
    """

    deviations: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "pytestmark" in vars(cls) or vars(cls).get("__test__") is False:
            msg = f"{cls.__name__} sets promises aside as a whole: deviate one by one, each with its reason"
            raise TypeError(msg)
        found: dict[str, str] = {}
        for name in sorted({name for base in cls.__mro__ for name in vars(base) if name.startswith("test_")}):
            definers = [base for base in cls.__mro__ if name in vars(base)]
            if not any(issubclass(base, Contract) for base in definers[1:]):
                continue  # nobody's promise, or its first statement
            reason = getattr(vars(definers[0])[name], _REASON, "")
            if not reason:
                msg = f"{cls.__name__}.{name} replaces a promise without @deviates('why')"
                raise TypeError(msg)
            found[name] = reason
        cls.deviations = found
