"""Bundles: what may be provisioned, and what is wrong with everything else."""

import io
import stat
import warnings
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from know_me import bundles
from know_me.bundles import faults_of_bundle, faults_of_location, refusal

GOOD = {
    "terraform/main.tf": b"",
    "codebuild/terraform.buildspec.yml": b"version: 0.2",
    "requirements.txt": b"",
}


def archive(files: dict[str, bytes], **attributes: int) -> bytes:
    """Return a zip; `attributes` are the mode bits of files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = attributes.get(name, 0o644) << 16
            opened.writestr(entry, content)
    return buffer.getvalue()


def test_a_bundle_with_terraform_and_its_buildspec_is_taken() -> None:
    assert faults_of_bundle(archive(GOOD)) == []


def test_what_is_missing_is_named_at_once() -> None:
    assert faults_of_bundle(archive({"main.tf": b"", "terraform/modules/x/main.tf": b""})) == [
        "it has no terraform/*.tf",
        "it has no codebuild/terraform.buildspec.yml",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/passwd",
        "terraform/../../outside",
        "..\\outside",
        "terraform\\x.tf",
        "C:/outside",
        "a:b",
    ],
)
def test_a_name_that_leads_outside_is_refused(name: str) -> None:
    (fault,) = faults_of_bundle(archive({**GOOD, name: b"x"}))
    assert fault.endswith("it would be unpacked outside of the bundle")


@given(st.text(min_size=1, max_size=40))
def test_only_names_that_stay_inside_are_taken(name: str) -> None:
    try:
        content = archive({**GOOD, name: b""})
    except (ValueError, UnicodeEncodeError):
        return  # no zip has such a name
    # Given the name as it stands in the zip
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        stored = opened.infolist()[-1].orig_filename
    # When the bundle is taken, then the name leads nowhere else on any system
    if not faults_of_bundle(content):
        assert ".." not in stored.split("/") and not stored.startswith("/")
        assert not any(each in stored for each in "\\\0:")


def test_links_devices_and_doubles_are_refused() -> None:
    names = {"terraform/link": stat.S_IFLNK | 0o777, "terraform/pipe": stat.S_IFIFO | 0o644}
    content = archive({**GOOD, **dict.fromkeys(names, b"/etc")}, **names)
    assert faults_of_bundle(content) == [f"{name}: it is neither a file nor a folder" for name in names]
    buffer = io.BytesIO(archive(GOOD))
    with zipfile.ZipFile(buffer, "a") as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened.writestr("terraform/main.tf", b"other")
    assert faults_of_bundle(buffer.getvalue()) == ["terraform/main.tf: it is there twice"]


def test_what_is_no_zip_or_damaged_is_refused() -> None:
    assert faults_of_bundle(b"hello")[0].startswith("it is no zip: ")
    content = archive({**GOOD, "terraform/data.txt": b"A" * 1000})
    damaged = content.replace(b"A" * 1000, b"A" * 999 + b"B")
    assert faults_of_bundle(damaged) == ["terraform/data.txt: it is damaged"]


def test_what_would_be_too_much_is_refused_without_unpacking_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "LARGEST_CONTENT_BYTES", 10)
    monkeypatch.setattr(bundles, "MOST_FILES", 2)
    monkeypatch.setattr(bundles, "_faults_of_data", None)
    assert faults_of_bundle(archive(GOOD)) == [
        "it has 3 files; at most 2 are taken",
        "its files have 12 bytes; at most 10 are taken",
    ]


def test_place_and_size_are_judged_before_it_is_read() -> None:
    assert faults_of_location("bundles/main-42.zip", 1000) == []
    assert len(faults_of_location("other/größe.tar", 50 * 1024**2 + 1)) == 3


def test_a_refusal_names_the_bundle_and_every_fault() -> None:
    subject, text = refusal("staging", "s3://bucket/bundles/x.zip", ["one", "two"])
    assert subject == "Know Me staging: a bundle is refused"
    assert "s3://bucket/bundles/x.zip" in text and "- one\n- two" in text
