"""The Makefile's first step names all that is missing at once."""

from pathlib import Path

import pytest

from localaws.prerequisites import TOOLS, missing, version_of
from localaws.terraform_mirror import PROVIDER, configuration, configuration_file, find_mirror


def test_every_missing_tool_is_named_in_one_go() -> None:
    # Given a machine with nothing, when it is examined
    sentences = missing(version=lambda tool: None)
    # Then each tool is named with a remedy
    assert [sentence.split(" ")[0] for sentence in sentences][: len(TOOLS)] == [tool.name for tool in TOOLS]
    assert all(": " in sentence for sentence in sentences)


def test_a_tool_that_is_too_old_is_named_with_both_versions() -> None:
    sentences = missing(version=lambda tool: (1, 5) if tool.name == "Terraform" else (99, 0))
    assert sentences == [sentence for sentence in sentences if "Terraform is 1.5, needed is 1.11" in sentence]


def test_version_of_a_present_tool_is_read() -> None:
    assert (version_of(TOOLS[0]) or (0, 0)) >= (3, 11)


def test_named_mirror_without_the_provider_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not contain"):
        find_mirror({"TERRAFORM_PROVIDER_MIRROR": str(tmp_path)}, ())


def test_mirror_of_the_home_directory_wins_over_a_candidate(tmp_path: Path) -> None:
    # Given a mirror in Terraform's own directory and another one
    home, other = tmp_path / "home", tmp_path / "other"
    (home / ".terraform.d/plugins" / PROVIDER).mkdir(parents=True)
    (other / PROVIDER).mkdir(parents=True)
    # When one is chosen, then it is Terraform's own
    assert find_mirror({"HOME": str(home)}, [other]) == home / ".terraform.d/plugins"


def test_without_a_mirror_the_registry_is_used(tmp_path: Path) -> None:
    assert find_mirror({"HOME": str(tmp_path), "XDG_DATA_DIRS": str(tmp_path)}, [tmp_path]) is None


def test_configuration_installs_only_our_provider_from_the_mirror(tmp_path: Path) -> None:
    text = configuration(tmp_path)
    assert f'path    = "{tmp_path}"' in text
    assert text.count("registry.terraform.io/hashicorp/aws") == 2


def test_a_configuration_that_exists_is_kept(tmp_path: Path) -> None:
    given = tmp_path / "given.rc"
    given.touch()
    assert configuration_file({"TF_CLI_CONFIG_FILE": str(given)}, tmp_path / "new.rc") == given


def test_a_configuration_that_does_not_exist_gives_way_to_the_mirror(tmp_path: Path) -> None:
    # Given a variable that names nothing, and a mirror
    (tmp_path / "mirror" / PROVIDER).mkdir(parents=True)
    environment = {
        "TF_CLI_CONFIG_FILE": str(tmp_path / "absent.rc"),
        "TERRAFORM_PROVIDER_MIRROR": str(tmp_path / "mirror"),
    }
    # When the configuration is looked for, then the mirror's is written
    written = configuration_file(environment, tmp_path / "build" / "new.rc")
    assert written == tmp_path / "build" / "new.rc"
    assert str(tmp_path / "mirror") in written.read_text()
