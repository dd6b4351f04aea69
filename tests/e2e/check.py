"""The few lines that the Python scripts here share: named checks, the first failure ends the script."""

import asyncio
import sys
import traceback

STEP_TIMEOUT = 60  # seconds for one check, on a loaded machine


def run(checks):
    """Runs each check, a coroutine function whose doc line is its name, in order; ends the process."""

    async def all_of_them():
        for check in checks:
            try:
                await asyncio.wait_for(check(), STEP_TIMEOUT)
            except BaseException:
                print(f"  FAILED {check.__doc__}", flush=True)
                raise
            print(f"  ok {check.__doc__}", flush=True)

    try:
        asyncio.run(all_of_them())
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    print(f"  {len(checks)} checks")


def same(found, expected, what):
    """Fails unless both values are equal; long ones are cut in what is shown."""
    if found != expected:
        raise AssertionError(f"{what}: expected {short(expected)}, found {short(found)}")


def short(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"
