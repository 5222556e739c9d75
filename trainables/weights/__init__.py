"""Starting weights of backbones: from files, packages and hubs, checked before use."""

from trainables.weights.local import weights_at_hand

__all__ = ["weights_at_hand"]
