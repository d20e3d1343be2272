"""Deliveries in Meta's shapes, made for these tests."""

from pathlib import Path

FIXTURES = Path(__file__).parents[2] / "fixtures" / "facebook"


def fixture(name: str) -> bytes:
    """The bytes of one delivery: `<event>__<variant>`."""
    return (FIXTURES / f"{name}.json").read_bytes()
