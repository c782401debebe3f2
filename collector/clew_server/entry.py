"""The `clew` command's first step: `clew run` needs the middleware alone, all other commands the server's packages."""

import sys

CONFIG_ERROR_STATUS = 2


def main() -> None:
    """Run a command. Exits with 2 if the packages that it needs are not installed."""
    if sys.argv[1:2] == ["run"]:
        from clew import run

        run.main(sys.argv[2:])
    try:
        from clew_server import cli
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("clew", "clew_server", "clew_collector", "clew_dashboards"):
            raise
        print(
            f"clew: {error.name} is not installed. "
            "clew up and the other commands need: pip install 'clew[server]'. clew run does not.",
            file=sys.stderr,
        )
        raise SystemExit(CONFIG_ERROR_STATUS) from None
    cli.main()


if __name__ == "__main__":
    main()
