"""Find a Terraform filesystem mirror of the AWS provider and write the CLI configuration that uses it.

A machine without a way to the public registry can carry the provider as a filesystem mirror: a
directory that contains `registry.terraform.io/hashicorp/aws/`. Looked for, in order: the variable
`TERRAFORM_PROVIDER_MIRROR`, the directories that Terraform itself searches (its documentation calls
them implied local mirrors), then any directory directly below /opt. When there is none, Terraform uses
the registry. A mirror below HOME is configured too, because a build has a HOME of its own.

Run by the Makefile with the standard library only: `python3 -m localaws.terraform_mirror build/terraform.rc`
prints the path of the configuration when one was written and nothing otherwise.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

PROVIDER = Path("registry.terraform.io/hashicorp/aws")


def implied_directories(environment: Mapping[str, str]) -> list[Path]:
    """Return the directories that Terraform on Linux searches by itself."""
    home = Path(environment.get("HOME", "/"))
    data = [Path(environment.get("XDG_DATA_HOME") or home / ".local/share")]
    data += [
        Path(part) for part in (environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    ]
    return [home / ".terraform.d/plugins", *(directory / "terraform/plugins" for directory in data)]


def find_mirror(environment: Mapping[str, str], candidates: Iterable[Path]) -> Path | None:
    """Return the first mirror that contains the AWS provider, or None when there is none.

    Parameters
    ----------
    environment:
        Variables of the process; `TERRAFORM_PROVIDER_MIRROR` names a mirror explicitly.
    candidates:
        Directories to look at last.

    Raises
    ------
    FileNotFoundError
        When the named mirror does not contain the AWS provider.
    """
    named = environment.get("TERRAFORM_PROVIDER_MIRROR")
    if named:
        if not (Path(named) / PROVIDER).is_dir():
            raise FileNotFoundError(f"TERRAFORM_PROVIDER_MIRROR={named} does not contain {PROVIDER}/")
        return Path(named)
    searched = [*implied_directories(environment), *sorted(candidates)]
    return next((directory for directory in searched if (directory / PROVIDER).is_dir()), None)


def configuration(mirror: Path) -> str:
    """Return a Terraform CLI configuration that installs the AWS provider from the mirror only."""
    return f"""provider_installation {{
  filesystem_mirror {{
    path    = "{mirror}"
    include = ["registry.terraform.io/hashicorp/aws"]
  }}
  direct {{
    exclude = ["registry.terraform.io/hashicorp/aws"]
  }}
}}
"""


def configuration_file(environment: Mapping[str, str], target: Path) -> Path | None:
    """Return the CLI configuration that Terraform should use, or None when it needs none.

    Parameters
    ----------
    environment:
        Variables of the process. A `TF_CLI_CONFIG_FILE` that exists wins; one that does not is what
        Terraform itself would warn about and ignore.
    target:
        Where the configuration is written when a mirror is found.

    Raises
    ------
    FileNotFoundError
        When `TERRAFORM_PROVIDER_MIRROR` does not contain the AWS provider.
    """
    given = environment.get("TF_CLI_CONFIG_FILE")
    if given and Path(given).is_file():
        return Path(given).resolve()
    optional = Path("/opt")
    mirror = find_mirror(environment, optional.iterdir() if optional.is_dir() else ())
    if mirror is None:
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    text = configuration(mirror)
    if not target.exists() or target.read_text() != text:
        target.write_text(text)
    return target.resolve()


def main(arguments: list[str]) -> int:
    """Print the path of the configuration to use, if any; it is written to the file the argument names."""
    try:
        file = configuration_file(os.environ, Path(arguments[0]))
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    if file is not None:
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
