"""Who may see pages: the name in the address, and the password. Pure."""

from __future__ import annotations

import base64
import hmac
from http import HTTPStatus

from kallback.cli.console.changes import check_same_site
from kallback.cli.console.options import ConsoleOptions
from kallback.settings.addresses import LOOPBACK, host_named
from kallback.web import HttpHead, refused


def check_access(head: HttpHead, options: ConsoleOptions) -> None:
    """Refuse a request for another host, a change that is not allowed, or a request without the password.

    Raises:
        RefusedRequestError: with the reason.
    """
    named = host_named("".join(head.values("host")))
    if named not in LOOPBACK | {host_named(each) for each in options.hosts}:
        detail = "this console does not know the host in the address: start it with --allow-host and that name"
        raise refused("unknown-host", HTTPStatus.MISDIRECTED_REQUEST, detail)
    if head.method == "POST" and options.allow_changes:
        check_same_site(head)
    elif head.method not in {"GET", "HEAD"}:
        raise refused("method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED, *_allowed(options))
    if options.password is not None and not _has_password(head, options.password.reveal()):
        login = ("WWW-Authenticate", 'Basic realm="kallback console", charset="UTF-8"')
        detail = "log in with any user name and the password of --password-file"
        raise refused("not-logged-in", HTTPStatus.UNAUTHORIZED, detail, login)


def check_opened_from(head: HttpHead, *, only_here: bool) -> None:
    """Refuse a page for which another site asks otherwise than with a link: as an image, in a frame or by a script.

    Pages read Restate and Kafka, and the browser of someone who may see them would ask as often as that site wants.

    Args:
        head: of a request for a page.
        only_here: the page is opened from the console's own pages only, because it keeps what it read.

    Raises:
        RefusedRequestError: with the reason.
    """
    site = head.values("sec-fetch-site")
    if not site or site in (["same-origin"], ["none"]):  # `none`: a bookmark, or an address that was typed
        return
    is_link = head.values("sec-fetch-mode") == ["navigate"] and head.values("sec-fetch-dest") == ["document"]
    if only_here or not is_link:
        raise refused(
            "other-site", HTTPStatus.FORBIDDEN, "a page of another site asked for this: open it from the console"
        )


def _allowed(options: ConsoleOptions) -> tuple[str, tuple[str, str]]:
    """Return what a request with another method is told."""
    if options.allow_changes:
        return "pages are read with GET, and changed with their forms", ("Allow", "GET, HEAD, POST")
    detail = "the console is read-only: use the command line, or start it with --allow-changes"
    return detail, ("Allow", "GET, HEAD")


def user_of(head: HttpHead, options: ConsoleOptions) -> str:
    """Return who sends a request: what the trusted proxy says, else the user of the login, else `console`."""
    if options.user_header is not None:
        named = head.values(options.user_header.lower())[-1:]  # what a client sent itself comes before the proxy's
        return "".join(named).encode("latin-1").decode("utf-8", "replace").strip()
    return _login(head)[0].decode("utf-8", "replace").strip() or "console"


def _has_password(head: HttpHead, password: str) -> bool:
    return hmac.compare_digest(_login(head)[1], password.encode())


def _login(head: HttpHead) -> tuple[bytes, bytes]:
    """Return user and password; empty if there are none, or two."""
    given = head.values("authorization")
    scheme, _, value = (given[0] if len(given) == 1 else "").partition(" ")
    if scheme.lower() == "bearer":
        return b"", value.strip().encode("latin-1", "replace")
    if scheme.lower() != "basic":
        return b"", b""
    try:
        user, _, password = base64.b64decode(value.strip(), validate=True).partition(b":")
    except ValueError:  # not base64, or not even ASCII
        return b"", b""
    return user, password
