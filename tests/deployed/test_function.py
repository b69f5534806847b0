"""The deployed function before its secret is filled in."""

import pytest
from deployment import FunctionError


def test_a_wrong_request_is_refused_by_name(deployed):
    with pytest.raises(FunctionError) as error:
        deployed.invoke({"action": "colect", "stream": "event_report"})
    assert error.value.error_type == "Request.Invalid"
    assert "colect" in error.value.message


@pytest.mark.parametrize("stream", ["event_report", "user", "detailed_shared_folder"])
def test_collect_waits_for_the_credentials(deployed, stream):
    answer = deployed.invoke({"action": "collect", "stream": stream})
    assert (answer["status"], answer["reason"]) == ("skipped", "setup_required")
    assert [answer[counter] for counter in ("fetched", "created", "lastpass_requests", "bulk_requests")] == [0] * 4
