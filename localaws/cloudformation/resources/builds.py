"""CodeBuild projects; ECR repositories; what the CDK says about itself."""

import json
from typing import Any

from typing_extensions import override

from localaws.cloudformation.resources.base import Made, Place, Properties, ResourceType, conform


class Project(ResourceType):
    """AWS::CodeBuild::Project."""

    name = "AWS::CodeBuild::Project"
    name_property = "Name"
    replaced_by = frozenset({"Name"})
    properties = frozenset(
        {
            "Artifacts",
            "AutoRetryLimit",
            "BadgeEnabled",
            "Cache",
            "ConcurrentBuildLimit",
            "Description",
            "EncryptionKey",
            "Environment",
            "LogsConfig",
            "Name",
            "QueuedTimeoutInMinutes",
            "ServiceRole",
            "Source",
            "SourceVersion",
            "Tags",
            "TimeoutInMinutes",
            "VpcConfig",
        }
    )

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the project."""
        name = properties.get("Name") or place.generated_name(150)
        parameters = conform("codebuild", "CreateProject", {**properties, "Name": name})
        arn = place.client("codebuild").create_project(**parameters)["project"]["arn"]
        return Made(name, {"Arn": arn})

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change the project as a whole."""
        parameters: dict[str, Any] = {**new, "Name": made.physical_id}
        place.client("codebuild").update_project(**conform("codebuild", "UpdateProject", parameters))
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the project."""
        place.client("codebuild").delete_project(name=made.physical_id)


class Repository(ResourceType):
    """AWS::ECR::Repository, of which the CDK's bootstrap stack has one."""

    name = "AWS::ECR::Repository"
    name_property = "RepositoryName"
    replaced_by = frozenset({"RepositoryName"})
    properties = frozenset(
        {"ImageTagMutability", "LifecyclePolicy", "RepositoryName", "RepositoryPolicyText"}
    )

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the repository, then its policies."""
        parameters = {
            "repositoryName": properties.get("RepositoryName") or place.generated_name(256).lower(),
            "imageTagMutability": properties.get("ImageTagMutability", "MUTABLE"),
        }
        repository = place.client("ecr").create_repository(**parameters)["repository"]
        made = Made(
            repository["repositoryName"],
            {"Arn": repository["repositoryArn"], "RepositoryUri": repository["repositoryUri"]},
        )
        return self.update(place, made, {}, properties)

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change mutability and policies."""
        ecr, name = place.client("ecr"), made.physical_id
        if old and new.get("ImageTagMutability") != old.get("ImageTagMutability"):
            ecr.put_image_tag_mutability(
                repositoryName=name, imageTagMutability=new.get("ImageTagMutability", "MUTABLE")
            )
        if "LifecyclePolicy" in new:
            text = new["LifecyclePolicy"]["LifecyclePolicyText"]
            ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=text)
        if "RepositoryPolicyText" in new:
            ecr.set_repository_policy(repositoryName=name, policyText=json.dumps(new["RepositoryPolicyText"]))
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the repository, which must be empty."""
        place.client("ecr").delete_repository(repositoryName=made.physical_id)


class Metadata(ResourceType):
    """AWS::CDK::Metadata: says with what a template was made, and makes nothing on AWS either."""

    name = "AWS::CDK::Metadata"
    properties = frozenset({"Analytics"})

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make nothing."""
        return Made(place.generated_name())

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change nothing."""
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete nothing."""


TYPES = (Project(), Repository(), Metadata())
