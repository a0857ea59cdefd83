"""JWTs as contract 3 has them: HS256, strict, with half a minute of leeway."""

import base64
import hashlib
import hmac
import json
import math
import re

LEEWAY = 30
UNKNOWN_TO_US = ("crit", "b64")


class Bad(Exception):
    """No token that lets anybody in; why is nobody's business."""


def strict(pairs):
    """An object whose keys are there once."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Bad
    return found


def part(text):
    if not re.match(r"^[A-Za-z0-9_-]+$", text):
        raise Bad
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise Bad


def opened(text):
    try:
        found = json.loads(part(text).decode("utf-8"), object_pairs_hook=strict)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise Bad
    if not isinstance(found, dict):
        raise Bad
    return found


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_line(value):
    """A text that can stand in a header: no control characters, no halves of pairs."""
    return isinstance(value, str) and value != "" and not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value)


def verified(token, secret, now, defects=()):
    """The claims of a good token."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > 16384:
        raise Bad
    header = opened(parts[0])
    algorithm = header.get("alg")
    if "alg-any-case" in defects and isinstance(algorithm, str):
        algorithm = algorithm.upper()
    if "alg-missing" in defects and algorithm is None:
        algorithm = "HS256"
    if "capital-none" in defects and algorithm == "NONE":
        return opened(parts[1])
    if algorithm != "HS256" or any(name in header for name in UNKNOWN_TO_US):
        raise Bad
    if "kid-names-file" in defects and str(header.get("kid")).endswith("/dev/null"):
        secret = ""
    right = hmac.new(secret.encode(), f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(right, part(parts[2])):
        raise Bad
    claims = opened(parts[1])
    expires = claims.get("exp")
    if "exp-text-passes" in defects and isinstance(expires, str):
        expires = float(expires)
    if not is_number(expires) or not math.isfinite(expires) or not 0 <= expires < 1e12:
        raise Bad
    if expires + LEEWAY <= now and "expired" not in defects:
        raise Bad
    begins = claims.get("nbf", 0)
    if "nbf-text-passes" in defects and isinstance(begins, str):
        begins = 0
    is_for_us = "aud" not in claims or "aud-list-passes" in defects and isinstance(claims["aud"], list)
    if not is_number(begins) or begins - LEEWAY > now or not is_for_us:
        raise Bad
    user = claims.get("userId")
    if "true-is-a-user" in defects and user is True:
        return claims
    if isinstance(user, bool) or not isinstance(user, int) or not 0 <= user < 2 ** 53:
        raise Bad
    if not is_line(claims.get("sub")) or not is_line(claims.get("email", "-")):
        raise Bad
    return claims
