"""Binding an operation checks what a plugin author could get wrong."""

import attrs
import pytest

from moorage_ports.operations import GET_PUBLICATION, PUBLISH, GetPublication, bind
from moorage_ports.publisher import PublishPost


@attrs.frozen(kw_only=True)
class _Body:
    where: str


def test_a_binding_without_types_of_its_own_uses_the_neutral_ones() -> None:
    binding = bind("get-publication", GET_PUBLICATION)
    assert binding.request is GetPublication
    assert binding.to_neutral(GetPublication(id="1")) == GetPublication(id="1")


def test_a_body_of_its_own_comes_with_its_translator() -> None:
    with pytest.raises(TypeError, match="come together"):
        bind("post", PUBLISH, request=_Body)


@pytest.mark.parametrize("name", ["Post", "post_to", "-post", "post-", "po st", ""])
def test_names_are_lower_case_words_with_hyphens(name: str) -> None:
    with pytest.raises(ValueError, match="must match"):
        bind(name, GET_PUBLICATION)


def test_a_post_needs_something_in_it() -> None:
    with pytest.raises(ValueError, match="needs a text"):
        PublishPost(channel_external_id="1")
