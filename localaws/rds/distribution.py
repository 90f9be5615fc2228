"""RDS's build of PostgreSQL: the installed server with RDS's list of extensions that the master user may
create.

PostgreSQL lets only a superuser create an extension unless its control file says `trusted`. On RDS nobody is
superuser, and the extensions of a published list can be created by any member of rds_superuser. PostgreSQL
finds its share directory relative to its own program, so a copy of the program beside a share directory made
of links, in which the control files of RDS's list say `trusted = true`, behaves the same: scripts run as the
internal superuser, and whatever is not on the list is refused.

Different from RDS: whoever may create objects in the database may create these extensions, not only members
of rds_superuser; extensions that are not installed on this machine are missing.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

EXTENSIONS = frozenset(
    [
        "address_standardizer",
        "amcheck",
        "autoinc",
        "bloom",
        "bool_plperl",
        "btree_gin",
        "btree_gist",
        "citext",
        "cube",
        "dblink",
        "dict_int",
        "dict_xsyn",
        "earthdistance",
        "fuzzystrmatch",
        "hstore",
        "hstore_plperl",
        "insert_username",
        "intagg",
        "intarray",
        "ip4r",
        "isn",
        "jsonb_plperl",
        "lo",
        "ltree",
        "moddatetime",
        "old_snapshot",
        "pageinspect",
        "pg_buffercache",
        "pg_cron",
        "pg_freespacemap",
        "pg_hint_plan",
        "pg_partman",
        "pg_prewarm",
        "pg_proctab",
        "pg_repack",
        "pg_similarity",
        "pg_stat_statements",
        "pg_surgery",
        "pg_trgm",
        "pg_visibility",
        "pg_walinspect",
        "pgaudit",
        "pgcrypto",
        "pglogical",
        "pgrouting",
        "pgrowlocks",
        "pgstattuple",
        "pgtap",
        "plls",
        "plperl",
        "plpgsql",
        "plpgsql_check",
        "pltcl",
        "postgis",
        "postgis_raster",
        "postgis_tiger_geocoder",
        "postgis_topology",
        "postgres_fdw",
        "prefix",
        "rdkit",
        "refint",
        "seg",
        "sslinfo",
        "tablefunc",
        "tcn",
        "test_parser",
        "tsm_system_rows",
        "tsm_system_time",
        "unaccent",
        "uuid-ossp",
        "vector",
    ]
)
"""AWS, RDS User Guide, "Extensions supported for RDS for PostgreSQL" (names that versions 13 to 18 share)."""


def build(binaries: Path, directory: Path) -> Path:
    """Make RDS's variant of an installation below a directory; return its `postgres`. Safe to repeat.

    Parameters
    ----------
    binaries:
        Directory of the installed programs.
    directory:
        Where to build; must be on this machine's file system and readable by the server's account.
    """
    places = {name: Path(_configured(binaries, name)) for name in ("bindir", "sharedir", "pkglibdir")}
    root = Path(os.path.commonpath([places["bindir"], places["sharedir"], places["pkglibdir"]]))
    programs, share, libraries = (
        directory / places[name].relative_to(root) for name in ("bindir", "sharedir", "pkglibdir")
    )
    if (programs / "postgres").exists():
        return programs / "postgres"
    _link_all(places["sharedir"], share, but=("extension",))
    (share / "extension").mkdir()
    for source in (places["sharedir"] / "extension").iterdir():
        target = share / "extension" / source.name
        if source.suffix == ".control" and source.stem in EXTENSIONS:
            target.write_text(_trusted(source.read_text()))
        else:
            target.symlink_to(source)
    libraries.parent.mkdir(parents=True, exist_ok=True)
    if not libraries.exists():
        libraries.symlink_to(places["pkglibdir"])
    programs.mkdir(parents=True, exist_ok=True)
    for source in places["bindir"].iterdir():
        if source.name != "postgres":
            (programs / source.name).symlink_to(source)
    # Last: its presence means that the build is complete. A copy, because PostgreSQL follows links to itself.
    shutil.copy2(places["bindir"] / "postgres", programs / "postgres.part")
    return (programs / "postgres.part").rename(programs / "postgres")


def _configured(binaries: Path, name: str) -> str:
    printed = subprocess.run(
        [binaries / "pg_config", f"--{name}"], capture_output=True, text=True, check=True
    )
    return printed.stdout.strip()


def _link_all(source: Path, target: Path, but: tuple[str, ...]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        if entry.name not in but:
            (target / entry.name).symlink_to(entry)


def _trusted(control: str) -> str:
    kept = re.sub(r"^\s*trusted\s*=.*\n?", "", control, flags=re.MULTILINE)
    return kept.rstrip("\n") + "\ntrusted = true\n"
