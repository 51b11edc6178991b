"""STS: AssumeRole with the right ExternalId; the access key it gives is recognised as the role's account."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

KEY = "ASIA"  # how AWS begins the access keys of assumed roles


class Sts:
    """Knows each account's ExternalId."""

    def __init__(self, external_ids: dict[str, str]) -> None:
        self._external_ids = external_ids

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Return status and body of an AssumeRole."""
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        account = asked["RoleArn"].split(":")[4]
        if asked.get("ExternalId") != self._external_ids.get(account):
            return 403, (
                b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not with this ExternalId</Message></Error>"
                b"</ErrorResponse>"
            )
        expiry = datetime.now(UTC) + timedelta(seconds=int(asked.get("DurationSeconds", 3600)))
        answer = (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
            f"<Credentials><AccessKeyId>{KEY}{account}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>"
            f"<SessionToken>token</SessionToken><Expiration>{expiry:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
            "</AssumeRoleResult></AssumeRoleResponse>"
        )
        return 200, answer.encode()


def account_of(access_key: str) -> str:
    """Return the account that an access key stands for: an assumed role's, or a root's 12 digits."""
    return access_key.removeprefix(KEY)
