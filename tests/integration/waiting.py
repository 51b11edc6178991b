import time


def eventually(look, seconds=15.0, pause=0.03):
    """Return the first truthy result of `look`; fail where there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if result := look():
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s; the last look gave {result!r}")
        time.sleep(pause)
