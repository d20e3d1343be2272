"""Putting a fresh key into a keyring's file, under the eyes of processes that read it."""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moorage_adapters.cipher import Keyring, KeyringError

_NUMBERED = re.compile(r"k([0-9]{1,9})")


def add_primary_key(path: Path) -> Keyring:
    """Give the file a fresh key that wraps from now on; answers the keyring as it stands there then.

    The file is whole at every moment, and stays its owner's. Two of these at once add two keys.

    Raises:
        KeyringError: The file is unfit, or cannot be replaced; it is as it was.
    """
    try:
        with _alone_in(path.parent) as folder:
            keyring = Keyring.load(path)
            renewed = keyring.with_new_primary(_next_id(keyring))
            _replace(path, renewed)
            os.fsync(folder)
    except OSError as failure:
        msg = f"the keyring {path} cannot be replaced ({failure.strerror}): run this as its owner"
        raise KeyringError(msg) from None
    return Keyring.load(path)


def _next_id(keyring: Keyring) -> str:
    numbers = [int(found[1]) for key_id in keyring.fingerprints() if (found := _NUMBERED.fullmatch(key_id))]
    return f"k{max(numbers, default=0) + 1}"


def _replace(path: Path, keyring: Keyring) -> None:
    before = path.stat()
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        keyring.save(draft)
        made = draft.stat()
        if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
            os.chown(draft, before.st_uid, before.st_gid)  # else the host could not read it any more
        draft.chmod(before.st_mode & 0o777)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextmanager
def _alone_in(folder: Path) -> Iterator[int]:
    """Wait until nobody else changes a keyring in `folder`; a process that dies gives its turn back."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
