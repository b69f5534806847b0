"""The permissions of the function's role, tested under IAM (the emulator must be started with `AUTH=true`)."""

import pytest
from deployment import client

KEY = {"pk": {"S": "probe"}}
ALLOWED = {
    "GetSecretValue": ("secretsmanager", "get_secret_value", lambda s: {"SecretId": s["SecretArn"]}),
    "GetItem": ("dynamodb", "get_item", lambda s: {"TableName": s["TableName"], "Key": KEY}),
    "UpdateItem": ("dynamodb", "update_item", lambda s: {"TableName": s["TableName"], "Key": KEY}),
    "Scan": ("dynamodb", "scan", lambda s: {"TableName": s["TableName"]}),
    "SendMessage": ("sqs", "send_message", lambda s: {"QueueUrl": s["FailureQueueUrl"], "MessageBody": "{}"}),
}
REFUSED = {
    "PutItem": ("dynamodb", "put_item", lambda s: {"TableName": s["TableName"], "Item": KEY}),
    "DeleteItem": ("dynamodb", "delete_item", lambda s: {"TableName": s["TableName"], "Key": KEY}),
    "DeleteTable": ("dynamodb", "delete_table", lambda s: {"TableName": s["TableName"]}),
    "PutSecretValue": ("secretsmanager", "put_secret_value", lambda s: {"SecretId": s["SecretArn"], "SecretString": "{}"}),
    "ListSecrets": ("secretsmanager", "list_secrets", lambda s: {}),
    "InvokeFunction": ("lambda", "invoke", lambda s: {"FunctionName": s["FunctionName"]}),
    "ReceiveMessage": ("sqs", "receive_message", lambda s: {"QueueUrl": s["FailureQueueUrl"]}),
}


def answer(stack, service, operation, arguments):
    return stack.invoke({"service": service, "operation": operation, "arguments": arguments(stack.outputs)})


@pytest.mark.parametrize("action", ALLOWED)
def test_what_the_function_needs_is_allowed(probed, action):
    assert answer(probed, *ALLOWED[action]) == {"allowed": True, "code": ""}


@pytest.mark.parametrize("action", REFUSED)
def test_what_it_does_not_need_is_refused(probed, action):
    assert answer(probed, *REFUSED[action])["allowed"] is False


def test_another_secret_is_refused(probed):
    secrets = client("secretsmanager")
    other = secrets.create_secret(Name=f"{probed.stack_name}-other", SecretString="{}")["ARN"]
    try:
        outcome = probed.invoke({"service": "secretsmanager", "operation": "get_secret_value", "arguments": {"SecretId": other}})
        assert outcome["allowed"] is False
    finally:
        secrets.delete_secret(SecretId=other, ForceDeleteWithoutRecovery=True)
