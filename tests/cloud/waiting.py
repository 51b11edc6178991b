import time


def eventually(look, seconds=10.0):
    """Return the first truthy result of `look`; fail where there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := look():
            return result
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")
