"""What a shell is given to reach a database still holds when the command that printed it has ended."""

from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from examples import database_access


def test_the_certificates_that_are_printed_outlive_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given certificates that end with the process
    passing = tmp_path / "passing.pem"
    passing.write_text("certificates")
    kept = tmp_path / "build" / "kept.pem"
    monkeypatch.setattr(database_access, "_KEPT_BUNDLE", kept)
    text = make_conninfo(host="127.1.0.1", user="know_me", sslrootcert=str(passing))
    monkeypatch.setattr(database_access, "connection_string_of_secret", lambda secret, label: text)
    # When the exports are printed and the certificates are gone
    assert database_access.main(["a-secret"]) == 0
    passing.unlink()
    # Then the shell is given a copy
    assert f"export PGSSLROOTCERT={kept}" in capsys.readouterr().out.splitlines()
    assert kept.read_text() == "certificates"


def test_a_generation_is_a_label_of_the_secret_and_the_app_uses_the_current_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a secret with two generations, of which the app uses the second
    values = {None: "green", "blue": "blue"}
    asked: list[str | None] = []

    class Client:
        @staticmethod
        def get_secret_value(SecretId: str, VersionStage: str | None = None) -> dict[str, str]:  # noqa: N803
            asked.append(VersionStage)
            return {"SecretString": f'{{"host": "{values[VersionStage]}"}}'}

    # When one is asked for, and none
    read = [database_access.secret_value("s", Client(), label=label)["host"] for label in ("blue", None)]
    # Then it is that one's version, and the current one
    assert (read, asked) == (["blue", "green"], ["blue", None])
