"""What the service answers where it refuses a call: status, code, message."""

from __future__ import annotations


class RefusalError(Exception):
    """The service refuses a call. The message names what is wrong and holds no secret."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def invalid_parameter(name: str, why: str) -> RefusalError:
    """Refuse a parameter."""
    return RefusalError(400, "InvalidParameter", f"The specified parameter {name} is not valid: {why}.")


def missing_parameter(name: str) -> RefusalError:
    """Refuse a call without a parameter."""
    return RefusalError(400, f"Missing{name}", f"{name} is mandatory for this action.")


def unknown_action() -> RefusalError:
    """Refuse an action that there is not."""
    return RefusalError(404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")


def no_permission() -> RefusalError:
    """Refuse a caller without the permission for the call."""
    return RefusalError(403, "NoPermission", "caller has no permission")


def throttled(retry_after_ms: int | None) -> RefusalError:
    """Refuse a call too many; ``retry_after_ms`` says when to come again."""
    headers = {} if retry_after_ms is None else {"x-acs-retry-after": str(retry_after_ms)}
    return RefusalError(400, "Throttling.User", "Request was denied due to user flow control.", headers)


def token_expired() -> RefusalError:
    """Refuse a session token that was good once."""
    return RefusalError(403, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")


def beyond_quota() -> RefusalError:
    """Refuse a scan task for want of quota; the misspelling is the service's."""
    return RefusalError(400, "BeyondQuata", "Please check the scan quota")


def nothing_to_scan() -> RefusalError:
    """Refuse a scan task without images."""
    return RefusalError(400, "TaskNumEmpty", "Create task quantity is empty.")


def repeated_task() -> RefusalError:
    """Refuse a scan task whose images are being scanned."""
    return RefusalError(400, "forbid_create_repeat_task", "The image scan task already exists.")


DOCUMENTED = ((403, "NoPermission"), (500, "ServerError"), (400, "NoPermission"), (400, "BeyondQuata"), (400, "TaskNumEmpty"))
"""Status and code of what Security Center documents for its calls."""
GATEWAY = (
    (400, "Throttling"),
    (400, "Throttling.User"),
    (400, "Throttling.Api"),
    (400, "MissingParameter"),
    (400, "InvalidParameter"),
    (400, "SignatureDoesNotMatch"),
    (400, "InvalidTimeStamp.Expired"),
    (403, "Forbidden.RAM"),
    (403, "InvalidSecurityToken.Expired"),
    (404, "InvalidAccessKeyId.NotFound"),
    (404, "InvalidAction.NotFound"),
    (500, "InternalError"),
    (503, "ServiceUnavailable"),
)
"""Those of every gateway of the vendor."""
UNDOCUMENTED = (
    (400, "SomethingNew"),
    (402, "Arrearage"),
    (405, "UnsupportedHTTPMethod"),
    (408, "RequestTimeout"),
    (409, "Conflict"),
    (410, "Gone"),
    (413, "RequestEntityTooLarge"),
    (418, "Teapot"),
    (425, "TooEarly"),
    (429, "TooManyRequests"),
    (451, "UnavailableForLegalReasons"),
    (501, "NotImplemented"),
    (502, "BadGateway"),
    (504, "GatewayTimeout"),
    (507, ""),
    (599, "weird code\n"),
)
"""Some that nobody documents."""
