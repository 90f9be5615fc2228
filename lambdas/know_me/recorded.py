"""Read back what a run recorded before it stopped anything."""

from know_me.errors import ResumeFailed
from know_me.quiescence import Quiesced
from know_me.run_folder import RunFolder


def read_recorded(folder: RunFolder) -> Quiesced:
    """Return `quiesced.json`.

    Raises
    ------
    ResumeFailed
        There is none, or it cannot be read.
    """
    document = folder.read("quiesced.json")
    if document is None:
        raise ResumeFailed(
            f"{folder.address}/quiesced.json does not exist: what ran before is not known.",
            "Look at the versions of the object, or set the desired counts by hand.",
        )
    return Quiesced.model_validate(document)
