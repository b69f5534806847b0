"""Compiles the dashboards in `dashboards/` into the file that Kibana imports.

    python scripts/dashboards.py    writes dashboards/compiled/lastpass-dashboards.ndjson

A dashboard is one YAML file in the format of the compiler `kb-dashboard-cli`, which needs Python 3.12 (`make content`
installs it). The digest of the sources is written beside the result, so that a test can tell whether it is out of date.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "dashboards"
COMPILED = SOURCES / "compiled" / "lastpass-dashboards.ndjson"
DIGEST = SOURCES / "compiled" / "sources.sha256"
# What the result depends on besides the dashboards.
INPUTS = (SOURCES / "lint.yaml", ROOT / "scripts" / "requirements-content.txt", Path(__file__))

# The compiler fills these with fixed values that mean nothing. Kibana rejects `version` when it overwrites an object.
# Source: https://github.com/elastic/kibana/issues/75596
MEANINGLESS = ("created_at", "created_by", "updated_at", "updated_by", "version")

# The data view of the filters above each dashboard. The panels are ES|QL queries and need none.
DATA_VIEW = {
    "id": "lastpass-elastic",
    "type": "index-pattern",
    "attributes": {"title": "logs-lastpass.*", "name": "LastPass", "timeFieldName": "@timestamp", "allowNoIndex": True},
    "references": [],
    # The oldest form that Kibana 8 and 9 migrate by themselves.
    "coreMigrationVersion": "8.8.0",
    "typeMigrationVersion": "8.0.0",
    "managed": False,
}


def sources() -> list[Path]:
    """Returns the dashboards, each in a file of its own."""
    return sorted(file for file in SOURCES.glob("*.yaml") if file.name != "lint.yaml")


def digest() -> str:
    """Returns a digest of everything that the result depends on."""
    total = hashlib.sha256()
    for file in (*sources(), *INPUTS):
        total.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()


def is_current() -> bool:
    return DIGEST.is_file() and COMPILED.is_file() and DIGEST.read_text().split() == [digest(), content_digest()]


def content_digest() -> str:
    return hashlib.sha256(COMPILED.read_bytes()).hexdigest()


def compiler(name: str) -> str:
    """Returns a program of the compiler, which is installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def lint() -> None:
    """Ends with the linter's report if it finds a warning."""
    for file in sources():
        subprocess.run([compiler("kb-dashboard-lint"), "check", "--input-file", file, "--config", SOURCES / "lint.yaml",
                        "--severity-threshold", "warning"], check=True)


def compile_all() -> list[dict]:
    """Returns the data view and the dashboards as saved objects."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = []
        for file in sources():
            subprocess.run([compiler("kb-dashboard-cli"), "compile", "--input-file", file, "--output-dir", folder,
                            "--output-file", f"{file.stem}.ndjson"], check=True, stdout=subprocess.DEVNULL)
            lines = (Path(folder) / f"{file.stem}.ndjson").read_text().splitlines()
            compiled += [json.loads(line) for line in lines]
    for dashboard in compiled:
        for field in MEANINGLESS:
            dashboard.pop(field, None)
    return [DATA_VIEW, *compiled]


def main() -> int:
    try:
        lint()
        objects = compile_all()
    except subprocess.CalledProcessError as failed:
        print(f"`{Path(failed.cmd[0]).name} {failed.cmd[1]}` failed; its report is above", file=sys.stderr)
        return 1
    COMPILED.parent.mkdir(exist_ok=True)
    COMPILED.write_text("".join(json.dumps(saved, ensure_ascii=False, sort_keys=True) + "\n" for saved in objects))
    DIGEST.write_text(f"{digest()}\n{content_digest()}\n")
    print(f"==> {COMPILED.relative_to(ROOT)}: {len(objects) - 1} dashboards and their data view")
    return 0


if __name__ == "__main__":
    sys.exit(main())
