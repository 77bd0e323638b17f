"""The settings of ``s3``."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, model_validator

from cltv_assets.settings.section import Section


class S3(Section):
    """How ``s3://`` addresses are reached.

    Credentials come as AWS's libraries find them (variables, profile, instance role), or from
    variables named here; their values are never in a file.
    """

    endpoint_url: str | None = Field(
        None,
        pattern=r"^https?://[^/]+/?$",
        description="Address of a store other than Amazon's, `https://host:9000`. By default `AWS_ENDPOINT_URL_S3` or "
        "`AWS_ENDPOINT_URL`.",
    )
    region: str | None = Field(None, description="The region; by default as AWS's libraries find it.")
    profile: str | None = Field(
        None, description="A profile of the AWS configuration files; by default as AWS's libraries find it."
    )
    access_key_id_variable: str | None = Field(
        None, description="Environment variable that holds the key's id, if it is not AWS's own."
    )
    secret_access_key_variable: str | None = Field(None, description="Environment variable that holds the secret.")
    session_token_variable: str | None = Field(None, description="Environment variable that holds a session token.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.access_key_id_variable is None) != (self.secret_access_key_variable is None):
            raise ValueError("s3 needs access_key_id_variable and secret_access_key_variable together")
        if self.profile and self.access_key_id_variable:
            raise ValueError("s3 names both a profile and variables for the key: keep one of them")
        for name in ("access_key_id_variable", "secret_access_key_variable", "session_token_variable"):
            variable = getattr(self, name)
            # The value is in no message, because it may be the key itself.
            if variable is not None and not re.fullmatch(r"[A-Za-z_]\w*", variable):
                raise ValueError(f"{name} takes the name of an environment variable; put the key there, not here")
        return self
