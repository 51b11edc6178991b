"""Arguments that the command lines around the cloud share; what does not fit is told in one line."""

import argparse
from typing import NoReturn

LARGEST_PORT = (1 << 16) - 1


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line each, without the usage before them."""

    def error(self, message: str) -> NoReturn:
        """End the program with status 2, saying what does not fit."""
        self.exit(2, f"error: {message}\n")


def port_number(text: str) -> int:
    """Return the TCP port that `text` names; 0 stands for a free one.

    Raises:
        argparse.ArgumentTypeError: it names none.
    """
    if text.isascii() and text.isdigit() and int(text) <= LARGEST_PORT:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is no port; 1 to {LARGEST_PORT}, or 0 for a free one")
