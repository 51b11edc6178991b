"""The fleet generator: a description and a seed give a fleet of customer accounts, planted into the local cloud.

`description` reads the YAML, `generator` makes the fleet of it (pure), `planting` puts it into a cloud, `truth`
compares what the product made of it with what is so.
"""
