"""Source through a connection (`CodeStarSourceConnection`).

https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-CodestarConnectionSource.html.
"""

import json
from collections.abc import Mapping

from localaws import codeconnections
from localaws.codeconnections.repositories import RepositoryError
from localaws.codepipeline.actions.work import ActionType, Result, Work
from localaws.codepipeline.errors import ActionFailed
from localaws.codepipeline.records import Revision
from localaws.policies import allowed_by_role

FORMATS = ("CODE_ZIP",)


def _check(configuration: Mapping[str, str]) -> list[str]:
    faults = []
    chosen = configuration.get("OutputArtifactFormat", "CODE_ZIP")
    if chosen not in FORMATS:
        faults.append(f"OutputArtifactFormat {chosen} is not implemented by the local AWS: use CODE_ZIP")
    if configuration.get("DetectChanges", "true") not in ("true", "false"):
        faults.append("DetectChanges is neither true nor false")
    if not configuration["ConnectionArn"].startswith("arn:"):
        faults.append("ConnectionArn is not an ARN")
    return faults


def run(work: Work) -> Result:
    """Fetch a commit: the one that was pushed or asked for, otherwise the latest of the branch."""
    wanted = work.configuration
    arn, name = wanted["ConnectionArn"], wanted["FullRepositoryId"]
    _may_use(work, arn, name)
    commit_asked, branch_asked = work.execution.asked.get(work.run.name, (None, None))
    branch = branch_asked or wanted["BranchName"]
    try:
        repository = codeconnections.repositories.get(name)
        commit = repository.commit(commit_asked or codeconnections.repositories.head(name, branch))
        archive = repository.archive(commit.identifier)
    except RepositoryError as error:
        raise ActionFailed("ConfigurationError", f"[{_provider(arn)}] {error}") from error
    artifact = work.store.place(work.outputs[0], commit.identifier)
    work.store.write(artifact, archive)
    subject = json.dumps({"ProviderType": _provider(arn), "CommitMessage": commit.message})
    url = f"https://{_provider(arn).lower()}.com/{name}/commit/{commit.identifier}"
    work.run.external_id, work.run.external_url, work.run.summary = commit.identifier, url, subject
    return Result(
        (artifact,),
        {
            "AuthorDate": commit.date,
            "AuthorDisplayName": commit.author,
            "AuthorEmail": commit.email,
            "AuthorId": commit.author,
            "BranchName": branch,
            "CommitId": commit.identifier,
            "CommitMessage": commit.message,
            "ConnectionArn": arn,
            "FullRepositoryName": name,
        },
        Revision(work.run.name, artifact.name, commit.identifier, subject, url),
    )


def _provider(arn: str) -> str:
    found = codeconnections.connections.find(arn)
    return found.provider if found else "GitHub"


def _may_use(work: Work, arn: str, repository: str) -> None:
    """Raise ActionFailed unless the connection is approved and the role may use it."""
    connection = codeconnections.connections.find(arn)
    if connection is None:
        raise ActionFailed("ConfigurationError", f"The connection {arn} does not exist.")
    service = arn.split(":")[2]
    context = {
        f"{service}:fullrepositoryid": repository,
        f"{service}:providertype": connection.provider,
    }
    if not allowed_by_role(work.run.role_arn, f"{service}:UseConnection", arn, context):
        raise ActionFailed(
            "PermissionError",
            f"Unable to use Connection: {arn}. The role {work.run.role_arn} lacks {service}:UseConnection on "
            "it.",
        )
    if connection.status != "AVAILABLE":
        raise ActionFailed(
            "ConfigurationError",
            f"Connection {arn} is not available: its status is {connection.status}. Somebody has to approve "
            "it.",
        )


TYPE = ActionType(
    "Source",
    "CodeStarSourceConnection",
    run,
    frozenset({"ConnectionArn", "FullRepositoryId", "BranchName"}),
    ("OutputArtifactFormat", "DetectChanges"),
    range(1),
    range(1, 2),
    _check,
)
