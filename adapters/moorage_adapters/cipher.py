"""Sealing: every org has data keys of its own, and those are wrapped by a key that no database holds.

    keyring file (KEK)  --wraps-->  org_key rows (DEK)  --seals-->  tokens, inbox bodies, e-mail addresses

A sealed value is `alg (1 byte) | key number (4) | nonce (12) | ciphertext and tag`, AES-256-GCM. What the
value *is* (org, table, record, field, key) goes into the associated data, each part with its length before
it, so a ciphertext that is moved to another row, field, org or key does not open. Python cannot wipe memory
reliably: whoever runs code in this process can read its keys.

Not detected: a whole row set back to an older state of itself.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import attrs
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from moorage_ports.secret_store import SealError

HOST: Final = ""  # the org under which the host seals what belongs to nobody

KEY_BYTES: Final = 32
INDEX_KEY_NO: Final = 0  # the org's key for keyed hashes: never rotated, or nothing would be found again
FIRST_KEY_NO: Final = 1
# Random 96-bit nonces allow 2**32 seals per key (NIST SP 800-38D, 8.3). Seals are recorded in blocks; what
# crashes forget of them must not matter, so half of that.
SEALS_PER_KEY: Final = 2**31
SEALS_PER_BLOCK: Final = 2**16

_ALG_AES_256_GCM: Final = 1
_NONCE_BYTES: Final = 12
_HEADER_BYTES: Final = 1 + 4 + _NONCE_BYTES
_TAG_BYTES: Final = 16
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class KeyringError(Exception):
    """The keyring cannot be used as it is; the message says what to do and holds no key."""


def length_prefixed(*parts: str) -> bytes:
    """`parts` as bytes from which they can be told apart again: ("a", "bc") and ("ab", "c") differ."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


# Key encryption keys -------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class WrappedKey:
    """A data key as the database may hold it: `sealed` under the keyring's key `kek_id`."""

    key_no: int
    kek_id: str
    sealed: bytes = attrs.field(repr=False)


class _KeyringFile(msgspec.Struct, forbid_unknown_fields=True):
    primary: str
    keys: dict[str, str]


class Keyring:
    """The keys that wrap data keys: the primary wraps, all unwrap. Lives in a file, in no database."""

    def __init__(self, *, primary: str, keys: Mapping[str, bytes], path: Path | None = None) -> None:
        if primary not in keys:
            msg = "the keyring's primary key is not among its keys"
            raise KeyringError(msg)
        for key_id, key in keys.items():
            _check_key(key_id, key)
        self.primary = primary
        self._path = path  # where it came from
        self._keys = dict(keys)
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}

    def __repr__(self) -> str:
        return f"Keyring(primary={self.primary!r}, {len(self._keys)} keys)"

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._keys

    @classmethod
    def load(cls, path: Path) -> "Keyring":
        """Read `{"primary": ID, "keys": {ID: base64 of 32 random bytes}}`.

        Raises:
            KeyringError: No such file, others may read it, or a key is short, guessable or malformed.
        """
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(1_000_000)
        except OSError as failure:
            msg = (
                f"the keyring {path} cannot be read ({failure.strerror}): there is no mode without encryption"
            )
            raise KeyringError(msg) from None
        if not stat.S_ISREG(mode) or mode & 0o077:
            msg = f"the keyring {path} must be a file that only its owner may read: chmod 0400"
            raise KeyringError(msg)
        try:
            parsed = msgspec.json.decode(content, type=_KeyringFile)
            keys = {key_id: base64.b64decode(text, validate=True) for key_id, text in parsed.keys.items()}
        except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError):
            msg = f'the keyring {path} is not {{"primary": ID, "keys": {{ID: base64}}}}'
            raise KeyringError(msg) from None
        return cls(primary=parsed.primary, keys=keys, path=path)

    @classmethod
    def create(cls, path: Path) -> "Keyring":
        """Make a keyring with one fresh key, mode 0400.

        Raises:
            KeyringError: Something is there already; it is left alone.
        """
        ring = cls(primary="k1", keys={"k1": os.urandom(KEY_BYTES)}, path=path)
        ring.save(path)
        return ring

    def read_again(self) -> "Keyring":
        """What the file has by now, and no key less than before; this one if it is gone or another's."""
        if self._path is None:
            return self
        try:
            found = Keyring.load(self._path)
        except KeyringError:
            return self
        theirs = found._keys  # noqa: SLF001 - of another one of this class
        if any(theirs.get(key_id, key) != key for key_id, key in self._keys.items()):
            return self
        return Keyring(primary=found.primary, keys={**self._keys, **theirs}, path=self._path)

    def save(self, path: Path) -> None:
        """Write to a new file, mode 0400, durable when this returns.

        Raises:
            KeyringError: Something is there already; it is left alone.
        """
        text = {key_id: base64.b64encode(key).decode() for key_id, key in self._keys.items()}
        content = msgspec.json.encode(_KeyringFile(primary=self.primary, keys=text))
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        except OSError as failure:
            msg = f"the keyring {path} cannot be created ({failure.strerror})"
            raise KeyringError(msg) from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def with_new_primary(self, key_id: str) -> "Keyring":
        """The same keys and a fresh one that wraps from now on.

        Raises:
            KeyringError: There is a key of that id, or it is no id.
        """
        if key_id in self._keys:
            msg = "the keyring has a key of that id already"
            raise KeyringError(msg)
        return Keyring(primary=key_id, keys={**self._keys, key_id: os.urandom(KEY_BYTES)})

    def without(self, key_id: str) -> "Keyring":
        """The keyring with one old key gone: for when no data key is wrapped by it any more.

        Raises:
            KeyringError: It is the primary.
        """
        if key_id == self.primary:
            msg = "the primary key cannot be removed: make another one primary first"
            raise KeyringError(msg)
        return Keyring(primary=self.primary, keys={k: v for k, v in self._keys.items() if k != key_id})

    def fingerprints(self) -> Mapping[str, str]:
        """Key ids with something to recognise each key by that tells nothing about it."""
        return {
            key_id: hmac.digest(key, b"moorage keyring fingerprint", "sha256").hex()[:12]
            for key_id, key in self._keys.items()
        }

    def wrap(self, key: bytes, *, org_id: str, key_no: int) -> WrappedKey:
        """Seal a data key under the primary key."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self.primary].encrypt(nonce, key, _wrap_data(self.primary, org_id, key_no))
        return WrappedKey(key_no=key_no, kek_id=self.primary, sealed=nonce + sealed)

    def unwrap(self, wrapped: WrappedKey, *, org_id: str) -> bytes:
        """The data key.

        Raises:
            SealError: It was not wrapped for this org and number by a key that is here.
        """
        cipher = self._ciphers.get(wrapped.kek_id)
        if cipher is None or len(wrapped.sealed) != _NONCE_BYTES + KEY_BYTES + _TAG_BYTES:
            raise SealError
        data = _wrap_data(wrapped.kek_id, org_id, wrapped.key_no)
        try:
            return cipher.decrypt(wrapped.sealed[:_NONCE_BYTES], wrapped.sealed[_NONCE_BYTES:], data)
        except (InvalidTag, ValueError):
            raise SealError from None


def _wrap_data(kek_id: str, org_id: str, key_no: int) -> bytes:
    return length_prefixed("moorage data key 1", kek_id, org_id, str(key_no))


def _check_key(key_id: str, key: bytes) -> None:
    if not _KEY_ID.fullmatch(key_id):
        msg = "a key id is 1 to 32 letters, digits, - or _"
        raise KeyringError(msg)
    if len(key) != KEY_BYTES:
        msg = f"key {key_id!r} of the keyring has {len(key)} bytes instead of {KEY_BYTES}"
        raise KeyringError(msg)
    if len(set(key)) < 8 or all(0x20 <= byte < 0x7F for byte in key):
        # 32 random bytes are all printable once in 10**13 keyrings; a typed passphrase always is.
        msg = f"key {key_id!r} of the keyring is guessable: take 32 random bytes"
        raise KeyringError(msg)


# Data keys -----------------------------------------------------------------------------------


@attrs.define
class Uses:
    """How often a key sealed something since that was last recorded."""

    unrecorded: int = 0


def fresh_nonces(count: int) -> list[bytes]:
    """As many random nonces, in one call to the kernel; each is for one seal, and none may be kept for later.

    Each call gives the interpreter lock away, which costs a busy process more than the sealing.
    """
    drawn = os.urandom(_NONCE_BYTES * count)
    return [drawn[start : start + _NONCE_BYTES] for start in range(0, len(drawn), _NONCE_BYTES)]


class KeyedHash:
    """HMAC-SHA-256 under one key (RFC 2104), with what depends on the key alone computed once."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def digest(self, message: bytes) -> bytes:
        """The same as `hmac.digest`, which gives the interpreter lock away (see `fresh_nonces`)."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


class DataKey:
    """One org's key of one number."""

    __slots__ = ("_cipher", "_header", "_prefix", "key_no", "uses")

    def __init__(self, key: bytes, *, org_id: str, key_no: int, uses: Uses | None = None) -> None:
        self.key_no = key_no
        self.uses = uses or Uses()
        self._cipher = AESGCM(key)
        self._header = bytes([_ALG_AES_256_GCM]) + key_no.to_bytes(4, "big")
        self._prefix = length_prefixed("moorage sealed 1", str(_ALG_AES_256_GCM), org_id, str(key_no))

    def seal(self, plaintext: bytes, context: bytes, nonce: bytes | None = None) -> bytes:
        """`plaintext` sealed as what `context` says it is; a `nonce` is one of `fresh_nonces`."""
        nonce = nonce or os.urandom(_NONCE_BYTES)
        self.uses.unrecorded += 1
        return self._header + nonce + self._cipher.encrypt(nonce, plaintext, self._prefix + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """The plaintext.

        Raises:
            SealError: Anything is not as it was sealed.
        """
        nonce, ciphertext = sealed[5:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        try:
            return self._cipher.decrypt(nonce, ciphertext, self._prefix + context)
        except (InvalidTag, ValueError):  # a nonce of the wrong length is a ValueError
            raise SealError from None


class OrgKeys:
    """All keys of one org, ready for use; synchronous, so a hot path needs no await."""

    __slots__ = ("_by_no", "_index_key", "_labels", "current", "org_id")

    def __init__(
        self, org_id: str, keys: Mapping[int, bytes], uses: Callable[[int], Uses] | None = None
    ) -> None:
        data_keys = {no: key for no, key in keys.items() if no != INDEX_KEY_NO}
        if not data_keys or INDEX_KEY_NO not in keys:
            raise SealError
        self.org_id = org_id
        self._by_no = {
            no: DataKey(key, org_id=org_id, key_no=no, uses=uses(no) if uses else None)
            for no, key in data_keys.items()
        }
        self.current = self._by_no[max(self._by_no)]
        self._index_key = keys[INDEX_KEY_NO]
        self._labels: dict[str, KeyedHash] = {}

    def __repr__(self) -> str:
        return f"OrgKeys({self.org_id!r}, {len(self._by_no)} keys)"

    def seal(self, plaintext: bytes, *context: str, nonce: bytes | None = None) -> bytes:
        """Seal under the newest key. `context` says what the value is: table, record, field.

        A `nonce` is one of `fresh_nonces`, for whoever seals many values at once.
        """
        return self.current.seal(plaintext, length_prefixed(*context), nonce)

    def open(self, sealed: bytes, *context: str) -> bytes:
        """The plaintext of what was sealed with the same context.

        Raises:
            SealError: It was changed, moved, or its key is gone; it does not say which.
        """
        if len(sealed) < _HEADER_BYTES + _TAG_BYTES or sealed[0] != _ALG_AES_256_GCM:
            raise SealError
        key = self._by_no.get(int.from_bytes(sealed[1:5], "big"))
        if key is None:
            raise SealError
        return key.open(sealed, length_prefixed(*context))

    def has_key_of(self, sealed: bytes) -> bool:
        """Whether the key that `sealed` names is here; not so if it is newer than what was read."""
        return int.from_bytes(sealed[1:5], "big") in self._by_no

    def digest(self, label: str, value: str) -> bytes:
        """A keyed hash (16 bytes): finds equal values of one org and label, tells nothing about them."""
        keyed = self._labels.get(label)
        if keyed is None:
            expand = HKDFExpand(
                algorithm=SHA256(), length=KEY_BYTES, info=length_prefixed("moorage index 1", label)
            )
            keyed = self._labels[label] = KeyedHash(expand.derive(self._index_key))
        return keyed.digest(value.encode("utf-8", "surrogatepass"))[:16]


@attrs.frozen
class _Cached:
    keys: OrgKeys
    until: float


class EnvelopeCipher:
    """Unwraps orgs' keys and remembers them for a while: at most `capacity` orgs, at most `lifetime`.

    May be used from several threads.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        capacity: int = 1000,
        lifetime: timedelta = timedelta(minutes=5),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keyring = keyring
        self._capacity = capacity
        self._lifetime = lifetime.total_seconds()
        self._monotonic = monotonic
        self._cache: OrderedDict[str, _Cached] = OrderedDict()
        self._uses: dict[tuple[str, int], Uses] = {}  # outlive the cache: a count must not
        self._lock = threading.Lock()

    def mint(self, org_id: str) -> tuple[WrappedKey, ...]:
        """Fresh keys for an org that has none. Remember them only once they are stored for good."""
        return tuple(self.mint_one(org_id, key_no) for key_no in (INDEX_KEY_NO, FIRST_KEY_NO))

    def mint_one(self, org_id: str, key_no: int) -> WrappedKey:
        """One fresh key, wrapped by what is the primary key by now."""
        self.keyring = self.keyring.read_again()
        return self.keyring.wrap(os.urandom(KEY_BYTES), org_id=org_id, key_no=key_no)

    def unwrap(self, org_id: str, wrapped: Iterable[WrappedKey]) -> OrgKeys:
        """The org's keys.

        Raises:
            SealError: One of them does not unwrap, or there are none.
        """
        keys = {key.key_no: self._unwrapped(org_id, key) for key in wrapped}
        return OrgKeys(org_id, keys, lambda key_no: self._uses.setdefault((org_id, key_no), Uses()))

    def rewrap(self, org_id: str, wrapped: WrappedKey) -> WrappedKey:
        """The same data key under the primary key.

        Raises:
            SealError: It does not unwrap.
        """
        return self.keyring.wrap(self._unwrapped(org_id, wrapped), org_id=org_id, key_no=wrapped.key_no)

    def _unwrapped(self, org_id: str, wrapped: WrappedKey) -> bytes:
        if wrapped.kek_id not in self.keyring:  # another process has put it there since
            self.keyring = self.keyring.read_again()
        return self.keyring.unwrap(wrapped, org_id=org_id)

    def cached(self, org_id: str) -> OrgKeys | None:
        """The org's keys, if they were remembered not too long ago."""
        with self._lock:
            found = self._cache.get(org_id)
            if found is None:
                return None
            if found.until <= self._monotonic():
                del self._cache[org_id]
                return None
            self._cache.move_to_end(org_id)
            return found.keys

    def remember(self, keys: OrgKeys) -> None:
        """Keep unwrapped keys at hand. Only keys that the database holds for good belong here."""
        with self._lock:
            self._cache[keys.org_id] = _Cached(keys, self._monotonic() + self._lifetime)
            self._cache.move_to_end(keys.org_id)
            while len(self._cache) > self._capacity:
                self._cache.popitem(last=False)

    def forget(self, org_id: str | None = None) -> None:
        """Drop one org's keys (they changed, or were shredded), or everybody's."""
        with self._lock:
            if org_id is None:
                self._cache.clear()
            else:
                self._cache.pop(org_id, None)
