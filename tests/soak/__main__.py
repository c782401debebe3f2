"""`python -m tests.soak [faults] [day]`: what takes longer than a test may. Its status is 1 if anything went wrong."""

import sys

from tests.soak import day, faults

PARTS = {"faults": faults.holds, "day": day.holds}


def main(names: list[str]) -> int:
    if unknown := [name for name in names if name not in PARTS]:
        print(f"there is no part {unknown[0]}; the parts are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    results = [PARTS[name]() for name in names or PARTS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
