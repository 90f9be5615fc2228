"""ECR: repositories and the images that were pushed to them.

True: repositories with encryption, scanning and mutability of tags, policies, lifecycle policies, tags;
images by manifest, tag and digest; a tag of an immutable repository is never moved. Not true: there is no
registry behind the address, from which Docker could pull or to which it could push (`localaws.images` says
what an image means here); nothing is scanned; a lifecycle policy is kept and expires nothing.

Departures from moto: the digest of an image is the SHA-256 of its manifest, as in every registry (moto hashes
the layers' digests, or a random number); a push to a repository that does not exist says so, and one of
another image under an immutable tag answers `ImageTagAlreadyExistsException`; an authorisation token is valid
for twelve hours, not until 2015.
"""

import hashlib
from datetime import timedelta
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ecr.exceptions import ImageAlreadyExistsException, RepositoryNotFoundException
from moto.ecr.models import ECRBackend, Image
from moto.ecr.responses import ECRResponse

from localaws.runtime import Runtime

TOKEN_LIFETIME = timedelta(hours=12)


class TagTakenError(ServiceException):  # type: ignore[misc]
    """Another image has the tag, and tags of the repository are immutable."""

    code = "ImageTagAlreadyExistsException"


def _digest(image: Image) -> None:
    image._image_digest = f"sha256:{hashlib.sha256(image.image_manifest.encode()).hexdigest()}"


def install(runtime: Runtime) -> None:  # noqa: ARG001 - every module has the same door
    """Make the digests and errors of ECR those of a registry."""
    put_image = ECRBackend.put_image
    authorise = ECRResponse.get_authorization_token

    def checked_put_image(
        self: ECRBackend, repository_name: str, image_manifest: str, image_tag: str, *rest: Any
    ) -> Any:
        repository = self.repositories.get(repository_name)
        if repository is None:
            raise RepositoryNotFoundException(repository_name, self.account_id)
        try:
            return put_image(self, repository_name, image_manifest, image_tag, *rest)
        except ImageAlreadyExistsException as error:
            holder = repository._get_image(image_tag, None)
            if holder.image_manifest == image_manifest:
                raise
            raise TagTakenError(
                f"The image tag '{image_tag}' already exists in the '{repository_name}' repository and "
                "cannot be overwritten because the tag is immutable."
            ) from error

    def token_that_lasts(self: ECRResponse) -> ActionResult:
        answer = authorise(self)
        for token in answer.result["authorizationData"]:
            token["expiresAt"] = utcnow() + TOKEN_LIFETIME
        return answer

    Image._create_digest = _digest
    ECRBackend.put_image = checked_put_image
    ECRResponse.get_authorization_token = token_that_lasts
