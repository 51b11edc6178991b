"""Chaos on the local cloud: a fleet changes without pause, workers die, services fail; in the end all must be true.

`timing` makes waits short, `world` is what is so, `changes` changes it, `breaking` breaks the cloud, `ending` lets
everything come to rest and compares, `report` tells, `run` is the order of it all.
"""
