"""Runs the command line in pipes and on terminals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from dataclasses import dataclass

from deployment import client
from stacks import name

# The exit codes.
DONE, FAILED, USAGE, UNFINISHED, AWS = range(5)
PATIENCE_SECONDS = 60
CTRL_C = b"\x03"


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def answer(self):
        return json.loads(self.out)

    @property
    def error(self) -> tuple[int, str, str]:
        error = self.answer["error"]
        return self.code, error["type"], error["message"]


class CommandLine:
    """The built command line. Keeps its output, to search it for credentials."""

    def __init__(self, path):
        # Absolute, because some commands start in another folder.
        self.path = path.resolve()
        self.printed: list[str] = []

    def start(self, *words, **options) -> subprocess.Popen:
        return subprocess.Popen([self.path, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def end(self, process, text=None) -> Ran:
        try:
            out, err = process.communicate(text, timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
        self.printed += [out, err]
        return Ran(process.returncode, out, err)

    def run(self, *words, text="", env=None, without=()) -> Ran:
        """Runs the command line as in a pipe, which has no width."""
        without = {*without, "COLUMNS"}
        env = {name: value for name, value in os.environ.items() if name not in without} | (env or {})
        return self.end(self.start(*words, env=env, stdin=subprocess.PIPE), text)

    def on(self, stack):
        """Returns a function that runs commands on a stack."""
        return lambda *words, **options: self.run(*words, "--stack", stack.stack_name, **options)


class Terminal:
    """A command on a terminal of a given width."""

    def __init__(self, words, width, **options):
        self.screen, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        self.process = subprocess.Popen(words, stdin=inside, stdout=inside, stderr=inside, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **options)
        os.close(inside)
        self.text = ""
        # The number of prompts that were answered.
        self.prompts = 0

    def read(self, until=None) -> str:
        """Returns the output up to a text, or to its end."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while until is None or not re.search(until, self.text):
            assert time.monotonic() < deadline, self.text
            if select.select([self.screen], [], [], 1)[0]:
                try:
                    self.text += os.read(self.screen, 65_536).decode(errors="replace")
                except OSError:  # On Linux: the command has ended.
                    break
        return self.text

    def answer(self, prompt, text) -> None:
        """Waits for a prompt that begins with this text, and types a line."""
        self.read(until=rf"{re.escape(prompt)}[^\n]*: $")
        self.prompts += 1
        self.press(text.encode() + b"\r")

    def press(self, keys) -> None:
        os.write(self.screen, keys)

    def end(self) -> int:
        try:
            self.read()
            return self.process.wait(PATIENCE_SECONDS)
        finally:
            self.process.kill()
            os.close(self.screen)


def as_user(*actions):
    """Creates a user with only these permissions, on all resources. Returns the environment of its login."""
    iam, user = client("iam"), name("cli")
    iam.create_user(UserName=user)
    if actions:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=user, PolicyName="cli", PolicyDocument=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
