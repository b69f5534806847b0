"""Deploys a release, or `template.yaml` with a built function, to the local AWS emulator.

Only `CodeUri` and `DefinitionUri` of the template are changed, to name the uploaded files, as `sam deploy` does. The emulator's URL and
credentials come from the environment (`AWS_ENDPOINT_URL` and so on, as the stack's launcher sets them). A URL that is
not a loopback address is refused, so that no real account can be reached.

    with Deployment.create("demo", {"ElasticsearchUrl": "http://127.0.0.1:9200"}, "target/release/bootstrap") as stack:
        stack.put_secret({"account_number": "1", "provisioning_hash": "...", "elastic_api_key": "..."})
        stack.invoke({"action": "setup"})
"""

import hashlib
import io
import json
import os
import re
import stat
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

import secrecy
from cluster import Cluster
from company import Company

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "template.yaml"
# The folder of the build results.
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
# The properties of the template that name files: the function's code, and definitions of state machines.
LOCAL_FILES = re.compile(r"^( +)(CodeUri|DefinitionUri): (\S+)$", re.MULTILINE)
# The bucket for archives and templates. The emulator keeps it in memory, for all stacks.
BUCKET = "lastpass-elastic"
# The most messages that SQS returns at once.
RECEIVE_MAX_MESSAGES = 10
# Longer than Lambda's longest run (900 s), so that a slow run is not taken for a lost connection.
READ_TIMEOUT_S = 930
# Interval and number of checks while a stack is created, updated or deleted: two minutes in total.
WAITER = {"Delay": 1, "MaxAttempts": 120}
# Parameters with which the streams run only when they are invoked.
SCHEDULES_OFF = dict.fromkeys(("EventReportState", "UserState", "DetailedSharedFolderState"), "DISABLED")


class DeploymentError(Exception):
    """The stack could not be created, updated or deleted. The text contains the emulator's reasons."""


class FunctionError(Exception):
    """The function returned an error."""

    def __init__(self, error_type: str, message: str, log: str = ""):
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message
        # The last 4 KB of the run's log, as Lambda returns them.
        self.log = log


@dataclass
class Deployment:
    """One deployed stack."""

    stack_name: str
    parameters: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    # Logical ID -> physical ID, including retained resources.
    resources: dict[str, str] = field(default_factory=dict)
    # The secrets of a stack of several accounts, which the stack does not create.
    account_secrets: list[str] = field(default_factory=list)
    # Every credential that was in a secret, by name; and the responses and failure queue messages so far.
    credentials: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @classmethod
    def create(
        cls,
        stack_name: str,
        parameters: dict[str, Any],
        code_path: str | os.PathLike,
        template_path: str | os.PathLike | None = None,
    ) -> "Deployment":
        """Creates the stack and waits until it is complete.

        The code is a binary, or the archive `function.zip` of an unpacked release, whose template is then the default.

        Raises `DeploymentError` if it cannot be created. Its resources are then deleted.
        """
        deployment = cls(stack_name, {name: str(value) for name, value in parameters.items()})
        arguments = deployment._arguments(code_path, template_path)
        try:
            client("cloudformation").create_stack(**arguments)
        except ClientError as error:
            raise DeploymentError(f"stack {stack_name}: {error}") from error
        try:
            deployment._wait("stack_create_complete")
        except DeploymentError:
            deployment.delete()
            raise
        return deployment

    def update(
        self,
        parameters: dict[str, Any],
        code_path: str | os.PathLike,
        template_path: str | os.PathLike | None = None,
    ) -> None:
        """Updates the stack, with `parameters` added to the current ones. No change is no error."""
        self.parameters |= {name: str(value) for name, value in parameters.items()}
        try:
            client("cloudformation").update_stack(**self._arguments(code_path, template_path))
        except ClientError as error:
            if "No updates are to be performed" in str(error):
                return
            raise DeploymentError(f"stack {self.stack_name}: {error}") from error
        self._wait("stack_update_complete")

    def invoke(self, payload: Any) -> Any:
        """Invokes the function and returns its response.

        Raises `FunctionError` if the function returns an error.
        """
        response = client("lambda").invoke(
            FunctionName=self.outputs["FunctionName"], Payload=json.dumps(payload).encode(), LogType="Tail"
        )
        text = response["Payload"].read().decode()
        self.said.append(text)
        answer = json.loads(text or "null")
        if "FunctionError" not in response:
            return answer
        if not isinstance(answer, dict):
            answer = {"errorMessage": str(answer)}
        raise FunctionError(answer.get("errorType", "Unknown"), answer.get("errorMessage", ""), response.get("LogResult", ""))

    def invoke_event(self, payload: Any) -> None:
        """Invokes the function as a schedule does: its response is discarded, and an error goes to the failure queue.
        """
        client("lambda").invoke(
            FunctionName=self.outputs["FunctionName"], Payload=json.dumps(payload).encode(), InvocationType="Event"
        )

    def put_secret(self, secret: dict[str, str] | str) -> None:
        """Stores the credentials. A string is stored unchanged, so that a malformed document can be tested."""
        text = secret if isinstance(secret, str) else json.dumps(secret)
        self.note_credentials(text)
        client("secretsmanager").put_secret_value(SecretId=self.outputs["SecretArn"], SecretString=text)

    def put_account_secret(self, account: str, secret: dict[str, str]) -> None:
        """Creates or changes the secret of one of several accounts."""
        secrets, name, text = client("secretsmanager"), f"{self.parameters['SecretPrefix']}/{account}", json.dumps(secret)
        self.note_credentials(text)
        if name in self.account_secrets:
            secrets.put_secret_value(SecretId=name, SecretString=text)
        else:
            secrets.create_secret(Name=name, SecretString=text)
            self.account_secrets.append(name)

    def note_credentials(self, text: str) -> None:
        # The name contains a counter, so that rotated credentials are searched for too.
        put = len(self.credentials)
        self.credentials |= {f"{name} ({put})": value for name, value in secrecy.credentials(text).items()}

    def secret(self) -> str:
        """Returns the current content of the secret."""
        return client("secretsmanager").get_secret_value(SecretId=self.outputs["SecretArn"])["SecretString"]

    def items(self) -> list[dict]:
        """Returns all items of the checkpoint table in DynamoDB's own form."""
        pages = client("dynamodb").get_paginator("scan").paginate(TableName=self.outputs["TableName"], ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def failures(self, wait_s: int = 0) -> list[dict]:
        """Receives and deletes the messages of the failure queue. Waits up to `wait_s` seconds (at most 20) for the
        first one.
        """
        sqs, url, messages = client("sqs"), self.outputs["FailureQueueUrl"], []
        receive = {"QueueUrl": url, "MaxNumberOfMessages": RECEIVE_MAX_MESSAGES}
        while batch := sqs.receive_message(WaitTimeSeconds=0 if messages else wait_s, **receive).get("Messages"):
            for message in batch:
                self.said.append(message["Body"])
                messages.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return messages

    def log_lines(self) -> Iterator[str]:
        """Yields the function's log, line by line."""
        pages = client("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{self.stack_name}")
        for page in pages:
            for event in page["events"]:
                yield from event["message"].splitlines()

    def leaks(self) -> set[str]:
        """Returns the names of the credentials in log lines (including metrics), responses, errors, checkpoints or
        messages of the failure queue.
        """
        self.failures()
        written = [*self.log_lines(), *self.said, *(json.dumps(item, default=str) for item in self.items())]
        return secrecy.found_in(written, self.credentials)

    def delete(self) -> None:
        """Deletes the stack, its secret and its table. The deletion of the stack retains the latter two."""
        self._read_stack()
        cloudformation = client("cloudformation")
        cloudformation.delete_stack(StackName=self.stack_name)
        try:
            cloudformation.get_waiter("stack_delete_complete").wait(StackName=self.stack_name, WaiterConfig=WAITER)
        except WaiterError as error:
            raise DeploymentError(f"stack {self.stack_name} could not be deleted: {self._reasons()}") from error
        if "Secret" in self.resources:
            drop("secretsmanager", "delete_secret", SecretId=self.resources["Secret"], ForceDeleteWithoutRecovery=True)
        if "Table" in self.resources:
            drop("dynamodb", "delete_table", TableName=self.resources["Table"])
        for name in self.account_secrets:
            drop("secretsmanager", "delete_secret", SecretId=name, ForceDeleteWithoutRecovery=True)

    def __enter__(self) -> "Deployment":
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        """Deletes the stack. Raises `DeploymentError` if one of its credentials was written anywhere."""
        try:
            leaks = self.leaks() if failure is None and self.credentials else set()
        finally:
            self.delete()
        if leaks:
            raise DeploymentError(f"stack {self.stack_name}: written in plain sight: {', '.join(sorted(leaks))}")

    def _arguments(self, code_path: str | os.PathLike, template_path: str | os.PathLike | None) -> dict:
        code = Path(code_path)
        template = with_uploads(Path(template_path or template_of(code)).read_text(), code)
        return {
            "StackName": self.stack_name,
            # As `sam deploy` does, because a template in the call itself must not exceed 51,200 bytes.
            "TemplateURL": upload_template(template),
            "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in self.parameters.items()],
            # AUTO_EXPAND: CloudFormation performs the SAM transform.
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        }

    def _wait(self, waiter: str) -> None:
        try:
            client("cloudformation").get_waiter(waiter).wait(StackName=self.stack_name, WaiterConfig=WAITER)
        except WaiterError as error:
            raise DeploymentError(f"stack {self.stack_name}: {self._reasons() or error}") from error
        self._read_stack()

    def _read_stack(self) -> None:
        cloudformation = client("cloudformation")
        try:
            (stack,) = cloudformation.describe_stacks(StackName=self.stack_name)["Stacks"]
            listed = cloudformation.describe_stack_resources(StackName=self.stack_name)["StackResources"]
        except ClientError as error:
            raise DeploymentError(f"stack {self.stack_name}: {error}") from error
        self.outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
        self.resources = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in listed if r.get("PhysicalResourceId")}

    def _reasons(self) -> str:
        events = client("cloudformation").describe_stack_events(StackName=self.stack_name)["StackEvents"]
        failed = [e for e in reversed(events) if e["ResourceStatus"].endswith("FAILED")]
        return "; ".join(f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason', e['ResourceStatus'])}" for e in failed)


def client(service: str):
    """Returns a client of the emulator. It does not retry, because a repeated invocation would be another one."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    if urlsplit(endpoint).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise DeploymentError("AWS_ENDPOINT_URL must be the local emulator's address; start the local stack first")
    config = Config(
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        # Step Functions would prefix the emulator's address with `sync-`.
        inject_host_prefix=False,
    )
    return boto3.client(service, endpoint_url=endpoint, config=config)


def archive(bootstrap_path: Path) -> bytes:
    """Returns the deployment archive: only an executable `bootstrap`, the same bytes for the same binary."""
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = (stat.S_IFREG | 0o755) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compresslevel=1) as file:
        file.writestr(entry, bootstrap_path.read_bytes())
    return buffer.getvalue()


def credentials(company: Company, cluster: Cluster) -> dict[str, str]:
    """Returns the content of the secret after the installer's key was removed: the documented writer role."""
    return {
        "account_number": company.account_number,
        "provisioning_hash": company.provisioning_hash,
        "elastic_api_key": cluster.create_api_key("writer"),
    }


def set_up(deployment: Deployment, company: Company, cluster: Cluster) -> None:
    """Stores the credentials, and installs the index templates with a key that is removed again.

    Raises `DeploymentError` if `setup` is not complete.
    """
    secret = credentials(company, cluster)
    deployment.put_secret({**secret, "elastic_setup_api_key": cluster.create_api_key("installer")})
    answer = deployment.invoke({"action": "setup"})
    if answer["status"] != "complete":
        raise DeploymentError(f"stack {deployment.stack_name}: `setup` was not complete: {answer}")
    deployment.put_secret(secret)


def template_of(code: Path) -> Path:
    """Returns the template beside the archive of an unpacked release; for a binary, that of the project."""
    return code.with_name("template.yaml") if code.suffix == ".zip" else TEMPLATE


def upload_code(code: Path) -> str:
    """Uploads the function for CloudFormation: an archive as it is, a binary in an archive."""
    if not code.is_file():
        raise DeploymentError(f"there is no {code}; build it first")
    return upload(code.read_bytes() if code.suffix == ".zip" else archive(code), "zip")


def upload_template(template: str) -> str:
    """Uploads the template for CloudFormation."""
    key = upload(template.encode(), "yaml")
    return f"{client('s3').meta.endpoint_url}/{BUCKET}/{key}"


def upload(body: bytes, kind: str) -> str:
    """Uploads a file under a name that changes with its content. Returns the name."""
    key = f"{hashlib.sha256(body).hexdigest()}.{kind}"
    s3 = client("s3")
    if BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    return key


def with_uploads(template: str, code: Path) -> str:
    """Returns the template with the locations of the uploaded files. Nothing else is changed."""

    def uploaded(named: re.Match) -> str:
        indent, kind, path = named.groups()
        key = upload_code(code) if kind == "CodeUri" else upload((template_of(code).parent / path).read_bytes(), "yaml")
        return f"{indent}{kind}: s3://{BUCKET}/{key}"

    template, count = LOCAL_FILES.subn(uploaded, template)
    if count != 3:
        raise DeploymentError(f"the template must name one function and two state machines; it names {count} files")
    return template


def drop(service: str, operation: str, **arguments: Any) -> None:
    """Deletes a resource that may not exist any more."""
    try:
        getattr(client(service), operation)(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
