"""The local cloud: MiniStack, mended where it differs from AWS, with the simulated DRS on the same port.

`launcher` starts it and deploys the product's stack, `server` is the process itself, `client` talks to it.
"""
