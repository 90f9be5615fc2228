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
    monkeypatch.setattr(database_access, "connection_string_of_secret", lambda secret: text)
    # When the exports are printed and the certificates are gone
    assert database_access.main(["a-secret"]) == 0
    passing.unlink()
    # Then the shell is given a copy
    assert f"export PGSSLROOTCERT={kept}" in capsys.readouterr().out.splitlines()
    assert kept.read_text() == "certificates"
