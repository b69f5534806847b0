"""Puts an Elasticsearch node together from the jars that Maven copied.

    python assemble.py --version 8 --jars DIR --java JAVA --into DIR

The result:

    server/      class path of the server, run as one unnamed module
    home/        `path.home` of the node: its modules, each with its jars and its descriptor
    launcher/    our compiled launcher (java/lastpass/local/LocalNode.java)
    native/      libzstd for Java 21 and later, under the name Elasticsearch looks for

Everything in `--into` is written anew. Called by scripts/tools.py, which decides whether it is needed.
"""

from __future__ import annotations

import argparse
import ctypes
import fnmatch
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Parts of the launcher; every other class of ours belongs to the module of stand-ins. A class may not be in both,
# because Elasticsearch refuses to start when one class can be loaded from two places.
LAUNCHER_CLASSES = ("LocalNode", "InstalledModules")
STAND_INS = "local-stand-ins"

# Java bytecode of our classes: the oldest Java that runs the version.
BYTECODE = {"8": "17", "9": "21"}

SERVER_JARS = (
    "elasticsearch-*", "lucene-*", "log4j-api-*", "log4j-core-*", "log4j2-ecs-*", "ecs-logging-*", "hppc-*",
    "HdrHistogram-*", "joni-*", "jcodings-*", "jopt-simple-*", "lz4-java-*",
)
NETWORK_JARS = ("netty-*", "transport-netty4-*", "elasticsearch-ssl-config-*")
# x-pack-core has its own copy of the network jars: the secured transport is one of its classes.
MODULE_JARS = {
    "transport-netty4": NETWORK_JARS,
    "x-pack-core": (
        *NETWORK_JARS, "x-pack-core-*", "x-pack-template-resources-*", "httpclient-4*", "httpclient5-*", "httpcore*",
        "httpasyncclient-*", "icu4j-*", "commons-*", "log4j-1.2-api-*", "log4j-slf4j2-*", "slf4j-api-*", "unboundid-*",
    ),
}
# ES|QL and KQL, which are published completely for Elasticsearch 8 only. A module sees the classes of the modules that
# its descriptor names, so none of their jars may be repeated in it.
LANGUAGE_JARS = {
    "x-pack-esql-core": ("x-pack-esql-core-*", "x-pack-mapper-version-*"),
    "x-pack-kql": ("x-pack-kql-*", "antlr4-*"),
    "x-pack-esql": (
        "x-pack-esql-[0-9]*", "x-pack-esql-compute-*", "arrow-*", "flatbuffers-*", "jackson-*", "elasticsearch-h3-*",
    ),
}
# Machine learning and Painless, which x-pack-esql extends, are not published. It needs the classes of x-pack-kql instead.
EXTENDED_BY_ESQL = ("x-pack-esql-core,lang-painless,x-pack-ml", "x-pack-esql-core,x-pack-kql")
# What is left belongs to x-pack-security, which sees the classes of x-pack-core too.
REST_MODULE = "x-pack-security"
# Doubles of classes in other jars, which stop the start, and annotations that nothing needs at run time.
LEFT_OUT = (
    "jcip-annotations-1.0-1.jar", "jakarta.activation-1.2.1.jar", "listenablefuture-*", "checker-qual-*",
    "error_prone_annotations-*", "j2objc-annotations-*", "ecj-*", "slf4j-nop-*",
)


def matches(jar: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(jar.name, pattern) for pattern in patterns)


def modules_of(jars: list[Path]) -> dict[str, tuple[str, ...]]:
    """Returns the modules that have jars of their own, with the patterns of those."""
    has_languages = any(jar.name.startswith("x-pack-esql-") for jar in jars)
    return {**MODULE_JARS, **(LANGUAGE_JARS if has_languages else {})}


def place_jars(jars: list[Path], into: Path) -> None:
    """Copies each jar to where it belongs; one may belong to two modules, but never to a module and the server."""
    modules = modules_of(jars)
    server = into / "server"
    server.mkdir()
    for part in ("config", "plugins", "lib", *(f"modules/{name}" for name in (*modules, REST_MODULE, STAND_INS))):
        (into / "home" / part).mkdir(parents=True)
    for jar in jars:
        owners = [name for name, patterns in modules.items() if matches(jar, patterns)]
        if not owners and matches(jar, SERVER_JARS):
            shutil.copy2(jar, server)
            continue
        if not owners and not matches(jar, LEFT_OUT):
            owners = [REST_MODULE]
        for name in owners:
            shutil.copy2(jar, into / "home" / "modules" / name)


def write_descriptors(jars: list[Path], into: Path) -> str:
    """Takes each module's descriptor out of its jar and returns the Elasticsearch version they are for.

    The line `modulename` is dropped: the server runs on the class path, where there are no Java modules.
    """
    version = ""
    for name in (*modules_of(jars), REST_MODULE):
        jar = next(jar for jar in jars if fnmatch.fnmatch(jar.name, f"{name}-[0-9]*.jar"))
        inside = f"META-INF/es-plugins/{name}/plugin-descriptor.properties"
        with zipfile.ZipFile(jar) as archive:
            lines = archive.read(inside).decode().splitlines()
        kept = [line.replace(*EXTENDED_BY_ESQL) for line in lines if line and not line.startswith(("#", "modulename"))]
        version = next(line.split("=", 1)[1] for line in kept if line.startswith("elasticsearch.version"))
        (into / "home" / "modules" / name / "plugin-descriptor.properties").write_text("\n".join(kept) + "\n")
    return version


def compile_ours(major: str, es_version: str, java: str, jars: list[Path], into: Path) -> None:
    """Compiles launcher and stand-ins and puts the stand-ins into a module of their own."""
    compiler = next(jar for jar in jars if jar.name.startswith("ecj-"))
    sources = sorted((HERE / "java").rglob("*.java")) + sorted((HERE / major / "java").rglob("*.java"))
    classes = into / "classes"
    class_path = ":".join(str(jar) for jar in sorted((into / "server").glob("*.jar")))
    command = [java, "-jar", str(compiler), "-nowarn", "-proc:none", "-source", BYTECODE[major], "-target", BYTECODE[major],
               "-cp", class_path, "-d", str(classes), *map(str, sources)]
    subprocess.run(command, check=True)

    module = into / "home" / "modules" / STAND_INS
    with zipfile.ZipFile(module / f"{STAND_INS}.jar", "w", zipfile.ZIP_DEFLATED) as jar:
        for file in sorted(classes.rglob("*.class")):
            inside = file.relative_to(classes)
            if file.stem.split("$")[0] in LAUNCHER_CLASSES:
                target = into / "launcher" / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)
            else:
                jar.write(file, inside)
    shutil.rmtree(classes)
    (module / "plugin-descriptor.properties").write_text(
        "description=Stand-ins for parts that are not published as libraries\n"
        f"version=1\nname={STAND_INS}\nclassname=lastpass.local.NodeModule\n"
        f"java.version={BYTECODE[major]}\nelasticsearch.version={es_version}\n"
    )


def copy_zstd(into: Path) -> None:
    """Copies the machine's libzstd, if it has one.

    On Java 21 and later Elasticsearch calls it for `best_compression` and for logsdb indices, and a shard fails
    without it. On Java 17 it has a Java implementation and asks for nothing.
    """
    native = into / "native"
    native.mkdir()
    try:
        ctypes.CDLL("libzstd.so.1")
    except OSError:
        print("    libzstd.so.1 is not on this machine: only Java 17 can run this node")
        return
    # The loader knows where the library is, and the map of our own memory says what it found.
    mapped = Path("/proc/self/maps").read_text().split()
    library = next(word for word in mapped if "/libzstd.so" in word)
    shutil.copy(library, native / "libzstd.so")


def main() -> int:
    parser = argparse.ArgumentParser(description="Puts an Elasticsearch node together from the jars that Maven copied.")
    parser.add_argument("--version", choices=sorted(BYTECODE), required=True)
    parser.add_argument("--jars", type=Path, required=True)
    parser.add_argument("--java", required=True)
    parser.add_argument("--into", type=Path, required=True)
    options = parser.parse_args()

    jars = sorted(options.jars.glob("*.jar"))
    if not jars:
        print(f"there are no jars in {options.jars}", file=sys.stderr)
        return 1
    if options.into.exists():
        shutil.rmtree(options.into)
    options.into.mkdir(parents=True)
    place_jars(jars, options.into)
    es_version = write_descriptors(jars, options.into)
    compile_ours(options.version, es_version, options.java, jars, options.into)
    copy_zstd(options.into)
    (options.into / "version").write_text(es_version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
