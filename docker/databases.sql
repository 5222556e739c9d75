-- A database for MLflow, beside the ledger's, which the image of PostgreSQL creates itself.
CREATE DATABASE mlflow;
