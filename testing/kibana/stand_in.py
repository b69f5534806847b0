"""A stand-in for Kibana that checks the requests of `content install` against Kibana's API description.

    with Kibana.start() as kibana:
        kibana.url, kibana.spaces, kibana.rules, kibana.requests

It keeps saved objects and detection rules in memory, by space. Kibana itself is not available in tests, so this proves only
that our requests have the described form and that our program understands the described responses. `api.schema.json` has the
forms, with their sources.
"""

from __future__ import annotations

import contextlib
import email.parser
import email.policy
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import jsonschema

SCHEMAS = json.loads(Path(__file__).with_name("api.schema.json").read_text())
KEY = "VGVzdDpub3QtYS1zZWNyZXQ="
# The values of fields that a request omits, and the fields that Kibana adds.
DEFAULTS = {"filters": [], "risk_score_mapping": [], "severity_mapping": [], "related_integrations": [], "required_fields": [],
            "setup": "", "immutable": False, "rule_source": {"type": "internal"}, "revision": 0, "created_by": "someone"}


def fault_in(name: str, value: object) -> str | None:
    """Returns why a value does not have the form `name` of the API description; `None` if it does."""
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMAS["$defs"]})
    fault = next(validator.iter_errors(value), None)
    return None if fault is None else f"[request body.{'.'.join(map(str, fault.absolute_path))}]: {fault.message[:200]}"


@dataclass
class Kibana:
    """A running stand-in. Tests change its fields to change its answers."""

    version: str = "8.19.5"
    url: str = ""
    spaces: set[str] = field(default_factory=lambda: {"default", "soc"})
    # Kibana feature privileges of the API key.
    privileges: set[str] = field(default_factory=lambda: {"dashboard", "indexPatterns", "siem"})
    has_security: bool = True
    # If set, the answer to every request: status, headers, body.
    instead: tuple[int, dict, str] | None = None
    # Rules that the import refuses, with the reason.
    refused_rules: dict[str, str] = field(default_factory=dict)
    objects: dict[str, dict[str, dict]] = field(default_factory=dict)
    rules: dict[str, dict[str, dict]] = field(default_factory=dict)
    requests: list[tuple[str, str, object]] = field(default_factory=list)
    # Requests that do not have the described form.
    faults: list[str] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def start(cls, **options) -> Iterator[Kibana]:
        kibana = cls(**options)
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler(kibana))
        kibana.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield kibana
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, method: str, target: str, headers, body: bytes) -> tuple[int, object]:
        """Answers a request."""
        split = urlsplit(target)
        query = dict(parse_qsl(split.query))
        space, path = "default", split.path
        if found := re.fullmatch(r"/s/([^/]+)(/.*)", path):
            space, path = found.groups()
        self.requests.append((method, target, None))
        if path == "/api/status":
            return 200, self.status(headers)
        if headers["Authorization"] != f"ApiKey {KEY}":
            return refusal(401, "Unauthorized", "[security_exception]: missing authentication credentials")
        if method != "GET" and not headers["kbn-xsrf"]:
            return refusal(400, "Bad Request", "Request must contain a kbn-xsrf header.")
        if method == "GET" and (found := re.fullmatch(r"/api/spaces/space/([^/]+)", path)):
            return self.space(found.group(1))
        if (method, path) == ("POST", "/api/saved_objects/_import"):
            return self.import_objects(space, query, headers, body)
        if self.has_security and path.startswith("/api/detection_engine/rules"):
            return self.rule_request(method, path, space, query, headers, body)
        return refusal(404, "Not Found", "Not Found")

    def status(self, headers) -> dict:
        status = {"status": {"overall": {"level": "available"}}}
        if headers["Authorization"] != f"ApiKey {KEY}":
            return status
        return status | {"name": "kibana", "uuid": "5b2de169-2785-441b-ae8c-186a1936b17d", "version": {"number": self.version}}

    def space(self, name: str) -> tuple[int, object]:
        if not self.privileges:
            return refusal(403, "Forbidden", f"Unauthorized to get {name} space")
        if name not in self.spaces:
            return refusal(404, "Not Found", "Not Found")
        return 200, {"id": name, "name": name, "disabledFeatures": []}

    def import_objects(self, space: str, query: dict, headers, body: bytes) -> tuple[int, object]:
        if fault := fault_in("import_objects_query", query):
            return self.bad(fault)
        lines, fault = self.file(headers, body)
        if fault:
            return self.bad(fault)
        needed = {"dashboard": "dashboard", "index-pattern": "indexPatterns"}
        missing = sorted({entry["type"] for entry in lines if needed[entry["type"]] not in self.privileges})
        if missing:
            return refusal(403, "Forbidden", f"Unable to bulk_create {','.join(missing)}")
        held, errors, results = self.objects.setdefault(space, {}), [], []
        there = held.keys() | {entry["id"] for entry in lines}
        for entry in lines:
            if fault := fault_in("saved_object", entry):
                return self.bad(fault)
            absent = [reference for reference in entry["references"] if reference["id"] not in there]
            described = {"id": entry["id"], "type": entry["type"], "meta": {"title": entry["attributes"]["title"]}}
            if absent:
                errors.append(described | {"error": {"type": "missing_references", "references": absent}})
            elif entry["id"] in held and query.get("overwrite") != "true":
                errors.append(described | {"error": {"type": "conflict"}})
            else:
                results.append(described | ({"overwrite": True} if entry["id"] in held else {}))
        if not errors:
            held |= {entry["id"]: entry for entry in lines}
        answer = {"success": not errors, "successCount": len(results), "successResults": results, "errors": errors}
        return 200, answer if errors else {key: value for key, value in answer.items() if key != "errors"}

    def rule_request(self, method: str, path: str, space: str, query: dict, headers, body: bytes) -> tuple[int, object]:
        if headers["elastic-api-version"] not in (None, "2023-10-31"):
            return self.bad("Version is not available")
        if "siem" not in self.privileges and not (method == "GET" and "siem.read" in self.privileges):
            return refusal(403, "Forbidden", f"API [{method} {path}] is unauthorized for user, this action is granted by the Kibana"
                                             " privileges [securitySolution]")
        held = self.rules.setdefault(space, {})
        if (method, path) == ("GET", "/api/detection_engine/rules"):
            if fault := fault_in("read_rule_query", query):
                return self.bad(fault)
            rule = held.get(query["rule_id"])
            return (200, rule) if rule else (404, {"message": f'rule_id: "{query["rule_id"]}" not found', "status_code": 404})
        if (method, path) == ("POST", "/api/detection_engine/rules/_import"):
            return self.import_rules(held, query, headers, body)
        if (method, path) == ("PATCH", "/api/detection_engine/rules"):
            return self.patch_rule(held, headers, body)
        return refusal(404, "Not Found", "Not Found")

    def import_rules(self, held: dict, query: dict, headers, body: bytes) -> tuple[int, object]:
        lines, fault = self.file(headers, body)
        if fault := fault or fault_in("import_rules_query", query):
            return self.bad(fault)
        errors = []
        for rule in lines:
            rule_id = rule.get("rule_id", "(unknown id)")
            if fault := fault_in("rule", rule):
                self.faults.append(fault)
                errors.append({"rule_id": rule_id, "error": {"status_code": 400, "message": fault}})
            elif rule_id in self.refused_rules:
                errors.append({"rule_id": rule_id, "error": {"status_code": 400, "message": self.refused_rules[rule_id]}})
            elif rule_id in held and query.get("overwrite") != "true":
                errors.append({"rule_id": rule_id, "error": {"status_code": 409, "message": f'rule_id: "{rule_id}" already exists'}})
            else:
                held[rule_id] = DEFAULTS | rule | {"id": f"id-{rule_id}"}
        return 200, {
            "success": not errors, "success_count": len(lines) - len(errors), "rules_count": len(lines), "errors": errors,
            "exceptions_success": True, "exceptions_success_count": 0, "exceptions_errors": [], "action_connectors_success": True,
            "action_connectors_success_count": 0, "action_connectors_errors": [], "action_connectors_warnings": [],
        }

    def patch_rule(self, held: dict, headers, body: bytes) -> tuple[int, object]:
        changes = json.loads(body)
        rule = held.get(changes.get("rule_id"))
        if headers["Content-Type"] != "application/json":
            return self.bad("a PATCH needs application/json")
        if rule is None:
            return 404, {"message": f'rule_id: "{changes.get("rule_id")}" not found', "status_code": 404}
        if fault := fault_in("rule_patch", changes) or fault_in("rule", {**stripped(rule), **changes}):
            return self.bad(fault)
        rule |= changes | {"revision": rule["revision"] + 1}
        return 200, rule

    def file(self, headers, body: bytes) -> tuple[list[dict], str | None]:
        """Returns the lines of an uploaded file."""
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
            f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body)
        parts = list(message.iter_parts()) if message.get_content_type() == "multipart/form-data" else []
        if len(parts) != 1 or parts[0].get_param("name", header="content-disposition") != "file":
            return [], "the body is not multipart/form-data with one part `file`"
        if not str(parts[0].get_filename()).endswith(".ndjson"):
            return [], "Invalid file extension"
        text = parts[0].get_payload(decode=True).decode()
        try:
            return [json.loads(line) for line in text.splitlines() if line], None
        except ValueError as fault:
            return [], f"the file is not NDJSON: {fault}"

    def bad(self, fault: str) -> tuple[int, object]:
        self.faults.append(fault)
        return refusal(400, "Bad Request", fault)


def stripped(rule: dict) -> dict:
    """Returns an installed rule without the fields that Kibana added."""
    return {key: value for key, value in rule.items() if key not in DEFAULTS and key != "id"}


def refusal(status: int, error: str, message: str) -> tuple[int, dict]:
    return status, {"statusCode": status, "error": error, "message": message}


def handler(kibana: Kibana) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if kibana.instead:
                status, headers, text = kibana.instead
            else:
                status, found = kibana.answer(self.command, self.path, self.headers, body)
                headers, text = {"Content-Type": "application/json; charset=utf-8", "kbn-name": "kibana"}, json.dumps(found)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text.encode()))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

        def log_message(self, *_) -> None:
            pass

    return Handler
