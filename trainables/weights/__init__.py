"""Starting weights of backbones: from files, packages and hubs, checked before use."""

from trainables.weights.local import has_local_weights

__all__ = ["has_local_weights"]
