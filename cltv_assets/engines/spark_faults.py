"""Explains Spark's errors that a user can fix, in one paragraph with the remedy.

Spark reports a lost executor, a full disk and a refused key in the same way: as a failed
job, with pages of Java. The cause is somewhere in the text. An error that matches
nothing here is a bug in the program and keeps its traceback.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from cltv_assets.errors import EngineError

_AGAIN = "Nothing was published; readers keep what they had."

#: Pattern of the error's text; what is wrong; what to do. The first that matches counts.
_FAULTS: tuple[tuple[str, str, str], ...] = (
    (
        r"No space left on device|DiskErrorException|ENOSPC",
        "A disk of Spark's is full",
        f"Make room in its spark.local.dir (and in the lake), then run the month again. {_AGAIN}",
    ),
    (
        r"OutOfMemoryError|UNABLE_TO_ACQUIRE_MEMORY|Container killed by YARN for exceeding|OOMKilled|exit code 137"
        # How executors end without memory: Java's own handler, or the kernel.
        r"|exited with code (52|137)"
        r"|GC overhead limit|ErrorNotifier.*memory|Cannot broadcast the table",
        "Spark ran out of memory",
        f"Raise spark.driver.memory or spark.executor.memory in spark.conf, or give it more executors. {_AGAIN}",
    ),
    (
        r"ExpiredToken|TokenRefreshRequired|security token included in the request is expired",
        "S3 says that the credentials have expired",
        f"Renew them and run the month again; for runs longer than a token, give the cluster a role. {_AGAIN}",
    ),
    (
        # The answer to a HEAD has no body, so the code that says why is missing.
        r"getFileStatus on .*Status Code: 400|AWSBadRequestException.*\(Service: S3, Status Code: 400",
        "S3 refuses to answer and does not say why, as it does when the credentials have expired",
        f"Renew them and run the month again; for runs longer than a token, give the cluster a role. {_AGAIN}",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken",
        "S3 does not accept the credentials",
        "Look at the AWS_* variables or the profile, and at s3.region in cltv.yaml.",
    ),
    (
        r"NoAuthWithAWSException|No AWS Credentials|Unable to load credentials",
        "Spark has no credentials for S3",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or s3.profile; a Connect server needs its own.",
    ),
    (
        r"AccessDenied|S3Exception.*(403|Forbidden)|Status Code: 403",
        "S3 denies Spark access",
        f"Allow these credentials to list, read, write and delete under lake_uri. {_AGAIN}",
    ),
    (
        r"UnknownStoreException|NoSuchBucket",
        "The bucket does not exist",
        "Create it, or name another in lake_uri.",
    ),
    (
        r"S3AFileSystem not found|No FileSystem for scheme \"s3a\"|PathOutputCommitProtocol|NoClassDefFoundError.*aws",
        "Spark lacks the jars for S3",
        "Fetch them with `cltv jars --into DIR` and name DIR as spark.jars; a Connect server needs them itself.",
    ),
    (
        r"ExecutorLostFailure|FetchFailed|executor (lost|\d+ exited)|Lost executor|heartbeats|"
        r"Master removed our application|All masters are unresponsive|worker lost|ExecutorDeadException",
        "Spark lost executors and could not go on",
        f"Look at the cluster (`spark.ui.enabled: true` shows why they died), then run the month again. {_AGAIN}",
    ),
    (
        r"Initial job has not accepted any resources",
        "The cluster gave Spark no executor",
        "Look whether its workers are up and have the memory and cores that spark.conf asks for.",
    ),
    (
        r"StatusCode\.UNAVAILABLE|failed to connect to all addresses|Connection refused|Connection reset"
        r"|Java server|Error while sending or receiving|Answer from Java side is empty|stopped SparkContext"
        r"|INVALID_HANDLE\.SESSION|SESSION_(CLOSED|NOT_FOUND|CHANGED)|SparkContext was shut down"
        r"|cancelled because SparkContext",
        "Spark is gone or cannot be reached",
        f"Look whether it is up (spark.master, spark.remote) and at its log, then run the month again. {_AGAIN}",
    ),
)


def explain(error: BaseException) -> EngineError | None:
    """Return the error to show the user for one of Spark's, None where it is a bug in the program.

    Parameters
    ----------
    error : exception
        Raised by pyspark, py4j or gRPC.
    """
    text = _text(error)
    for pattern, problem, remedy in _FAULTS:
        found = re.search(pattern, text)
        if found:
            return EngineError(f"{problem} ({_line_of(text, found.start())}).", remedy)
    return None


@contextmanager
def spark_faults() -> Iterator[None]:
    """Turn errors that a user can fix into ``EngineError``; let all others through."""
    try:
        yield
    except Exception as error:
        if not is_sparks(error):
            raise
        told = explain(error)
        if told is None:
            raise
        raise told from error


def is_sparks(error: BaseException) -> bool:
    """Return whether an error came out of Spark or the way to it."""
    modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return bool(modules & {"pyspark", "py4j", "grpc"}) or isinstance(error, ConnectionError)


def _text(error: BaseException) -> str:
    # py4j's own text is one line; the cause is in the text of the Java exception.
    return f"{type(error).__name__}: {error}"


def _line_of(text: str, position: int) -> str:
    """Return the line that says what happened, without the pages around it."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = " ".join(text[start : end if end >= 0 else None].split())
    return line if len(line) <= 300 else line[:297] + "..."
