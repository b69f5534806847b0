"""The commands of the README that take a new user from a release to documents."""

import re

from deployment import ROOT


def commands() -> list[str]:
    """Returns the commands from the unpacking of the release to the look at the result."""
    readme = (ROOT / "README.md").read_text()
    sections = readme.split("\n## Deploy\n")[1].split("\n## What else it does\n")[0]
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", sections, re.MULTILINE | re.DOTALL)
    return [" ".join(command.split()) for block in blocks for command in re.sub(r"\\\n", " ", block).splitlines()]


def line() -> list[str]:
    """Returns the command that deploys."""
    (found,) = (command for command in commands() if command.startswith("sam deploy "))
    return found.split()


def deployed(stack_name: str, *parameters: str) -> list[str]:
    """Returns the command of the README with another stack and other parameters."""
    words = line()
    words[words.index("--stack-name") + 1] = stack_name
    return [*words[: words.index("--parameter-overrides") + 1], *parameters]
