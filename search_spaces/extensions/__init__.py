"""Names of the user's own functions, and the number of stages of the user's own backbones."""

from search_spaces.extensions.names import (
    EXTENSIONS,
    FUNCTION_PATTERN,
    ExtensionKind,
    installed_names,
    is_function_name,
    is_own,
)
from search_spaces.extensions.stage_counts import count_stages_by, modules_in, own_stages

__all__ = [
    "EXTENSIONS",
    "FUNCTION_PATTERN",
    "ExtensionKind",
    "count_stages_by",
    "installed_names",
    "is_function_name",
    "is_own",
    "modules_in",
    "own_stages",
]
