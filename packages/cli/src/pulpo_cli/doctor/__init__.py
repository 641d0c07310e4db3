"""What may be wrong with a deployment, looked at before it is deployed."""
