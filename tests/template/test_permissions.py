"""The whole list of what the stack's two roles may do; a change of the template has to change it here as well."""

SECRET = {"Fn::If": ["MakesSecret", {"Fn::GetAtt": ["Secret", "Id"]}, {"Ref": "SecretArn"}]}


def arn(resource: str) -> dict:
    return {"Fn::GetAtt": [resource, "Arn"]}


# Role -> (action, resource)
PERMISSIONS = {
    "FunctionRole": [
        ("dynamodb:GetItem", arn("Table")),
        ("dynamodb:Scan", arn("Table")),
        ("dynamodb:UpdateItem", arn("Table")),
        ("logs:CreateLogStream", arn("LogGroup")),
        ("logs:PutLogEvents", arn("LogGroup")),
        ("secretsmanager:GetSecretValue", SECRET),
        ("sqs:SendMessage", arn("FailureQueue")),
    ],
    "ScheduleRole": [
        ("lambda:InvokeFunction", arn("Function")),
        ("sqs:SendMessage", arn("FailureQueue")),
    ],
}
PRINCIPALS = {
    "FunctionRole": {"Principal": {"Service": "lambda.amazonaws.com"}},
    "ScheduleRole": {
        "Principal": {"Service": "scheduler.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    },
}


def granted(role: dict) -> list[tuple[str, dict]]:
    pairs = []
    for policy in role["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert set(statement) == {"Sid", "Effect", "Action", "Resource"}
            assert statement["Effect"] == "Allow"
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            pairs += [(action, statement["Resource"]) for action in actions]
    return sorted(pairs, key=lambda pair: pair[0])


def test_permissions_are_the_listed_ones_and_no_others(resources):
    roles = {name: r for name, r in resources.items() if r["Type"] == "AWS::IAM::Role"}
    assert {name: granted(role) for name, role in roles.items()} == PERMISSIONS


def test_nothing_else_grants_permissions(resources, function):
    assert {r["Type"] for r in resources.values() if "Policy" in r["Type"] or "Permission" in r["Type"]} == set()
    for role in (r["Properties"] for r in resources.values() if r["Type"] == "AWS::IAM::Role"):
        assert "ManagedPolicyArns" not in role
    assert "Policies" not in function


def test_roles_can_be_taken_by_their_service_alone(resources):
    for name, rest in PRINCIPALS.items():
        statements = resources[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert statements == [{"Effect": "Allow", "Action": "sts:AssumeRole", **rest}]


def test_function_and_schedules_use_these_roles(function, schedules):
    """Without a role of its own SAM makes one, with rights on every log group of the account."""
    assert function["Role"] == arn("FunctionRole")
    assert [s["RoleArn"] for s in schedules.values()] == [arn("ScheduleRole")] * 4
