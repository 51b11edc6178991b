"""Running a program on a local cloud of its own: whoever ends it, the cloud ends with it."""

import signal
from collections.abc import Callable
from pathlib import Path

from sandbox.cloud.launcher import CloudError, down
from sandbox.demo.display import Display
from sandbox.fleet.description import DescriptionError


def with_a_cloud(run: Callable[[Display], int], state_dir: Path) -> int:
    """Return what `run` returns; 1, with the reason shown, where its cloud or fleet could not be made.

    Args:
        run: the program; it starts the cloud itself.
        state_dir: where its cloud is kept, and found in order to be stopped.
    """
    display = Display()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run(display)
    except (CloudError, DescriptionError) as error:
        display.bad(str(error))
        return 1
    except KeyboardInterrupt:
        display.line("\ninterrupted")
        return 1
    finally:
        down(state_dir)
