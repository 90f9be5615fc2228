"""IAM roles and policies."""

import json

from typing_extensions import override

from localaws.cloudformation.resources.base import (
    Made,
    Place,
    Properties,
    ResourceType,
    conform,
    removed_tags,
)


class Role(ResourceType):
    """AWS::IAM::Role."""

    name = "AWS::IAM::Role"
    name_property = "RoleName"
    replaced_by = frozenset({"RoleName", "Path"})
    properties = frozenset(
        {
            "AssumeRolePolicyDocument",
            "Description",
            "ManagedPolicyArns",
            "MaxSessionDuration",
            "Path",
            "PermissionsBoundary",
            "Policies",
            "RoleName",
            "Tags",
        }
    )

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the role, then its policies."""
        iam = place.client("iam")
        name = properties.get("RoleName") or place.generated_name(64)
        parameters = {
            key: value for key, value in properties.items() if key not in ("Policies", "ManagedPolicyArns")
        }
        parameters["AssumeRolePolicyDocument"] = json.dumps(properties["AssumeRolePolicyDocument"])
        role = iam.create_role(**conform("iam", "CreateRole", {**parameters, "RoleName": name}))["Role"]
        made = Made(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]})
        try:
            self._set_policies(place, made, {}, properties)
        except Exception:
            self.delete(place, made, properties)  # half made is not made
            raise
        return made

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change trust, description, boundary, tags and policies."""
        iam, name = place.client("iam"), made.physical_id
        iam.update_assume_role_policy(
            RoleName=name, PolicyDocument=json.dumps(new["AssumeRolePolicyDocument"])
        )
        settings = {
            "RoleName": name,
            "Description": new.get("Description", ""),
            "MaxSessionDuration": new.get("MaxSessionDuration", 3600),
        }
        iam.update_role(**conform("iam", "UpdateRole", settings))
        if new.get("PermissionsBoundary") != old.get("PermissionsBoundary"):
            if "PermissionsBoundary" in new:
                iam.put_role_permissions_boundary(
                    RoleName=name, PermissionsBoundary=new["PermissionsBoundary"]
                )
            else:
                iam.delete_role_permissions_boundary(RoleName=name)
        if removed := removed_tags(old, new):
            iam.untag_role(RoleName=name, TagKeys=removed)
        if new.get("Tags"):
            iam.tag_role(**conform("iam", "TagRole", {"RoleName": name, "Tags": new["Tags"]}))
        self._set_policies(place, made, old, new)
        return made

    @staticmethod
    def _set_policies(place: Place, made: Made, old: Properties, new: Properties) -> None:
        iam, name = place.client("iam"), made.physical_id
        wanted = {policy["PolicyName"]: policy["PolicyDocument"] for policy in new.get("Policies", [])}
        for policy, document in wanted.items():
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
        for policy in {policy["PolicyName"] for policy in old.get("Policies", [])} - wanted.keys():
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        before, after = set(old.get("ManagedPolicyArns", [])), set(new.get("ManagedPolicyArns", []))
        for arn in sorted(after - before):
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        for arn in sorted(before - after):
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the role with whatever policies it has by now."""
        iam, name = place.client("iam"), made.physical_id
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for attached in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=attached["PolicyArn"])
        iam.delete_role(RoleName=name)


class Policy(ResourceType):
    """AWS::IAM::Policy: an inline policy of roles."""

    name = "AWS::IAM::Policy"
    replaced_by = frozenset({"PolicyName"})
    properties = frozenset({"PolicyDocument", "PolicyName", "Roles"})

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Put the policy into each role."""
        self._put(place, properties)
        return Made(place.generated_name(), {"Id": properties["PolicyName"]})

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Put the policy into the roles that it has now, take it from the others."""
        self._put(place, new)
        gone = [role for role in old.get("Roles", []) if role not in new.get("Roles", [])]
        self._remove(place, old["PolicyName"], gone)
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Take the policy from each role."""
        self._remove(place, properties["PolicyName"], properties.get("Roles", []))

    @staticmethod
    def _put(place: Place, properties: Properties) -> None:
        for role in properties.get("Roles", []):
            place.client("iam").put_role_policy(
                RoleName=role,
                PolicyName=properties["PolicyName"],
                PolicyDocument=json.dumps(properties["PolicyDocument"]),
            )

    @staticmethod
    def _remove(place: Place, policy: str, roles: list[str]) -> None:
        for role in roles:
            place.client("iam").delete_role_policy(RoleName=role, PolicyName=policy)


class ManagedPolicy(ResourceType):
    """AWS::IAM::ManagedPolicy."""

    name = "AWS::IAM::ManagedPolicy"
    name_property = "ManagedPolicyName"
    replaced_by = frozenset({"Description", "ManagedPolicyName", "Path"})
    properties = frozenset({"Description", "ManagedPolicyName", "Path", "PolicyDocument", "Roles"})

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the policy, then attach it."""
        iam = place.client("iam")
        parameters = {
            "PolicyName": properties.get("ManagedPolicyName") or place.generated_name(128),
            "PolicyDocument": json.dumps(properties["PolicyDocument"]),
            **{key: properties[key] for key in ("Description", "Path") if key in properties},
        }
        arn = iam.create_policy(**conform("iam", "CreatePolicy", parameters))["Policy"]["Arn"]
        for role in properties.get("Roles", []):
            iam.attach_role_policy(RoleName=role, PolicyArn=arn)
        return Made(arn, {"PolicyArn": arn})

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Put another version in force; attach and detach."""
        iam, arn = place.client("iam"), made.physical_id
        if new["PolicyDocument"] != old["PolicyDocument"]:
            document = json.dumps(new["PolicyDocument"])
            iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
            self._delete_old_versions(place, arn)
        before, after = set(old.get("Roles", [])), set(new.get("Roles", []))
        for role in sorted(after - before):
            iam.attach_role_policy(RoleName=role, PolicyArn=arn)
        for role in sorted(before - after):
            iam.detach_role_policy(RoleName=role, PolicyArn=arn)
        return made

    @staticmethod
    def _delete_old_versions(place: Place, arn: str) -> None:
        iam = place.client("iam")
        for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Detach and delete the policy."""
        for role in properties.get("Roles", []):
            place.client("iam").detach_role_policy(RoleName=role, PolicyArn=made.physical_id)
        place.client("iam").delete_policy(PolicyArn=made.physical_id)


TYPES = (Role(), Policy(), ManagedPolicy())
