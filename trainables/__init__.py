"""The parts of one trial: data, model, training, checkpoints. No tracker, ledger or database is imported."""
