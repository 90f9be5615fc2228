"""Rules of the jobs that need no server."""

import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from database_jobs.certificates import fetch_bundle
from database_jobs.client_tools import PROGRAMS, find
from database_jobs.connections import Server
from database_jobs.contents import TableHash
from database_jobs.dump import TableSizes, table_names, unfenced
from database_jobs.fence import Fence
from database_jobs.inputs import Database
from database_jobs.restore import Contents, as_member
from database_jobs.roles import ClusterDescription, Role, Setting, setting_value
from database_jobs.verify import Difference, cause_of, older
from hypothesis import given
from hypothesis import strategies as st
from job_support.errors import JobError
from job_support.progress import Progress, readable

LISTING = """\
;
; Archive created at 2026-11-23
;
9; 2615 2200 SCHEMA - public rdsadmin
10; 2615 16400 SCHEMA - archive know_me
3; 3079 16386 EXTENSION - hstore
4000; 0 0 COMMENT - EXTENSION hstore
215; 1259 16396 TABLE public note know_me
4001; 0 0 ACL public TABLE note know_me
4002; 0 0 DEFAULT ACL public DEFAULT PRIVILEGES FOR TABLES know_me
3990; 0 16396 TABLE DATA public note know_me
3991; 0 16450 MATERIALIZED VIEW DATA public moods know_me
3800; 6104 16500 PUBLICATION - changes know_me
3801; 6106 16501 PUBLICATION TABLE public changes note know_me
"""


def test_contents_are_divided_by_what_a_master_user_may_do_when() -> None:
    contents = Contents.of(LISTING)
    assert [line.split(" ", 3)[3] for line in contents.schemas] == ["SCHEMA - archive know_me"]
    assert [line.split(";")[0] for line in contents.objects] == ["3", "215", "3990"]
    assert [line.split(";")[0] for line in contents.grants] == ["4001", "4002"]
    assert [line.split(";")[0] for line in contents.after_grants] == ["3991", "3800", "3801"]
    assert (contents.attachments, contents.foreign_keys) == ([], [])


def test_indexes_of_partitions_are_attached_after_they_are_made_and_before_keys_refer_to_them() -> None:
    # Given the entries of a partitioned table and of one that refers to it
    listing = (
        "3400; 1259 16600 INDEX public event_kind know_me\n"
        "3401; 0 0 INDEX ATTACH public event_2023_kind_idx know_me\n"
        "3402; 2606 16601 CONSTRAINT public event event_pkey know_me\n"
        "3403; 2606 16602 FK CONSTRAINT public visit visit_event_fkey know_me\n"
        "3404; 0 0 COMMENT public CONSTRAINT visit_event_fkey ON visit know_me\n"
        "3405; 0 0 COMMENT public TABLE visit know_me\n"
    )
    contents = Contents.of(listing)
    # Then each has its step, in the order of the dump
    assert [line.split(";")[0] for line in contents.objects] == ["3400", "3402", "3405"]
    assert [line.split(";")[0] for line in contents.attachments] == ["3401"]
    assert [line.split(";")[0] for line in contents.foreign_keys] == ["3403", "3404"]


def test_public_schema_of_our_own_role_is_restored() -> None:
    assert (
        len(Contents.of(LISTING.replace("SCHEMA - public rdsadmin", "SCHEMA - public know_me")).schemas) == 2
    )


def test_tables_with_data_are_counted_whatever_their_names() -> None:
    listing = LISTING + '3999; 0 16777 TABLE DATA Mixed Case Table with "quotes" Owner\n'
    assert table_names(listing) == ["public note", 'Mixed Case Table with "quotes"']


def test_grants_of_other_grantors_are_made_as_a_member() -> None:
    grant = "GRANT SELECT ON TABLE public.x TO y;\n"
    script = f"SET SESSION AUTHORIZATION reporting;\n{grant}RESET SESSION AUTHORIZATION;\n"
    assert as_member(script) == f"SET ROLE reporting;\n{grant}RESET ROLE;\n"


def description(**changes: Any) -> ClusterDescription:
    return ClusterDescription(
        **{
            "database": "know_me",
            "owner": "know_me",
            "encoding": "UTF8",
            "collate": "C",
            "ctype": "C",
            "locale_provider": "libc",
            "locale": None,
            "connection_limit": -1,
            "comment": None,
            "grants": [],
            "extensions": [],
            "settings": [],
            "roles": [],
            "memberships": [],
        }
        | changes
    )


def role(name: str, *, login: bool) -> Role:
    return Role(name=name, login=login, attributes={}, connection_limit=-1, valid_until=None, comment=None)


@pytest.mark.parametrize("before", [None, "off"])
def test_description_of_a_fenced_database_is_as_it_was_before(before: str | None) -> None:
    # Given a fenced database: one role had a login, one never had
    read_only = Setting(role=None, this_database=True, name="default_transaction_read_only", value="on")
    fenced = description(
        roles=[role("know_me", login=False), role("group", login=False)], settings=[read_only]
    )
    fence = Fence(
        instance_id="i",
        database="know_me",
        login_roles=["know_me"],
        read_only_setting=before,
        recorded_at="t",
    )
    # When the fence is taken away
    found = unfenced(fenced, fence)
    # Then it is as recorded, and what was given is not changed
    assert [(one.name, one.login) for one in found.roles] == [("know_me", True), ("group", False)]
    assert [one.value for one in found.settings] == ([before] if before else [])
    assert fenced.settings == [read_only]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("search_path", '"$user", public', "'$user', 'public'"),
        ("search_path", '"Mixed, ""Case"""', "'Mixed, \"Case\"'"),
        ("search_path", '""', "''"),
        ("TimeZone", "Europe/Vienna", "'Europe/Vienna'"),
        ("application_name", "it's", "'it''s'"),
    ],
)
def test_setting_goes_back_as_it_was_stored(name: str, value: str, expected: str) -> None:
    setting = Setting(role=None, this_database=True, name=name, value=value)
    assert setting_value(setting).as_string(None) == expected


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))), st.randoms())
def test_sum_of_hashes_does_not_depend_on_order_or_parts(hashes: list[tuple[int, int]], random: Any) -> None:
    def total(parts: list[tuple[int, int]]) -> TableHash:
        return sum((TableHash(1, *part) for part in parts), TableHash(0, 0, 0))

    shuffled = random.sample(hashes, len(hashes))
    cut = random.randint(0, len(hashes))
    assert total(hashes) == total(shuffled) == total(hashes[:cut]) + total(hashes[cut:])
    assert len(total(hashes).text()) == 32


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("1.9", "1.10", True),
        ("1.10", "1.9", False),
        ("1.1", "1.1", False),
        ("3.3.2", "3.4.0", True),
        ("1", "1.0", True),
    ],
)
def test_versions_of_extensions_compare_as_numbers(one: str, other: str, expected: bool) -> None:
    assert older(one, other) is expected


def test_cause_names_twenty_differences_and_counts_the_rest() -> None:
    differences = [Difference(kind="row count", name=f"t{n}", source=1, candidate=2) for n in range(23)]
    cause = cause_of(differences)
    assert "differ in 23 places" in cause and "row count t19 and 3 more" in cause and "t20" not in cause


def tools_in(directory: Path, version: int) -> Path:
    directory.mkdir()
    for program in PROGRAMS:
        path = directory / program
        path.write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) {version}.4'\n")
        path.chmod(0o755)
    return directory


def test_first_tools_that_are_new_enough_are_taken(tmp_path: Path) -> None:
    old, new = tools_in(tmp_path / "old", 15), tools_in(tmp_path / "new", 17)
    assert find(16, iter([tmp_path, old, new])) == (new, 17)
    assert find(15, iter([old, new])) == (old, 15)
    assert find(18, iter([old, new])) is None


class Folder:
    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []

    def write_json(self, name: str, document: dict[str, Any]) -> None:
        assert name == "jobs/dump.progress.json"
        self.documents.append(document)


def test_progress_is_told_at_most_every_two_seconds_and_at_the_ends() -> None:
    # Given a clock that we hold
    folder, time = Folder(), [0.0]
    progress = Progress("dump", folder, clock=lambda: time[0])  # type: ignore[arg-type]
    progress.start("dump", 100, "bytes")
    # When much happens in little time
    for _ in range(50):
        time[0] += 0.1
        progress.add(1)
    progress.set(30)
    progress.set(1000)
    progress.finish()
    # Then few documents are written; done never goes back nor past the total
    done = [document["done"] for document in folder.documents]
    assert len(done) <= 5 and done[0] == 0 and done[-1] == 100 and done == sorted(done)


def test_amounts_are_readable() -> None:
    assert [readable(5, "bytes"), readable(5 * 2**20, "bytes"), readable(1234, "rows")] == [
        "5 B",
        "5.0 MiB",
        "1,234 rows",
    ]


def test_table_sizes_count_equal_names_once_each() -> None:
    sizes = TableSizes([("note", 10), ("note", 5), ("other", 1)])
    for name in ("note", "note", "note", "unknown"):
        sizes.finish(name)
    assert (sizes.total, sizes.finished) == (16, 15)


def test_bundle_must_be_certificates(tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_text("-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----")
    with pytest.raises(JobError, match="not a bundle of PEM certificates"):
        fetch_bundle(f"file://{page}", tmp_path / "bundle")
    with pytest.raises(JobError, match="could not be fetched"):
        fetch_bundle(f"file://{tmp_path}/absent", tmp_path / "bundle", attempts=1)


def test_password_of_tools_lies_in_a_file_that_only_we_can_read(tmp_path: Path) -> None:
    # Given a password with the file's own separators
    secret = json.dumps({"username": "admin", "password": "a:b\\c"})
    secrets = SimpleNamespace(get_secret_value=lambda **_: {"SecretString": secret})
    database = Database(
        generation="blue",
        instance_id="i",
        endpoint="h",
        port=1,
        database_name="d",
        master_secret_arn="m",
        application_role="r",
    )
    # When pg_dump's environment is made
    environment = Server(database, secrets, tmp_path / "bundle").tool_environment(tmp_path)
    # Then the password is in the file, escaped, and nowhere else
    path = Path(environment["PGPASSFILE"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "h:1:*:admin:a\\:b\\\\c\n"
    assert "a:b" not in json.dumps(environment) and environment["PGSSLMODE"] == "verify-full"


def test_progress_that_cannot_be_stored_does_not_end_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def write_json(self, name: str, document: dict[str, Any]) -> None:
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "slow down"}}, "PutObject")

    Progress("dump", Broken()).start("dump", 1, "tables")  # type: ignore[arg-type]
    assert "Progress could not be stored" in capsys.readouterr().out
