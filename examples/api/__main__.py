"""``python -m examples.api serve | migrate | collectstatic | background-jobs``: the commands of the image."""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

import psycopg

from examples.api import database
from examples.api.configuration import (
    PORT,
    Configuration,
    ConfigurationError,
    listen_address,
    read_configuration,
)
from examples.api.media import FileMissingError, MediaUnavailableError, collect_static, open_store
from examples.api.photos import Photos
from examples.api.server import Application, make_server

log = logging.getLogger("know-me-api")


def serve(configuration: Configuration) -> int:
    """Answer requests until SIGTERM or SIGINT, then finish what was begun."""
    pool = database.Pool(configuration.connection_string())
    address = listen_address(os.environ)
    store = open_store(configuration.media_bucket)
    server = make_server(Application(pool, Photos(pool, store), store.bucket), address, PORT)
    # `shutdown` waits for the serving loop, which is this thread: it must be called from another one.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info("listening on %s port %s", address, PORT)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    pool.close()
    log.info("stopped; every request that was begun has been answered")
    return 0


def migrate(configuration: Configuration) -> int:
    """Create the schema; does nothing when it is there."""
    with psycopg.connect(configuration.connection_string()) as connection:
        done = database.migrate(connection)
    log.info("schema created" if done else "nothing to migrate")
    return 0


def collectstatic(configuration: Configuration) -> int:
    """Put the static files into the media bucket, over those that are there."""
    store = open_store(configuration.media_bucket)
    log.info("%d static files are in %s", collect_static(store), store.bucket)
    return 0


def background_jobs(configuration: Configuration) -> int:
    """Do what the app does every few minutes: bring the activity of every user up to date."""
    with psycopg.connect(configuration.connection_string()) as connection:
        connection.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY know_me_activity")
    log.info("activity refreshed")
    return 0


_COMMANDS: dict[str, Callable[[Configuration], int]] = {
    "serve": serve,
    "migrate": migrate,
    "collectstatic": collectstatic,
    "background-jobs": background_jobs,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit code 0: done, 1: a store refused, 2: the configuration is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.api",
        description="A stand-in for the image of the Know Me API.",
        epilog="Configured by DATABASE_HOST, DATABASE_PORT, DATABASE_NAME, DATABASE_USERNAME, "
        "DATABASE_PASSWORD, DATABASE_SSLMODE, DATABASE_CERTIFICATE_BUNDLE_URL, DJANGO_SECRET_KEY "
        "and MEDIA_BUCKET. "
        "Listens on port 8000 of the address in the ECS task metadata, or on every address without any.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in _COMMANDS.items():
        summary = (function.__doc__ or "").splitlines()[0]
        commands.add_parser(name, help=summary, description=summary)
    chosen = parser.parse_args(arguments).command
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        return _COMMANDS[chosen](read_configuration(os.environ))
    except ConfigurationError as error:
        log.error("%s", error)
        return 2
    except psycopg.Error as error:
        log.error("%s: the database refused: %s", chosen, str(error).strip())
        return 1
    except (MediaUnavailableError, FileMissingError) as error:
        log.error("%s: the media bucket refused: %s", chosen, error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
