"""What is asked of Graph about forms and leads.

https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving ·
https://developers.facebook.com/docs/marketing-api/guides/lead-ads/testing-troubleshooting
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from moorage_facebook.graph.call import LEADGEN, GraphCall
from moorage_facebook.graph.values import canonical
from moorage_ports.secret import Secret

CORE_FIELDS: Final = "id,created_time,form_id,is_organic,platform,field_data,custom_disclaimer_responses"
"""What needs no permission for ads."""
LEAD_FIELDS: Final = f"{CORE_FIELDS},ad_id,ad_name,adset_id,adset_name,campaign_id,campaign_name"
BARE_FORM_FIELDS: Final = "id,name,status,locale,questions"
FORM_FIELDS: Final = (
    f"{BARE_FORM_FIELDS},legal_content{{custom_disclaimer}},"
    "leads_count,expired_leads_count,organic_leads_count"
)
_PAGE_SIZE: Final = "100"


def read_lead(page_id: str, lead_id: str, token: Secret, fields: str = LEAD_FIELDS) -> GraphCall:
    """`GET /{lead}`."""
    return GraphCall(
        path=(lead_id,),
        query={"fields": fields},
        token=token,
        expects=frozenset({"id"}),
        owner=page_id,
        use_case=LEADGEN,
    )


def page_forms(page_id: str, token: Secret, fields: str = FORM_FIELDS) -> GraphCall:
    """`GET /{page}/leadgen_forms`, with the questions."""
    return GraphCall(
        path=(page_id, "leadgen_forms"),
        query={"fields": fields, "limit": _PAGE_SIZE},
        token=token,
        owner=page_id,
        use_case=LEADGEN,
    )


def read_form(page_id: str, form_id: str, token: Secret, fields: str = BARE_FORM_FIELDS) -> GraphCall:
    """`GET /{form}`."""
    return GraphCall(
        path=(form_id,),
        query={"fields": fields},
        token=token,
        expects=frozenset({"id"}),
        owner=page_id,
        use_case=LEADGEN,
    )


def form_leads(
    page_id: str,
    form_id: str,
    since: datetime,
    token: Secret,
    *,
    until: datetime | None = None,
    fields: str = LEAD_FIELDS,
) -> GraphCall:
    """`GET /{form}/leads`, submitted at or after `since`. Graph knows "later than", in whole seconds."""
    rules = [_created("GREATER_THAN", int(since.timestamp()) - 1)]
    if until is not None:
        rules.append(_created("LESS_THAN", math.ceil(until.timestamp())))
    return GraphCall(
        path=(form_id, "leads"),
        query={"fields": fields, "filtering": canonical(rules).decode(), "limit": _PAGE_SIZE},
        token=token,
        owner=page_id,
        use_case=LEADGEN,
    )


def form_test_leads(page_id: str, form_id: str, token: Secret) -> GraphCall:
    """`GET /{form}/test_leads`: what was made to try things out."""
    return GraphCall(
        path=(form_id, "test_leads"),
        query={"fields": "id", "limit": _PAGE_SIZE},
        token=token,
        owner=page_id,
        use_case=LEADGEN,
    )


def make_test_lead(
    page_id: str, form_id: str, answers: Mapping[str, tuple[str, ...]], token: Secret
) -> GraphCall:
    """`POST /{form}/test_leads`; what is not answered here is filled in by Graph."""
    data = [{"name": name, "values": list(values)} for name, values in answers.items()]
    return GraphCall(
        method="POST",
        path=(form_id, "test_leads"),
        data={"field_data": canonical(data).decode()} if data else {},
        token=token,
        expects=frozenset({"id"}),
        owner=page_id,
        use_case=LEADGEN,
    )


def delete_lead(page_id: str, lead_id: str, token: Secret) -> GraphCall:
    """`DELETE /{lead}`: gone is gone, so it may be sent twice."""
    return GraphCall(
        method="DELETE", path=(lead_id,), token=token, owner=page_id, use_case=LEADGEN, is_repeatable=True
    )


def lead_access(page_id: str, token: Secret) -> GraphCall:
    """`GET /{page}?fields=has_lead_access`: may this app, with this person, read the Page's leads?

    https://developers.facebook.com/docs/graph-api/reference/has-lead-access
    """
    return GraphCall(path=(page_id,), query={"fields": "has_lead_access"}, token=token, owner=page_id)


def _created(operator: str, value: int) -> Mapping[str, object]:
    return {"field": "time_created", "operator": operator, "value": value}
