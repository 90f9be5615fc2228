"""ECR: repositories and the images that were pushed to them.

True: repositories with encryption, scanning and mutability of tags, policies, lifecycle policies, tags;
images by manifest, tag and digest; a tag of an immutable repository is never moved. Not true: there is no
registry behind the address, nothing can be pulled or pushed by Docker (`localaws.images` says what an image
means here); nothing is scanned; a lifecycle policy is kept and expires nothing.

Departures from moto: the digest of an image is the SHA-256 of its manifest, as in every registry (moto hashes
the layers' digests, or a random number); a push to a repository that does not exist says so; an authorisation
token is valid for twelve hours, not until 2015.
"""

import hashlib
from datetime import timedelta
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ecr.exceptions import RepositoryNotFoundException
from moto.ecr.models import ECRBackend, Image
from moto.ecr.responses import ECRResponse

from localaws.runtime import Runtime

TOKEN_LIFETIME = timedelta(hours=12)


def _digest(image: Image) -> None:
    image._image_digest = f"sha256:{hashlib.sha256(image.image_manifest.encode()).hexdigest()}"


def install(runtime: Runtime) -> None:  # noqa: ARG001 - every module has the same door
    """Make the digests and errors of ECR those of a registry."""
    put_image = ECRBackend.put_image
    authorise = ECRResponse.get_authorization_token

    def put_into_known_repository(
        self: ECRBackend, repository_name: str, *arguments: Any, **named: Any
    ) -> Any:
        if repository_name not in self.repositories:
            raise RepositoryNotFoundException(repository_name, self.account_id)
        return put_image(self, repository_name, *arguments, **named)

    def token_that_lasts(self: ECRResponse) -> ActionResult:
        answer = authorise(self)
        for token in answer.result["authorizationData"]:
            token["expiresAt"] = utcnow() + TOKEN_LIFETIME
        return answer

    Image._create_digest = _digest
    ECRBackend.put_image = put_into_known_repository
    ECRResponse.get_authorization_token = token_that_lasts
