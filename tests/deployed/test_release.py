"""The release, deployed as the README says: with the AWS CLI and the SAM CLI only, and refused before anything exists if a
parameter is wrong.
"""

import base64
import json
import re
import subprocess

import pytest
from botocore.exceptions import ClientError
from deployment import SCHEDULES_OFF, Deployment, client, upload_template
from readme_line import deployed
from stacks import NO_ELASTICSEARCH, name

# The Cloud ID of a deployment that does not exist. Its form is right.
CLOUD_ID = f"security:{base64.b64encode(b'eu-west-1.aws.example.invalid$abc$def').decode()}"
EMAIL = "AlarmEmail=security@example.com"
FOUND = f"ElasticCloudId={CLOUD_ID}"
SEVERAL = ["SecretPrefix=lastpass", "Accounts=acme,globex"]
SECRET = "SecretArn=arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass-a1B2c3"
# What a new user may get wrong -> words of the message that name the remedy.
WRONG = {
    "no address": ([EMAIL], "Give ElasticsearchUrl or ElasticCloudId"),
    "two addresses": ([EMAIL, FOUND, "ElasticsearchUrl=https://es.example.com"], "Leave one of them empty"),
    "a URL as the Cloud ID": ([EMAIL, "ElasticCloudId=https://es.example.com"], "must have the form name:base64"),
    "half a Cloud ID": ([EMAIL, "ElasticCloudId=ZXUtd2VzdC0x"], "must have the form name:base64"),
    "the placeholder of the README": ([EMAIL, "ElasticCloudId=…"], "must have the form name:base64"),
    "the placeholders of samconfig.toml": (["ElasticCloudId=REPLACE_ME", "AlarmEmail=REPLACE_ME"], "must"),
    "a URL without TLS": ([EMAIL, "ElasticsearchUrl=http://es.example.com"], "must be an https:// address"),
    "a URL with a password": ([EMAIL, "ElasticsearchUrl=https://elastic:secret@es.example.com"], "the API key belongs in the secret"),
    "Kibana": ([EMAIL, "ElasticsearchUrl=https://a.kb.eu-west-1.aws.elastic.cloud:9243"], "not that of Kibana"),
    "two e-mail addresses": ([FOUND, "AlarmEmail=a@example.com,b@example.com"], "give a topic in AlarmTopicArn"),
    "no e-mail address": ([FOUND, "AlarmEmail=security"], "must be one e-mail address"),
    "the other processor": ([FOUND, EMAIL, "Architecture=arm64"], "arm64"),
    "a host that is not LastPass's": ([FOUND, EMAIL, "LastPassUrl=https://lastpass.example.com/"], "OtherLastPassUrl"),
    "an offset as the zone": ([FOUND, EMAIL, "LastPassTimeZone=+02:00"], "IANA name"),
    "a namespace with a hyphen": ([FOUND, EMAIL, "Namespace=prod-eu"], "no hyphen"),
    "a look back without a unit": ([FOUND, EMAIL, "InitialLookback=24"], "with s, m, h or d"),
    "a look back of two years": ([FOUND, EMAIL, "InitialLookback=730d"], "at most 400 days"),
    "an overlap of a week": ([FOUND, EMAIL, "Overlap=7d"], "at most 24 hours"),
    "a rate in seconds": ([FOUND, EMAIL, "EventReportRate=rate(30 seconds)"], "must be rate(n minutes)"),
    "a timeout above Lambda's": ([FOUND, EMAIL, "Timeout=1800"], "from 10 to 900"),
    "one account and several": ([FOUND, EMAIL, SECRET, *SEVERAL], "SecretArn is for one account"),
    "a prefix without accounts": ([FOUND, EMAIL, SEVERAL[0]], "take both SecretPrefix and Accounts"),
    "accounts without a prefix": ([FOUND, EMAIL, SEVERAL[1]], "take both SecretPrefix and Accounts"),
    "the name of a secret": ([FOUND, EMAIL, "SecretArn=lastpass"], "must be the whole ARN"),
    "an alias of a key": ([FOUND, EMAIL, "KmsKeyArn=alias/lastpass"], "must be the whole ARN of a key"),
    "subnets without security groups": ([FOUND, EMAIL, "VpcSubnetIds=subnet-0a1b2c3d"], "takes both VpcSubnetIds and VpcSecurityGroupIds"),
    # The SAM CLI leaves out a parameter that the template does not have.
    "a misspelled name": ([EMAIL, "ElasticsearchURL=https://es.example.com"], "Give ElasticsearchUrl or ElasticCloudId"),
}


def stacks(stack_name: str) -> list[dict]:
    try:
        return client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError:
        return []


def made_of(stack_name: str) -> list[dict]:
    """Returns the resources of a stack that may not exist."""
    return client("cloudformation").describe_stack_resources(StackName=stack_name)["StackResources"] if stacks(stack_name) else []


def test_the_line_of_the_readme_deploys_it_and_its_samconfig_changes_it(sam, folder):
    stack = Deployment(name("release"), {})
    schedules = [f"{parameter}={value}" for parameter, value in SCHEDULES_OFF.items()]
    ran = sam(deployed(stack.stack_name, FOUND, "LogLevel=debug", *schedules))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    try:
        stack._read_stack()
        function = client("lambda").get_function(FunctionName=stack.outputs["FunctionName"])["Configuration"]
        assert (function["Architectures"], function["CodeSize"]) == (["x86_64"], (folder / "function.zip").stat().st_size)
        assert function["Environment"]["Variables"]["ELASTIC_CLOUD_ID"] == CLOUD_ID
        assert "AlarmTopic" not in stack.resources
        # The code of the release runs: nobody has connected it yet.
        assert stack.invoke({"stream": "event_report"})["reason"] == "setup_required"

        path = folder / "samconfig.toml"
        filled = path.read_text().replace('"lastpass"', f'"{stack.stack_name}"')
        filled = filled.replace("ElasticCloudId=REPLACE_ME", FOUND).replace("AlarmEmail=REPLACE_ME", EMAIL)
        path.write_text(filled)
        ran = sam(["sam", "deploy"])
        assert ran.returncode == 0, ran.stdout + ran.stderr
        stack._read_stack()
        assert "AlarmTopic" in stack.resources
        # Parameters that it does not name keep their values.
        variables = client("lambda").get_function(FunctionName=stack.outputs["FunctionName"])["Configuration"]["Environment"]["Variables"]
        assert (variables["ELASTIC_CLOUD_ID"], variables["LOG_LEVEL"]) == (CLOUD_ID, "debug")
    finally:
        stack.delete()


def test_the_line_says_what_is_wrong_and_creates_nothing(sam):
    parameters, said = WRONG["a misspelled name"]
    stack_name = name("refused")
    ran = sam(deployed(stack_name, *parameters))
    assert ran.returncode != 0 and said in ran.stderr
    assert not stacks(stack_name)


@pytest.fixture(scope="module")
def template_url(release) -> str:
    """Returns the address of the uploaded template. A refused deployment never reads the code."""
    text = (release / "template.yaml").read_text()
    return upload_template(re.sub(r"(CodeUri|DefinitionUri): (\S+)", r"\1: s3://lastpass-elastic/\2", text))


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_parameter_is_refused_before_anything_exists(template_url, case):
    """As `sam deploy` sends it: a change set for a stack that does not exist."""
    given, said = WRONG[case]
    stack_name = name("wrong")
    with pytest.raises(ClientError) as refused:
        client("cloudformation").create_change_set(
            StackName=stack_name, ChangeSetName="first", ChangeSetType="CREATE", TemplateURL=template_url,
            Parameters=[dict(zip(("ParameterKey", "ParameterValue"), parameter.split("=", 1))) for parameter in given],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    assert said in str(refused.value)
    assert made_of(stack_name) == []


def test_the_command_line_of_the_release_finds_the_stack(command_line_path, bootstrap):
    with Deployment.create(name("found"), {"ElasticsearchUrl": NO_ELASTICSEARCH, **SCHEDULES_OFF}, bootstrap) as stack:
        ran = subprocess.run([command_line_path, "status", "--stack", stack.stack_name, "--output", "json"],
                             capture_output=True, text=True)
        assert (ran.returncode, json.loads(ran.stdout)["action"]) == (0, "status"), ran.stderr
