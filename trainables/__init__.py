"""What one trial does: data, model, training, checkpoints. Free of any tracker, ledger or database."""
