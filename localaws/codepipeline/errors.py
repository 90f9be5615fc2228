"""Errors of CodePipeline's API, and how an action fails."""

from moto.core.exceptions import JsonRESTError


class PipelineError(JsonRESTError):  # type: ignore[misc]
    """What the API answers.

    Parameters
    ----------
    code:
        Name of the exception in the API, such as `PipelineNotFoundException`.
    message:
        In words.
    """

    code = 400

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


class ActionFailed(Exception):  # noqa: N818 - named after what AWS calls it
    """An action did not succeed.

    Parameters
    ----------
    code, message:
        Of `errorDetails`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
