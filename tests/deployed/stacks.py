"""How the tests name and configure their stacks."""

import uuid

# Nothing listens there: these tests don't need Elasticsearch.
NO_ELASTICSEARCH = "http://127.0.0.1:9"
SCHEDULES_OFF = dict.fromkeys(("EventReportState", "UserState", "DetailedSharedFolderState"), "DISABLED")
# What a stack needs to be made and to do nothing by itself (`resume` finds no work).
QUIET = {"ElasticsearchUrl": NO_ELASTICSEARCH, **SCHEDULES_OFF}


def name(purpose: str) -> str:
    """A name no other stack has, so that tests may run side by side."""
    return f"{purpose}-{uuid.uuid4().hex[:8]}"
