"""Starts and stops the local stack: a real Elasticsearch node and an AWS emulator, both on loopback.

    python3 scripts/stack.py run -- COMMAND ...    start, run the command in its environment, and always stop
    python3 scripts/stack.py up                    start and leave running; then: . .run/env
    python3 scripts/stack.py down                  stop it and remove its data

Free ports are chosen at the start, so any number of stacks can run at once: give each `up` its own `--run-dir`; each
`run` creates its own. Missing tools are installed first (see tools.py).

A stack is a folder: `stack.json` (processes and environment), `env` (the environment for a shell), and the log and data
of each service. Only the processes in `stack.json` are ever stopped, and only while they are still the same.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import ctypes
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tools

ROOT = tools.ROOT
RUNS = ROOT / ".run"

# Measured on two busy cores: Elasticsearch 6 to 14 s, the emulator 1 to 3 s. The rest is for slower machines.
START_SECONDS = 120
# Time for a service or a command to end by itself before it is killed. The emulator needs 2 s.
STOP_SECONDS = 10
# Most attempts to start if the port was taken between its choice and the start.
PORT_ATTEMPTS = 4

SIGNALS_THAT_END_A_RUN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REGION = "us-east-1"

# The index modes, and the settings for each in the component template `logs@custom`, as a user would write them. On a
# real cluster the licence decides whether logsdb may omit `_source`; the local node has no such check.
INDEX_MODES = {
    "standard": {},
    "logsdb": {"index.mode": "logsdb", "index.mapping.source.mode": "stored"},
    "logsdb-synthetic": {"index.mode": "logsdb", "index.mapping.source.mode": "synthetic"},
    "synthetic": {"index.mapping.source.mode": "synthetic"},
}

# Without a proxy: these services are on this machine, whatever proxies the environment sets.
LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class StackFailed(Exception):
    """The stack could not be started, stopped or found. The text is for the user."""


class Ended(Exception):
    """A signal requested the end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def say(text: str) -> None:
    print(f"==> {text}", file=sys.stderr, flush=True)


# --- processes -----------------------------------------------------------------------------------------------------


@dataclass
class Service:
    """A process that we started. `started` distinguishes it from a later process with the same ID."""

    name: str
    pid: int
    started: str
    log: Path
    process: subprocess.Popen | None = field(default=None, compare=False)

    def is_running(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            return False
        return birth_of(self.pid) == self.started

    def stop(self) -> None:
        """Stops the process, by force if it does not stop by itself, and all processes that it has started."""
        if self.is_running():
            os.kill(self.pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while self.is_running() and time.monotonic() < deadline:
                time.sleep(0.05)
        if self.is_running():
            say(f"{self.name} does not end; killing it")
        # Each service leads its own group, and the ID of a group is not reused while it has a member.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def last_lines(self, count: int = 30) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"    {line}" for line in lines[-count:]) or "    (its log is empty)"


def birth_of(pid: int) -> str | None:
    """Returns the start time of a running process as the kernel counts it. None if it is not running."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name is in parentheses and may contain any character. The fields after it have fixed positions.
    state, *rest = text.rpartition(")")[2].split()
    return None if state == "Z" else rest[18]


def end_with_parent() -> None:
    """Makes the kernel end this process when its parent dies, even by kill -9."""
    set_parent_death_signal = 1
    ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, signal.SIGTERM)


def start_service(stack: Stack, name: str, command: list[object], environment: dict[str, str]) -> Service:
    """Starts a process in its own session, so that Ctrl-C does not reach it before we stop it."""
    log = stack.folder / name / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command], env=environment, cwd=stack.folder / name, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=end_with_parent if stack.ends_with_us else None,
        )
    service = Service(name, process.pid, birth_of(process.pid) or "", log, process)
    stack.services.append(service)
    stack.save()
    return service


def wait_until(service: Service, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if not service.is_running():
            raise StackFailed(f"{service.name} ended while it started; the end of its log:\n{service.last_lines()}")
        if time.monotonic() > deadline:
            raise StackFailed(
                f"{service.name} was not ready after {START_SECONDS} s; the end of its log:\n{service.last_lines()}"
            )
        time.sleep(0.1)
    if not service.is_running():
        raise StackFailed(f"{service.name} ended right after its start; the end of its log:\n{service.last_lines()}")


def send(method: str, url: str, body: object, **headers: str) -> None:
    """Sends JSON and expects success."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers},
                                     method=method)
    try:
        LOOPBACK.open(request, timeout=30).close()
    except urllib.error.HTTPError as refusal:
        raise StackFailed(f"{method} {url} returned {refusal.code}: {refusal.read().decode()}") from refusal


def answers(url: str, **headers: str) -> bool:
    """Returns whether the response to a GET has status 200."""
    try:
        with LOOPBACK.open(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


# --- the stack on disk ---------------------------------------------------------------------------------------------


@dataclass
class Stack:
    """One running stack and its folder.

    `ends_with_us`: it belongs to this process and must not outlive it. `launcher`: the ID and start time of that
    process.
    """

    folder: Path
    ends_with_us: bool = False
    launcher: tuple[int, str] | None = None
    services: list[Service] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "stack.json"

    def save(self) -> None:
        """Writes the description of the stack. This follows each start of a service, so that `down` can clean up after an
        interrupted start.
        """
        processes = [{"name": s.name, "pid": s.pid, "started": s.started, "log": str(s.log)} for s in self.services]
        if self.ends_with_us:
            self.launcher = (os.getpid(), birth_of(os.getpid()) or "")
        content = {"launcher": self.launcher, "processes": processes, "environment": self.environment}
        write_private(self.file, json.dumps(content, indent=2) + "\n")
        write_private(self.folder / "env", shell_lines(self.environment))

    @classmethod
    def load(cls, folder: Path) -> Stack:
        stack = cls(folder)
        try:
            content = json.loads(stack.file.read_text())
        except FileNotFoundError:
            raise StackFailed(f"there is no stack in {folder}; start one with `scripts/stack.py up`") from None
        stack.environment = content["environment"]
        stack.launcher = content["launcher"] and tuple(content["launcher"])
        stack.services = [Service(s["name"], s["pid"], s["started"], Path(s["log"])) for s in content["processes"]]
        return stack

    def stop(self) -> None:
        """Stops all services, the last started first, and removes their data and the stack's description."""
        for service in reversed(self.services):
            say(f"stopping {service.name}")
            service.stop()
        for name in ("elasticsearch", "aws"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.file.unlink(missing_ok=True)
        (self.folder / "env").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the folder may contain files of the user
            self.folder.rmdir()


def write_private(path: Path, text: str) -> None:
    """Replaces a file by one that only this user may read, because it contains a password."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)


def shell_lines(environment: dict[str, str]) -> str:
    """Returns the environment as shell code. Settings that could lead to a real AWS account are unset."""
    foreign = sorted(name for name in os.environ if name.startswith("AWS_") and name not in environment)
    lines = [f"unset {name}" for name in foreign]
    for name, value in environment.items():
        # The user's own PATH follows ours.
        text = f'{shlex.quote(str(tools.VENV / "bin"))}:"$PATH"' if name == "PATH" else shlex.quote(value)
        lines.append(f"export {name}={text}")
    return "\n".join(lines) + "\n"


def for_commands(stack: Stack) -> dict[str, str]:
    """Returns the environment of a command: the caller's without its AWS settings, plus the stack's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**own, **stack.environment}


# --- Elasticsearch -------------------------------------------------------------------------------------------------


def start_elasticsearch(stack: Stack, version: str, index_mode: str) -> None:
    home = tools.TOOLS / f"es{version}"
    java = str(tools.JAVA_21) if version == "9" else tools.java_program() or "java"
    work = stack.folder / "elasticsearch"
    for part in ("data", "logs", "tmp"):
        (work / part).mkdir(parents=True)
    password = secrets.token_urlsafe(24)
    port_file = work / "port"

    say(f"starting Elasticsearch {(home / 'version').read_text()}")
    native = []
    if tools.java_version(java) >= tools.FIRST_JAVA_WITH_NATIVE_ZSTD:
        # Only libzstd is available. The library of vector functions is not published, and if it were configured but
        # missing, the node would use neither.
        native = ["--enable-native-access=ALL-UNNAMED", f"-Des.nativelibs.path={home / 'native'}",
                  "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false"]
    def node_command(work: object) -> list[str]:
        return [
            java, "-Xms256m", "-Xmx1g", "-XX:+UseSerialGC", "-XX:-UsePerfData", f"-Djava.io.tmpdir={work}/tmp",
            # The index of users and keys is then created on first use. Otherwise it is created some time after the
            # start, and every call fails with 503 meanwhile.
            "-Des.queryable_built_in_roles_enabled=false",
            *native, "-cp", f"{home / 'server'}/*:{home / 'launcher'}", "lastpass.local.LocalNode",
            str(home / "home"), str(work), f"{work}/port",
        ]

    command = node_command(work)
    environment = {**machine_environment(), "LOCAL_ELASTICSEARCH_PASSWORD": password}
    service = start_service(stack, "elasticsearch", command, environment)
    wait_until(service, port_file.exists)
    url = f"http://127.0.0.1:{port_file.read_text()}"
    token = base64.b64encode(f"elastic:{password}".encode()).decode()
    # A started node is not usable yet: users and the licence become available a moment later.
    for path in ("_security/_authenticate", "_license"):
        wait_until(service, lambda: answers(f"{url}/{path}", Authorization=f"Basic {token}"))
    settings = INDEX_MODES[index_mode]
    if settings:
        say(f"new data streams of logs get {json.dumps(settings)}")
        send("PUT", f"{url}/_component_template/logs@custom", {"template": {"settings": settings}},
             Authorization=f"Basic {token}")
    stack.environment |= {
        "LOCAL_ELASTICSEARCH_INDEX_MODE": index_mode,
        "LOCAL_ELASTICSEARCH_URL": url,
        "LOCAL_ELASTICSEARCH_USER": "elastic",
        "LOCAL_ELASTICSEARCH_PASSWORD": password,
        "LOCAL_ELASTICSEARCH_VERSION": (home / "version").read_text(),
        # For a test with its own node: {work} is replaced by the data folder, and the file `port` in it will contain
        # the port.
        "LOCAL_ELASTICSEARCH_NODE": json.dumps(node_command("{work}")),
    }
    stack.save()


# --- AWS -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Reserves a free port.

    The socket is bound but does not listen. With SO_REUSEADDR on both sides, Linux allows the emulator to bind it too,
    but does not assign it automatically to anyone else.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def start_aws(stack: Stack, with_iam: bool) -> None:
    for attempt in range(1, PORT_ATTEMPTS + 1):
        with reserved_port() as port:
            try:
                start_aws_on(stack, port, with_iam)
                return
            except StackFailed:
                failed = stack.services.pop()
                failed.stop()
                if attempt == PORT_ATTEMPTS or "in use" not in failed.log.read_text(errors="replace"):
                    raise
                say(f"port {port} was taken by someone else; trying another")


def start_aws_on(stack: Stack, port: int, with_iam: bool) -> None:
    work = stack.folder / "aws"
    shutil.rmtree(work, ignore_errors=True)
    for part in ("home", "s3", "state", "tmp"):
        (work / part).mkdir(parents=True)
    url = f"http://127.0.0.1:{port}"
    clients = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        # Without these, an SDK would search for the credentials of a real account.
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    # A function inherits the emulator's whole environment, so it contains nothing else. The function also takes its
    # AWS_ENDPOINT_URL from here; without it, it would call the real AWS.
    environment = {
        **machine_environment(),
        **clients,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "HOME": str(work / "home"),
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "1",
        "LOG_LEVEL": "INFO",
        "MINISTACK_REGION": REGION,
        "PYTHONUNBUFFERED": "1",
        "S3_DATA_DIR": str(work / "s3"),
        # State machines wait from 30 s to an hour after temporary failures; here 0.6 s to 72 s.
        "SFN_WAIT_SCALE": "0.02",
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(work / "state"),
        "TMPDIR": str(work / "tmp"),
    }
    if with_iam:
        environment["AUTH"] = "true"

    say(f"starting the AWS emulator{' with IAM' if with_iam else ''}")
    service = start_service(stack, "aws", [tools.PYTHON, ROOT / "testing" / "aws" / "local_aws.py"], environment)
    wait_until(service, lambda: answers(f"{url}/_ministack/health"))
    stack.environment |= clients | {"AWS_PAGER": "", "SAM_CLI_TELEMETRY": "0"}
    stack.save()


def machine_environment() -> dict[str, str]:
    """Returns the few settings of the caller that a service needs to run."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}


# --- commands ------------------------------------------------------------------------------------------------------


def start(stack: Stack, options: argparse.Namespace) -> None:
    """Installs what is missing and starts the services. If one fails, those already started remain in `stack`."""
    steps = ["python"]
    if "elasticsearch" not in options.without:
        steps.append(f"es{options.es}")
    try:
        tools.install(steps)
    except tools.InstallFailed as problem:
        raise StackFailed(str(problem)) from problem

    stack.folder.mkdir(parents=True, exist_ok=True)
    stack.environment["PATH"] = f"{tools.VENV / 'bin'}:{os.environ.get('PATH', os.defpath)}"
    # With this library, a test gives a function its own clock.
    packages = tools.VENV.glob("lib/python*/site-packages/libfaketime")
    stack.environment |= {"LOCAL_FAKETIME": str(file) for path in packages for file in path.rglob("libfaketime.so.1")}
    started = time.monotonic()
    if "elasticsearch" not in options.without:
        start_elasticsearch(stack, options.es, options.index_mode)
    if "aws" not in options.without:
        start_aws(stack, options.iam)
    say(f"the local stack is ready after {time.monotonic() - started:.1f} s")


def command_up(options: argparse.Namespace) -> int:
    folder = options.run_dir or RUNS
    if (folder / "stack.json").exists():
        old = Stack.load(folder)
        if any(service.is_running() for service in old.services):
            raise StackFailed(f"a stack is already running in {folder}; stop it with `scripts/stack.py down`, or give"
                              " this one another folder with --run-dir")
        say("removing what is left of an earlier stack")
        old.stop()
    stack = Stack(folder)
    try:
        start(stack, options)
    except BaseException:
        stack.stop()
        raise
    print(f"To use it in this shell:  . {shlex.quote(str(folder / 'env'))}")
    return 0


def command_down(options: argparse.Namespace) -> int:
    Stack.load(options.run_dir or RUNS).stop()
    return 0


def command_run(options: argparse.Namespace) -> int:
    """Runs a command with its own stack and returns its exit code."""
    if options.run_dir and (options.run_dir / "stack.json").exists():
        raise StackFailed(f"{options.run_dir} already belongs to a stack; give this run another --run-dir")
    RUNS.mkdir(exist_ok=True)
    clear_killed_runs()
    folder = options.run_dir or Path(tempfile.mkdtemp(prefix="run-", dir=RUNS))
    stack = Stack(folder, ends_with_us=True)
    code = 1
    try:
        start(stack, options)
        code = run_command(options.command, for_commands(stack))
    finally:
        # A second Ctrl-C must not leave processes behind.
        for number in SIGNALS_THAT_END_A_RUN:
            signal.signal(number, signal.SIG_IGN)
        if code != 0:
            keep_logs(stack)
        stack.stop()
    return code


def clear_killed_runs() -> None:
    """Removes the stacks of earlier runs whose launcher was killed."""
    for file in RUNS.glob("run-*/stack.json"):
        with contextlib.suppress(StackFailed, ValueError):  # its owner is removing or writing it
            stack = Stack.load(file.parent)
            if stack.launcher and birth_of(stack.launcher[0]) != stack.launcher[1]:
                say(f"removing the rest of a killed run: {file.parent}")
                stack.stop()


def run_command(command: list[str], environment: dict[str, str]) -> int:
    """Runs the command in its own group, so that everything that it has started ends with it."""
    # A background group that reads from a terminal would be stopped forever.
    keyboard = subprocess.DEVNULL if sys.stdin.isatty() else None
    try:
        process = subprocess.Popen(command, env=environment, stdin=keyboard, process_group=0, preexec_fn=end_with_parent)
    except OSError as fault:
        raise StackFailed(f"`{command[0]}` cannot be run: {fault.strerror}") from fault
    try:
        code = process.wait()
        return code if code >= 0 else 128 - code
    except Ended as ended:
        say(f"{ended}: ending the command")
        end_group(process, ended.number)
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def end_group(process: subprocess.Popen, number: int) -> None:
    """Passes the signal on to all processes of the command, and waits for the command."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    with contextlib.suppress(subprocess.TimeoutExpired, Ended):
        process.wait(STOP_SECONDS)


def keep_logs(stack: Stack) -> None:
    """Keeps the logs after a failure. Everything else is removed with the stack."""
    kept = RUNS / "last-failure"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for service in stack.services:
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(service.log, kept / f"{service.name}.log")
    say(f"the services' logs are kept in {kept}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Starts and stops the local stack.")
    commands = parser.add_subparsers(dest="name", required=True)

    def add(name: str, text: str, action: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(action=action)
        command.add_argument("--run-dir", type=lambda text: Path(text).resolve(),
                             help="folder of this stack (default: .run, and for `run` a new one inside it)")
        return command

    starting = (
        add("up", "start the stack and leave it running", command_up),
        add("run", "start a stack, run a command in its environment, stop it", command_run),
    )
    add("down", "stop the stack and remove its data", command_down)
    for command in starting:
        command.add_argument("--es", choices=("8", "9"), default="8", help="major version of Elasticsearch (default: 8)")
        command.add_argument("--index-mode", choices=INDEX_MODES, default="standard",
                             help="index mode of the log indices (default: standard)")
        command.add_argument("--iam", action="store_true", help="make the AWS emulator check permissions")
        command.add_argument("--without", choices=("aws", "elasticsearch"), action="append", default=[],
                             help="leave out a service")
    starting[1].add_argument("command", nargs="+", metavar="COMMAND", help="the command to run, after `--`")
    return parser.parse_args()


def main() -> int:
    options = parse_arguments()

    def end(number: int, _frame: object) -> None:
        raise Ended(number)

    for number in SIGNALS_THAT_END_A_RUN:
        signal.signal(number, end)
    try:
        return options.action(options)
    except StackFailed as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except Ended as ended:
        return 128 + ended.number


if __name__ == "__main__":
    sys.exit(main())
