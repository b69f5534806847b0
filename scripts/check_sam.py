"""Checks that the SAM CLI can build the function: `python3 scripts/check_sam.py`."""

import re
import subprocess
import sys

# The first version that builds Rust without `--beta-features`. https://github.com/aws/aws-sam-cli/pull/8526
MINIMUM = (1, 156)


def main() -> int:
    needed = ".".join(map(str, MINIMUM))
    how = "https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/install-sam-cli.html"
    try:
        said = subprocess.run(["sam", "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        print(f"the SAM CLI is not installed: {needed} or later is needed, see {how}", file=sys.stderr)
        return 1
    found = re.search(r"\b(\d+)\.(\d+)\.\d+", said)
    if not found:
        print(f"`sam --version` does not report its version: {needed} or later of the SAM CLI is needed, see {how}", file=sys.stderr)
        return 1
    if (int(found[1]), int(found[2])) < MINIMUM:
        print(f"the SAM CLI is {found[0]}: {needed} or later is needed, because earlier ones build Rust only with"
              f" --beta-features. Update it, see {how}", file=sys.stderr)
        return 1
    print(f"the SAM CLI {found[0]} can build the function")
    return 0


if __name__ == "__main__":
    sys.exit(main())
