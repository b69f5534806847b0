"""The credentials of a stack are found wherever they are written: each `Deployment` searches for them on exit."""

import base64
import json

import pytest
from deployment import Deployment, DeploymentError, FunctionError
from secrecy import credentials, found_in
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
