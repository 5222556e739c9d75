"""Plain pages for browsers: a sign-in form, and problems; programs get the same problems as JSON."""

from __future__ import annotations

from html import escape
from typing import Final

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from service.api.problems import respond_with_problem

__all__ = ["problem_page", "sign_in_page", "wants_html"]

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} - Meltpoint</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem; color: #222; }}
input {{ font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; margin: .25rem 0 1rem; }}
button {{ font: inherit; padding: .5rem 1.5rem; }}
code {{ background: #f2f2f2; padding: .1rem .3rem; }}
.problem {{ color: #a00; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""

_SIGN_IN: Final = """{problem}<form method="post" action="/session">
<input type="hidden" name="next" value="{next}">
<label>Token <input name="token" type="password" autocomplete="current-password" required autofocus></label>
<button>Sign in</button>
</form>
<p>A token begins with <code>mp_</code>. An admin makes one with <code>meltpoint token create</code>.</p>
<script src="/sign-in.js"></script>"""

_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


def wants_html(request: Request) -> bool:
    """Return whether a browser asks for a page, not a program for data."""
    return "text/html" in request.headers.get("accept", "")


def sign_in_page(next_path: str, *, problem: str = "", status: int = 200) -> Response:
    """Return the sign-in form. next_path: the page to go on to. problem: why the last attempt failed."""
    paragraph = f'<p class="problem">{escape(problem)}</p>\n' if problem else ""
    body = _SIGN_IN.format(problem=paragraph, next=escape(next_path))
    return HTMLResponse(_PAGE.format(title="Sign in", body=body), status_code=status, headers=_HEADERS)


def problem_page(request: Request, status: int, title: str, detail: str) -> Response:
    """Return a problem: a page for browsers, `application/problem+json` (RFC 9457) for programs."""
    if wants_html(request):
        body = f'<p class="problem">{escape(detail)}</p>'
        return HTMLResponse(_PAGE.format(title=escape(title), body=body), status_code=status, headers=_HEADERS)
    name = title.lower().replace(" ", "-")
    request_id = getattr(request.state, "request_id", None)
    return respond_with_problem(status, name, title, detail, path=request.url.path, request_id=request_id)
