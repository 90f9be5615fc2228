"""A schema with one of everything moves by the jobs alone."""

from pathlib import Path

import pytest

from tests.local.database_jobs.clusters import Cluster
from tests.local.database_jobs.conftest import DATABASE, Run, load

TORTURE = Path(__file__).with_name("torture.sql")


def test_everything_arrives(run: Run, blue: Cluster, green: Cluster) -> None:
    # Given an old database with one of everything
    reverse = Run(run.environment, run.authority, {}, run.source)
    print(reverse.job("prepare-role"))
    load(blue, DATABASE, TORTURE)
    print(run.job("inspect"))
    print(run.job("inspect-candidate"))
    print(run.job("prepare-role"))
    print(run.job("stop-writers", "--grace-seconds=1"))
    print(run.job("dump"))
    print(run.job("restore"))
    print(run.job("verify"))
    print(run.job("allow-writes"))
