"""The complete list of the permissions of the stack's roles. A change of the template must change it too.

The emulator checks the permissions of the function's own calls (tests/deployed). It does not check what AWS services do
with the roles, so only this list covers it: the logs, the failure queue's destination, the roles of schedules and state
machines, the key and the VPC.
"""

from collections.abc import Iterator

SECRETS = {"Fn::Sub": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${SecretPrefix}/*"}
SECRET = {"Fn::If": ["MakesSecret", {"Fn::GetAtt": ["Secret", "Id"]}, {"Fn::If": ["HasSecret", {"Ref": "SecretArn"}, SECRETS]}]}
KEY = {"Ref": "KmsKeyArn"}
NETWORK = {"Fn::Sub": "arn:${AWS::Partition}:ec2:${AWS::Region}:*:*/*"}
FUNCTION = {"Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}"}


def arn(resource: str) -> dict:
    return {"Fn::GetAtt": [resource, "Arn"]}


def states(resource: str) -> dict:
    return {"Fn::Sub": "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:" + resource}


def only_via(*services: str) -> dict:
    hosts = [{"Fn::Sub": service + ".${AWS::Region}.amazonaws.com"} for service in services]
    return {"StringEquals": {"kms:ViaService": hosts if len(hosts) > 1 else hosts[0]}}


SLICES = [states("execution:${AWS::StackName}-backfill:*"), states("execution:${AWS::StackName}-backfill/*")]
IN_CODE = {"ArnEquals": {"lambda:SourceFunctionArn": FUNCTION}}

# The permissions that AWS requires for a state machine with logging:
# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
DELIVERS_LOGS = [
    ("Allow", f"logs:{action}", "*", None, None)
    for action in (
        "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
        "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
    )
]

# Role -> (effect, action, resource, IAM's condition, the template's condition)
PERMISSIONS = {
    "FunctionRole": [
        ("Allow", "secretsmanager:GetSecretValue", SECRET, None, None),
        ("Allow", "dynamodb:GetItem", arn("Table"), None, None),
        ("Allow", "dynamodb:BatchGetItem", arn("Table"), None, None),
        ("Allow", "dynamodb:UpdateItem", arn("Table"), None, None),
        ("Allow", "dynamodb:Scan", arn("Table"), None, None),
        ("Allow", "sqs:SendMessage", arn("FailureQueue"), None, None),
        ("Allow", "logs:CreateLogStream", arn("LogGroup"), None, None),
        ("Allow", "logs:PutLogEvents", arn("LogGroup"), None, None),
        ("Allow", "kms:Decrypt", KEY, only_via("secretsmanager", "dynamodb", "sqs"), "HasKey"),
        ("Allow", "kms:GenerateDataKey", KEY, only_via("sqs"), "HasKey"),
        ("Allow", "ec2:CreateNetworkInterface", NETWORK, None, "InVpc"),
        ("Allow", "ec2:DeleteNetworkInterface", NETWORK, None, "InVpc"),
        ("Allow", "ec2:AssignPrivateIpAddresses", NETWORK, None, "InVpc"),
        ("Allow", "ec2:UnassignPrivateIpAddresses", NETWORK, None, "InVpc"),
        ("Allow", "ec2:DescribeNetworkInterfaces", "*", None, "InVpc"),
        ("Allow", "ec2:DescribeSubnets", "*", None, "InVpc"),
        ("Deny", "ec2:CreateNetworkInterface", "*", IN_CODE, "InVpc"),
        ("Deny", "ec2:DeleteNetworkInterface", "*", IN_CODE, "InVpc"),
        ("Deny", "ec2:DescribeNetworkInterfaces", "*", IN_CODE, "InVpc"),
        ("Deny", "ec2:DescribeSubnets", "*", IN_CODE, "InVpc"),
        ("Deny", "ec2:AssignPrivateIpAddresses", "*", IN_CODE, "InVpc"),
        ("Deny", "ec2:UnassignPrivateIpAddresses", "*", IN_CODE, "InVpc"),
    ],
    "ScheduleRole": [
        ("Allow", "states:StartExecution", {"Ref": "AccountsStateMachine"}, None, "HasSeveralAccounts"),
        ("Allow", "lambda:InvokeFunction", arn("Function"), None, "not HasSeveralAccounts"),
        ("Allow", "sqs:SendMessage", arn("FailureQueue"), None, None),
        ("Allow", "kms:Decrypt", KEY, only_via("sqs"), "HasKey"),
        ("Allow", "kms:GenerateDataKey", KEY, only_via("sqs"), "HasKey"),
    ],
    "AccountsRole": [
        ("Allow", "lambda:InvokeFunction", arn("Function"), None, None),
        ("Allow", "sqs:SendMessage", arn("FailureQueue"), None, None),
        ("Allow", "kms:Decrypt", KEY, only_via("sqs"), "HasKey"),
        ("Allow", "kms:GenerateDataKey", KEY, only_via("sqs"), "HasKey"),
        *DELIVERS_LOGS,
    ],
    # A distributed Map: https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
    "BackfillRole": [
        ("Allow", "lambda:InvokeFunction", arn("Function"), None, None),
        ("Allow", "states:StartExecution", states("stateMachine:${AWS::StackName}-backfill"), None, None),
        ("Allow", "states:DescribeExecution", SLICES, None, None),
        ("Allow", "states:StopExecution", SLICES, None, None),
        *DELIVERS_LOGS,
    ],
}
IN_THIS_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
PRINCIPALS = {
    "FunctionRole": {"Principal": {"Service": "lambda.amazonaws.com"}},
    "ScheduleRole": {"Principal": {"Service": "scheduler.amazonaws.com"}, "Condition": IN_THIS_ACCOUNT},
    "AccountsRole": {"Principal": {"Service": "states.amazonaws.com"}, "Condition": IN_THIS_ACCOUNT},
    "BackfillRole": {"Principal": {"Service": "states.amazonaws.com"}, "Condition": IN_THIS_ACCOUNT},
}


def statements(document: dict) -> Iterator[tuple[str | None, dict]]:
    """Yields each statement with the template condition under which it exists."""
    for statement in document["Statement"]:
        if "Fn::If" not in statement:
            yield None, statement
            continue
        condition, statement, otherwise = statement["Fn::If"]
        yield condition, statement
        if otherwise != {"Ref": "AWS::NoValue"}:
            yield f"not {condition}", otherwise


def granted(role: dict) -> list[tuple]:
    rows = []
    for policy in role["Properties"]["Policies"]:
        for only_if, statement in statements(policy["PolicyDocument"]):
            assert set(statement) - {"Condition"} == {"Sid", "Effect", "Action", "Resource"}
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            rest = (statement["Resource"], statement.get("Condition"), only_if)
            rows += [(statement["Effect"], action, *rest) for action in actions]
    return rows


def test_permissions_are_the_listed_ones_and_no_others(resources):
    roles = {name: r for name, r in resources.items() if r["Type"] == "AWS::IAM::Role"}
    assert {name: granted(role) for name, role in roles.items()} == PERMISSIONS


def test_only_what_cannot_be_limited_is_allowed_on_everything(resources):
    """The two actions of EC2 and the eight of CloudWatch Logs support no resource:
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    """
    roles = (r for r in resources.values() if r["Type"] == "AWS::IAM::Role")
    allowed = {row[1] for role in roles for row in granted(role) if row[0] == "Allow" and row[2] == "*"}
    assert allowed == {"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", *(row[1] for row in DELIVERS_LOGS)}


def test_each_role_has_the_permissions_boundary_that_is_asked_for(template, resources):
    """SAM creates a role for a function or state machine without one. Here each has one, see below."""
    assert template["Conditions"]["HasBoundary"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "PermissionsBoundaryArn"}, ""]}]}
    bounded = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}
    roles = {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::IAM::Role"}
    assert {name: role.get("PermissionsBoundary") for name, role in roles.items()} == dict.fromkeys(PERMISSIONS, bounded)
    for name, resource in resources.items():
        if resource["Type"].startswith("AWS::Serverless::"):
            assert resource["Properties"]["Role"]["Fn::GetAtt"][0] in roles, name


def test_nothing_else_grants_permissions(resources, function):
    assert {r["Type"] for r in resources.values() if "Policy" in r["Type"] or "Permission" in r["Type"]} == set()
    for role in (r["Properties"] for r in resources.values() if r["Type"] == "AWS::IAM::Role"):
        assert "ManagedPolicyArns" not in role
    assert "Policies" not in function


def test_only_its_service_can_assume_a_role(resources):
    for name, rest in PRINCIPALS.items():
        statements = resources[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert statements == [{"Effect": "Allow", "Action": "sts:AssumeRole", **rest}]


def test_function_and_schedules_use_these_roles(function, schedules):
    """Otherwise SAM would create a role with permissions on every log group of the account."""
    assert function["Role"] == arn("FunctionRole")
    assert [s["Target"]["RoleArn"] for s in schedules.values()] == [arn("ScheduleRole")] * 4
