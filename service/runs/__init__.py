"""The run of one sweep, from the images to the registered candidate."""

from service.runs.kept_checkpoints import space_taken

__all__ = ["space_taken"]
