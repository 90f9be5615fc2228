"""One local AWS, four environments on it, and the stories that are told in them at the same time.

A migration mostly waits (Terraform's provider looks at a new instance once in a while), so four environments
take hardly longer than one. The stories of one environment are told one after the other, in the order of
`PLAN`, and only those that a selected test asks for with the marker `scenario`.
"""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any

import psycopg
import pytest

from examples import sample_data, user_dump
from examples.environment import KnowMeEnvironment
from examples.local_server import LocalServer
from tests.migration import stories
from tests.migration.scenarios import Stage

PORT = int(os.environ.get("MIGRATION_TEST_PORT", "4671"))
USERS = 200

# Environment → listener port and the stories told in it, in this order.
PLAN: dict[str, tuple[int, tuple[str, ...]]] = {
    "one": (8081, ("refusals", "success", "again")),
    "two": (
        8082,
        ("manifest_missing", "restore_killed", "verification_differs", "stopped_by_hand", "database_alone"),
    ),
    "three": (
        8083,
        ("job_times_out", "candidate_stopped", "cutover_fails", "media_differs", "media_again"),
    ),
    "four": (8084, ("media_alone", "media_copies")),
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "scenario(*names): the stories that a test looks at")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.migration)


class Theatre:
    """Runs stories in the background, in one thread per environment, and hands out what they saw."""

    def __init__(self, server: LocalServer, directory: Path) -> None:
        self._server = server
        self._directory = directory
        self._pool = ThreadPoolExecutor(len(PLAN), thread_name_prefix="environment")
        self._results: dict[str, Future[Any]] = {}
        # Two bootstraps at the same time would change one stack, which CloudFormation refuses.
        self._bootstrapping = Lock()
        self.stages: dict[str, Stage] = {}

    def schedule(self, wanted: set[str]) -> None:
        """Queue every environment that is wanted by somebody."""
        for name, (port, names) in PLAN.items():
            chosen = [story for story in names if story in wanted]
            for story in chosen:
                self._results[story] = Future()
            if chosen:
                self._pool.submit(self._perform, name, port, chosen)

    def _perform(self, name: str, port: int, chosen: list[str]) -> None:
        try:
            stage = self._open(name, port)
            before = [story for story in chosen if story in stories.BEFORE_PROVISIONING]
            for story in before:
                self._tell(story, stage)
            self._fill(stage)
        except BaseException as error:
            for story in chosen:
                if not self._results[story].done():
                    self._results[story].set_exception(error)
            return
        for story in chosen:
            if story not in before:
                self._tell(story, stage)

    def _tell(self, story: str, stage: Stage) -> None:
        tell: Callable[[Stage], Any] = getattr(stories, story)
        try:
            self._results[story].set_result(tell(stage))
        except BaseException as error:
            self._results[story].set_exception(error)

    def _open(self, name: str, port: int) -> Stage:
        """Deploy the orchestrator of an environment."""
        environment = KnowMeEnvironment(
            name,
            self._directory / name,
            listener_port=port,
            terraform_variables={"deletion_protection": False, "database_skip_final_snapshot": True},
        )
        with self._bootstrapping:
            environment.bootstrap()
        environment.deploy()
        stage = Stage(environment, self._server, self._directory / name / "writes.jsonl")
        self.stages[name] = stage
        return stage

    def _fill(self, stage: Stage) -> None:
        """Provision its infrastructure and put data into it: our own and those of somebody else."""
        environment = stage.environment
        environment.succeed(environment.executions.start("provision"), timeout_seconds=900)
        environment.run_api_command("migrate")
        dsn = environment.application_connection_string()
        sample_data.load(dsn, USERS)
        with closing(psycopg.connect(dsn)) as connection:
            user_dump.load(Path(__file__).with_name("foreign.sql"), connection)
        environment.wait_until_healthy()
        stage.remember_secrets()

    def result(self, story: str) -> Any:
        """Return what a story saw, or raise what ended it."""
        return self._results[story].result(timeout=3600)

    def close(self) -> None:
        """Forget what has not begun, and wait for what has."""
        self._pool.shutdown(wait=True, cancel_futures=True)


@pytest.fixture(scope="session")
def theatre(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    directory = tmp_path_factory.mktemp("environments")
    server = LocalServer(PORT, None, directory / "localaws.log")
    if server.is_up():
        pytest.fail(f"a local AWS runs on port {PORT}: stop it, or set MIGRATION_TEST_PORT", pytrace=False)
    kept = dict(os.environ)
    server.up()
    theatre = Theatre(server, directory)
    try:
        server.use()
        wanted = {
            name
            for item in request.session.items
            for marker in item.iter_markers("scenario")
            for name in marker.args
        }
        theatre.schedule(wanted)
        yield theatre
    finally:
        server.down()
        theatre.close()
        os.environ.clear()
        os.environ.update(kept)
        print(f"logs of the environments: {directory}", file=sys.stderr)


@pytest.fixture
def story(theatre: Theatre) -> Callable[[str], Any]:
    """What a story saw, by its name."""
    return theatre.result
