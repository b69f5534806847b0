"""Parameters: each belongs to the interface, is used, bounded and explained, and none is a secret."""

import re

import pytest
import yaml

# Parameter -> environment variable. Users and the function depend on both lists.
SETTINGS = {
    "ElasticsearchUrl": "ELASTICSEARCH_URL",
    "ElasticCloudId": "ELASTIC_CLOUD_ID",
    "ElasticsearchCa": "ELASTICSEARCH_CA",
    "SecretArn": "SECRET_ARN",
    "SecretPrefix": "SECRET_PREFIX",
    "LastPassUrl": "LASTPASS_URL",
    "OtherLastPassUrl": "OTHER_LASTPASS_URL",
    "LastPassTimeZone": "LASTPASS_TIME_ZONE",
    "LastPassUserTimeZone": "LASTPASS_USER_TIME_ZONE",
    "LastPassApiUser": "LASTPASS_API_USER",
    "Namespace": "NAMESPACE",
    "InitialLookback": "INITIAL_LOOKBACK",
    "Overlap": "OVERLAP",
    "Tags": "TAGS",
    "PreserveOriginalEvent": "PRESERVE_ORIGINAL_EVENT",
    "PreserveDuplicateCustomFields": "PRESERVE_DUPLICATE_CUSTOM_FIELDS",
    "SnapshotChanges": "SNAPSHOT_CHANGES",
    "LogLevel": "LOG_LEVEL",
}
DEFAULTS = {
    "ElasticsearchUrl": "",
    "ElasticCloudId": "",
    "ElasticsearchCa": "",
    "SecretArn": "",
    "SecretPrefix": "",
    "Accounts": "",
    "KmsKeyArn": "",
    "LastPassUrl": "https://lastpass.com/enterpriseapi.php",
    "OtherLastPassUrl": "",
    "LastPassTimeZone": "US/Eastern",
    "LastPassUserTimeZone": "UTC",
    "LastPassApiUser": "",
    "Namespace": "default",
    "Tags": "",
    "PreserveOriginalEvent": "false",
    "PreserveDuplicateCustomFields": "false",
    "SnapshotChanges": "true",
    "InitialLookback": "24h",
    "Overlap": "15m",
    "BackfillConcurrency": 2,
    "EventReportRate": "rate(5 minutes)",
    "EventReportState": "ENABLED",
    "UserRate": "rate(24 hours)",
    "UserState": "ENABLED",
    "DetailedSharedFolderRate": "rate(24 hours)",
    "DetailedSharedFolderState": "ENABLED",
    "Timeout": 300,
    "MemorySize": 512,
    "ReservedConcurrency": "",
    "Architecture": "x86_64",
    "LogLevel": "info",
    "VpcSubnetIds": "",
    "VpcSecurityGroupIds": "",
    "PermissionsBoundaryArn": "",
    "AlarmEmail": "",
    "AlarmTopicArn": "",
    "EventReportFreshness": 10800,
    "UserFreshness": 93600,
    "DetailedSharedFolderFreshness": 93600,
}
ROOT_CA = "-----BEGIN CERTIFICATE-----\nMIIB+/9=\nAAAA\n-----END CERTIFICATE-----\n"

# URLs that resemble LastPass's, or name a host of LastPass without the API.
OTHER_HOSTS = [
    "https://lastpass.com.evil.example/enterpriseapi.php", "https://evil-lastpass.com/enterpriseapi.php",
    "https://evillastpass.com/enterpriseapi.php", "https://lastpass.com@evil.example/enterpriseapi.php",
    "https://lastpass.com:x@evil.example/", "https://lastpass.com\\@evil.example/", "https://lastpass.com\\.evil.example/",
    "https://lastpass.com:8443/enterpriseapi.php", "https://lastpass.com./enterpriseapi.php", "https://lastpass.com%2eevil.example/",
    "https://www.lastpass.com/enterpriseapi.php", "https://lastpass.eu.evil.example/", "https://lastpass.co/", "https://lastpassXcom/",
    "https://l\u0430stpass.com/enterpriseapi.php", "https://xn--lstpass-4nf.com/enterpriseapi.php", "https://evil.example/lastpass.com/",
    "https://evil.example/?https://lastpass.com/", "https://evil.example#lastpass.com/", "https://lastpass.com?x@evil.example/",
    "https://LASTPASS.COM.evil.example/", "https://10.0.0.1/enterpriseapi.php", "https://169.254.169.254/", "//lastpass.com/",
    "http://127.0.0.1.evil.example/", "http://localhost.evil.example/", "http://127.0.0.1@evil.example/", "http://127.evil/",
    " https://lastpass.com/", "https://lastpass.com/ ", "https://lastpass.com/\nhttps://evil.example/", "javascript:lastpass.com",
]

# Parameter -> accepted values, rejected values.
VALUES = {
    "ElasticsearchUrl": (
        ["https://es.example.com", "https://es.example.com:9243/prefix", "http://127.0.0.1:9200", "http://localhost:9200/",
         "http://[::1]:9200", "https://my-project.es.eu-west-1.aws.elastic.cloud:443", "https://es.kb.example.com",
         "https://kb.example.com/elastic.cloud"],
        ["https://my-project.kb.eu-west-1.aws.elastic.cloud", "https://my-deployment.kb.eu-west-1.aws.found.io:9243",
         "https://my-deployment.kb.us-central1.gcp.cloud.es.io/app/home", "https://a.kb.westeurope.azure.elastic-cloud.com:443",
         "http://es.example.com", "es.example.com:9243", "https://elastic:secret@es.example.com", "https://", "https://a b",
         "http://127.0.0.1.example.com:9200", "http://localhost@example.com"],
    ),
    "ElasticCloudId": (["security:ZXUtd2VzdC0xLmF3cyRhYmMkZGVm", "two words:YQ=="], ["ZXUtd2VzdC0xLmF3cyRhYmMkZGVm", "a:b:c"]),
    "ElasticsearchCa": (
        [ROOT_CA, ROOT_CA * 2, ROOT_CA.replace("\n", "\\n"), ROOT_CA.replace("\n", "\r\n")],
        ["MIIB", ROOT_CA.replace("CERTIFICATE", "PRIVATE KEY"), ROOT_CA + "x", "/etc/ssl/ca.crt"],
    ),
    "SecretArn": (
        ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass/elastic-a1B2c3",
         "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:x-a1B2c3"],
        ["lastpass/elastic", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass",
         "arn:aws:secretsmanager:eu-west-1:123456789012:secret:*", "arn:aws:kms:eu-west-1:123456789012:key/a-a1B2c3"],
    ),
    "SecretPrefix": (
        ["lastpass", "security/lastpass", "a+b=c.d@e-f_g"],
        ["lastpass/", "/lastpass", "a//b", "last pass", "lastpass*", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x",
         "a" * 257],
    ),
    "Accounts": (
        ["acme", "acme,globex", "Acme.Ltd,acme_2,acme-3", "1", "a" * 64],
        [",", "acme,", "acme, globex", ",acme", "acme,,globex", "-acme", "ac/me", "ac me", "a" * 65],
    ),
    "KmsKeyArn": (
        ["arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
         "arn:aws:kms:eu-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab",
         "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
        ["1234abcd-12ab-34cd-56ef-1234567890ab", "alias/lastpass", "arn:aws:kms:eu-west-1:123456789012:alias/lastpass",
         "arn:aws:kms:eu-west-1:123456789012:key/*", "arn:aws:kms:eu-west-1:123456789012:key/"],
    ),
    "LastPassUrl": (
        ["https://lastpass.eu/enterpriseapi.php", "https://lastpass.com/enterpriseapi.php", "https://lastpass.com",
         "http://127.0.0.1:8080/enterpriseapi.php", "http://localhost:8080/", "http://[::1]:8080/enterpriseapi.php"],
        ["", "http://lastpass.com/enterpriseapi.php", "lastpass.com", "https://u:p@lastpass.com/enterpriseapi.php",
         *OTHER_HOSTS],
    ),
    "OtherLastPassUrl": (
        ["", "https://gateway.example/enterpriseapi.php", "https://gateway.example:8443", "http://127.0.0.1:8080/"],
        ["http://gateway.example/", "gateway.example", "https://u:p@gateway.example/", "https://gateway.example/?a=b", "true",
         "https://a b/", "http://127.0.0.1.example.com/", "https://gateway.example\\@evil.example/"],
    ),
    "PermissionsBoundaryArn": (
        ["", "arn:aws:iam::123456789012:policy/boundary", "arn:aws:iam::123456789012:policy/teams/security/boundary",
         "arn:aws-us-gov:iam::123456789012:policy/b", "arn:aws:iam::aws:policy/PowerUserAccess"],
        ["boundary", "arn:aws:iam::123456789012:role/boundary", "arn:aws:iam::123456789012:policy/",
         "arn:aws:iam::123456789012:policy/*", "arn:aws:iam::1234:policy/b"],
    ),
    "AlarmEmail": (
        ["", "security@example.com", "first.last+lastpass@mail.example.co.uk", "o'neill@example.com", "a@b-c.example"],
        ["security", "security@example", "security@", "@example.com", "a@b@example.com", "a b@example.com", "a@exa mple.com",
         "security@example.com, b@example.com", "security@example.com,b@example.com", "<security@example.com>",
         "Security <security@example.com>", ".a@example.com", "a..b@example.com", "a.@example.com", "a@-example.com",
         "a@example-.com", "a@.example.com", "a@example..com", "a@example.com.", "a@127.0.0.1", "a@example.com\n",
         "mailto:a@example.com", "a" * 245 + "@example.com"],
    ),
    "LastPassTimeZone": (["US/Eastern", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"], ["", "+02:00", "US/", "US Eastern"]),
    "LastPassUserTimeZone": (["UTC", "US/Eastern", "Europe/Berlin"], ["", "+02:00", "US/", "US Eastern"]),
    "LastPassApiUser": (
        ["", "lastpass-elastic", "SIEM reader", "siem@example.com"],
        [" ", "a  b", " siem", 'a"b', "a,b", "Müller", "a" * 65],
    ),
    "Namespace": (["default", "prod_eu", "a" * 100], ["", "Prod", "prod-eu", "a/b", "a" * 101, "a,b", "_a"]),
    "Tags": (["forwarded", "forwarded,lastpass", "two words,b"], [",", "a,,b", "a, b", " a", "a,"]),
    "InitialLookback": (
        ["24h", "7d", "90m", "30s", "99d", "400d", "9600h", "9599h", "576000m", "575999m", "499999m", "999999s"],
        ["", "24", "0h", "-1h", "1w", "1.5h", "24 h", "401d", "1000d", "9601h", "10000h", "576001m", "999999m", "1000000s"],
    ),
    "Overlap": (
        ["15m", "1h", "1d", "24h", "9h", "1440m", "1439m", "999m", "86400s", "86399s", "79999s", "9999s"],
        ["", "0m", "15", "15 min", "2d", "25h", "30h", "1441m", "2000m", "86401s", "90000s", "100000s"],
    ),
    "EventReportRate": (
        ["rate(1 minute)", "rate(5 minutes)", "rate(24 hours)", "cron(0/10 * * * ? *)"],
        ["", "5 minutes", "rate(0 minutes)", "rate(5)", "rate(5 seconds)", "cron(* * * * *)", "at(2026-01-01T00:00:00)"],
    ),
    "ReservedConcurrency": (["", "1", "50"], ["0", "-1", "many", "1.5"]),
    "VpcSubnetIds": (
        ["subnet-0a1b2c3d", "subnet-0a1b2c3d4e5f60718,subnet-0a1b2c3d"],
        ["subnet-", "sg-0a1b2c3d", "subnet-0a1b2c3d, subnet-4e5f6a7b", "subnet-0a1b2c3d,", "vpc-0a1b2c3d", "subnet-0A1B2C3D",
         ",".join(["subnet-0a1b2c3d"] * 17)],
    ),
    "VpcSecurityGroupIds": (
        ["sg-0a1b2c3d", "sg-0a1b2c3d4e5f60718,sg-0a1b2c3d"],
        ["sg-", "subnet-0a1b2c3d", "sg-0a1b2c3d, sg-4e5f6a7b", "sg-0a1b2c3d,", "default", ",".join(["sg-0a1b2c3d"] * 6)],
    ),
    "AlarmTopicArn": (
        ["arn:aws:sns:eu-west-1:123456789012:on-call", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:On_Call"],
        ["on-call", "arn:aws:sns:eu-west-1:123456789012:on-call.fifo", "arn:aws:sqs:eu-west-1:123456789012:on-call",
         "arn:aws:sns:eu-west-1:123456789012:*"],
    ),
}
VALUES["UserRate"] = VALUES["DetailedSharedFolderRate"] = VALUES["EventReportRate"]


def references(node) -> set[str]:
    if isinstance(node, dict):
        found = {node["Ref"]} if isinstance(node.get("Ref"), str) else set()
        return found.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


def test_parameters_and_defaults_are_those_of_the_interface(template):
    assert {name: p["Default"] for name, p in template["Parameters"].items()} == DEFAULTS


def test_each_parameter_is_used_by_a_resource(template):
    used = references([template["Resources"], template["Globals"], template["Conditions"]])
    assert set(template["Parameters"]) - used == set()


def test_each_setting_reaches_its_environment_variable(function):
    variables = function["Environment"]["Variables"]
    assert set(variables) == {*SETTINGS.values(), "CHECKPOINT_TABLE"}
    assert variables["CHECKPOINT_TABLE"] == {"Ref": "Table"}
    for parameter, variable in SETTINGS.items():
        assert parameter in references(variables[variable]), variable


def test_settings_are_passed_on_unchanged(function):
    changed = {"ElasticsearchCa", "SecretArn"}
    variables = function["Environment"]["Variables"]
    for parameter, variable in SETTINGS.items():
        if parameter not in changed:
            assert variables[variable] == {"Ref": parameter}


def test_a_ca_entered_in_one_line_gets_its_line_ends(function):
    join = function["Environment"]["Variables"]["ELASTICSEARCH_CA"]
    assert join == {"Fn::Join": ["\n", {"Fn::Split": ["\\n", {"Ref": "ElasticsearchCa"}]}]}


def test_no_parameter_takes_a_secret(template):
    secret = re.compile(r"hash|key|token|password|credential|account.?number", re.IGNORECASE)
    # An ARN names a secret and does not contain it.
    names = {name for name in template["Parameters"] if not name.endswith("Arn")}
    assert [name for name, p in template["Parameters"].items() if p.get("NoEcho")] == []
    assert [name for name in names if secret.search(name)] == []


def test_each_parameter_has_a_default_in_its_description_and_a_remedy(template):
    for name, parameter in template["Parameters"].items():
        assert "Default:" in parameter["Description"], name
        assert parameter["ConstraintDescription"].startswith("must "), name
        assert {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter), name


def test_each_parameter_has_a_group_and_a_label(template):
    interface = template["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])
    assert set(interface["ParameterLabels"]) == set(template["Parameters"])


def cases(position: int) -> list[tuple[str, str]]:
    return [(name, value) for name, values in VALUES.items() for value in values[position]]


def accepts(parameter: dict, value: str) -> bool:
    return re.fullmatch(parameter["AllowedPattern"], value) is not None and len(value) <= parameter.get("MaxLength", 4096)


@pytest.mark.parametrize(("name", "value"), cases(0))
def test_right_values_are_accepted(template, name, value):
    assert accepts(template["Parameters"][name], value)


@pytest.mark.parametrize(("name", "value"), cases(1))
def test_wrong_values_are_refused(template, name, value):
    assert not accepts(template["Parameters"][name], value)


def test_each_default_is_accepted(template):
    for name, parameter in template["Parameters"].items():
        if "AllowedPattern" in parameter:
            assert accepts(parameter, parameter["Default"]), name
        elif "AllowedValues" in parameter:
            assert parameter["Default"] in parameter["AllowedValues"], name
        else:
            assert parameter["MinValue"] <= parameter["Default"] <= parameter["MaxValue"], name


def test_exactly_one_address_of_elasticsearch_is_required(template):
    url, cloud = ({"Fn::Equals": [{"Ref": name}, ""]} for name in ("ElasticsearchUrl", "ElasticCloudId"))
    asserts = [assertion["Assert"] for assertion in template["Rules"]["OneElasticsearch"]["Assertions"]]
    assert asserts == [{"Fn::Not": [{"Fn::And": [url, cloud]}]}, {"Fn::Or": [url, cloud]}]


def test_one_account_has_a_secret_and_several_have_a_prefix_and_names(template):
    arn, prefix, names = ({"Fn::Equals": [{"Ref": name}, ""]} for name in ("SecretArn", "SecretPrefix", "Accounts"))
    asserts = [assertion["Assert"] for assertion in template["Rules"]["OneOrSeveralAccounts"]["Assertions"]]
    both_or_neither = {"Fn::Or": [{"Fn::And": [prefix, names]}, {"Fn::Not": [{"Fn::Or": [prefix, names]}]}]}
    assert asserts == [{"Fn::Or": [arn, prefix]}, both_or_neither]
    assert template["Conditions"]["HasOneAccount"] == prefix
    assert template["Conditions"]["HasSeveralAccounts"] == {"Fn::Not": [prefix]}
    assert template["Conditions"]["HasSecret"] == {"Fn::Not": [arn]}


def test_a_vpc_takes_subnets_and_security_groups_or_neither(template):
    subnets, groups = ({"Fn::Equals": [{"Ref": name}, ""]} for name in ("VpcSubnetIds", "VpcSecurityGroupIds"))
    (assertion,) = template["Rules"]["WholeNetwork"]["Assertions"]
    assert assertion["Assert"] == {"Fn::Or": [{"Fn::And": [subnets, groups]}, {"Fn::Not": [{"Fn::Or": [subnets, groups]}]}]}
    assert template["Conditions"]["InVpc"] == {"Fn::Not": [subnets]}


def test_values_that_yaml_could_misread_are_strings(root):
    """YAML parses unquoted `true`, `OFF` and version dates as booleans and dates."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("!", lambda *_: "intrinsic")
    template = yaml.load((root / "template.yaml").read_text(), loader)
    schedules = [r for r in template["Resources"].values() if r["Type"] == "AWS::Scheduler::Schedule"]
    assert [schedule["Properties"]["FlexibleTimeWindow"] for schedule in schedules] == [{"Mode": "OFF"}] * 4
    for name, parameter in template["Parameters"].items():
        assert all(isinstance(value, str) for value in parameter.get("AllowedValues", [])), name
