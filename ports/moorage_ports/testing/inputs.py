"""What strangers send: strategies for Hypothesis, and how an inherited promise uses them."""

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

F = TypeVar("F", bound=Callable[..., object])


def inherited(test: F) -> F:
    """For `@given` on a promise: it runs in many subclasses, on fixtures that no example changes."""
    relaxed = [HealthCheck.differing_executors, HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(deadline=None, suppress_health_check=relaxed)(test)


json_values: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

return_queries: st.SearchStrategy[dict[str, str]] = st.fixed_dictionaries(
    {},
    optional={
        name: st.text()
        for name in ("code", "state", "error", "error_code", "error_reason", "error_description")
    },
)
