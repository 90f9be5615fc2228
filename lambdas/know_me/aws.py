"""AWS clients as the steps use them."""

from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def client(service: str) -> Any:
    """Return a client that retries what AWS asks to be retried; made when a step runs, never at import."""
    return boto3.client(service, config=Config(retries={"mode": "standard", "total_max_attempts": 6}))


def error_code(error: ClientError) -> str:
    """Return the code by which AWS names an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def read_parameter(ssm: Any, name: str) -> str | None:
    """Return the value of a parameter of Systems Manager; None when there is no such parameter."""
    try:
        return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    except ClientError as error:
        if error_code(error) == "ParameterNotFound":
            return None
        raise


def written_if_true(write: Callable[..., Any], **arguments: Any) -> bool:
    """Call a conditional write of DynamoDB; return whether its condition was true, and it was written."""
    try:
        write(**arguments)
    except ClientError as error:
        if error_code(error) == "ConditionalCheckFailedException":
            return False
        raise
    return True
