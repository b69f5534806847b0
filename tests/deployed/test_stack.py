"""What a deployment of the template creates, changes and retains."""

import json

import pytest
from botocore.exceptions import WaiterError
from deployment import TEMPLATE, Deployment, DeploymentError, FunctionError, client
from stacks import NO_ELASTICSEARCH, QUIET, name, queue_behind

PLACEHOLDER = {"account_number": "REPLACE_ME", "provisioning_hash": "REPLACE_ME", "elastic_api_key": "REPLACE_ME"}
CREDENTIALS = {"account_number": "4711", "provisioning_hash": "made-up hash", "elastic_api_key": "made-up key"}


KEY_STATEMENTS = {"DecryptByServices", "EncryptFailures"}
NETWORK_STATEMENTS = {"ConnectToVpc", "FindNetworkInterfaces", "KeepCodeFromNetwork"}


def statements(stack, role: str) -> dict[str, dict]:
    """Returns the statements of the deployed role by name."""
    iam, name = client("iam"), stack.resources[role]
    (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
    return {s["Sid"]: s for s in iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]["Statement"]}


def test_settings_reach_the_function(probed):
    environment = probed.invoke({"environment": True})
    settings = {
        "SECRET_ARN": probed.outputs["SecretArn"],
        "SECRET_PREFIX": "",
        "CHECKPOINT_TABLE": probed.outputs["TableName"],
        "ELASTICSEARCH_URL": NO_ELASTICSEARCH,
        "ELASTIC_CLOUD_ID": "",
        "ELASTICSEARCH_CA": "",
        "LASTPASS_URL": "https://lastpass.com/enterpriseapi.php",
        "OTHER_LASTPASS_URL": "",
        "LASTPASS_TIME_ZONE": "US/Eastern",
        "LASTPASS_USER_TIME_ZONE": "UTC",
        "LASTPASS_API_USER": "",
        "NAMESPACE": "default",
        "INITIAL_LOOKBACK": "24h",
        "OVERLAP": "15m",
        "TAGS": "",
        "PRESERVE_ORIGINAL_EVENT": "false",
        "PRESERVE_DUPLICATE_CUSTOM_FIELDS": "false",
        "SNAPSHOT_CHANGES": "true",
        "LOG_LEVEL": "info",
    }
    assert {variable: environment.get(variable) for variable in settings} == settings


def test_the_function_talks_to_the_emulator(probed):
    """Otherwise the function's AWS clients would call the real services."""
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


# A state machine that cannot be created, after a secret, a table and a function.
BROKEN = """
Resources:
  Broken:
    Type: AWS::StepFunctions::StateMachine
    DependsOn: [Secret, Table, Function]
    Properties:
      RoleArn: !GetAtt BackfillRole.Arn
      DefinitionString: '{"StartAt": "Nowhere", "States": {}}'
"""


def test_a_first_deployment_that_fails_leaves_nothing_behind(probe, tmp_path):
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE.read_text().replace("\nResources:\n", BROKEN, 1))
    stack = Deployment(name("failed"), QUIET)
    client("cloudformation").create_stack(**stack._arguments(probe, path))
    with pytest.raises(WaiterError):
        client("cloudformation").get_waiter("stack_create_complete").wait(
            StackName=stack.stack_name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
    try:
        events = client("cloudformation").describe_stack_events(StackName=stack.stack_name)["StackEvents"]
        made = {e["LogicalResourceId"] for e in events if e["ResourceStatus"] == "CREATE_COMPLETE"}
        assert {"Secret", "Table", "Function"} <= made
        assert [e["ResourceStatusReason"] for e in events if "StartAt names Nowhere" in e.get("ResourceStatusReason", "")]
        (described,) = client("cloudformation").describe_stacks(StackName=stack.stack_name)["Stacks"]
        assert described["StackStatus"] == "ROLLBACK_COMPLETE"
        secrets = [secret["Name"] for secret in client("secretsmanager").list_secrets(IncludePlannedDeletion=False)["SecretList"]]
        tables = client("dynamodb").list_tables()["TableNames"]
        assert [kept for kept in [*secrets, *tables] if kept.startswith(stack.stack_name)] == []
    finally:
        stack.delete()


def test_a_permissions_boundary_bounds_every_role(probe):
    """The function's policy allows it to read its secret; the permissions boundary does not."""
    allow = {"Effect": "Allow", "Action": ["dynamodb:*", "sqs:*", "logs:*", "lambda:*", "states:*"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    boundary = client("iam").create_policy(PolicyName=name("boundary"), PolicyDocument=document)["Policy"]["Arn"]
    several = {"SecretPrefix": "lastpass", "Accounts": "acme"}
    with Deployment.create(name("bounded"), QUIET | several | {"PermissionsBoundaryArn": boundary}, probe) as stack:
        for role in ("FunctionRole", "ScheduleRole", "AccountsRole", "BackfillRole"):
            described = client("iam").get_role(RoleName=stack.resources[role])["Role"]
            assert described["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary, role
    with Deployment.create(name("bounded"), QUIET | {"PermissionsBoundaryArn": boundary}, probe) as stack:
        read = {"service": "secretsmanager", "operation": "get_secret_value",
                "arguments": {"SecretId": stack.outputs["SecretArn"]}}
        scan = {"service": "dynamodb", "operation": "scan", "arguments": {"TableName": stack.outputs["TableName"]}}
        assert (stack.invoke(read)["allowed"], stack.invoke(scan)["allowed"]) == (False, True)
        stack.update({"PermissionsBoundaryArn": ""}, probe)
        assert "PermissionsBoundary" not in client("iam").get_role(RoleName=stack.resources["FunctionRole"])["Role"]
        assert stack.invoke(read)["allowed"] is True


def test_the_state_machines_log_into_their_own_group(probe):
    several = {"SecretPrefix": "lastpass", "Accounts": "acme"}
    with Deployment.create(name("logs"), QUIET | several, probe) as stack:
        group_name = f"/aws/vendedlogs/states/{stack.stack_name}"
        (group,) = client("logs").describe_log_groups(logGroupNamePrefix=group_name)["logGroups"]
        assert group["retentionInDays"] == 30
        for machine in ("AccountsStateMachine", "BackfillStateMachine"):
            described = client("stepfunctions").describe_state_machine(stateMachineArn=stack.resources[machine])
            assert described["loggingConfiguration"] == {
                "level": "ERROR", "includeExecutionData": False,
                "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": f"{group['arn'].removesuffix(':*')}:*"}}],
            }


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


def test_the_credentials_survive_a_later_kms_key(probe):
    """The emulator writes a secret's value as CloudFormation does: only if `SecretString` itself has changed."""
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    with Deployment.create(name("key"), QUIET, probe) as stack:
        stack.put_secret(CREDENTIALS)
        versions = client("secretsmanager").list_secret_version_ids(SecretId=stack.outputs["SecretArn"])["Versions"]
        assert statements(stack, "FunctionRole").keys() & KEY_STATEMENTS == set()
        stack.update({"KmsKeyArn": key}, probe)

        secret = client("secretsmanager").describe_secret(SecretId=stack.outputs["SecretArn"])
        table = client("dynamodb").describe_table(TableName=stack.outputs["TableName"])["Table"]
        queue = client("sqs").get_queue_attributes(QueueUrl=stack.outputs["FailureQueueUrl"], AttributeNames=["All"])["Attributes"]
        (group,) = client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{stack.stack_name}")["logGroups"]
        keys = secret["KmsKeyId"], table["SSEDescription"]["KMSMasterKeyArn"], queue["KmsMasterKeyId"], group["kmsKeyId"]
        assert keys == (key,) * 4
        assert json.loads(stack.secret()) == CREDENTIALS
        after = client("secretsmanager").list_secret_version_ids(SecretId=stack.outputs["SecretArn"])["Versions"]
        assert [v["VersionId"] for v in after] == [v["VersionId"] for v in versions]
        for role, its in (("FunctionRole", KEY_STATEMENTS), ("ScheduleRole", {"EncryptFailures"})):
            found = statements(stack, role)
            assert found.keys() & KEY_STATEMENTS == its
            assert {found[sid]["Resource"] for sid in its} == {key}
        read = {"service": "secretsmanager", "operation": "get_secret_value", "arguments": {"SecretId": secret["ARN"]}}
        assert stack.invoke(read)["allowed"] is True


def test_only_a_function_in_a_vpc_may_have_network_interfaces(probed, probe):
    assert statements(probed, "FunctionRole").keys() & NETWORK_STATEMENTS == set()
    network = {"VpcSubnetIds": "subnet-0a1b2c3d,subnet-4e5f6a7b", "VpcSecurityGroupIds": "sg-0a1b2c3d"}
    with Deployment.create(name("vpc"), QUIET | network, probe) as stack:
        found = statements(stack, "FunctionRole")
        assert found.keys() & NETWORK_STATEMENTS == NETWORK_STATEMENTS
        function = found["KeepCodeFromNetwork"]["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"]
        assert function == client("lambda").get_function(FunctionName=stack.outputs["FunctionName"])["Configuration"]["FunctionArn"]
        # The emulator has no VPCs and drops the setting, so the test reads the template that SAM has processed.
        made = client("cloudformation").get_template(StackName=stack.stack_name, TemplateStage="Processed")["TemplateBody"]
        made = made if isinstance(made, dict) else json.loads(made)
        assert made["Resources"]["Function"]["Type"] == "AWS::Lambda::Function"
        assert "VpcConfig" in made["Resources"]["Function"]["Properties"]


def test_the_function_has_the_chosen_architecture(probed, probe):
    def architecture(stack) -> list[str]:
        return client("lambda").get_function(FunctionName=stack.outputs["FunctionName"])["Configuration"]["Architectures"]

    assert architecture(probed) == ["x86_64"]
    with Deployment.create(name("arm"), QUIET | {"Architecture": "arm64"}, probe) as stack:
        assert architecture(stack) == ["arm64"]


def test_the_dashboard_shows_the_existing_alarms(probed, probe):
    def shown_and_there(stack) -> tuple[set, set]:
        body = json.loads(client("cloudwatch").get_dashboard(DashboardName=stack.stack_name)["DashboardBody"])
        (alarms,) = [w["properties"]["alarms"] for w in body["widgets"] if w["type"] == "alarm"]
        there = client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{stack.stack_name}-")["MetricAlarms"]
        return set(alarms), {alarm["AlarmArn"] for alarm in there}

    shown, there = shown_and_there(probed)
    assert shown == there and len(there) == 6, "no stream is read, so none can be late"
    with Deployment.create(name("one"), QUIET | {"UserState": "ENABLED"}, probe) as stack:
        shown, there = shown_and_there(stack)
        assert shown == there and len(there) == 7
        assert [arn for arn in there if arn.endswith("-user-freshness")]


def test_alarms_notify_the_address_and_the_topic_of_the_parameters(probed, probe):
    def actions(stack) -> list[list[str]]:
        alarms = client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{stack.stack_name}-")["MetricAlarms"]
        return [a[kind] for a in alarms for kind in ("AlarmActions", "OKActions")]

    def subscriptions(topic) -> list[tuple[str, str]]:
        listed = client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        return [(subscription["Protocol"], subscription["Endpoint"]) for subscription in listed]

    assert actions(probed) == [[]] * 12
    assert "AlarmTopic" not in probed.resources
    topic = client("sns").create_topic(Name=name("topic"))["TopicArn"]
    with Deployment.create(name("notified"), QUIET | {"AlarmTopicArn": topic}, probe) as stack:
        assert actions(stack) == [[topic]] * 12
        stack.update({"AlarmEmail": "security@example.com"}, probe)
        own = stack.resources["AlarmTopic"]
        assert actions(stack) == [[own, topic]] * 12
        assert (subscriptions(own), subscriptions(topic)) == ([("email", "security@example.com")], [])
        stack.update({"AlarmEmail": "soc@example.com", "AlarmTopicArn": ""}, probe)
        assert actions(stack) == [[own]] * 12
        assert subscriptions(own) == [("email", "soc@example.com")]


def test_an_alarm_notifies_the_topic_of_the_stack_and_the_given_one(probe):
    other = client("sns").create_topic(Name=name("topic"))["TopicArn"]
    both = {"AlarmEmail": "security@example.com", "AlarmTopicArn": other}
    with Deployment.create(name("both"), QUIET | both, probe) as stack:
        own = stack.resources["AlarmTopic"]
        queues = [queue_behind(own), queue_behind(other)]
        alarm = f"{stack.stack_name}-errors"
        client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="tried")
        for queue in queues:
            (message,) = client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
            change = json.loads(json.loads(message["Body"])["Message"])
            assert (change["AlarmName"], change["NewStateValue"]) == (alarm, "ALARM")


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
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "KmsKeyArn": "alias/lastpass"}, "must be the whole ARN of a key"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "VpcSubnetIds": "subnet-0a1b2c3d"}, "Give both, or leave both empty"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "VpcSecurityGroupIds": "sg-0a1b2c3d"}, "Give both, or leave both empty"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "AlarmTopicArn": "on-call"}, "must be the whole ARN of a standard SNS topic"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "AlarmEmail": "security"}, "must be one e-mail address"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "PermissionsBoundaryArn": "boundary"}, "must be the whole ARN of a managed policy"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "LastPassUrl": "https://lastpass.com.evil.example/"}, "goes into OtherLastPassUrl"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "LastPassUrl": "https://lastpass.com@evil.example/"}, "goes into OtherLastPassUrl"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "OtherLastPassUrl": "http://gateway.example/"}, "must be empty or an https://"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "EventReportFreshness": "60"}, "ALARM each autumn"),
        ({"ElasticsearchUrl": NO_ELASTICSEARCH, "EventReportRate": "5 minutes"}, "must be rate(n minutes)"),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_remedy(probe, parameters, remedy):
    with pytest.raises(DeploymentError) as error:
        Deployment.create(name("refused"), parameters, probe)
    assert remedy in str(error.value)
