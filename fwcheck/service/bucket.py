"""The store in an object store that speaks S3. Uploads are staged on the local disk; workers fetch what they read."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from fwcheck.service.storage import Folder, Incomplete, Staged


class Bucket(Folder):
    """``s3://bucket/prefix``; credentials come from where boto3 looks for them (environment, files, the machine's role)."""

    piece = 8 << 20

    def __init__(self, data: Path, url: str, endpoint: str) -> None:
        super().__init__(data)
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        retries = Config(retries={"max_attempts": 5, "mode": "standard"}, connect_timeout=10, read_timeout=60)
        self._client: Any = boto3.client("s3", endpoint_url=endpoint or None, config=retries)
        self._scratch = data / "scratch"
        self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)

    def keep(self, staged: Staged, key: str) -> None:
        """Sends finished bytes; what is there already stays. The staged file remains until it is abandoned."""
        if not self.holds(key):
            self._client.upload_file(str(staged.path), self._bucket, self._name(key))

    def put(self, key: str, content: bytes) -> None:
        """Stores a small thing, whole or not at all."""
        self._client.put_object(Bucket=self._bucket, Key=self._name(key), Body=content)

    def get(self, key: str) -> bytes:
        """A small thing; raises FileNotFoundError."""
        try:
            found: bytes = self._client.get_object(Bucket=self._bucket, Key=self._name(key))["Body"].read()
        except ClientError as error:
            if _missing(error):
                raise FileNotFoundError(key) from error
            raise
        return found

    def holds(self, key: str) -> bool:
        """Whether it is there."""
        try:
            self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        except ClientError as error:
            if _missing(error):
                return False
            raise
        return True

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """A file with these bytes, for as long as the block lasts."""
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            path = Path(folder) / "image"
            self._client.download_file(self._bucket, self._name(key), str(path))
            yield path

    def remove(self, key: str) -> None:
        """Forgets it."""
        with contextlib.suppress(ClientError):
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def images(self, older: float) -> Iterator[str]:
        """The digests of the images that are here since before the given time (seconds of the epoch)."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._name("images/", check=False)
        )
        for page in pages:
            for each in page.get("Contents", ()):
                if each["LastModified"].timestamp() < older:
                    yield each["Key"].rsplit("/", 1)[-1]

    def alive(self) -> bool:
        """Whether it answers."""
        self._client.head_bucket(Bucket=self._bucket)
        return True

    # An upload in several requests is kept as objects named after their offsets, so that each request may reach another server.
    # Whoever writes at an offset writes the same image's bytes: two servers that write at once (one of them to a connection that
    # is dead and does not know) may leave pieces that overlap, and any way from the first one on without a gap is the image.

    def begin(self, id: str) -> None:
        """A place for an upload that comes in several requests: nothing is needed before its first bytes."""

    def arrived(self, id: str) -> int | None:
        """How many bytes of it are here."""
        return sum(size for _, size in self._way(id))

    def add(self, id: str, offset: int, piece: bytes) -> None:
        """Adds bytes at this offset."""
        if piece:
            self._client.put_object(Bucket=self._bucket, Key=f"{self._folder(id)}{offset:016d}", Body=piece)

    def gathered(self, id: str, size: int) -> Staged:
        """The whole of it as a file; it stays until it is dropped. Raises Incomplete."""
        whole, digest = self._unfinished(id), hashlib.sha256()
        partial = whole.with_name(f"{id}.{secrets.token_hex(8)}")
        try:
            with partial.open("xb") as file:
                for key, length in self._way(id):
                    piece = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
                    if len(piece) != length:
                        raise Incomplete(id)
                    digest.update(piece)
                    file.write(piece)
                if file.tell() != size:
                    raise Incomplete(id)
            partial.replace(whole)
        finally:
            partial.unlink(missing_ok=True)
        return Staged.whole(whole, size, digest.hexdigest())

    def drop(self, id: str) -> None:
        """Nothing of it is wanted any more."""
        super().drop(id)
        with contextlib.suppress(ClientError):
            for key, _ in self._listed(id):
                self._client.delete_object(Bucket=self._bucket, Key=key)

    def _way(self, id: str) -> list[tuple[str, int]]:
        """Pieces that follow each other from the beginning on: keys and sizes."""
        sizes = dict(self._listed(id))
        folder, offset = self._folder(id), 0
        way: list[tuple[str, int]] = []
        while size := sizes.get(key := f"{folder}{offset:016d}"):
            way.append((key, size))
            offset += size
        return way

    def _listed(self, id: str) -> list[tuple[str, int]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._folder(id))
        return [(each["Key"], each["Size"]) for page in pages for each in page.get("Contents", ())]

    def _folder(self, id: str) -> str:
        self._unfinished(id)  # raises ValueError for what is no id
        return self._name(f"uploads/{id}/", check=False)

    def _name(self, key: str, *, check: bool = True) -> str:
        if check:
            self._path(key)  # raises ValueError for what is no key
        return f"{self._prefix}/{key}" if self._prefix else key


def _missing(error: ClientError) -> bool:
    return str(error.response.get("Error", {}).get("Code")) in {"404", "NoSuchKey", "NotFound"}
