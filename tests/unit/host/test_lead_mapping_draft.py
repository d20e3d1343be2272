"""The editor loses nothing: what was saved comes back as it was, and whatever is posted is a draft."""

from urllib.parse import parse_qs, urlencode

from hypothesis import given
from hypothesis import strategies as st

from moorage import codec
from moorage.admin.forms import Form
from moorage.admin.lead_mapping_draft import (
    MappingFields,
    fields_of,
    posted_fields,
    with_rule,
    without_rule,
)
from moorage.leads.mappings import BY_RULES, MappingDraft, MappingView
from moorage_ports.lead_mapping import COLUMNS, PROPERTY, DedupePolicy, MappingRule, NamePart, ValueType

LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")
TEXT = st.text(LETTERS, max_size=12).map(str.strip)
WORDS = st.text(LETTERS, min_size=1, max_size=12).filter(str.strip)
RULES = st.builds(
    MappingRule,
    target=st.sampled_from(COLUMNS) | WORDS.map(lambda name: PROPERTY + name.strip()),
    sources=st.lists(WORDS, max_size=3).map(tuple),
    constant=TEXT,
    default=TEXT,
    separator=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=5),
    part=st.none() | st.sampled_from(NamePart),
    type=st.sampled_from(ValueType),
    choices=st.dictionaries(WORDS, WORDS.map(str.strip), max_size=3),
)


def as_posted(fields: MappingFields) -> Form:
    """The fields over the wire and back, as `read_form` reads them."""
    body = parse_qs(urlencode(fields.posted()), keep_blank_values=True)
    return Form(
        {name: tuple(value.replace("\r\n", "\n") for value in values) for name, values in body.items()}
    )


def meant(rule: MappingRule) -> dict[str, object]:
    """What a rule says; of what is written for an empty answer only the first counts."""
    fixed = rule.constant.strip() or rule.default.strip()
    part = rule.part if rule.sources or not rule.constant.strip() else None  # of a constant none is taken
    return {
        "target": rule.target,
        "sources": rule.sources,
        "fixed": fixed,
        "separator": rule.separator,
        "part": part,
        "type": rule.type,
        "choices": dict(rule.choices),
    }


@given(
    st.lists(RULES, max_size=5, unique_by=lambda rule: rule.target),
    st.data(),
    st.lists(st.sampled_from(["email", "phone"]), unique=True),
    st.sampled_from(["merge", "link", "new"]),
    st.sampled_from(["", "DE", "GB"]),
)
def test_what_was_saved_comes_back_as_it_was(
    rules: list[MappingRule], data: st.DataObject, by: list[str], then: str, region: str
) -> None:
    targets = [rule.target for rule in rules]
    required = [target for target in targets if data.draw(st.booleans())]
    view = MappingView(
        vendor="memory",
        form_id="form-1",
        version=3,
        does=BY_RULES,
        rules=tuple(rules),
        required=tuple(required),
        dedupe=DedupePolicy(by=tuple(by), then=then),  # type: ignore[arg-type]
        region=region,
        saved_by="",
        saved_at=None,
    )
    fields = fields_of(view, 3)
    assert not fields.is_unfit
    back = posted_fields(as_posted(fields))
    draft = codec.structure(back.body(), MappingDraft)

    assert back.based_on == 3
    assert [meant(rule) for rule in draft.rules] == [meant(rule) for rule in rules]
    assert list(draft.required) == required
    assert (draft.dedupe, draft.region) == (view.dedupe, region)


NAMES = st.sampled_from(["r.number", "based_on", "by", "then", "region"]) | st.builds(
    "r{}.{}".format,
    st.sampled_from(["0", "1", "x"]),
    st.sampled_from(
        ["target", "name", "source", "how", "answer", "written", "type", "separator", "required"]
    ),
)


@given(st.dictionaries(NAMES, st.lists(st.text() | st.sampled_from(["0", "1"]), min_size=1).map(tuple)))
def test_whatever_is_posted_is_a_draft_that_can_be_shown_and_changed(
    posted: dict[str, tuple[str, ...]],
) -> None:
    fields = posted_fields(Form(posted))
    again = posted_fields(as_posted(with_rule(fields))) if not fields.is_unfit else fields
    assert len(again.rules) == len(fields.rules) + (not fields.is_unfit)
    assert len(without_rule(fields, 0).rules) == max(0, len(fields.rules) - 1)
    assert fields.body()["rules"] == [rule.body() for rule in fields.rules]
