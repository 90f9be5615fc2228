"""Logs, metrics and traces of every step, in one place.

`step` turns a function of a parsed event and the settings into a Lambda handler: the event is parsed by a
pydantic model, the run id is on every log line, success and failure are counted, and the result is plain
JSON with every field: null says that there is nothing, and JSONata can compare it. An error passes through
unchanged: Step Functions takes the class's name as the error name.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from know_me.errors import RunbookError
from know_me.settings import Settings

Event = TypeVar("Event", bound=BaseModel)
Handler = Callable[[dict[str, Any], LambdaContext], Any]


def step(
    model: type[Event], *, log_result: bool = True
) -> Callable[[Callable[[Event, Settings, Logger], Any]], Handler]:
    """Make a Lambda handler of a step's function.

    Parameters
    ----------
    model : type of BaseModel
        What the state machine passes; a `run_id` in it is put on every log line.
    log_result : bool
        Whether the log may hold the result: not when it has a secret in it, a signed link for instance.
    """

    def decorate(function: Callable[[Event, Settings, Logger], Any]) -> Handler:
        name = function.__module__.rpartition(".")[2]

        @functools.wraps(function)
        def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
            logger, metrics, tracer = Logger(), Metrics(), Tracer(patch_modules=("botocore",))
            logger.set_correlation_id(getattr(context, "aws_request_id", ""))
            logger.append_keys(run_id=event.get("run_id"), step=name)
            metrics.add_dimension(name="Step", value=name)
            try:
                parsed = model.model_validate(event)
                result = tracer.capture_method(capture_response=False)(function)(parsed, Settings(), logger)
            except RunbookError as error:
                metrics.add_metric(name="Failed", unit=MetricUnit.Count, value=1)
                logger.error(str(error), extra={"error_name": type(error).__name__})
                raise
            except Exception:
                metrics.add_metric(name="Failed", unit=MetricUnit.Count, value=1)
                logger.exception("The step failed unexpectedly")
                raise
            else:
                metrics.add_metric(name="Succeeded", unit=MetricUnit.Count, value=1)
                logger.info("The step succeeded", extra={"result": _plain(result)} if log_result else None)
                return _plain(result)
            finally:
                metrics.flush_metrics()
                logger.remove_keys(["run_id", "step"])

        return lambda_handler

    return decorate


def _plain(result: Any) -> Any:
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json")
    if isinstance(result, Mapping):
        return {key: _plain(value) for key, value in result.items()}
    if isinstance(result, list | tuple):
        return [_plain(value) for value in result]
    return result
