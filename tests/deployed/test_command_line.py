"""The command line for a new user: on deployed stacks, and with each prerequisite missing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
import tools
from command_lines import AWS, CTRL_C, DONE, FAILED, PATIENCE_SECONDS, UNFINISHED, USAGE, CommandLine, Terminal, as_user
from company import Company, Size, rfc3339
from conftest import missing
from deployment import ROOT, Deployment, client, credentials
from stacks import QUIET, name

# More users than LastPass's largest response, 2,000.
SIZE = Size(events=1_500, days=4, twins=0.15, users=2_050, folders=6, users_of_a_folder=3)
SEED = 11
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
# A backfill of everything: from the midnight before the first event to the last full hour.
EVERYTHING = ["--from", f"{SIZE.days + 1}d", "--to", rfc3339(END)]
COMMANDS = ["connect", "setup", "check", "status", "backfill", "reset", "redrive", "invoke", "local", "local collect", "content", "content install", "completions"]
# The longest time of a command that gets no response. The rest is for a busy machine.
NO_ANSWER_SECONDS = 40
# The fields that differ between two snapshots of the same users.
SNAPSHOT = ("@timestamp", "ingested")


@contextlib.contextmanager
def answering(status, body, kind="text/xml"):
    """Starts a stand-in for AWS that sends the same response to every request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
    finally:
        server.shutdown()
        server.server_close()


class Cable:
    """A connection to the emulator that can be cut."""

    def __init__(self):
        self.whole = True
        self.cut_off = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.listener.getsockname()[1]}"}
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        emulator = urlsplit(os.environ["AWS_ENDPOINT_URL"])
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection((emulator.hostname, emulator.port))
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self.carry, args=ends, daemon=True).start()

    def carry(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if not self.whole:
                    self.cut_off += 1
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def command_line(command_line_path):
    return CommandLine(command_line_path)


@pytest.fixture(scope="module")
def company(simulator):
    with Company.start(simulator, SIZE, SEED, END) as company:
        yield company


@pytest.fixture(scope="module")
def secret(company, cluster):
    return credentials(company, cluster) | {"elastic_setup_api_key": cluster.create_api_key("installer")}


@pytest.fixture(scope="module", autouse=True)
def unanswered(command_line, secret_file):
    """Starts two commands that get no response before all tests, because they take longest. Yields each with its
    duration.
    """

    def timed(*words, **env):
        begun = time.monotonic()
        return command_line.run(*words, env=env), time.monotonic() - begun

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield {
            "AWS": pool.submit(timed, "status", "--output", "json", AWS_ENDPOINT_URL=nobody),
            "LastPass": pool.submit(timed, "local", "collect", "user", "--secret-file", secret_file, LASTPASS_URL="http://127.0.0.1:9"),
        }


@pytest.fixture(scope="module")
def empty(command_line, bootstrap, cluster, company):
    """Yields a stack as `sam deploy` leaves it, with an empty secret."""
    parameters = QUIET | {"ElasticsearchUrl": cluster.url, "LastPassUrl": company.url, "Namespace": name("cli").replace("-", "_")}
    with Deployment.create(name("cli"), parameters, bootstrap) as stack:
        yield stack
        stack.said += command_line.printed


@pytest.fixture(scope="module")
def stack(empty, secret, command_line):
    """The stack after its secret was filled in and `setup` has run."""
    before = command_line.on(empty)("setup", "--output", "json")
    empty.put_secret(secret)
    after = command_line.on(empty)("setup", "--output", "json")
    assert before.error[:2] == (FAILED, "Secret.Invalid") and "REPLACE_ME" in before.error[2], before
    assert (after.code, after.answer.get("status"), after.err) == (DONE, "complete", ""), after
    return empty


@pytest.fixture(scope="module")
def several(command_line, bootstrap, cluster, company, secret):
    """Yields a stack of two accounts. The secret of the second one is missing."""
    parameters = QUIET | {"ElasticsearchUrl": cluster.url, "LastPassUrl": company.url, "SecretPrefix": name("cli"),
                          "Accounts": "acme,globex"}
    with Deployment.create(name("several"), parameters, bootstrap) as stack:
        stack.put_account_secret("acme", secret | {"namespace": name("acme").replace("-", "_")})
        yield stack
        stack.said += command_line.printed


@pytest.fixture(scope="module")
def secret_file(tmp_path_factory, company):
    file = tmp_path_factory.mktemp("cli") / "secret.json"
    file.write_text(json.dumps({"account_number": company.account_number, "provisioning_hash": company.provisioning_hash}))
    return str(file)


def documents(cluster, stream, namespace):
    return cluster.documents(f"logs-lastpass.{stream}-{namespace}")


def alike(documents, apart=()):
    """Returns documents in a comparable form, without the time of reading and the fields in `apart`."""
    texts = []
    for document in documents:
        del document["event"]["created"]
        for field in apart:
            document.pop(field, None)
            document["event"].pop(field, None)
        texts.append(json.dumps(document, sort_keys=True))
    return sorted(texts)


# Without a stack.


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_its_help(command_line, command):
    ran = command_line.run(*command.split(), "--help")
    assert (ran.code, ran.err) == (DONE, "") and f"Usage: lastpass-elastic {command}".strip() in ran.out
    assert all(len(line) <= 100 for line in ran.out.splitlines())


def test_help_and_docs_know_the_same_commands_options_and_exit_codes(command_line):
    page = (ROOT / "docs" / "command-line.md").read_text()
    overview = command_line.run("--help").out
    listed = re.findall(r"^  ([a-z]+) ", overview.split("Commands:")[1].split("Options:")[0], re.MULTILINE)
    assert listed == [*dict.fromkeys(command.split()[0] for command in COMMANDS), "help"]
    helps = " ".join(command_line.run(*command.split(), "--help").out for command in COMMANDS)
    assert set(re.findall(r"--[a-z-]{3,}", helps)) - {"--help", "--version"} == \
        set(re.findall(r"--[a-z-]{3,}", page.split("| command | does |")[1]))
    assert all(re.search(rf"^\| `{command} ?[^`]*` \|", page, re.MULTILINE) for command in COMMANDS if command != "local")
    codes = re.findall(r"^\| (\d) \| (.*) \|$", page, re.MULTILINE)
    assert re.findall(r"^  (\d)  (.*)$", overview, re.MULTILINE) == [(code, text.replace("`", "")) for code, text in codes]


def test_its_version_is_that_of_the_package(command_line):
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    assert command_line.run("--version").out == f"lastpass-elastic {version}\n"


COMPLETED = pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("", {"connect", "setup", "check", "status", "backfill", "reset", "redrive", "invoke", "local", "completions"}),
        ("reset ", {"event_report", "user", "detailed_shared_folder"}),
        ("local collect --", {"--secret-file", "--dry-run", "--from"}),
        ("backfill --f", {"--from", "--follow"}),
        ("connect --ro", {"--rotate-hash", "--rotate-key"}),
        ("status --output ", {"table", "json"}),
    ],
)


@pytest.fixture(scope="module")
def completions(command_line, tmp_path_factory):
    """Returns a function that writes the completion script of a shell into a folder of its own."""

    def write(shell, file):
        path = tmp_path_factory.mktemp(shell) / file
        path.write_text(command_line.run("completions", shell).out)
        return path

    return write


@COMPLETED
def test_bash_completes_it(completions, line, offered):
    asked = f"""
        source {completions("bash", "completions")}
        read -r _ _ function _ <<< "$(complete -p lastpass-elastic | grep -o -- '-F .*' | sed 's/^/x /')"
        IFS=' ' read -ra COMP_WORDS <<< "lastpass-elastic {line}"
        [[ "{line}" =~ (^| )$ ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        "$function" lastpass-elastic "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    words = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert offered <= set(words)


def installed(name):
    """Returns the path of a shell and its environment."""
    found = tools.shell(name)
    if not found:
        missing(f"there is no {name}: `python3 scripts/tools.py shells`")
    return found[0], os.environ | found[1]


@COMPLETED
def test_fish_completes_it(completions, tmp_path, line, offered):
    fish, env = installed("fish")
    # Where fish is not installed below /usr, it needs the folder of its functions.
    functions = f"set fish_function_path {tools.SHELLS}/root/usr/share/fish/functions $fish_function_path"
    asked = f"{functions}; source {completions('fish', 'lastpass-elastic.fish')}; complete --do-complete 'lastpass-elastic {line}'"
    words = subprocess.run([fish, "--no-config", "--command", asked], capture_output=True, text=True, check=True,
                           env=env | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}).stdout
    assert offered <= {candidate.split("\t")[0] for candidate in words.splitlines()}


@COMPLETED
def test_zsh_completes_it(completions, tmp_path, line, offered):
    """With Tab on a terminal, because zsh completes nowhere else."""
    zsh, env = installed("zsh")
    script = completions("zsh", "_lastpass-elastic")
    setup = f"fpath=({script.parent} $fpath); autoload -U compinit; compinit -u -D; LISTMAX=1000; PS1='ready> '\r"
    terminal = Terminal([zsh, "-o", "no_global_rcs", "-i"], width=160, env={"ZDOTDIR": str(tmp_path)} | env | {"TERM": "dumb"})
    try:
        terminal.press(setup.encode())
        terminal.read(until=r"\rready> ")
        terminal.press(f"lastpass-elastic {line}\t\t".encode())
        for word in offered:
            terminal.read(until=rf"(?s)ready> .*\n.*(?<![\w-]){word}(?![\w-])")
    finally:
        terminal.process.kill()
        terminal.end()


@pytest.mark.parametrize("shell", ["bash", "elvish", "fish", "powershell", "zsh"])
def test_every_shell_has_completions(command_line, shell):
    ran = command_line.run("completions", shell)
    assert ran.code == DONE and "secret-file" in ran.out and "all-accounts" in ran.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["backfill", "--from", "2025-13-01"], '--from: "2025-13-01" is not a time: write a date (2025-01-01'),
        (["backfill", "--from", "90"], "an age (90d"),
        (["backfill", "--from", "yesterdayish"], "today or yesterday"),
        (["backfill", "--from", "-3d"], '"-3d" is not a time'),
        (["backfill", "--from", "3d", "--to", "2025-01-01T08:00:00"], "--to: \"2025-01-01T08:00:00\" has no time zone: write 2025-01-01T08:00:00Z"),
        (["backfill", "--from", "3d", "--to", "5d"], "is not before --to"),
        (["backfill", "--from", "2999-01-01", "--to", "2999-02-01"], "is in the future: the current time is"),
        (["reset", "user", "--to", "soon"], "--to: \"soon\" is not a time"),
        (["invoke", "{\"action\":"], "the payload is not valid JSON"),
        (["invoke", "no/such/file.json"], "neither JSON nor the path of a readable file (No such file"),
        (["local", "collect", "user", "--secret-file", "no/such/file.json"], "pass --secret-file with a file that holds the JSON"),
        (["local", "collect", "user", "--secret-file", "-", "--from", "3d"], "omit --from and --to"),
    ],
)
def test_wrong_usage_is_reported_before_any_request(command_line, words, told):
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    code, error_type, message = command_line.run(*words, "--output", "json", env=nobody).error
    assert (code, error_type) == (USAGE, "Usage.Invalid") and told in message
    people = command_line.run(*words, env=nobody)
    assert (people.code, people.out, people.err) == (USAGE, "", f"error: {message}\n") or "the current time is" in message


@pytest.mark.parametrize("words", [[], ["backfil"], ["backfill"], ["reset", "vault", "--to", "3d"], ["status", "--all"]])
def test_a_wrong_command_line_gets_its_usage(command_line, words):
    ran = command_line.run(*words)
    assert (ran.code, ran.out) == (USAGE, "") and "Usage:" in ran.err or "possible values: event_report" in ran.err


# Missing prerequisites for a stack.


def test_an_unknown_stack_is_reported_with_the_existing_ones(command_line, stack):
    code, error_type, message = command_line.run("status", "--stack", "lastpas", "--output", "json").error
    assert (code, error_type) == (AWS, "Stack.Missing")
    assert "no stack lastpas in us-east-1 of AWS account 000000000000: set its name with --stack" in message
    assert stack.stack_name in message.split("existing stacks: ")[1]
    # The default, and the override in the environment.
    assert "no stack lastpass in" in command_line.run("status").err
    assert command_line.run("status", env={"LASTPASS_ELASTIC_STACK": stack.stack_name}).code == DONE


def test_another_region_is_named(command_line, stack):
    ran = command_line.on(stack)("status", "--region", "eu-west-1")
    assert ran.code == AWS and f"no stack {stack.stack_name} in eu-west-1" in ran.err and "--region" in ran.err
    nowhere = command_line.on(stack)("status", "--output", "json", without=("AWS_REGION", "AWS_DEFAULT_REGION"))
    assert nowhere.error[:2] == (AWS, "Aws.NoRegion") and "--region eu-west-1" in nowhere.error[2]


def test_a_stack_of_another_product_is_refused(command_line):
    cloudformation, other = client("cloudformation"), name("other")
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
    cloudformation.create_stack(StackName=other, TemplateBody=json.dumps(template))
    try:
        code, error_type, message = command_line.run("check", "--stack", other, "--output", "json").error
    finally:
        cloudformation.delete_stack(StackName=other)
    assert (code, error_type) == (AWS, "Stack.NotOurs") and "no output FunctionName" in message and "--stack" in message


def refusal(code, message):
    return f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"


IN_CREATION = """<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>lastpass</StackName>
<CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>CREATE_IN_PROGRESS</StackStatus></member></Stacks>
</DescribeStacksResult></DescribeStacksResponse>"""


@pytest.mark.parametrize(
    ("status", "body", "error_type", "told"),
    [
        (200, IN_CREATION, "Stack.NotReady", "is CREATE_IN_PROGRESS"),
        (403, refusal("ExpiredToken", "The security token is expired"), "Aws.Expired", "log in again (`aws sso login`"),
        (403, refusal("SignatureDoesNotMatch", "…"), "Aws.WrongCredentials", "`aws sts get-caller-identity`"),
        (400, refusal("Throttling", "Rate exceeded"), "Aws.Throttled", "try again in a minute"),
        (200, "<html>Log in to the hotel's network</html>", "Aws.Unreachable", "proxy"),
        (407, "Proxy Authentication Required", "Aws.Unreachable", "proxy"),
    ],
)
def test_an_error_of_aws_is_reported_with_its_remedy(command_line, status, body, error_type, told):
    with answering(status, body) as env:
        ran = command_line.run("status", "--output", "json", env=env)
    assert ran.error[:2] == (AWS, error_type) and told in ran.error[2]


NO_LOGIN = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def test_without_credentials_the_error_says_how_to_log_in(command_line, stack):
    code, error_type, message = command_line.on(stack)("status", "--output", "json", without=NO_LOGIN).error
    assert (code, error_type) == (AWS, "Aws.NoCredentials")
    assert all(way in message for way in ("`aws login`", "`aws sso login`", "`aws configure`", "--profile"))


def test_the_metadata_service_is_not_waited_for(command_line, stack):
    """Only machines of AWS have that service. On a laptop, its address does not respond."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        env = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        begun = time.monotonic()
        ran = command_line.on(stack)("status", env=env, without=(*NO_LOGIN, "AWS_EC2_METADATA_DISABLED"))
    assert ran.code == AWS and "there are no AWS credentials" in ran.err
    assert time.monotonic() - begun < NO_ANSWER_SECONDS / 2


def test_an_unknown_access_key_is_reported(command_line, stack):
    wrong = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wrong"}
    ran = command_line.on(stack)("status", env=wrong)
    assert ran.code == AWS and ran.err.startswith("error: AWS refuses the credentials: ")


def test_a_missing_permission_is_named_with_its_resource(command_line, stack):
    on = command_line.on(stack)
    nothing, looks = as_user(), as_user("cloudformation:DescribeStacks")
    machine = stack.outputs["BackfillStateMachineArn"]
    for env, words, action, resource in [
        (nothing, ["status"], "cloudformation:DescribeStacks", stack.stack_name),
        (looks, ["status"], "lambda:InvokeFunction", stack.outputs["FunctionName"]),
        (looks, ["backfill", *EVERYTHING], "states:ListExecutions", machine),
        (as_user("cloudformation:*", "states:ListExecutions"), ["backfill", *EVERYTHING], "states:StartExecution", machine),
    ]:
        code, error_type, message = on(*words, "--output", "json", env=env).error
        assert (code, error_type) == (AWS, "Aws.Forbidden")
        assert message.startswith(f"the permission {action} on {resource} is missing: have it added")


def test_a_profile_takes_precedence_over_the_environment(command_line, stack, tmp_path):
    on, user, config = command_line.on(stack), as_user(), tmp_path / "config"
    config.write_text("[profile nobody]\n" + "".join(f"{name.lower()} = {value}\n" for name, value in user.items()))
    env = {"AWS_CONFIG_FILE": str(config)}
    assert on("status", env=env).code == DONE
    assert on("status", "--profile", "nobody", "--output", "json", env=env).error[:2] == (AWS, "Aws.Forbidden")
    code, error_type, message = on("status", "--profile", "nobdy", "--output", "json", env=env).error
    assert (code, error_type) == (AWS, "Aws.NoCredentials") and "nobdy" in message and "--profile" in message


def test_no_network(command_line):
    code, error_type, message = command_line.run(
        "check", "--output", "json", env={"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    ).error
    assert (code, error_type) == (AWS, "Aws.Unreachable")
    assert message.startswith("cloudformation in us-east-1 cannot be reached: check that the network, a proxy (HTTPS_PROXY)")


# With a stack.


def test_check_and_status_are_tables_for_people_and_json_for_scripts(command_line, stack):
    on = command_line.on(stack)
    check, table = on("check", "--output", "json"), on("check")
    assert (check.code, check.answer["status"], check.err) == (DONE, "ok", "")
    assert all(re.search(rf"^ {entry['name']} +ok +\S", table.out, re.MULTILINE) for entry in check.answer["checks"])
    assert "read up to" in table.out
    status, table = on("status", "--output", "json"), on("status")
    assert (status.code, set(status.answer["streams"])) == (DONE, {"event_report", "user", "detailed_shared_folder"})
    assert table.code == DONE and "read up to" in table.out and "pending dead letters: 0" in table.out


def test_an_error_of_the_function_is_printed_unchanged(command_line, stack):
    on = command_line.on(stack)
    for words, told in [
        (["invoke", '{"action": "colect"}'], 'unknown action "colect"'),
        (["setup", "--retention", "a year"], '`retention` is "a year"'),
        (["reset", "event_report", "--to", "2999-01-01"], "is in the future"),
    ]:
        code, error_type, message = on(*words, "--output", "json").error
        assert (code, error_type) == (USAGE, "Request.Invalid") and told in message
        assert on(*words).err == f"error: Request.Invalid: {message}\n"


def test_a_failed_check_has_exit_code_1_and_a_next_step(command_line, stack, company):
    company.accept("another")
    try:
        ran = command_line.on(stack)("check")
    finally:
        company.accept(company.provisioning_hash)
    assert ran.code == FAILED and re.search(r"lastpass_event_report +failed +LastPass refused the account number", ran.out)
    assert re.search(rf"next: .*lastpass-elastic connect --rotate-hash --stack {stack.stack_name}\n", ran.out)


def test_a_payload_comes_from_the_line_a_file_or_standard_input(command_line, stack, cluster, company):
    on = command_line.on(stack)
    users = on("invoke", '{"action": "collect", "stream": "user"}', "--output", "json")
    assert (users.code, users.answer["created"]) == (DONE, SIZE.users)
    assert on("invoke", str(ROOT / "events" / "status.json"), "--output", "json").answer["action"] == "status"
    resumed = on("invoke", "-", "--output", "json", text='{"action": "resume"}')
    assert resumed.answer == {"action": "resume", "status": "complete", "resumed": []}


def test_reset_and_redrive(command_line, stack):
    on = command_line.on(stack)
    reset = on("reset", "event_report", "--to", "1d", "--output", "json")
    assert (reset.code, reset.answer["after"]) == (DONE, rfc3339(midnight(1)))
    assert re.search(rf"after +{midnight(1):%Y-%m-%d} 00:00\n[\s\S]*times are UTC", on("reset", "event_report", "--to", "1d").out)
    redrive = on("redrive", "event_report", "--output", "json")
    assert (redrive.code, redrive.answer["status"], redrive.answer["fetched"]) == (DONE, "complete", 0)


def midnight(days_ago):
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)


@pytest.fixture
def slow(company):
    """Makes LastPass slow, so that a backfill can be seen while it is running."""
    company.fail({"command": "reporting", "on": {"every": 1}, "fault": {"kind": "delay", "milliseconds": 2_500}})
    yield
    company.repair()


def test_a_backfill_is_started_followed_left_and_followed_again(command_line, stack, cluster, company, slow):
    """Without a terminal, on a terminal, while AWS is unavailable, and to its end."""
    on, backfill = command_line.on(stack), ["backfill", *EVERYTHING]
    started = on(*backfill, "--output", "json")
    assert (started.code, started.answer["status"]) == (DONE, "running")
    execution = started.answer["execution"]
    again = on(*backfill, env={"TZ": "Asia/Tokyo"})
    assert f"the backfill is already running: {execution}" in again.err and again.out == ""
    assert f"{midnight(SIZE.days + 1):%Y-%m-%d} 00:00 to {END:%Y-%m-%d %H:%M} (UTC, end exclusive)" in again.err
    assert f"{midnight(SIZE.days + 1):%Y-%m-%d} 09:00:00 +09:00 to" in again.err

    terminal = Terminal([command_line.path, *backfill, "--follow", "--stack", stack.stack_name], width=100)
    assert re.search(r"░{20}   0 %", terminal.read(until="  0 %"))
    terminal.press(CTRL_C)
    assert terminal.end() == UNFINISHED and "the backfill continues on AWS" in terminal.text
    assert client("stepfunctions").describe_execution(executionArn=execution)["status"] == "RUNNING"

    cable = Cable()
    following = command_line.start(*backfill, "--follow", "--output", "json", "--stack", stack.stack_name, env=os.environ | cable.env)
    assert " 0 %  " in following.stderr.readline()
    cable.whole = False
    # The SDK itself makes three attempts.
    wait_for(lambda: cable.cut_off >= 4)
    cable.whole = True
    company.repair()
    ended = command_line.end(following)
    held = len(company.events())
    assert (ended.code, ended.answer["status"], ended.answer["failed"]) == (DONE, "complete", [])
    assert ended.answer["created"] == held == cluster.count(f"logs-lastpass.event_report-{stack.parameters['Namespace']}")
    assert re.search(rf"complete +{held:,} +1 of 1", on("status").out)
    once_more = on(*backfill, "--follow")
    assert once_more.code == DONE and re.search(r"^ complete +1 +0 +0", once_more.out, re.MULTILINE)


def test_the_option_alert_is_passed_on(command_line, stack):
    started = command_line.on(stack)("backfill", "--from", "4d", "--to", "3d", "--alert", "--output", "json")
    execution = client("stepfunctions").describe_execution(executionArn=started.answer["execution"])
    assert json.loads(execution["input"]) == {"from": rfc3339(midnight(4)), "to": rfc3339(midnight(3)), "alert": True}


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_backfill_that_somebody_stops(command_line, stack, slow):
    words = ["backfill", "--from", "2d", "--to", "1d", "--output", "json", "--stack", stack.stack_name]
    execution = command_line.run(*words).answer["execution"]
    following = command_line.start(*words, "--follow")
    assert " 0 %  " in following.stderr.readline()
    client("stepfunctions").stop_execution(executionArn=execution)
    code, error_type, message = command_line.end(following).error
    assert (code, error_type) == (FAILED, "Backfill.Stopped") and "is ABORTED: run the same command again to read the missing events" in message


def test_a_slice_that_fails_is_named(command_line, stack, company):
    refusal = {"kind": "fail", "key": "errors", "value": "Not for you"}
    company.fail({"command": "reporting", "on": {"nth": 2}, "fault": refusal})
    ran = command_line.on(stack)("backfill", "--from", "3d", "--to", "2d", "--follow")
    company.repair()
    assert ran.code == FAILED and re.search(r"^ incomplete +1 ", ran.out, re.MULTILINE)
    assert re.search(rf"{midnight(3):%Y-%m-%d} 00:00 +{midnight(2):%Y-%m-%d} 00:00 +LastPass\.Refused", ran.out)
    assert "run the same command again: it reads only the missing slices" in ran.err
    # A range that cannot be split is an error.
    company.accept("another")
    refused = command_line.on(stack)("backfill", "--from", "4d", "--to", "2d", "--follow", "--output", "json")
    company.accept(company.provisioning_hash)
    assert refused.error[:2] == (FAILED, "LastPass.Unauthorized") and "run the same command again to continue" in refused.error[2]


def test_several_accounts_have_to_be_named(command_line, stack, several):
    on = command_line.on(several)
    code, error_type, message = on("check", "--output", "json").error
    assert (code, error_type) == (USAGE, "Usage.Invalid") and "--account NAME or --all-accounts; it reads acme, globex" in message
    assert "omit --account and --all-accounts" in command_line.on(stack)("check", "--account", "acme").err


def test_one_account_that_fails_does_not_keep_the_others(command_line, several, stack):
    on = command_line.on(several)
    one = on("check", "--account", "acme", "--output", "json")
    assert (one.code, one.answer["account"], one.answer["status"]) == (DONE, "acme", "ok")
    both = on("redrive", "user", "--all-accounts", "--output", "json")
    acme, globex = both.answer
    assert (both.code, acme["status"], globex["account"]) == (FAILED, "complete", "globex")
    assert globex["error"]["type"] == "Secret.Unreachable" and "/globex" in globex["error"]["message"]
    tables = on("redrive", "user", "--all-accounts").out
    assert re.search(r"account acme\n action +redrive[\s\S]*account globex\nerror: Secret\.Unreachable: ", tables)


def test_a_backfill_of_several_accounts(command_line, several, stack):
    ran = command_line.on(several)("backfill", "--from", "1d", "--to", rfc3339(END), "--all-accounts", "--follow", "--output", "json")
    acme, globex = ran.answer
    assert (ran.code, acme["account"], acme["status"]) == (FAILED, "acme", "complete") and acme["created"] > 0
    assert (globex["account"], globex["error"]["type"]) == ("globex", "Secret.Unreachable")
    status = command_line.on(several)("status")
    assert status.code == DONE and re.search(rf"account acme[\s\S]*complete +{acme['created']:,} +1 of 1", status.out)


# Local commands.


@pytest.fixture(scope="module")
def local(command_line, company, stack, secret_file):
    """Returns a function that runs `local collect` with the settings of the stack."""
    env = {"LASTPASS_URL": company.url, "NAMESPACE": stack.parameters["Namespace"]}
    without = ("AWS_ENDPOINT_URL", "AWS_REGION", *NO_LOGIN)
    return lambda stream, *words, file=secret_file, env=env, **options: command_line.run(
        "local", "collect", stream, "--secret-file", file, *words, env=env, without=without, **options
    )


def test_a_dry_run_prints_the_documents_that_the_function_sends(local, stack, cluster):
    """Needs the documents of the backfill and of the user snapshot above."""
    namespace = stack.parameters["Namespace"]
    events = local("event_report", *EVERYTHING, "--dry-run")
    printed = [json.loads(line) for line in events.out.splitlines()]
    assert events.code == DONE and alike(printed) == alike(documents(cluster, "event_report", namespace))
    assert "(UTC, end exclusive)" in events.err
    users = local("user", "--dry-run")
    printed = [json.loads(line) for line in users.out.splitlines()]
    assert len(printed) == SIZE.users
    # A snapshot has its own time, and a live run adds the time of sending.
    assert alike(printed, SNAPSHOT) == alike(documents(cluster, "user", namespace), SNAPSHOT)


def test_the_documents_are_summarized(local, company):
    answer = local("event_report", *EVERYTHING, "--output", "json").answer
    events = company.events()
    assert (answer["documents"], answer["with_error"], sum(answer["actions"].values())) == (len(events), 0, len(events))
    assert answer["first"] == rfc3339(events[0].instant) and answer["last"] == rfc3339(events[-1].instant)
    folders = local("detailed_shared_folder")
    assert folders.code == DONE and re.search(rf"^ documents +{len(company.folders())}$", folders.out, re.MULTILINE)
    assert re.search(r"data_stream +logs-lastpass\.detailed_shared_folder-", folders.out)


@pytest.mark.parametrize(
    ("document", "code", "error_type", "told"),
    [
        ('{"account_number": "12345", "provisioning_hash": "wrong"}', FAILED, "LastPass.Unauthorized", "Advanced > Enterprise API"),
        ('{"account_number": "REPLACE_ME", "provisioning_hash": "REPLACE_ME"}', USAGE, "Secret.Invalid", "still has the value REPLACE_ME"),
        ('{"account_number": "12345"}', USAGE, "Secret.Invalid", "`provisioning_hash` is missing"),
        ("account 12345", USAGE, "Secret.Invalid", "the secret in standard input is invalid"),
    ],
)
def test_a_secret_that_cannot_be_used(local, document, code, error_type, told):
    ran = local("user", "--output", "json", file="-", text=document)
    assert ran.error[:2] == (code, error_type) and told in ran.error[2]


def test_a_wrong_setting(local):
    ran = local("user", env={"LASTPASS_TIME_ZONE": "Mars"})
    assert ran.code == USAGE and ran.err.startswith("error: Config.Invalid: ") and "LASTPASS_TIME_ZONE" in ran.err


def test_lastpass_out_of_reach(unanswered):
    ran, seconds = unanswered["LastPass"].result()
    assert ran.code == FAILED and ran.err.startswith("error: LastPass.Unreachable: LastPass at ")
    assert " gave no usable response within " in ran.err
    assert seconds < NO_ANSWER_SECONDS


# Output.


def test_a_closed_pipe_is_not_an_error(command_line, stack, company, secret_file):
    env = os.environ | {"LASTPASS_URL": company.url}
    for words in [
        ["local", "collect", "event_report", *EVERYTHING, "--secret-file", secret_file, "--dry-run"],
        ["completions", "bash"],
        ["status", "--stack", stack.stack_name],
        ["status", "--stack", "no-such-stack", "--output", "json"],
    ]:
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "w") as gone:
            ran = subprocess.run([command_line.path, *words], stdout=gone, stderr=subprocess.PIPE, text=True, env=env)
        assert ran.returncode == (AWS if "no-such-stack" in words else DONE) and "panicked" not in ran.stderr, words


def test_a_full_disk_is_an_error(command_line):
    with open("/dev/full", "w") as full:
        ran = subprocess.run([command_line.path, "completions", "bash"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == FAILED and ran.stderr.startswith("error: the output cannot be written: No space left")


def test_a_terminal_gets_colours_unless_they_are_switched_off(command_line, stack):
    terminal = Terminal([command_line.path, "check", "--stack", stack.stack_name], width=160, env=os.environ | {"TERM": "xterm"})
    assert terminal.end() == DONE and "\x1b[32mok\x1b[0m" in terminal.text
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CLICOLOR": "0"}):
        terminal = Terminal([command_line.path, "status", "--stack", stack.stack_name], width=160, env=os.environ | env)
        assert terminal.end() == DONE and "\x1b" not in terminal.text and "read up to" in terminal.text


def test_the_status_is_repeated_until_ctrl_c(command_line, stack):
    line = [command_line.path, "status", "--watch", "--stack", stack.stack_name]
    terminal = Terminal(line, width=160, env=os.environ | {"TERM": "xterm"})
    terminal.read(until=r"(?s)\x1b\[2J.*read up to.*Ctrl-C to quit.*\x1b\[2J.*read up to.*Ctrl-C to quit")
    terminal.press(CTRL_C)
    assert terminal.end() == DONE
    # For a script, one line of JSON each time.
    watching = command_line.start(*line[1:], "--output", "json")
    assert json.loads(watching.stdout.readline())["action"] == "status"
    watching.send_signal(signal.SIGINT)
    assert command_line.end(watching).code == DONE


def test_a_narrow_terminal_gets_narrow_tables(command_line, stack):
    terminal = Terminal([command_line.path, "check", "--stack", stack.stack_name], width=60, env=os.environ | {"NO_COLOR": "1"})
    assert terminal.end() == DONE
    assert all(len(line) <= 60 for line in terminal.text.splitlines())
    assert max(len(line) for line in command_line.on(stack)("check").out.splitlines()) > 60


def test_aws_that_does_not_respond_times_out(unanswered):
    ran, seconds = unanswered["AWS"].result()
    assert ran.error[:2] == (AWS, "Aws.Unreachable") and "network" in ran.error[2]
    assert seconds < NO_ANSWER_SECONDS
