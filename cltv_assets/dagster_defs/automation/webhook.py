"""Posts a text to a Slack-compatible webhook, whose address is a secret. Does not use Dagster."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request

from cltv_assets.errors import CltvError, ConfigError

#: Seconds to wait for the webhook's answer.
_TIMEOUT = 10
_HIDDEN = "[webhook address]"


class WebhookError(CltvError):
    """The webhook did not take the message."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: a redirected POST would become a GET, and the message would be lost silently."""

    def redirect_request(self, *_args: object) -> None:
        """Follow no redirect; the answer then counts as a refusal."""


class Webhook:
    """A webhook whose address is in an environment variable.

    Parameters
    ----------
    variable : str
        Name of the variable. Its value appears in no error, log or file.
    """

    def __init__(self, variable: str) -> None:
        self._variable = variable

    @property
    def is_set(self) -> bool:
        """Whether the variable has a value now."""
        return bool(os.environ.get(self._variable))

    def post(self, text: str) -> None:
        """Send a text.

        Parameters
        ----------
        text : str
            May use Slack's markup; `escaped` protects literal text.

        Raises
        ------
        ConfigError
            If the variable holds no http address.
        WebhookError
            If the webhook does not answer, or answers with an error.
        """
        address = os.environ.get(self._variable, "").strip()
        if not address.startswith(("http://", "https://")):
            raise ConfigError(
                f"The environment variable {self._variable} holds no http:// or https:// address.",
                "Set it to the webhook's address where the code location runs.",
            )
        fault = _send(address, text.replace(address, _HIDDEN))
        # Raised outside the handler: the library's error may name the address, and Dagster shows an
        # error together with its cause.
        if fault:
            raise WebhookError(
                f"The webhook of {self._variable} did not take the message: {fault}.",
                "It is sent again at the next look; if that goes on, check the address and the service behind it.",
            )


def escaped(text: str) -> str:
    """Return text that Slack shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _send(address: str, text: str) -> str:
    """Send a text and return what went wrong, without the address."""
    try:
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
            address, json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=_TIMEOUT) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answered HTTP {error.code}"
    except urllib.error.URLError as error:
        return f"it cannot be reached ({type(error.reason).__name__})"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"it cannot be reached ({type(error).__name__})"
    return ""
