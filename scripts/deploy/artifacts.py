"""Code and templates in S3, named by their content, so that the previous version is always there to go back to.

Every request names the account that the bucket has to belong to: a bucket of that name in another account is refused by
S3. An object is used in the version whose SHA-256 is the one that was meant, and no other: who writes to the bucket
afterwards changes nothing of what runs.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from scripts.deploy.bucket import faults
from scripts.deploy.errors import DeployError

CODE_URI = re.compile(r"s3://([^/\"\s]+)/([^\"\s]+)")
MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchVersion"}


class Place(NamedTuple):
    """One version of an object."""

    bucket: str
    key: str
    version: str

    @property
    def for_sam(self) -> dict[str, str]:
        """As a template's `CodeUri` names it."""
        return {"Bucket": self.bucket, "Key": self.key, "Version": self.version}

    @property
    def for_lambda(self) -> dict[str, str]:
        """As Lambda's API names it."""
        return {"S3Bucket": self.bucket, "S3Key": self.key, "S3ObjectVersion": self.version}


class Artifacts:
    """The part of a bucket that holds one stack's versions. Nothing in it is ever changed or deleted from here."""

    def __init__(self, client: Any, bucket: str, prefix: str, account: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._ours = {"ExpectedBucketOwner": account}

    def check(self) -> None:
        """Make sure that the bucket is there, this account's, and closed to everybody else.

        Raises:
            DeployError: it is not; the message names everything that is wrong.
        """
        try:
            self._client.head_bucket(Bucket=self._bucket, **self._ours)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            why = "does not exist" if code in MISSING else f"cannot be used ({code})"
            raise DeployError(
                f"bucket {self._bucket} {why}: --bucket or DEPLOY_BUCKET names a private bucket of this account in the "
                "stack's region"
            ) from error
        if wrong := list(faults(self._client, self._bucket, self._ours["ExpectedBucketOwner"])):
            raise DeployError(
                f"bucket {self._bucket}: {'; '.join(wrong)}. infra/deployment-bucket.yaml makes one that is fit"
            )

    def put_code(self, code: bytes) -> Place:
        """Upload a package, unless it is there, and return where it is."""
        return self._put(self._code_key(hashlib.sha256(code).digest()), code)

    def put_materials(self, code: bytes, materials: bytes) -> None:
        """Upload the bill of materials of a package beside it, where there is one."""
        if materials:
            self._put(f"{self._prefix}/code/{hashlib.sha256(code).hexdigest()}.cdx.json", materials)

    def put_template(self, template: str) -> str:
        """Upload a template and return the URL that CloudFormation reads it from (a request holds 51,200 bytes)."""
        key = f"{self._prefix}/templates/{hashlib.sha256(template.encode()).hexdigest()}.json"
        self._put(key, template.encode())
        return f"{self._client.meta.endpoint_url}/{self._bucket}/{key}"

    def code_of(self, code_sha256: str) -> Place | None:
        """Return where the package with Lambda's `CodeSha256` is; None where it is not, or was overwritten."""
        return self._find(self._code_key(base64.b64decode(code_sha256)), code_sha256)

    def missing(self, template: str) -> list[str]:
        """Return the URIs of a template's code that are not there any more."""
        return [
            f"s3://{bucket}/{key}"
            for bucket, key, version in sorted(set(_code_of(template)))
            if not self._exists(bucket, key, version)
        ]

    def _code_key(self, digest: bytes) -> str:
        return f"{self._prefix}/code/{digest.hex()}.zip"

    def _put(self, key: str, body: bytes) -> Place:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if found := self._find(key, digest):
            return found
        # S3 refuses a body that does not have the checksum
        put = self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ChecksumSHA256=digest, **self._ours)
        return Place(self._bucket, key, put["VersionId"])

    def _find(self, key: str, digest: str) -> Place | None:
        """Return the newest version of an object where its content has the SHA-256 `digest` (in base64)."""
        try:
            head = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED", **self._ours)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise
        found = Place(self._bucket, key, head["VersionId"])
        return found if (head.get("ChecksumSHA256") or self._digest(found)) == digest else None

    def _digest(self, place: Place) -> str:
        """Return the SHA-256 of an object that was put without one."""
        got = self._client.get_object(Bucket=place.bucket, Key=place.key, VersionId=place.version, **self._ours)
        return base64.b64encode(hashlib.sha256(got["Body"].read()).digest()).decode()

    def _exists(self, bucket: str, key: str, version: str) -> bool:
        which = {"VersionId": version} if version else {}
        try:
            self._client.head_object(Bucket=bucket, Key=key, **which, **self._ours)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return False
            raise
        return True


def _code_of(template: str) -> Iterator[tuple[str, str, str]]:
    """Yield bucket, key and version of each function's code; the version is empty where the template names none."""
    yield from ((bucket, key, "") for bucket, key in CODE_URI.findall(template))
    try:
        resources = json.loads(template)["Resources"].values()
    except (ValueError, KeyError):
        return  # not deployed by this script
    for resource in resources:
        uri = resource.get("Properties", {}).get("CodeUri")
        if isinstance(uri, dict):
            yield uri["Bucket"], uri["Key"], uri.get("Version", "")
