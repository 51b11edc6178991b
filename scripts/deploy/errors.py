"""What stops a deployment."""


class DeployError(Exception):
    """The deployment cannot go on, or failed; the message says why and what to do."""
