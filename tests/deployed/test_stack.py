"""What a deployment of the template makes, changes and leaves behind."""

import json

import pytest
from deployment import Deployment, DeploymentError, FunctionError, client
from stacks import NO_ELASTICSEARCH, QUIET, name

PLACEHOLDER = {"account_number": "REPLACE_ME", "provisioning_hash": "REPLACE_ME", "elastic_api_key": "REPLACE_ME"}
CREDENTIALS = {"account_number": "4711", "provisioning_hash": "made-up hash", "elastic_api_key": "made-up key"}


def test_settings_reach_the_function(probed):
    environment = probed.invoke({"environment": True})
    settings = {
        "SECRET_ARN": probed.outputs["SecretArn"],
        "CHECKPOINT_TABLE": probed.outputs["TableName"],
        "ELASTICSEARCH_URL": NO_ELASTICSEARCH,
        "ELASTIC_CLOUD_ID": "",
        "ELASTICSEARCH_CA": "",
        "LASTPASS_URL": "https://lastpass.com/enterpriseapi.php",
        "LASTPASS_TIME_ZONE": "US/Eastern",
        "NAMESPACE": "default",
        "INITIAL_LOOKBACK": "24h",
        "OVERLAP": "15m",
        "TAGS": "",
        "PRESERVE_ORIGINAL_EVENT": "false",
        "PRESERVE_DUPLICATE_CUSTOM_FIELDS": "false",
        "LOG_LEVEL": "info",
    }
    assert {variable: environment.get(variable) for variable in settings} == settings


def test_the_function_talks_to_the_emulator(probed):
    """Were this not so, the function's AWS clients would call the real services."""
    assert probed.invoke({"environment": True})["AWS_ENDPOINT_URL"] == client("lambda").meta.endpoint_url


def test_credentials_survive_a_deployment(probe):
    with Deployment.create(name("secret"), QUIET, probe) as stack:
        assert json.loads(stack.secret()) == PLACEHOLDER
        stack.put_secret(CREDENTIALS)
        stack.update({"LogLevel": "debug"}, probe)
        assert stack.invoke({"environment": True})["LOG_LEVEL"] == "debug"
        assert json.loads(stack.secret()) == CREDENTIALS


def test_secret_and_table_outlive_the_stack(probe):
    stack = Deployment.create(name("kept"), QUIET, probe)
    try:
        client("cloudformation").delete_stack(StackName=stack.stack_name)
        client("cloudformation").get_waiter("stack_delete_complete").wait(
            StackName=stack.stack_name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        assert json.loads(stack.secret()) == PLACEHOLDER
        assert stack.items() == []
    finally:
        client("secretsmanager").delete_secret(SecretId=stack.outputs["SecretArn"], ForceDeleteWithoutRecovery=True)
        client("dynamodb").delete_table(TableName=stack.outputs["TableName"])


def test_an_existing_secret_is_used_and_the_only_one_readable(probe):
    secrets = client("secretsmanager")
    arn = secrets.create_secret(Name=name("own"), SecretString=json.dumps(CREDENTIALS))["ARN"]
    parameters = {**QUIET, "SecretArn": arn}
    try:
        with Deployment.create(name("existing"), parameters, probe) as stack:
            assert "Secret" not in stack.resources
            assert stack.outputs["SecretArn"] == arn == stack.invoke({"environment": True})["SECRET_ARN"]
            read = {"service": "secretsmanager", "operation": "get_secret_value", "arguments": {"SecretId": arn}}
            assert stack.invoke(read)["allowed"] is True
        assert secrets.get_secret_value(SecretId=arn)["SecretString"] == json.dumps(CREDENTIALS)
    finally:
        secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


def test_a_ca_in_one_line_arrives_as_pem(probe):
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\nAAAA\n-----END CERTIFICATE-----\n"
    for given in (pem, pem.replace("\n", "\\n")):
        parameters = {**QUIET, "ElasticsearchCa": given}
        with Deployment.create(name("ca"), parameters, probe) as stack:
            assert stack.invoke({"environment": True})["ELASTICSEARCH_CA"] == pem


def test_two_stacks_have_schedules_of_their_own(probed, probe):
    with Deployment.create(name("second"), {"ElasticsearchUrl": NO_ELASTICSEARCH, "UserState": "DISABLED"}, probe) as second:
        schedules = {s["Name"]: s["State"] for s in client("scheduler").list_schedules()["Schedules"]}
    expected = {
        f"{probed.stack_name}-event-report": "DISABLED",
        f"{probed.stack_name}-user": "DISABLED",
        f"{probed.stack_name}-detailed-shared-folder": "DISABLED",
        f"{probed.stack_name}-resume": "ENABLED",
        f"{second.stack_name}-event-report": "ENABLED",
        f"{second.stack_name}-user": "DISABLED",
        f"{second.stack_name}-detailed-shared-folder": "ENABLED",
        f"{second.stack_name}-resume": "ENABLED",
    }
    assert {schedule: schedules.get(schedule) for schedule in expected} == expected


def test_the_table_is_recoverable_and_forgets_what_expired(probed):
    table, dynamodb = probed.outputs["TableName"], client("dynamodb")
    ttl = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert (ttl["AttributeName"], ttl["TimeToLiveStatus"]) == ("expires_at", "ENABLED")
    backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_an_error_has_its_type_and_text(probed):
    with pytest.raises(FunctionError) as error:
        probed.invoke({"fail": "on purpose"})
    assert (error.value.error_type, error.value.message) == ("Probe.Failed", "on purpose")


def test_a_request_that_fails_twice_is_kept_in_the_queue(probed):
    probed.invoke_event({"fail": "for good"})
    (failure,) = probed.failures(wait_s=20)
    assert failure["requestPayload"] == {"fail": "for good"}
    assert failure["responsePayload"]["errorType"] == "Probe.Failed"
    assert sum("for good" in line for line in probed.log_lines() if line.startswith("probe")) == 2


def test_logs_go_to_the_stacks_group(probed):
    probed.invoke({"environment": "logged"})
    assert any("'environment': 'logged'" in line for line in probed.log_lines())


@pytest.mark.parametrize(
    ("parameters", "remedy"),
    [
        ({}, "Give ElasticsearchUrl or ElasticCloudId"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "ElasticCloudId": "a:YQ=="}, "Leave one of them empty"),
        ({"ElasticsearchUrl": "http://es.example.com"}, "must be an https:// address"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "Namespace": "Prod"}, "no capital letter"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "SecretArn": "lastpass"}, "must be the whole ARN"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "EventReportRate": "5 minutes"}, "must be rate(n minutes)"),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_remedy(probe, parameters, remedy):
    with pytest.raises(DeploymentError) as error:
        Deployment.create(name("refused"), parameters, probe)
    assert remedy in str(error.value)
