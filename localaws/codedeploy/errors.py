"""CodeDeploy's refusals, and how a deployment ends that does not succeed."""

from moto.core.exceptions import JsonRESTError


class CodeDeployError(JsonRESTError):  # type: ignore[misc]
    """An error of the API.

    Parameters
    ----------
    name:
        As in the API: `DeploymentLimitExceededException`.
    message:
        What is wrong.
    """

    code = 400

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)


class EndingError(Exception):
    """A deployment ends without success.

    Parameters
    ----------
    status:
        `Failed` or `Stopped`.
    code, message:
        Its errorInformation.
    trigger:
        Event of the automatic rollback that this is: `DEPLOYMENT_FAILURE`, `DEPLOYMENT_STOP_ON_ALARM` or
        `DEPLOYMENT_STOP_ON_REQUEST`.
    """

    def __init__(self, status: str, code: str, message: str, trigger: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.trigger = trigger


def failure(code: str, message: str) -> EndingError:
    """Return the ending of a deployment that failed."""
    return EndingError("Failed", code, message, "DEPLOYMENT_FAILURE")
