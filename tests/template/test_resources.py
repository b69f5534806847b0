"""The resources of the stack, and which of them remain after its deletion."""

import json
import re

import pytest
import yaml

# Resource -> (type, deletion policy), in the order of the template.
KEPT = "RetainExceptOnCreate"
RESOURCES = {
    "Secret": ("AWS::SecretsManager::Secret", KEPT),
    "Table": ("AWS::DynamoDB::Table", KEPT),
    "FunctionRole": ("AWS::IAM::Role", None),
    "Function": ("AWS::Serverless::Function", None),
    "EventReportSchedule": ("AWS::Scheduler::Schedule", None),
    "UserSchedule": ("AWS::Scheduler::Schedule", None),
    "DetailedSharedFolderSchedule": ("AWS::Scheduler::Schedule", None),
    "ResumeSchedule": ("AWS::Scheduler::Schedule", None),
    "ScheduleRole": ("AWS::IAM::Role", None),
    "AccountsStateMachine": ("AWS::Serverless::StateMachine", None),
    "AccountsRole": ("AWS::IAM::Role", None),
    "BackfillStateMachine": ("AWS::Serverless::StateMachine", None),
    "BackfillRole": ("AWS::IAM::Role", None),
    "FailureQueue": ("AWS::SQS::Queue", "Delete"),
    "LogGroup": ("AWS::Logs::LogGroup", "Delete"),
    "StateMachineLogGroup": ("AWS::Logs::LogGroup", "Delete"),
    "AlarmTopic": ("AWS::SNS::Topic", None),
    "AlarmSubscription": ("AWS::SNS::Subscription", None),
    "EventReportFreshnessAlarm": ("AWS::CloudWatch::Alarm", None),
    "UserFreshnessAlarm": ("AWS::CloudWatch::Alarm", None),
    "DetailedSharedFolderFreshnessAlarm": ("AWS::CloudWatch::Alarm", None),
    "EventReportDeadLettersAlarm": ("AWS::CloudWatch::Alarm", None),
    "UserDeadLettersAlarm": ("AWS::CloudWatch::Alarm", None),
    "DetailedSharedFolderDeadLettersAlarm": ("AWS::CloudWatch::Alarm", None),
    "ErrorsAlarm": ("AWS::CloudWatch::Alarm", None),
    "FailureQueueAlarm": ("AWS::CloudWatch::Alarm", None),
    "NoRunAlarm": ("AWS::CloudWatch::Alarm", None),
    "Dashboard": ("AWS::CloudWatch::Dashboard", None),
}
NOTHING = {"Ref": "AWS::NoValue"}
KEY = {"Ref": "KmsKeyArn"}
KEY_OR_NOTHING = {"Fn::If": ["HasKey", KEY, NOTHING]}
# The function returns `setup_required` while the secret contains this text.
PLACEHOLDER = "REPLACE_ME"


def test_resources_are_the_listed_ones_in_this_order(resources):
    assert [(name, r["Type"]) for name, r in resources.items()] == [(name, kind) for name, (kind, _) in RESOURCES.items()]


def test_the_secret_and_the_table_are_retained(resources):
    """Except if its stack could not be created, so it was never used. `UpdateReplacePolicy` has no such exception."""
    for name, (_, policy) in RESOURCES.items():
        assert resources[name].get("DeletionPolicy") == policy, name
        assert resources[name].get("UpdateReplacePolicy") == ("Retain" if policy == KEPT else policy), name


def test_the_secret_is_created_only_if_none_is_given(template):
    arn, prefix = ({"Fn::Equals": [{"Ref": name}, ""]} for name in ("SecretArn", "SecretPrefix"))
    assert template["Conditions"]["MakesSecret"] == {"Fn::And": [arn, prefix]}
    assert template["Resources"]["Secret"]["Condition"] == "MakesSecret"


def test_the_placeholder_is_frozen(resources):
    """The next deployment would overwrite the credentials with a changed text."""
    secret = resources["Secret"]["Properties"]
    assert secret["SecretString"] == (
        '{"account_number":"REPLACE_ME","provisioning_hash":"REPLACE_ME","elastic_api_key":"REPLACE_ME"}'
    )
    assert set(json.loads(secret["SecretString"]).values()) == {PLACEHOLDER}
    assert set(secret) == {"Description", "SecretString", "KmsKeyId"}


def test_the_table_is_on_demand_encrypted_and_recoverable(resources):
    assert resources["Table"]["Properties"] == {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "SSESpecification": {
            "Fn::If": ["HasKey", {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY}, {"SSEEnabled": True}]
        },
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
    }


def test_a_failed_request_is_retried_once_then_kept(function, resources):
    assert function["EventInvokeConfig"] == {
        "MaximumRetryAttempts": 1,
        "MaximumEventAgeInSeconds": 3600,
        "DestinationConfig": {"OnFailure": {"Type": "SQS", "Destination": {"Fn::GetAtt": ["FailureQueue", "Arn"]}}},
    }
    fourteen_days_s = 14 * 24 * 60 * 60
    assert resources["FailureQueue"]["Properties"] == {
        "MessageRetentionPeriod": fourteen_days_s,
        "SqsManagedSseEnabled": {"Fn::If": ["HasKey", NOTHING, True]},
        "KmsMasterKeyId": KEY_OR_NOTHING,
    }


def test_logs_go_to_the_stacks_group_and_end(function, resources):
    assert function["FunctionName"] == {"Ref": "AWS::StackName"}
    assert function["LoggingConfig"] == {"LogGroup": {"Ref": "LogGroup"}}
    assert resources["LogGroup"]["Properties"] == {
        "LogGroupName": {"Fn::Sub": "/aws/lambda/${AWS::StackName}"},
        "RetentionInDays": 30,
        "KmsKeyId": KEY_OR_NOTHING,
    }


@pytest.mark.parametrize("name", ["Accounts", "Backfill"])
def test_a_state_machine_logs_its_errors_without_the_data(resources, name):
    """The input of a manually started execution can contain anything."""
    group = {"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["StateMachineLogGroup", "Arn"]}}}
    assert resources[f"{name}StateMachine"]["Properties"]["Logging"] == {
        "Level": "ERROR", "IncludeExecutionData": False, "Destinations": [group],
    }


def test_the_logs_of_the_state_machines_need_no_entry_in_the_policy_of_all_deliveries(resources):
    """https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html"""
    assert resources["StateMachineLogGroup"]["Properties"] == {
        "LogGroupName": {"Fn::Sub": "/aws/vendedlogs/states/${AWS::StackName}"},
        "RetentionInDays": 30,
        "KmsKeyId": KEY_OR_NOTHING,
    }


@pytest.mark.parametrize("resource", ["Secret", "LogGroup"])
def test_a_key_of_ones_own_encrypts_it(template, resource):
    """The table and the queue are compared completely above."""
    assert template["Conditions"]["HasKey"] == {"Fn::Not": [{"Fn::Equals": [KEY, ""]}]}
    assert template["Resources"][resource]["Properties"]["KmsKeyId"] == KEY_OR_NOTHING


def test_the_function_is_the_rust_binary(template, function, resources):
    assert template["Globals"]["Function"] == {
        "Runtime": "provided.al2023",
        "Architectures": [{"Ref": "Architecture"}],
        "Timeout": {"Ref": "Timeout"},
        "MemorySize": {"Ref": "MemorySize"},
    }
    assert (function["Handler"], function["CodeUri"]) == ("bootstrap", ".")
    assert resources["Function"]["Metadata"] == {
        "BuildMethod": "rust-cargolambda",
        "BuildProperties": {"Binary": "bootstrap"},
    }


def test_the_function_is_in_a_vpc_only_on_request(function):
    def split(parameter: str) -> dict:
        return {"Fn::Split": [",", {"Fn::Join": ["", [{"Ref": parameter}]]}]}

    network = {"SubnetIds": split("VpcSubnetIds"), "SecurityGroupIds": split("VpcSecurityGroupIds")}
    assert function["VpcConfig"] == {"Fn::If": ["InVpc", network, NOTHING]}


def test_concurrency_is_reserved_only_on_request(template, function):
    assert template["Conditions"]["ReservesConcurrency"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ReservedConcurrency"}, ""]}]}
    assert function["ReservedConcurrentExecutions"] == {
        "Fn::If": ["ReservesConcurrency", {"Ref": "ReservedConcurrency"}, {"Ref": "AWS::NoValue"}]
    }


def test_outputs(template):
    secret = {"Fn::If": ["MakesSecret", {"Fn::GetAtt": ["Secret", "Id"]}, {"Ref": "SecretArn"}]}
    assert {name: output["Value"] for name, output in template["Outputs"].items()} == {
        "FunctionName": {"Ref": "Function"},
        "SecretArn": secret,
        "TableName": {"Ref": "Table"},
        "FailureQueueUrl": {"Ref": "FailureQueue"},
        "BackfillStateMachineArn": {"Ref": "BackfillStateMachine"},
        "Accounts": {"Ref": "Accounts"},
    }
    conditions = {name: output["Condition"] for name, output in template["Outputs"].items() if "Condition" in output}
    assert conditions == {"SecretArn": "HasOneAccount", "Accounts": "HasSeveralAccounts"}


def test_there_is_a_state_machine_for_accounts_only_where_there_are_several(resources):
    only = {name for name, resource in resources.items() if resource.get("Condition") == "HasSeveralAccounts"}
    assert only == {"AccountsStateMachine", "AccountsRole"}


@pytest.mark.parametrize(("name", "kind"), [("Accounts", "EXPRESS"), ("Backfill", None)])
def test_a_state_machine_has_its_role_and_what_its_definition_leaves_open(resources, root, name, kind):
    machine = resources[f"{name}StateMachine"]["Properties"]
    file = f"statemachines/{name.lower()}.asl.yaml"
    assert (machine["DefinitionUri"], machine.get("Type")) == (file, kind)
    assert machine["Name"] == {"Fn::Sub": "${AWS::StackName}-" + name.lower()}
    assert machine["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
    # Comments may mention them, so the test reads the parsed definition.
    definition = json.dumps(yaml.safe_load((root / file).read_text()))
    assert set(machine["DefinitionSubstitutions"]) == set(re.findall(r"\$\{(\w+)\}", definition))


def test_samples_are_the_payloads_of_the_interface(samples):
    assert samples == {
        "collect-event-report": {"action": "collect", "stream": "event_report"},
        "collect-user": {"action": "collect", "stream": "user"},
        "collect-detailed-shared-folder": {"action": "collect", "stream": "detailed_shared_folder"},
        "backfill": {"action": "backfill", "stream": "event_report", "from": "2026-10-01", "to": "2026-11-01"},
        "plan": {"action": "plan", "stream": "event_report", "from": "2025-11-01", "to": "2026-11-01"},
        "reset": {"action": "reset", "stream": "event_report", "to": "2025-01-01T00:00:00Z"},
        "redrive": {"action": "redrive", "stream": "event_report"},
        "resume": {"action": "resume"},
        "setup": {"action": "setup"},
        "check": {"action": "check"},
        "status": {"action": "status"},
    }


def test_elasticsearch_roles_are_the_documented_ones(root):
    roles = {path.stem: json.loads(path.read_text()) for path in (root / "assets" / "roles").glob("*.json")}
    # The role of dashboards and rules is for Kibana; `tests/docs` compares it with its page.
    del roles["content"]
    names = ["logs-lastpass.*-*"]
    assert roles == {
        "writer": {
            "cluster": ["monitor"],
            "indices": [{"names": names, "privileges": ["auto_configure", "create_doc", "read", "view_index_metadata"]}],
        },
        "installer": {
            "cluster": ["monitor", "manage_index_templates", "manage_ingest_pipelines"],
            "indices": [{"names": names, "privileges": ["manage"]}],
        },
    }
