"""The first day of a new user: a deployed stack, `lastpass-elastic connect` on a real terminal, documents in Elasticsearch.

The tests run in this order, on one stack: each mistake that a new user makes, after which nothing may remain; the command that
succeeds; and the rotation of each credential while a run is in progress.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import resource
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cluster import ClusterError
from command_lines import AWS, CTRL_C, DONE, FAILED, UNFINISHED, USAGE, CommandLine, Terminal, as_user
from company import Company, Size, rfc3339
from deployment import ROOT, SCHEDULES_OFF, Deployment, client
from readme_line import commands, deployed
from secrecy import credentials, found_in, process_list, written_below
from stack import LOOPBACK
from stacks import NO_ELASTICSEARCH, name

SIZE = Size(events=400, days=1, twins=0.1, users=60, folders=6, users_of_a_folder=3)
SEED = 17
END = datetime.now(UTC).replace(microsecond=0)
STREAMS = ("event_report", "user", "detailed_shared_folder")
MOST_PROMPTS = 5
MOST_COMMANDS = 6
NUMBER, HASH, USER, PASSWORD_PROMPT, WRITER, INSTALLER = (
    "LastPass account number", "LastPass provisioning hash", "Elasticsearch user", "Password of this user", "Writer API key",
    "Installer API key",
)
PASSWORD = "correct horse: battery staple "
# The documented permissions in AWS, and the privileges in Elasticsearch.
PAGE_OF_CONNECT = (ROOT / "docs" / "command-line.md").read_text().split("\n## Connect\n")[1].split("\n### ")[0]
PERMISSIONS = [permission for permission in re.findall(r"`(\w+:\w+)`", PAGE_OF_CONNECT) if permission != "secretsmanager:CreateSecret"]


def documented(place):
    """Returns the privileges of the rows for a place. One is only for keys of other users."""
    rows = re.findall(rf"^\| (`.+`) \| {re.escape(place)} \|", PAGE_OF_CONNECT, re.MULTILINE)
    return [privilege for row in rows for privilege in re.findall(r"`(\w+)`", row) if privilege != "manage_api_key"]


DATA_STREAMS = "logs-lastpass.*-*"
CONNECTOR = {
    "cluster": documented("the cluster"),
    "indices": [{"names": [DATA_STREAMS], "privileges": documented(f"`{DATA_STREAMS}`")}],
}


@pytest.fixture(scope="module")
def company(simulator):
    with Company.start(simulator, SIZE, SEED, END) as company:
        yield company


@pytest.fixture(scope="module")
def users(cluster):
    """Creates Elasticsearch users: one who may connect a stack, one who may also invalidate the keys of others, and one who
    lacks the index templates.
    """
    cluster_privileges = CONNECTOR["cluster"]
    roles = {
        "ann": CONNECTOR,
        "admin": CONNECTOR | {"cluster": [*cluster_privileges, "manage_api_key"]},
        "bob": CONNECTOR | {"cluster": [privilege for privilege in cluster_privileges if privilege != "manage_index_templates"]},
        "eve": CONNECTOR | {"cluster": [privilege for privilege in cluster_privileges if privilege != "manage_own_api_key"]},
    }
    names = {}
    for kind, role in roles.items():
        names[kind] = user = name(kind)
        cluster.request("PUT", f"_security/role/{user}", role)
        cluster.request("PUT", f"_security/user/{user}", {"password": PASSWORD, "roles": [user]})
    return names


@pytest.fixture(scope="module")
def command_line(command_line_path):
    return CommandLine(command_line_path)


@pytest.fixture(scope="module")
def stack(sam, cluster, company, command_line):
    """Yields a stack that the command of the README has deployed, and a cluster that lacks the current index templates."""
    remove_current_templates(cluster)
    parameters = {"ElasticsearchUrl": cluster.url, "LastPassUrl": company.url, "Namespace": name("day").replace("-", "_"),
                  **SCHEDULES_OFF}
    stack = Deployment(name("day"), parameters)
    ran = sam(deployed(stack.stack_name, *(f"{parameter}={value}" for parameter, value in parameters.items())))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    stack._read_stack()
    with stack:
        yield stack
        stack.note_credentials(stack.secret())
        stack.said += command_line.printed


def remove_current_templates(cluster):
    """Removes the index templates, or marks them as an older version where Elasticsearch keeps them for a data stream."""
    for stream in (*STREAMS, "dead_letter"):
        template = f"_index_template/lastpass-elastic.{stream}"
        with contextlib.suppress(ClusterError):
            cluster.request("DELETE", template)
            continue
        with contextlib.suppress(ClusterError):
            (found,) = cluster.request("GET", template)["index_templates"]
            found["index_template"]["_meta"]["lastpass_elastic"]["version"] = 0
            cluster.request("PUT", template, found["index_template"])


class Connecting(Terminal):
    """`connect` on a terminal. Types the answer to each prompt."""

    def __init__(self, words, answers, **options):
        super().__init__(words, width=120, **options)
        self.begun, self.answers, self.prompts = time.monotonic(), answers, []

    def type_until(self, last=None):
        """Types the answers up to this prompt, or to the end."""
        seen = 0
        while True:
            self.read(until=rf"(?s)^.{{{seen},}}[^\n]: \Z")
            prompt = next((prompt for prompt in self.answers if prompt in self.text[seen:].rpartition("\n")[2]), None)
            if prompt is None or prompt == last:
                break
            seen = len(self.text)
            self.prompts.append(prompt)
            answer = self.answers[prompt]
            self.press(answer if isinstance(answer, bytes) else f"{answer}\r".encode())

    def finish(self):
        self.type_until()
        self.code = self.end()
        self.seconds = time.monotonic() - self.begun
        return self


@pytest.fixture(scope="module")
def connect(command_line, stack, company, users):
    """Returns a function that runs `connect` with the right answers, unless it is given others."""

    def run(*words, answers=None, user="ann", stack_name=stack.stack_name, start_only=False, **options):
        typed = {NUMBER: company.account_number, HASH: company.provisioning_hash, USER: users[user], PASSWORD_PROMPT: PASSWORD}
        line = [command_line.path, "connect", *words, "--stack", stack_name]
        connecting = Connecting(line, typed | (answers or {}), **options)
        if start_only:
            return connecting
        ran = connecting.finish()
        command_line.printed.append(ran.text)
        return ran

    return run


def keys_of(cluster, stack):
    """Returns the valid API keys that `connect` created for a stack: name -> ID."""
    found = cluster.request("GET", "_security/api_key")["api_keys"]
    ours = f"lastpass-elastic {stack.stack_name} "
    return {key["name"]: key["id"] for key in found if key["name"].startswith(ours) and not key["invalidated"]}


def assert_nothing_remains(cluster, stack):
    assert keys_of(cluster, stack) == {}
    assert stack.secret().count("REPLACE_ME") == 3


def arrived(cluster, stack):
    return {stream: cluster.count(f"logs-lastpass.{stream}-{stack.parameters['Namespace']}") for stream in STREAMS}


def truth(company):
    return dict(zip(STREAMS, (len(company.events()), len(company.users()), len(company.folders())), strict=True))


def test_the_readme_has_few_commands():
    assert len(commands()) <= MOST_COMMANDS, commands()
    assert [command.split()[0] for command in commands()] == ["tar", "cd", "sam", *["./lastpass-elastic"] * 3]
    assert "./lastpass-elastic connect --stack lastpass" in commands()


# Mistakes. After each, the test `a_new_user_…` is the second try.


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({NUMBER: "999"}, "LastPass refused the account number 999 or the provisioning hash"),
        ({HASH: "0" * 32}, "Advanced > Enterprise API"),
        ({NUMBER: "twelve"}, "`account_number` must consist of 1 to 20 digits"),
        ({HASH: ""}, "provisioning_hash is empty: run the command again"),
        ({PASSWORD_PROMPT: "wrong"}, "or the password: try both in Kibana"),
        ({USER: "nobody"}, 'refused the user "nobody"'),
    ],
    ids=["number", "hash", "not-a-number", "no-hash", "password", "user"],
)
def test_a_wrong_answer_is_reported_and_leaves_nothing(cluster, stack, connect, answers, told):
    ran = connect(answers=answers)
    assert ran.code == FAILED or answers == {HASH: ""}
    assert told in ran.text and ran.code != DONE, ran.text
    assert_nothing_remains(cluster, stack)


@pytest.mark.parametrize(("user", "lacks"), [("bob", "manage_index_templates"), ("eve", "manage_own_api_key")])
def test_a_missing_privilege_is_named(cluster, stack, connect, user, lacks):
    ran = connect(user=user)
    assert ran.code == FAILED and lacks in ran.text, ran.text
    assert_nothing_remains(cluster, stack)


def test_a_wrong_stack_is_reported_before_any_prompt(stack, connect):
    ran = connect(stack_name="lastpas")
    assert (ran.code, ran.prompts) == (AWS, []) and "there is no stack lastpas in us-east-1" in ran.text
    ran = connect("--region", "eu-west-1")
    assert (ran.code, ran.prompts) == (AWS, []) and f"no stack {stack.stack_name} in eu-west-1" in ran.text


@contextlib.contextmanager
def standing_in(answer, certificate=None):
    """Starts a stand-in for Elasticsearch and yields its URL. `answer` returns the status and the body for a request."""

    class Handler(BaseHTTPRequestHandler):
        def do_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answered = answer(self.command, self.path.lstrip("/"), self.headers, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answered)))
            self.end_headers()
            self.wfile.write(answered)

        do_GET = do_POST = do_PUT = do_DELETE = do_any

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def setting(stack, **changed):
    """Deploys other settings for a while, as a mistaken parameter would."""
    lambdas, function = client("lambda"), stack.outputs["FunctionName"]
    before = lambdas.get_function_configuration(FunctionName=function)["Environment"]
    lambdas.update_function_configuration(FunctionName=function, Environment={"Variables": before["Variables"] | changed})
    try:
        yield
    finally:
        lambdas.update_function_configuration(FunctionName=function, Environment=before)


def test_an_unreachable_cluster_is_reported_before_the_prompt_for_the_password(cluster, stack, connect):
    with setting(stack, ELASTICSEARCH_URL=NO_ELASTICSEARCH):
        ran = connect()
    assert (ran.code, ran.prompts) == (FAILED, []) and "Elasticsearch at 127.0.0.1:9 could not be reached" in ran.text
    assert "ElasticsearchUrl or ElasticCloudId" in ran.text
    assert_nothing_remains(cluster, stack)


def test_a_cluster_that_is_too_old_is_reported(cluster, stack, connect):
    old = {"cluster_name": "old", "cluster_uuid": "x", "version": {"number": "7.17.29", "build_flavor": "default"}}
    with standing_in(lambda *_: (200, json.dumps(old).encode())) as url, setting(stack, ELASTICSEARCH_URL=url):
        ran = connect()
    assert ran.code == FAILED and "has version 7.17.29, but 8.13 or later is required" in ran.text, ran.text
    assert_nothing_remains(cluster, stack)


def test_a_certificate_that_is_not_trusted_is_reported(cluster, stack, connect, tmp_path):
    certificate = tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", certificate, "-out", tmp_path / "certificate"],
                   check=True, capture_output=True)
    with certificate.open("a") as both:
        both.write((tmp_path / "certificate").read_text())
    with standing_in(lambda *_: (200, b"{}"), certificate) as url, setting(stack, ELASTICSEARCH_URL=url):
        ran = connect()
    assert (ran.code, ran.prompts) == (FAILED, []) and "is not trusted" in ran.text and "ElasticsearchCa" in ran.text, ran.text
    assert_nothing_remains(cluster, stack)


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_a_missing_permission_is_named(cluster, stack, connect, monkeypatch, permission):
    for variable, value in as_user(*(other for other in PERMISSIONS if other != permission)).items():
        monkeypatch.setenv(variable, value)
    ran = connect()
    assert ran.code == AWS and f"the permission {permission} on " in ran.text, ran.text
    # Only a write can show whether writing is allowed.
    assert bool(ran.prompts) == (permission == "secretsmanager:PutSecretValue")
    assert_nothing_remains(cluster, stack)


def test_an_aborted_command_leaves_no_core(cluster, stack, connect, tmp_path):
    """Even where the limit of the shell allows one."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        with killed(connect, tmp_path) as pid:
            limits = Path(f"/proc/{pid}/limits").read_text()
            os.kill(pid, signal.SIGABRT)
            _, status = os.waitpid(pid, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert re.search(r"Max core file size +0 +0 ", limits)
    assert os.WTERMSIG(status) == signal.SIGABRT and not os.WCOREDUMP(status)
    assert list(tmp_path.iterdir()) == []
    assert_nothing_remains(cluster, stack)


@contextlib.contextmanager
def killed(connect, folder):
    """Starts `connect` in a folder, and yields its process ID while it holds the hash and asks for the password."""
    connecting = connect(start_only=True, cwd=folder)
    connecting.type_until(PASSWORD_PROMPT)
    yield connecting.process.pid
    connecting.process.returncode = -signal.SIGABRT
    os.close(connecting.screen)


@pytest.mark.parametrize("prompt", [NUMBER, PASSWORD_PROMPT])
def test_ctrl_c_at_a_prompt_leaves_nothing_and_a_usable_terminal(cluster, stack, connect, prompt):
    ran = connect(answers={prompt: CTRL_C})
    assert ran.code == UNFINISHED and "interrupted: nothing was stored" in ran.text
    assert_nothing_remains(cluster, stack)


def test_without_a_terminal_all_that_is_missing_is_named(stack, command_line):
    on = command_line.on(stack)
    code, error_type, message = on("connect", "--account-number", "12345", "--output", "json").error
    assert (code, error_type) == (USAGE, "Usage.Invalid")
    for name_ in ("PROVISIONING_HASH", "USER", "PASSWORD"):
        assert f"LASTPASS_ELASTIC_{name_}" in message
    assert "LASTPASS_ELASTIC_ACCOUNT_NUMBER" not in message and "--secrets-from-stdin" in message and "--user" in message
    unknown = on("connect", "--secrets-from-stdin", text='{"password": "f00dfeed"}')
    assert unknown.code == USAGE and "elasticsearch_password" in unknown.err and "f00dfeed" not in unknown.err


# The second try.


def test_a_new_user_has_documents_of_all_streams_after_one_command(
    cluster, stack, company, connect, monkeypatch, tmp_path, record_property
):
    """With no more than the documented permissions and privileges. Nobody sees the credentials."""
    for variable, value in as_user(*PERMISSIONS).items():
        monkeypatch.setenv(variable, value)
    for variable in ("HOME", "TMPDIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    with process_list() as seen:
        ran = connect("--kibana", "https://kibana.example.com", cwd=tmp_path)
    assert ran.code == DONE, ran.text
    record_property("prompts", len(ran.prompts))
    record_property("seconds", round(ran.seconds))
    print(f"connect: {len(ran.prompts)} prompts, {ran.seconds:.0f} s")
    assert ran.prompts == [NUMBER, HASH, USER, PASSWORD_PROMPT] and len(ran.prompts) <= MOST_PROMPTS
    assert arrived(cluster, stack) == truth(company)
    for stream, count in truth(company).items():
        assert re.search(rf"{stream} +\S*complete\S* +{count:,}", ran.text), ran.text
    assert "lastpass-elastic content install --kibana https://kibana.example.com" in ran.text
    assert "https://kibana.example.com/app/discover#/" in ran.text and f"-{stack.parameters['Namespace']}" in ran.text
    stored = json.loads(stack.secret())
    assert set(stored) == {"account_number", "provisioning_hash", "elastic_api_key"}
    ((_, key_id),) = keys_of(cluster, stack).items()
    assert base64.b64decode(stored["elastic_api_key"]).decode().split(":")[0] == key_id
    confidential = credentials(stack.secret()) | {"password": PASSWORD}
    assert found_in([ran.text, *seen, *written_below(tmp_path)], confidential) == set()


def test_a_second_run_has_no_prompt_and_changes_nothing(cluster, stack, connect):
    before = stack.secret(), keys_of(cluster, stack), arrived(cluster, stack)
    again = connect()
    assert (again.code, again.prompts) == (DONE, []), again.text
    assert "first run of" not in again.text and "read up to" in again.text
    assert (stack.secret(), keys_of(cluster, stack), arrived(cluster, stack)) == before


def test_what_is_missing_is_completed_and_nothing_else(cluster, stack, connect):
    before = stack.secret(), keys_of(cluster, stack)
    remove_current_templates(cluster)
    ran = connect()
    assert (ran.code, ran.prompts) == (DONE, [USER, PASSWORD_PROMPT]), ran.text
    assert (stack.secret(), keys_of(cluster, stack)) == before


# Rotation.

# New events before a rotation, several pages of them.
NEW_EVENTS, PAGE = 150, 40
# Longer than a rotation with all its checks.
HELD_MS = 20_000


@contextlib.contextmanager
def run_in_progress(cluster, stack, company, kind):
    """Runs the event report with new events. Yields after its first page was written, while its second one is held; then
    waits for its end, and checks that nothing is missing.
    """
    company.limit_pages(PAGE)
    company.add_events([{"instant": rfc3339(END - timedelta(seconds=nth)), "username": f"{kind}@example.com", "action": "Log in"}
                        for nth in range(NEW_EVENTS)])
    before = arrived(cluster, stack)["event_report"]
    company.fail({"command": "reporting", "on": {"nth": 2}, "times": 1, "fault": {"kind": "delay", "milliseconds": HELD_MS}})
    answers = []
    running = threading.Thread(target=lambda: answers.append(stack.invoke({"action": "collect", "stream": "event_report"})))
    running.start()
    deadline = time.monotonic() + HELD_MS / 1_000
    while arrived(cluster, stack)["event_report"] == before and time.monotonic() < deadline:
        time.sleep(0.2)
    yield answers
    assert answers == [], "the run ended before the rotation"
    running.join()
    company.repair()
    (answer,) = answers
    assert (answer["status"], answer["created"]) == ("complete", NEW_EVENTS), answer
    assert arrived(cluster, stack) == truth(company)


def test_the_hash_is_rotated_in_the_middle_of_a_run(cluster, stack, company, connect):
    keys, new = keys_of(cluster, stack), "0123456789abcdef" * 2
    with run_in_progress(cluster, stack, company, "hash"):
        company.accept(new)
        company.provisioning_hash = new
        ran = connect("--rotate-hash")
        assert (ran.code, ran.prompts) == (DONE, [HASH]), ran.text
    assert json.loads(stack.secret())["provisioning_hash"] == new and keys_of(cluster, stack) == keys


def test_the_key_is_rotated_in_the_middle_of_a_run(cluster, stack, company, connect):
    former = keys_of(cluster, stack)
    with run_in_progress(cluster, stack, company, "key"):
        ran = connect("--rotate-key")
        assert (ran.code, ran.prompts) == (DONE, [USER, PASSWORD_PROMPT]), ran.text
        assert "the former API key is invalid" in ran.text
    ((now, _),) = keys_of(cluster, stack).items()
    assert now not in former


def test_a_rotation_that_fails_changes_nothing(cluster, stack, connect):
    before = stack.secret(), keys_of(cluster, stack)
    for words, answers in ((["--rotate-hash"], {HASH: "f" * 32}), (["--rotate-key"], {PASSWORD_PROMPT: "wrong"})):
        ran = connect(*words, answers=answers)
        assert ran.code == FAILED, ran.text
    assert (stack.secret(), keys_of(cluster, stack)) == before


def test_a_key_that_the_function_cannot_use_is_replaced_by_the_former_one(cluster, stack, connect):
    """The new key works from this machine. For the function, a stand-in refuses it, as a traffic filter may."""
    before = stack.secret(), keys_of(cluster, stack)
    refused = {"error": {"type": "security_exception", "reason": "not for you"}, "status": 401}

    def answer(method, path, headers, body):
        if headers.get("Authorization", "").startswith("ApiKey") and stack.secret() != before[0]:
            return 401, json.dumps(refused).encode()
        sent = {name: headers[name] for name in ("Authorization", "Content-Type", "Content-Encoding") if name in headers}
        request = urllib.request.Request(f"{cluster.url}/{path}", body or None, sent, method=method)
        try:
            with LOOPBACK.open(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    with standing_in(answer) as url, setting(stack, ELASTICSEARCH_URL=url):
        ran = connect("--rotate-key")
    assert ran.code == FAILED and "the former one is stored again" in ran.text, ran.text
    assert (stack.secret(), keys_of(cluster, stack)) == before


# For scripts.


def test_a_script_passes_secrets_in_the_environment_or_in_standard_input(cluster, stack, company, users, command_line):
    on, login = command_line.on(stack), {"elasticsearch_user": users["admin"], "elasticsearch_password": PASSWORD}
    former, stored = keys_of(cluster, stack), json.loads(stack.secret())
    by_input = on("connect", "--rotate-key", "--secrets-from-stdin", "--output", "json", text=json.dumps(login))
    assert (by_input.code, by_input.answer["status"]) == (DONE, "connected"), by_input
    assert by_input.answer["check"]["status"] == "ok" and by_input.answer["runs"] == []
    now = keys_of(cluster, stack)
    assert len(now) == 1 and now.keys().isdisjoint(former)
    # Invalidating the key of another user needs another privilege.
    env = {"LASTPASS_ELASTIC_USER": users["ann"], "LASTPASS_ELASTIC_PASSWORD": PASSWORD,
           "LASTPASS_ELASTIC_PROVISIONING_HASH": company.provisioning_hash}
    both = on("connect", "--rotate-key", "--rotate-hash", "--output", "json", env=env)
    assert both.code == DONE and json.loads(stack.secret())["elastic_api_key"] != stored["elastic_api_key"]
    assert "may not invalidate it" in both.err and "delete it in Kibana" in both.err
    assert set(now) < set(keys_of(cluster, stack))


def test_two_keys_from_kibana_take_the_place_of_a_user(cluster, stack, connect, command_line):
    """As serverless projects require. The roles to paste are shown."""
    writer, installer = cluster.create_api_key("writer"), cluster.create_api_key("installer")
    remove_current_templates(cluster)
    for answers, told in (
        ({USER: "", WRITER: installer}, "the writer key lacks"),
        ({USER: "", WRITER: writer, INSTALLER: writer}, "the installer key lacks"),
        ({USER: "", WRITER: base64.b64encode(b"no:key").decode()}, "does not know"),
    ):
        before = stack.secret()
        stack.put_secret(json.dumps(json.loads(before) | {"elastic_api_key": "REPLACE_ME"}))
        ran = connect(answers=answers)
        assert ran.code == FAILED and told in ran.text, ran.text
        stack.put_secret(before)
    stack.put_secret(json.dumps(json.loads(before) | {"elastic_api_key": "REPLACE_ME"}))
    ran = connect(answers={USER: "", WRITER: writer, INSTALLER: installer})
    assert (ran.code, ran.prompts) == (DONE, [USER, WRITER, INSTALLER]), ran.text
    assert all(f'"lastpass-{role}": {{' in ran.text for role in ("writer", "installer"))
    stored = json.loads(stack.secret())
    assert stored["elastic_api_key"] == writer and "elastic_setup_api_key" not in stored
    rotated = connect("--rotate-key", "--api-keys", answers={WRITER: cluster.create_api_key("writer")})
    assert (rotated.code, rotated.prompts) == (DONE, [WRITER]) and "delete it in Kibana" in rotated.text, rotated.text


# Several accounts.


def test_each_of_several_accounts_is_connected(cluster, bootstrap, company, command_line, connect, users, monkeypatch):
    parameters = {"ElasticsearchUrl": cluster.url, "LastPassUrl": company.url, "SecretPrefix": name("day"), "Accounts": "acme,globex",
                  **SCHEDULES_OFF}
    namespaces = {account: name(account).replace("-", "_") for account in ("acme", "globex")}
    with Deployment.create(name("several"), parameters, bootstrap) as stack:
        on = command_line.on(stack)
        assert "--account NAME" in on("connect").err and "one account at a time" in on("connect", "--all-accounts").err
        # The secret of globex has its namespace, and that of acme is missing.
        stack.put_account_secret("globex", {"namespace": namespaces["globex"]})
        with monkeypatch.context() as limited:
            for variable, value in as_user(*PERMISSIONS).items():
                limited.setenv(variable, value)
            ran = connect("--account", "acme", stack_name=stack.stack_name)
        assert ran.code == AWS and "secretsmanager:CreateSecret" in ran.text and keys_of(cluster, stack) == {}, ran.text

        stack.account_secrets.append(f"{parameters['SecretPrefix']}/acme")
        ran = connect("--account", "acme", stack_name=stack.stack_name)
        assert (ran.code, len(ran.prompts)) == (DONE, 4) and "account acme" in ran.text, ran.text
        (key,) = keys_of(cluster, stack)
        assert key.startswith(f"lastpass-elastic {stack.stack_name} acme ")
        shared = secret_of(stack, "acme")["elastic_api_key"]
        values = {"account_number": company.account_number, "provisioning_hash": company.provisioning_hash,
                  "elastic_api_key": shared, "elastic_setup_api_key": cluster.create_api_key("installer")}
        ran = on("connect", "--account", "globex", "--secrets-from-stdin", "--output", "json", text=json.dumps(values))
        assert (ran.code, ran.answer["account"], len(ran.answer["runs"])) == (DONE, "globex", 3), ran
        assert secret_of(stack, "globex") == {key: values[key] for key in list(values)[:3]} | {"namespace": namespaces["globex"]}
        assert cluster.count(f"logs-lastpass.event_report-{namespaces['globex']}") == truth(company)["event_report"]

        # A key that another account uses stays valid.
        ran = connect("--account", "acme", "--rotate-key", stack_name=stack.stack_name)
        assert ran.code == DONE and "these accounts use it too: globex" in ran.text, ran.text
        assert key in keys_of(cluster, stack)


def secret_of(stack, account):
    name_ = f"{stack.parameters['SecretPrefix']}/{account}"
    return json.loads(client("secretsmanager").get_secret_value(SecretId=name_)["SecretString"])
