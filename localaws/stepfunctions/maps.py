"""Map states: inline iterations, and distributed maps whose iterations are child executions.

True: ItemSelector, MaxConcurrency, ItemReader (S3 listing; JSON, JSONL and CSV objects), ItemBatcher,
ResultWriter, tolerated failures, map runs.
Not exact: a child execution of a distributed map has no history of its own and cannot be described; it is
in the result files
and in the counts of its map run. S3 inventory manifests are refused when the state machine is created.
"""

import csv
import datetime
import io
import itertools
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from localaws.stepfunctions import interpreter, naming
from localaws.stepfunctions.errors import (
    EXCEED_TOLERATED_FAILURES,
    ITEM_READER_FAILED,
    RESULT_WRITER_FAILED,
    StateError,
    Stopped,
)
from localaws.stepfunctions.history import History
from localaws.stepfunctions.query import Query
from localaws.stepfunctions.scope import Scope

if TYPE_CHECKING:
    from localaws.stepfunctions.interpreter import Frame, State

INLINE_CONCURRENCY = 40
DISTRIBUTED_CONCURRENCY = 100
"""AWS runs up to 10,000 children at once; a machine with a few cores is not served by more threads than
this."""
MAXIMUM_BATCH_BYTES = 262_144
STATUSES = ("succeeded", "failed", "aborted", "timedOut")


def run_map(state: "State") -> Any:
    """Run a Map state once and return the outputs of its iterations, or where they were written."""
    processor = state.definition.get("ItemProcessor") or state.definition["Iterator"]
    query = state.query()
    distributed = processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED"
    try:
        return _distributed(state, processor, query) if distributed else _inline(state, processor, query)
    except StateError as error:
        if error.reported:
            state.record("MapStateFailed")
        raise


def _selected(state: "State", index: int, item: Any) -> Any:
    selector = state.definition.get("ItemSelector", state.definition.get("Parameters"))
    if selector is None:
        return item
    key = "ItemSelector" if "ItemSelector" in state.definition else "Parameters"
    return state.query(context={"Map": {"Item": {"Index": index, "Value": item}}}).render(selector, key)


# -- inline ------------------------------------------------------------------------------------------------


def _inline(state: "State", processor: dict[str, Any], query: Query) -> list[Any]:
    items = query.items(state.definition)
    concurrency = int(query.number(state.definition, "MaxConcurrency", 0)) or INLINE_CONCURRENCY
    inputs = [_selected(state, index, item) for index, item in enumerate(items)]
    state.record("MapStateStarted", "mapStateStartedEventDetails", length=len(items))
    started = state.event

    def iteration(scope: Scope, index: int) -> tuple[Any, int]:
        details = {"name": state.name, "index": index}
        history = state.environment.history
        event = history.add("MapIterationStarted", started, "mapIterationStartedEventDetails", **details)
        context = {"Map": {"Item": {"Index": index, "Value": items[index]}}}
        frame = state.frame.below(processor, scope, **context)
        try:
            output, event = interpreter.run(replace(frame, language=state.language), inputs[index], event)
        except StateError:
            history.add("MapIterationFailed", event, "mapIterationFailedEventDetails", **details)
            raise
        except Stopped:
            history.add("MapIterationAborted", event, "mapIterationAbortedEventDetails", **details)
            raise
        return output, history.add(
            "MapIterationSucceeded", event, "mapIterationSucceededEventDetails", **details
        )

    outputs, last = interpreter.run_together(
        state.frame.scope, iteration, count=len(items), concurrency=concurrency, name=state.name
    )
    state.event = last or started
    state.record("MapStateSucceeded")
    return outputs


# -- distributed -------------------------------------------------------------------------------------------


@dataclass
class Child:
    """One child execution of a distributed map."""

    name: str
    arn: str
    input: Any
    items: int
    status: str = "PENDING"
    output: Any = None
    error: str | None = None
    cause: str | None = None
    start_date: datetime.datetime | None = None
    stop_date: datetime.datetime | None = None

    def describe(self, machine: str) -> dict[str, Any]:
        """Return the entry of a result file."""
        entry: dict[str, Any] = {
            "ExecutionArn": self.arn,
            "Input": interpreter.dump(self.input),
            "InputDetails": {"Included": True},
            "Name": self.name,
            "RedriveCount": 0,
            "RedriveStatus": "NOT_REDRIVABLE",
            "StateMachineArn": machine,
            "Status": self.status,
        }
        if self.start_date is not None:
            entry["StartDate"] = naming.iso(self.start_date)
        if self.stop_date is not None:
            entry["StopDate"] = naming.iso(self.stop_date)
        if self.status == "SUCCEEDED":
            entry |= {"Output": interpreter.dump(self.output), "OutputDetails": {"Included": True}}
        if self.error is not None:
            entry["Error"] = self.error
        if self.cause is not None:
            entry["Cause"] = self.cause
        return entry


@dataclass
class MapRun:
    """One run of a distributed map, as ListMapRuns and DescribeMapRun show it."""

    arn: str
    execution: str
    machine: str
    concurrency: int
    tolerated_count: int
    tolerated_percentage: float
    children: list[Child] = field(default_factory=list)
    status: str = "RUNNING"
    start_date: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    stop_date: datetime.datetime | None = None

    def end(self, status: str) -> None:
        """Record how it ended."""
        self.status, self.stop_date = status, datetime.datetime.now(datetime.UTC)

    def summary(self) -> dict[str, Any]:
        """Return the entry of ListMapRuns."""
        entry = {
            "executionArn": self.execution,
            "mapRunArn": self.arn,
            "stateMachineArn": self.machine,
            "startDate": self.start_date,
        }
        return {**entry, "stopDate": self.stop_date} if self.stop_date else entry

    def describe(self) -> dict[str, Any]:
        """Return DescribeMapRun."""
        described = {
            "mapRunArn": self.arn,
            "executionArn": self.execution,
            "status": self.status,
            "startDate": self.start_date,
            "maxConcurrency": self.concurrency,
            "toleratedFailurePercentage": self.tolerated_percentage,
            "toleratedFailureCount": self.tolerated_count,
            "itemCounts": self._counts(items=True),
            "executionCounts": self._counts(items=False),
            "redriveCount": 0,
        }
        return {**described, "stopDate": self.stop_date} if self.stop_date else described

    def _counts(self, *, items: bool) -> dict[str, int]:
        names = {
            "PENDING": "pending",
            "RUNNING": "running",
            "SUCCEEDED": "succeeded",
            "FAILED": "failed",
            "ABORTED": "aborted",
        }
        counts = dict.fromkeys((*names.values(), "timedOut", "total", "resultsWritten"), 0)
        for child in self.children:
            weight = child.items if items else 1
            counts[names[child.status]] += weight
            counts["total"] += weight
        return counts


def _distributed(state: "State", processor: dict[str, Any], query: Query) -> Any:
    definition = state.definition
    count = query.number(definition, "ToleratedFailureCount", 0)
    percentage = query.number(definition, "ToleratedFailurePercentage", 0)
    concurrency = int(query.number(definition, "MaxConcurrency", 0))
    context = state.environment.context
    execution = context["Execution"]["Id"]
    label = definition.get("Label") or "".join(letter for letter in state.name if letter.isalnum())[:40]
    run_id = str(uuid.uuid4())
    prefix = execution.replace(":execution:", ":mapRun:", 1).rsplit(":", 1)[0]
    map_run = MapRun(
        f"{prefix}/{label}:{run_id}",
        execution,
        f"{context['StateMachine']['Id']}/{label}",
        concurrency,
        int(count),
        percentage,
    )
    items = list(_read(state, query)) if "ItemReader" in definition else query.items(definition)
    inputs = [_selected(state, index, item) for index, item in enumerate(items)]
    batches = (
        list(_batched(inputs, definition["ItemBatcher"], query)) if "ItemBatcher" in definition else None
    )
    for number, value in enumerate(inputs if batches is None else batches):
        name = str(uuid.uuid4())
        arn = f"{execution.rsplit(':', 1)[0]}/{label}:{name}"
        map_run.children.append(
            Child(name, arn, value, 1 if batches is None else len(batches[number]["Items"]))
        )
    state.record("MapStateStarted", "mapStateStartedEventDetails", length=len(items))
    state.record("MapRunStarted", "mapRunStartedEventDetails", mapRunArn=map_run.arn)
    state.environment.map_runs(map_run)
    try:
        _run_children(state, processor, map_run, len(items))
        result = _results(state, query, map_run)
    except Stopped:
        map_run.end("ABORTED")
        raise
    except StateError as error:
        map_run.end("FAILED")
        state.record("MapRunFailed", "mapRunFailedEventDetails", error=error.error, cause=error.cause)
        raise StateError(error.error, error.cause, reported=True) from error
    map_run.end("SUCCEEDED")
    state.record("MapRunSucceeded")
    state.record("MapStateSucceeded")
    return result


def _run_children(state: "State", processor: dict[str, Any], map_run: MapRun, total: int) -> None:
    failed = 0
    lock = threading.Lock()

    def run_child(scope: Scope, index: int) -> tuple[Any, int]:
        nonlocal failed
        child = map_run.children[index]
        child.status, child.start_date = "RUNNING", datetime.datetime.now(datetime.UTC)
        try:
            child.output, _ = interpreter.run(_child_frame(state, processor, child, scope), child.input, 0)
        except Stopped:
            child.status, child.stop_date = "ABORTED", datetime.datetime.now(datetime.UTC)
            raise
        except StateError as error:
            child.status, child.stop_date = "FAILED", datetime.datetime.now(datetime.UTC)
            child.error, child.cause = error.error, error.cause
            with lock:
                failed += child.items
                intolerable = _intolerable(map_run, failed, total)
            if intolerable:
                raise StateError(
                    EXCEED_TOLERATED_FAILURES, "The specified tolerated failure threshold was exceeded"
                ) from error
            return None, state.event
        child.status, child.stop_date = "SUCCEEDED", datetime.datetime.now(datetime.UTC)
        return child.output, state.event

    interpreter.run_together(
        state.frame.scope,
        run_child,
        count=len(map_run.children),
        concurrency=min(map_run.concurrency or DISTRIBUTED_CONCURRENCY, DISTRIBUTED_CONCURRENCY),
        name=state.name,
    )


def _intolerable(map_run: MapRun, failed: int, total: int) -> bool:
    """Return whether a map run fails: more failed than one of the thresholds that were set allows (none
    set: 0)."""
    over_count = failed > map_run.tolerated_count
    over_percentage = failed * 100 > map_run.tolerated_percentage * total
    if map_run.tolerated_count and map_run.tolerated_percentage:
        return over_count or over_percentage
    return over_percentage if map_run.tolerated_percentage else over_count


def _child_frame(state: "State", processor: dict[str, Any], child: Child, scope: Scope) -> "Frame":
    """Return the frame of a child execution: a context, a history and variables of its own."""
    context = state.environment.context
    environment = replace(
        state.environment,
        history=History(),
        context={
            "Execution": {
                **context["Execution"],
                "Id": child.arn,
                "Input": child.input,
                "Name": child.name,
                "StartTime": interpreter.now(),
            },
            "StateMachine": context["StateMachine"],
        },
    )
    language = processor.get("QueryLanguage", state.language)
    return interpreter.Frame(environment, processor, language, scope, {}, {})


def _batched(inputs: list[Any], batcher: dict[str, Any], query: Query) -> Iterator[dict[str, Any]]:
    most = int(query.number(batcher, "MaxItemsPerBatch", 0)) or len(inputs)
    size = int(query.number(batcher, "MaxInputBytesPerBatch", MAXIMUM_BATCH_BYTES))
    common = (
        {"BatchInput": query.render(batcher["BatchInput"], "ItemBatcher/BatchInput")}
        if "BatchInput" in batcher
        else {}
    )
    base = len(interpreter.dump({**common, "Items": []}).encode())
    batch: list[Any] = []
    used = base
    for item in inputs:
        weight = len(interpreter.dump(item).encode()) + 1
        if batch and (len(batch) >= most or used + weight > size):
            yield {**common, "Items": batch}
            batch, used = [], base
        batch.append(item)
        used += weight
    if batch:
        yield {**common, "Items": batch}


# -- S3 ----------------------------------------------------------------------------------------------------


def _arguments(holder: dict[str, Any], query: Query, field_name: str) -> dict[str, Any]:
    key = "Arguments" if "Arguments" in holder else "Parameters"
    return dict(query.render(holder.get(key, {}), f"{field_name}/{key}"))


def _read(state: "State", query: Query) -> Iterator[Any]:
    reader = state.definition["ItemReader"]
    arguments = _arguments(reader, query, "ItemReader")
    client = state.environment.clients(state.environment.role_arn)("s3")
    configuration = reader.get("ReaderConfig", {})
    limit = int(query.number(configuration, "MaxItems", 0)) or None
    try:
        if reader["Resource"].endswith("listObjectsV2"):
            items = _listed(client, arguments)
        else:
            items = _objects(client.get_object(**arguments)["Body"].read().decode(), configuration)
        yield from itertools.islice(items, limit)
    except (ClientError, ValueError) as error:
        raise StateError(
            ITEM_READER_FAILED, f"Attempting to read items from S3 failed: {error}", reported=False
        ) from error


def _listed(client: Any, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("list_objects_v2").paginate(**arguments):
        for listed in page.get("Contents", []):
            entry = {
                "Etag": listed["ETag"],
                "Key": listed["Key"],
                "LastModified": int(listed["LastModified"].timestamp()),
                "Size": listed["Size"],
                "StorageClass": listed.get("StorageClass", "STANDARD"),
            }
            yield entry


def _objects(text: str, configuration: dict[str, Any]) -> Iterator[Any]:
    kind = configuration["InputType"]
    if kind == "JSONL":
        yield from (json.loads(line) for line in text.splitlines() if line.strip())
    elif kind == "JSON":
        found = json.loads(text)
        for name in configuration.get("ItemsPointer", "").split("/")[1:]:
            found = found[name.replace("~1", "/").replace("~0", "~")]
        if not isinstance(found, list):
            raise ValueError("the object is not a JSON array")
        yield from found
    else:
        delimiters = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
        rows = csv.reader(io.StringIO(text), delimiter=delimiters[configuration.get("CSVDelimiter", "COMMA")])
        given = configuration.get("CSVHeaderLocation") == "GIVEN"
        headers = configuration["CSVHeaders"] if given else next(rows, [])
        yield from (dict(itertools.zip_longest(headers, row[: len(headers)], fillvalue="")) for row in rows)


def _results(state: "State", query: Query, map_run: MapRun) -> Any:
    if "ResultWriter" not in state.definition:
        return [child.output for child in map_run.children if child.status == "SUCCEEDED"]
    arguments = _arguments(state.definition["ResultWriter"], query, "ResultWriter")
    client = state.environment.clients(state.environment.role_arn)("s3")
    bucket, prefix = arguments["Bucket"], arguments.get("Prefix", "").strip("/")
    folder = "/".join(part for part in (prefix, map_run.arn.rsplit(":", 1)[1]) if part)
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    try:
        for status, listed in files.items():
            entries = [
                child.describe(map_run.machine) for child in map_run.children if child.status == status
            ]
            if entries:
                key, body = f"{folder}/{status}_0.json", json.dumps(entries).encode()
                client.put_object(Bucket=bucket, Key=key, Body=body)
                listed.append({"Key": key, "Size": len(body)})
        manifest = {"DestinationBucket": bucket, "MapRunArn": map_run.arn, "ResultFiles": files}
        client.put_object(Bucket=bucket, Key=f"{folder}/manifest.json", Body=json.dumps(manifest).encode())
    except ClientError as error:
        raise StateError(
            RESULT_WRITER_FAILED, f"Attempting to write results to S3 failed: {error}"
        ) from error
    return {
        "MapRunArn": map_run.arn,
        "ResultWriterDetails": {"Bucket": bucket, "Key": f"{folder}/manifest.json"},
    }


interpreter.RUNNERS["Map"] = run_map
