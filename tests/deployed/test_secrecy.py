"""The credentials of a stack are found wherever they are written: each `Deployment` searches for them on exit."""

import base64
import json
import subprocess
import sys
import time

import pytest
from deployment import Deployment, DeploymentError, FunctionError
from secrecy import credentials, found_in, process_list, written_below
from stacks import QUIET, name

KEY = base64.b64encode(b"id-of-the-key:secret-of-the-key").decode()
SECRET = {"account_number": "12345678", "provisioning_hash": "0123456789abcdef", "elastic_api_key": KEY}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a hash 0123456789abcdef in a line", {"provisioning_hash"}),
        (base64.b64encode(b"xy0123456789abcdefz").decode(), {"provisioning_hash"}),
        ("only its secret-of-the-key", {"elastic_api_key, its secret"}),
        (f"Authorization: ApiKey {KEY}", {"elastic_api_key", "elastic_api_key, its id", "elastic_api_key, its secret"}),
        ("account 12345678 and nothing else", set()),
    ],
)
def test_a_credential_is_found_in_every_spelling(text, found):
    assert found_in([text], credentials(json.dumps(SECRET))) == found


def test_a_function_that_writes_its_credentials_is_found(probe):
    """As a faulty product would do: the probe logs its payload and returns it in its error."""
    with pytest.raises(DeploymentError, match="elastic_api_key"):
        with Deployment.create(name("chatty"), QUIET, probe) as stack:
            stack.put_secret(SECRET)
            with pytest.raises(FunctionError):
                stack.invoke({"fail": KEY})


def test_one_that_keeps_them_to_itself_is_not(probe):
    with Deployment.create(name("silent"), QUIET, probe) as stack:
        stack.put_secret(SECRET)
        with pytest.raises(FunctionError):
            stack.invoke({"fail": "of another reason"})


def test_a_credential_in_the_arguments_of_a_process_is_found():
    with process_list() as seen:
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)", "0123456789abcdef"])
        time.sleep(0.5)
        process.kill()
        process.wait()
    assert found_in(seen, credentials(json.dumps(SECRET))) == {"provisioning_hash"}


def test_a_credential_in_a_file_is_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".bash_history").write_bytes(b"\xff connect --hash 0123456789abcdef")
    assert found_in(written_below(tmp_path), credentials(json.dumps(SECRET))) == {"provisioning_hash"}
