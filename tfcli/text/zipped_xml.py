"""Documents that are a zip archive of XML files: EPUB, DOCX, ODT.

Nothing of them is trusted: they are read within limits, and no entity is followed.
"""

from __future__ import annotations

import contextlib
import errno
import zipfile
import zlib
from typing import IO, TYPE_CHECKING
from xml.parsers import expat

from tfcli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ZippedXml:
    """An open document.

    Args:
        name: what errors call the file.
        kind: its format, as in "is not a valid EPUB".

    """

    def __init__(self, archive: zipfile.ZipFile, name: Path, kind: str) -> None:
        self.archive, self.name, self._kind = archive, name, kind
        self.files = {info.filename: info for info in archive.infolist()}

    def damaged(self, why: str) -> DataError:
        """The error for a document that is not whole."""
        return _damaged(self.name, self._kind, why)

    def parse(self, path: str, parser: expat.XMLParserType, limit: int) -> None:
        """Parses one of its files.

        Args:
            limit: bytes of the file, decompressed.

        Raises:
            DataError: it is missing, encrypted, too large or no XML, or declares entities.

        """
        if (info := self.files.get(path)) is None:
            raise self.damaged(f"{path} is missing")
        if info.file_size > limit:
            raise self.damaged(f"{path} has more than {limit:,} bytes")
        if info.flag_bits & 1:
            raise DataError(f"{self.name} is encrypted", why="it needs a password")

        def refuse(*_: object) -> None:
            raise self.damaged(f"{path} declares entities")

        parser.EntityDeclHandler = refuse  # which could grow without end, or name other files
        try:
            with self.archive.open(info) as file:
                parser.ParseFile(file)
        except (expat.ExpatError, LookupError) as error:  # the latter of an unknown encoding
            raise self.damaged(f"{path}: {error}") from None

    def elements(self, path: str, limit: int) -> list[tuple[str, dict[str, str]]]:
        """The elements of one of its files in their order: tag and attributes; see `parse`."""
        found: list[tuple[str, dict[str, str]]] = []
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = lambda tag, attributes: found.append(
            (tag.rpartition(" ")[2], attributes)
        )
        self.parse(path, parser, limit)
        return found


def _damaged(name: Path, kind: str, why: str) -> DataError:
    """The error for a document that is not whole: a copy of it may be."""
    return DataError(
        f"{name} is not a valid {kind}",
        why=why[:200],
        hint="copy or download it again, or open it in its program and save it anew",
    )


@contextlib.contextmanager
def open_zipped_xml(stream: IO[bytes], name: Path, kind: str) -> Iterator[ZippedXml]:
    """Opens a document; see `ZippedXml`.

    Args:
        stream: can be read at any position.

    Raises:
        DataError: it is damaged, also where the block finds that.

    """

    def damaged(error: Exception) -> DataError:
        return _damaged(name, kind, str(error))

    try:
        with zipfile.ZipFile(stream) as archive:
            yield ZippedXml(archive, name, kind)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        # RuntimeError: a part that is said to be encrypted, or compressed in an unknown way
        raise damaged(error) from None
    except OSError as error:
        if error.errno not in {None, errno.EINVAL}:  # from the system, not a place that is none
            raise
        raise damaged(error) from None
