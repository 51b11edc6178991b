"""The chaos run itself: 40 runs of 50 steps in the suite, a thousand and more with `make chaos`."""

from .machine import Chaos, machine_settings

Chaos.TestCase.settings = machine_settings()
TestChaos = Chaos.TestCase
