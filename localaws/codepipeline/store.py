"""Artifacts: zip archives in the pipeline's bucket, read and written by the role of an action."""

import io
import secrets
import string
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localaws.codebuild.source import REVISION_METADATA
from localaws.codepipeline.errors import ActionFailed

NAME_CHARACTERS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Artifact:
    """An artifact of an execution.

    Attributes
    ----------
    name:
        As the pipeline declares it.
    bucket, key:
        Where it is.
    revision:
        The source revision that it came from, or empty.
    """

    name: str
    bucket: str
    key: str
    revision: str = ""

    @property
    def arn(self) -> str:
        """ARN of the object."""
        return f"arn:aws:s3:::{self.bucket}/{self.key}"

    def described(self) -> dict[str, Any]:
        """Return the artifact as the API shows it."""
        return {"name": self.name, "s3location": {"bucket": self.bucket, "key": self.key}}


class Store:
    """The artifact store of a pipeline, seen by one action.

    Parameters
    ----------
    declaration:
        `artifactStore` of the pipeline.
    pipeline:
        Its name.
    s3:
        Client of the action's role.
    """

    def __init__(self, declaration: Mapping[str, Any], pipeline: str, s3: Any) -> None:
        self.bucket = str(declaration["location"])
        key = declaration.get("encryptionKey")
        self.encryption_key: str | None = str(key["id"]) if key else None
        self._pipeline = pipeline
        self._s3 = s3

    def place(self, name: str, revision: str = "") -> Artifact:
        """Return where a new artifact goes: parts of the names of pipeline and artifact, and chance."""
        chance = "".join(secrets.choice(NAME_CHARACTERS) for _ in range(7))
        return Artifact(name, self.bucket, f"{self._pipeline[:20]}/{name[:10]}/{chance}", revision)

    def write(self, artifact: Artifact, archive: bytes) -> None:
        """Store a zip archive, encrypted with the pipeline's key (S3's own when it has none)."""
        key = {"SSEKMSKeyId": self.encryption_key} if self.encryption_key else {}
        self._s3.put_object(
            Bucket=artifact.bucket,
            Key=artifact.key,
            Body=archive,
            ServerSideEncryption="aws:kms",
            Metadata={REVISION_METADATA: artifact.revision},
            ContentType="application/zip",
            **key,
        )

    def exists(self, artifact: Artifact) -> bool:
        """Return whether the object of an artifact is there."""
        found = self._s3.list_objects_v2(Bucket=artifact.bucket, Prefix=artifact.key, MaxKeys=1)
        return any(entry["Key"] == artifact.key for entry in found.get("Contents", []))

    def archive(self, artifact: Artifact) -> zipfile.ZipFile:
        """Return an artifact, opened.

        Raises
        ------
        ActionFailed
            It is no zip archive.
        """
        body = self._s3.get_object(Bucket=artifact.bucket, Key=artifact.key)["Body"].read()
        try:
            return zipfile.ZipFile(io.BytesIO(body))
        except zipfile.BadZipFile as error:
            raise ActionFailed(
                "ConfigurationError", f"The artifact {artifact.name} is not a zip archive."
            ) from error

    def file(self, artifact: Artifact, path: str) -> bytes:
        """Return a file of an artifact.

        Raises
        ------
        ActionFailed
            It has no such file.
        """
        with self.archive(artifact) as archive:
            try:
                return archive.read(path)
            except KeyError as error:
                raise ActionFailed(
                    "ConfigurationError",
                    f"Did not find the file {path} in the artifact {artifact.name}. It has: "
                    f"{', '.join(archive.namelist()[:20]) or 'nothing'}.",
                ) from error
