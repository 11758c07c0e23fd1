"""Makes the archives of classes with which the stack's Java programs start in half the time; a part of set-up.

`python -m local.stack.class_archives` brings up a temporary stack, in which every program lists the classes that it
loads, and makes the absent archives from the lists. Without archives, a stack only takes longer to start.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from local.backing import kafka, pubsub
from local.backing.flink import cluster
from local.java import jvm
from local.stack.lifecycle import LocalStack
from local.stack.options import Options
from local.stack.progress import Silent
from local.stack.state import StackError
from local.stack.stores import preparations


def every() -> list[jvm.Classes]:
    """The classes that each Java program of a stack on this machine loads."""
    emulator = pubsub.installed_emulator()
    return [kafka.classes(), cluster.classes(), *([pubsub.classes(emulator)] if emulator else [])]


def main() -> None:
    """Make the archives that are absent."""
    absent = [classes for classes in every() if not classes.archive.exists()]
    if not absent:
        return
    with tempfile.TemporaryDirectory(prefix="pipeline-classes-") as folder:
        lists = Path(folder, "lists")
        lists.mkdir()
        os.environ[jvm.LISTS_VARIABLE] = str(lists)
        stack = LocalStack(Path(folder, "home"))
        try:
            stack.up(Options(), preparations, Silent())
        except StackError as error:
            sys.exit(f"no archives of classes were made: {error}")
        finally:
            stack.down(Silent(), remove_data=True)
        for classes in absent:
            jvm.make_archive(classes, lists)
            sys.stdout.write(f"{classes.archive.name}: {classes.archive.stat().st_size >> 20} MiB\n")


if __name__ == "__main__":
    main()
