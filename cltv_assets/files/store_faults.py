"""What an object store's errors mean, and what to do about them.

Arrow, delta-rs and boto3 each wrap the store's answer in their own words; the code
from S3 is somewhere in the text.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from cltv_assets.errors import CltvError, LakeError, SourceError

_AGAIN = "Nothing is published that was not whole; readers keep what they had."

#: Pattern of the error's text; what is wrong; what to do. The first that matches counts.
_FAULTS: tuple[tuple[str, str, str], ...] = (
    (
        r"NoSuchBucket|NO_SUCH_BUCKET|specified bucket does not exist|bucket '[^']*': AWS Error (NO_SUCH|RESOURCE_NOT)",
        "the bucket {bucket} does not exist",
        "Create it, or name another bucket in cltv.yaml.",
    ),
    (
        r"ExpiredToken|EXPIRED_TOKEN|TokenRefreshRequired|RequestExpired|token (has|is) expired",
        "the credentials have expired",
        "Renew them (a new session token, or `aws sso login`), then run the month again. " + _AGAIN,
    ),
    (
        # The answer to a HEAD has no body, so the code that says why is missing.
        r"HTTP status 400\) during Head",
        "the store refuses to answer and does not say why, as it does when the credentials have expired",
        "Renew them (a new session token, or `aws sso login`), then run the month again. " + _AGAIN,
    ),
    (
        r"RequestTimeTooSkewed|REQUEST_TIME_TOO_SKEWED",
        "this machine's clock differs from the store's by too much",
        "Set the clock right, then run the month again.",
    ),
    (
        r"InvalidAccessKeyId|INVALID_ACCESS_KEY_ID|SignatureDoesNotMatch|SIGNATURE_DOES_NOT_MATCH|InvalidToken"
        r"|INVALID_CLIENT_TOKEN_ID|UNRECOGNIZED_CLIENT|AuthorizationHeaderMalformed",
        "the store does not accept the credentials or the region",
        "Look at the AWS_* variables or the profile, and at s3.region in cltv.yaml.",
    ),
    (
        r"NoCredentials|Unable to locate credentials|CredentialsNotLoaded|anonymous|no providers in chain",
        "there are no credentials for it",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or s3.profile in cltv.yaml.",
    ),
    (
        r"AccessDenied|ACCESS_DENIED|AllAccessDisabled|Forbidden|\b403\b",
        "the store denies access to {where}",
        "Allow these credentials to list, read, write and delete there. " + _AGAIN,
    ),
    (
        r"QuotaExceeded|EntityTooLarge|InsufficientStorage|NoSpace|\b507\b",
        "the store has no room left",
        "Make room or raise the quota, then run the month again. " + _AGAIN,
    ),
)
_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_OTHERWISE = (
    "the store did not answer as it should",
    "Look whether it is up and reachable (s3.endpoint_url), then run the month again. " + _AGAIN,
)

#: How delta-rs begins an error from a store; its other errors are about the table.
_FROM_STORE = re.compile(r"Generic S3 error|object store|Error performing|Error (after|from) .*retr")


def from_store(error: BaseException) -> bool:
    """Return whether an error of delta-rs on an object store came from the store, not from the table's log."""
    text = str(error)
    return bool(_FROM_STORE.search(text)) or any(re.search(pattern, text) for pattern, _, _ in _FAULTS)


def fault_of(error: BaseException, uri: str, kind: type[CltvError] = LakeError) -> CltvError:
    """Return the error to raise for one that came from an object store.

    Parameters
    ----------
    error : exception
        Of Arrow, delta-rs or boto3.
    uri : str
        What was asked for.
    kind : type of CltvError
        What to return.
    """
    bucket = urlsplit(uri).netloc
    matching = ((problem, remedy) for pattern, problem, remedy in _FAULTS if re.search(pattern, str(error)))
    problem, remedy = next(matching, _OTHERWISE)
    named = f"source.path: {uri}" if kind is SourceError else uri
    # delta-rs colours its messages, and a store's page of XML does not help the user.
    text = " ".join(_COLOURS.sub("", str(error)).split())
    text = text if len(text) <= 300 else text[:297] + "..."
    return kind(f"{named}: {problem.format(bucket=bucket, where=uri)} ({text}).", remedy)
