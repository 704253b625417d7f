"""What is seen of a CALVIN folder before it is packed: missing frames, annotations, image sizes."""

from typing import Final

from wam.episodes.calvin_format import EPISODE_IDS_FILE, CalvinFormatError, CalvinSplit
from wam.episodes.ingest_config import IngestConfig
from wam.episodes.shard import ImageShapes

_SHOWN: Final = 5
"""Frame ids that an error message lists."""


def missing_frames(split: CalvinSplit, config: IngestConfig) -> dict[int, str]:
    """Frames of the split without a file, with the reason they are left out.

    Raises:
        CalvinFormatError: If there are any, without quarantine.
    """
    missing = split.missing_ids()
    if len(missing) and not config.quarantine:
        names = ", ".join(split.frame_path(int(frame)).name for frame in missing[:_SHOWN])
        raise CalvinFormatError(
            f"{split.folder}: {len(missing)} of the {len(split.frame_ids)} frame files in {EPISODE_IDS_FILE} "
            f"do not exist, first: {names}; copy them again or ingest with quarantine: true"
        )
    return {int(frame): "file is missing" for frame in missing}


def annotation_faults(split: CalvinSplit, config: IngestConfig) -> list[str]:
    """What is wrong with the language annotations, where they are required; the bad ones are left out.

    Raises:
        CalvinFormatError: If anything is, without quarantine.
    """
    if not config.require_annotations:
        return []
    if config.quarantine:
        return split.checked_annotations()[1]
    _ = split.annotations
    return []


def image_shapes(split: CalvinSplit, reasons: dict[int, str], config: IngestConfig) -> ImageShapes:
    """Image shapes of the first good frame, which all others must share.

    Args:
        split: The folder.
        reasons: Frames that are left out already.
        config: Whether bad frames may be.

    Raises:
        CalvinFormatError: If a frame cannot be read, without quarantine, or none can.
    """
    for frame_id in split.frame_ids:
        if int(frame_id) in reasons:
            continue
        try:
            frame = split.read_frame(int(frame_id))
        except CalvinFormatError:
            if not config.quarantine:
                raise
            continue
        return frame.image_static.shape, frame.image_gripper.shape
    raise CalvinFormatError(f"{split.folder}: no readable frame; the folder is unusable")
