"""How long CodeDeploy's waits are: as in AWS, shorter when a test says so.

`POST /_localaws/codedeploy {"seconds_per_minute": 0.5}` makes a minute of a deployment's configured waits
(canary and linear intervals, the wait before rerouting, the wait before termination) last half a second;
`"hook_seconds"` and `"stability_seconds"` are the time limits of a hook and of a replacement task set that
does not become stable (an hour each). `DELETE` restores all, `GET` tells.
"""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from localaws.runtime import RouteAnswer

PATH = "codedeploy"


class Lengths(BaseModel):
    """The lengths that may be set, in seconds; what is not given is AWS's."""

    model_config = ConfigDict(extra="forbid")

    seconds_per_minute: float = Field(default=60.0, gt=0, le=60)
    hook_seconds: float = Field(default=3600.0, gt=0, le=3600)
    stability_seconds: float = Field(default=3600.0, gt=0, le=3600)


class Pace:
    """The lengths of one server; a change holds from the next wait on.

    Attributes
    ----------
    lengths:
        What is set now.
    """

    def __init__(self) -> None:
        self.lengths = Lengths()

    def minutes(self, count: float) -> float:
        """Return how many seconds so many minutes of a deployment last."""
        return count * self.lengths.seconds_per_minute

    def route(self, _rest: str, environ: dict[str, Any], _signed: bool) -> RouteAnswer:
        """Answer a request of the control path."""
        kind = [("Content-Type", "application/json")]
        match environ["REQUEST_METHOD"]:
            case "POST":
                length = int(environ.get("CONTENT_LENGTH") or 0)
                try:
                    self.lengths = Lengths.model_validate_json(environ["wsgi.input"].read(length))
                except ValidationError as error:
                    text = error.json(include_url=False, include_input=False)
                    return HTTPStatus.BAD_REQUEST, kind, text.encode()
            case "DELETE":
                self.lengths = Lengths()
        return HTTPStatus.OK, kind, self.lengths.model_dump_json().encode()
