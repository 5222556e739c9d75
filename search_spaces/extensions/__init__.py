"""Names of the user's own code, and the number of stages of the user's own backbones."""

from search_spaces.extensions.names import (
    EXTENSIONS,
    FUNCTION_PATTERN,
    ExtensionKind,
    installed_names,
    is_function_name,
    is_own,
)
from search_spaces.extensions.stage_counts import (
    count_own_stages,
    count_stages_by,
    is_counting_forbidden,
    modules_in,
    without_counting,
)

__all__ = [
    "EXTENSIONS",
    "FUNCTION_PATTERN",
    "ExtensionKind",
    "count_own_stages",
    "count_stages_by",
    "installed_names",
    "is_counting_forbidden",
    "is_function_name",
    "is_own",
    "modules_in",
    "without_counting",
]
