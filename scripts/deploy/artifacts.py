"""Code and templates in S3, named by their content, so that the previous version is always there to go back to."""

import base64
import hashlib
import re
from typing import Any

from botocore.exceptions import ClientError

from scripts.deploy.errors import DeployError

CODE_URI = re.compile(r"s3://([^/\"\s]+)/([^\"\s]+)")
MISSING = {"404", "NoSuchKey", "NotFound"}


class Artifacts:
    """The part of a bucket that holds one stack's versions. Nothing in it is ever changed or deleted from here."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def check(self) -> None:
        """Make sure that the bucket is there.

        Raises:
            DeployError: it is not, or not ours to use.
        """
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            why = "does not exist" if code in MISSING else f"cannot be used ({code})"
            raise DeployError(
                f"bucket {self._bucket} {why}: --bucket or DEPLOY_BUCKET names a private bucket of this account in the "
                "stack's region"
            ) from error

    def put_code(self, code: bytes) -> str:
        """Upload a package and return its `s3://` URI."""
        key = self._code_key(hashlib.sha256(code).digest())
        self._put(key, code)
        return f"s3://{self._bucket}/{key}"

    def put_template(self, template: str) -> str:
        """Upload a template and return the URL that CloudFormation reads it from (a request holds 51,200 bytes)."""
        key = f"{self._prefix}/templates/{hashlib.sha256(template.encode()).hexdigest()}.json"
        self._put(key, template.encode())
        return f"{self._client.meta.endpoint_url}/{self._bucket}/{key}"

    def code_of(self, code_sha256: str) -> dict[str, str] | None:
        """Return where the package with Lambda's `CodeSha256` is, as Lambda's API names it; None where it is not."""
        key = self._code_key(base64.b64decode(code_sha256))
        return {"S3Bucket": self._bucket, "S3Key": key} if self._exists(self._bucket, key) else None

    def missing(self, template: str) -> list[str]:
        """Return the URIs of a template's code that are not there any more."""
        places = sorted(set(CODE_URI.findall(template)))
        return [f"s3://{bucket}/{key}" for bucket, key in places if not self._exists(bucket, key)]

    def _code_key(self, digest: bytes) -> str:
        return f"{self._prefix}/code/{digest.hex()}.zip"

    def _put(self, key: str, body: bytes) -> None:
        if not self._exists(self._bucket, key):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body)

    def _exists(self, bucket: str, key: str) -> bool:
        try:
            self._client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return False
            raise
        return True
