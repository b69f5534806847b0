"""A function that sends one AWS call, or returns its environment, under the template's role.

Payload: {"service": "dynamodb", "operation": "get_item", "arguments": {...}} -> {"allowed": bool, "code": "..."};
{"environment": true} -> the variables; {"fail": "text"} -> an error of the type "Probe.Failed".
"""

import json
import os
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
REFUSALS = {"AccessDenied", "AccessDeniedException", "AccessDeniedFault"}


def call(service: str, operation: str, arguments: dict) -> dict:
    client = boto3.client(
        service, endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=Config(retries={"total_max_attempts": 1})
    )
    try:
        getattr(client, operation)(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return {"allowed": code not in REFUSALS, "code": code}
    return {"allowed": True, "code": ""}


def post(path: str, body: dict) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{API}/{path}", json.dumps(body).encode(), method="POST")).read()


while True:
    with urllib.request.urlopen(f"{API}/next") as response:
        request_id, payload = response.headers["Lambda-Runtime-Aws-Request-Id"], json.load(response)
    print(f"probe {payload}", flush=True)
    if "fail" in payload:
        post(f"{request_id}/error", {"errorType": "Probe.Failed", "errorMessage": payload["fail"]})
    elif "environment" in payload:
        post(f"{request_id}/response", dict(os.environ))
    else:
        post(f"{request_id}/response", call(payload["service"], payload["operation"], payload["arguments"]))
