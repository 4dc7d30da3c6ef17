"""One association's folder, and one object on its way into it.

Folder and file names are the node's own: time, session and counter. An object is ``<number>.part`` until its last
byte, then ``<number>.dcm``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from her2node.spool import file_meta
from her2node.spool.durable import FolderSync
from her2node.spool.file_meta import Sender

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class AssociationFolder:
    """Where the objects of one association go. Nothing is made on disk before the first object.

    ``names`` synchronises the folder that holds this one; None where a file's own ``fsync`` is enough.
    """

    def __init__(self, association_id: str, incoming: Path, names: FolderSync | None, sender: Sender) -> None:
        self.association_id = association_id
        self._path = incoming / association_id
        self._names = names
        self._sender = sender
        self._descriptor = -1
        self._number = 0
        self._named = False

    def begin(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> IncomingFile:
        """A new object. The UIDs go into its file meta group, never into its name. Raises OSError."""
        if self._descriptor < 0:
            self._path.mkdir(mode=0o700, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._number += 1
        head = file_meta.encode(sop_class_uid, sop_instance_uid, transfer_syntax_uid, self._sender)
        return IncomingFile(self, self._descriptor, self._number, head)

    def sync(self) -> None:
        """Make the names in the folder, and the folder's own, last; after the file's own ``fsync``."""
        if self._names is None:
            return
        os.fsync(self._descriptor)
        if not self._named:
            self._names.sync()
            self._named = True

    def close(self) -> None:
        """Nothing more comes. A folder in which nothing lasted goes away."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            with suppress(OSError):  # not empty: the usual case
                self._path.rmdir()


class IncomingFile:
    """One object being written. After ``commit`` it lasts; after ``discard`` there is nothing."""

    def __init__(self, folder: AssociationFolder, folder_descriptor: int, number: int, head: bytes) -> None:
        self.number = number
        self.size = 0
        """Bytes of the data set so far."""
        self._folder = folder
        self._folder_descriptor = folder_descriptor
        self._head = head
        self._length_at = len(head) - 8
        self._name = f"{number}.part"
        self._descriptor = os.open(self._name, _CREATE, 0o600, dir_fd=folder_descriptor)

    def write(self, data: memoryview) -> None:
        """Append a piece of the data set; the first takes the file's head along. Raises OSError."""
        length = len(data)
        if self._head:
            head, self._head = self._head, b""
            self._write_rest(head, data, os.writev(self._descriptor, (head, data)))
        else:
            written = os.write(self._descriptor, data)
            if written != length:
                self._write_rest(b"", data, written)
        self.size += length

    def _write_rest(self, head: bytes, data: memoryview, written: int) -> None:
        """Go on where the kernel took only a part (a signal, an almost full disk)."""
        if written == len(head) + len(data):
            return
        rest = memoryview(head + bytes(data))[written:]
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def commit(self) -> int:
        """Give the object its final name and return, when it lasts, the file's length. Raises OSError."""
        length = self._length_at + 8 + self.size
        os.pwrite(self._descriptor, file_meta.encoded_length(length), self._length_at)
        final = f"{self.number}.dcm"
        os.rename(self._name, final, src_dir_fd=self._folder_descriptor, dst_dir_fd=self._folder_descriptor)
        self._name = final
        os.fsync(self._descriptor)
        self._folder.sync()
        os.close(self._descriptor)
        self._descriptor = -1
        return length

    def discard(self) -> None:
        """Leave nothing, whatever happened before."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1
        with suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._folder_descriptor)
