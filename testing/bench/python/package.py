"""Builds the Lambda package of the Python function: its two modules and the libraries that Lambda's image lacks.

python testing/bench/python/package.py VENV ZIP
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = ("lambda_function.py", "mapping.py")
# Lambda's image contains boto3 with its dependencies and the runtime client. The other libraries come from the virtual
# environment.
NOT_PACKED = ("awslambdaric", "boto3", "botocore", "dateutil", "jmespath", "pip", "python_dateutil", "runtime_client",
              "s3transfer", "setuptools", "simplejson", "six", "snapshot_restore_py", "pkg_resources", "_distutils_hack",
              "distutils")


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    packages = next(Path(sys.argv[1]).glob("lib/python3*/site-packages"))
    archive = Path(sys.argv[2])
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for module in MODULES:
            file.write(HERE / module, module)
        for path in sorted(packages.rglob("*")):
            name = path.relative_to(packages)
            if path.is_file() and "__pycache__" not in name.parts and not name.parts[0].startswith(NOT_PACKED):
                file.write(path, name)
    print(f"{archive}: {archive.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
