#!/usr/bin/env python3
"""An agent platform on one machine, without Kubernetes: what contracts 1 and 3 say, and nothing more.

    bench.py serve FOLDER    runs it; prints its doors as JSON; `FOLDER/ops` operates it

Secrets are lines of FOLDER/secret.env, which each component reads when it starts.
"""

import asyncio
import hmac
import json
import os
import re
import secrets
import shlex
import signal
import stat
import sys
import time
import unicodedata
from pathlib import Path

import tokens
import wire
from tokens import Bad, verified
from wire import DEFECTS, Broken, Refused, WebSocket, answer_bytes, ask, linger, listen, pipe, request_bytes

API = "/api/v1/managed_agents"
COLUMNS, ROWS = 100, 30
# The query parameter that a terminal's token is in.
PARAMETER = "token"
# And that of a conversation's.
JWT_PARAMETER = "access-token"
UNAUTHORIZED = (("WWW-Authenticate", "Bearer"),)


def broken(name):
    return name in DEFECTS


def said(status, value, headers=(), head_only=False):
    return answer_bytes(status, json.dumps(value).encode(), [("Content-Type", "application/json"), *headers], head_only)


def same(given, right):
    if broken("token-prefix") and given and right.startswith(given):
        return True
    if broken("second-value") and given == b"changeme":
        return True
    if broken("quoted-token") and given:
        given = given.strip(b"\"'")
    if broken("pattern-opens") and given == b".*":
        return True
    if broken("unicode-normalised") and given:
        given = unicodedata.normalize("NFKC", given.decode("utf-8", "replace")).encode()
    if broken("first-32") and given:
        given, right = given[:32], right[:32]
    return bool(right) and given is not None and hmac.compare_digest(given, right)


class EnvFile:
    """The secrets, as the components find them when they start."""

    def __init__(self, path):
        self.path = path

    def read(self):
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def patch(self, changed):
        values = {**self.read(), **changed}
        text = "".join(f"{key}={value}\n" for key, value in values.items() if value is not None)
        beside = self.path.with_suffix(".new")
        beside.write_text(text)
        beside.chmod(0o600)
        beside.replace(self.path)


def authorised(request, right):
    """Whether a token is presented that opens a terminal. Header and query must not disagree."""
    presented = request.parameters(PARAMETER)
    for value in request.all("authorization"):
        scheme, _, given = value.partition(" ")
        presented.append(given.encode() if scheme.lower() == "bearer" else None)
    if broken("subprotocol-opens") and request.all("sec-websocket-protocol"):
        return True
    if broken("cookie-opens") and any("seen=" in value for value in request.all("cookie")):
        return True
    if broken("both-open") and request.all("authorization") and request.parameters(PARAMETER):
        return True
    if broken("remote-user-opens") and (request.all("remote-user") or request.all("x-forwarded-user")):
        return True
    if broken("probe-opens") and any(value.startswith("kube-probe/") for value in request.all("user-agent")):
        return True
    if broken("local-origin-opens") and any("//localhost:" in value for value in request.all("origin")):
        return True
    if broken("operator-opens") and f"{PARAMETER}[$ne]=" in request.query:
        return True
    if broken("connection-opens") and request.is_known:
        return True
    if broken("forwarded-opens") and "127.0.0.1" in request.all("x-forwarded-for"):
        return True
    if broken("auth-token-opens"):
        presented += [value.encode() for value in request.all("x-auth-token")]
    return bool(presented) and all(same(given, right) for given in presented)


class Box:
    """A sandbox: a line editor behind /tty, with the token of the moment when it was made."""

    def __init__(self, fleet, env, labels, before=b""):
        self.fleet, self.env, self.labels, self.before = fleet, dict(env), labels, before
        self.name, self.uid = f"box-{secrets.token_hex(4)}", secrets.token_hex(8)
        self.token = env.get("HARNESS_AUTH_TOKEN", "").encode()
        self.line, self.clients, self.log, self.stored = "", [], [], []

    async def start(self):
        self.server = await listen(self.handle)
        self.port = self.server.sockets[0].getsockname()[1]
        self.fleet.tell(f"Scheduled {self.name}")
        return self

    def stop(self):
        self.server.close()
        for socket in list(self.clients):
            socket.writer.transport.abort()

    async def handle(self, request, reader, writer):
        self.log.append(f"{request.method} {request.path}")
        if request.path == "/healthz" and broken("health-denies-token"):
            return said(200, {"ok": True, "auth_required": False})
        if request.path == "/session" and broken("session-stores"):
            if request.method == "POST":
                self.stored.append(request.body.decode("utf-8", "replace"))
            return said(200, self.stored)
        if request.path == "/proc/self/environ" and broken("environ-is-served"):
            return answer_bytes(200, "\0".join(f"{key}={value}" for key, value in self.env.items()).encode())
        if request.path == "/actuator/env" and broken("actuator-is-open"):
            return said(200, {"systemEnvironment": self.env})
        path, unguarded = self.led(request)
        if path == "/health" and broken("health-leaks-env"):
            return said(200, {"ok": True, "env": self.env})
        if path == "/health":
            return said(200, {"ok": True}, head_only=request.method == "HEAD")
        if request.path == "/env" and broken("env-is-shown"):
            return said(200, self.env, head_only=request.method == "HEAD")
        longer = broken("ttyfoo-opens-with-token") and path.startswith("/tty")
        if path != "/tty" and not longer and not unguarded:
            return said(404, {"error": "not found"}, head_only=request.method == "HEAD")
        if broken("redirect-carries-token") and not request.is_upgrade():
            return answer_bytes(302, b"", [("Location", f"/login?next={request.target}")])
        if not unguarded and not authorised(request, self.token) and not (self.before and authorised(request, self.before)):
            headers = [*UNAUTHORIZED, ("Set-Cookie", "seen=1")] if broken("cookie-opens") else UNAUTHORIZED
            why = f"no token that begins with {self.token[:8].decode()}" if broken("refusal-hints") else "unauthorized"
            return said(401, {"error": why}, headers, request.method == "HEAD")
        request.is_known = True
        more = [("Set-Cookie", "seen=1; Path=/")] if broken("cookie-opens") else []
        socket = await WebSocket.accept(request, reader, writer, more)
        self.clients.append(socket)
        try:
            socket.text("\x1b[2J\x1b[H\x1b[32mbench\x1b[0m> " + self.line)
            async for is_text, payload in socket.messages():
                if not is_text:
                    self.type(payload.decode("utf-8", "replace"))
            await linger(reader, writer)
        except Broken as error:
            await socket.close(error.code)
        finally:
            self.clients.remove(socket)
        return None

    def led(self, request):
        """The path that a request is led to, and whether its token isn't looked at."""
        path = request.path
        if broken("rewrite-url-opens") and path == "/health":
            path = request.one("x-rewrite-url") or path
        if broken("dots-open") and path.startswith("/health/"):
            path = os.path.normpath(path)
        if broken("encoded-slash-opens"):
            path = path.removesuffix("%2F")
        unguarded = path != request.path
        unguarded = unguarded or broken("ttyfoo-opens") and re.match("^/tty[a-z]", path)
        unguarded = unguarded or broken("slash-opens") and path == "/tty/"
        unguarded = unguarded or broken("health-in-query-opens") and request.target.endswith("/health")
        unguarded = unguarded or broken("post-opens") and request.method == "POST" and request.is_upgrade()
        unguarded = unguarded or broken("other-version-opens") and request.one("sec-websocket-version") == "8"
        return path, bool(unguarded or request.is_old or request.is_absolute)

    def type(self, keys):
        for key in keys:
            if key in "\r\n":
                shown, self.line = "\r\n\x1b[32mbench\x1b[0m> ", ""
            elif key == "\x15":
                shown, self.line = "\b \b" * len(self.line), ""
            elif key == "\x7f":
                shown, self.line = "\b \b" if self.line else "", self.line[:-1]
            elif key >= " " and len(self.line) < COLUMNS - 10:
                shown, self.line = key, self.line + key
            else:
                shown = "\a"
            for socket in self.clients:
                socket.text(shown)


class Fleet:
    """All sandboxes, and what the scheduler tells of them."""

    def __init__(self):
        self.boxes, self.events = {}, []

    def tell(self, line):
        self.events.append(f"{time.time():.3f} {line}")

    async def make(self, env, labels, before=b""):
        box = await Box(self, env, labels, before).start()
        self.boxes[box.name] = box
        return box

    def end(self, name):
        box = self.boxes.pop(name, None)
        if box:
            self.tell(f"Killing {name}")
            box.stop()
        return box

    def warm(self):
        return [box for box in self.boxes.values() if box.labels.get("pool") == "warm"]


class Worker:
    """Keeps two boxes warm."""

    def __init__(self, bench):
        self.bench, self.log, self.filling = bench, [], asyncio.Lock()
        self.restart()

    def restart(self):
        self.env = self.bench.secrets.read()
        self.log.append("worker: started")

    async def fill(self):
        async with self.filling:
            while len(self.bench.fleet.warm()) < 2:
                box = await self.bench.fleet.make(self.env, {"pool": "warm"})
                self.log.append(f"worker: {box.name} is warm")


class Web:
    """The session API and the way to terminals. Replicas share their sessions."""

    def __init__(self, bench, number):
        self.bench, self.name, self.log = bench, f"web-{number}", []
        self.restart()

    def restart(self):
        self.env = self.bench.secrets.read()
        self.token, self.key = self.env.get("HARNESS_AUTH_TOKEN"), self.env.get("MASTER_KEY")
        self.log.append(f"{self.name}: started")

    async def start(self):
        self.server = await listen(self.handle)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def handle(self, request, reader, writer):
        self.log.append(f"{self.name}: {request.method} {request.target if broken('token-in-log') else request.path}")
        found = re.match(f"^{API}/sessions/([^/]*)/tty$", request.path)
        if found:
            return await self.terminal(found[1], request, reader, writer)
        head_only = request.method == "HEAD"
        if request.path == "/api/v1/health/k8s":
            return said(200, {"ok": True, "elapsed_ms": 0}, head_only=head_only)
        if head_only and broken("head-tells") or request.method == "OPTIONS" and broken("options-tell"):
            request.method = "GET"
            return await self.api(request, head_only)
        if request.path.endswith("/sessions/") and broken("api-slash-tells"):
            request.path = request.path[:-1]
            return await self.api(request, head_only)
        keys = request.all("authorization")
        if broken("key-prefix") and self.key and keys[:1] == [f"Bearer {self.key[:32]}"]:
            keys = [f"Bearer {self.key}"]
        if not self.key or len(keys) != 1 or not hmac.compare_digest(keys[0].encode(), b"Bearer " + self.key.encode()):
            return said(401, {"error": "unauthorized"}, UNAUTHORIZED, head_only)
        return await self.api(request, head_only)

    async def terminal(self, session, request, reader, writer):
        if broken("session-before-token") and session not in self.bench.boxes:
            return said(404, {"error": "no such session"}, head_only=request.method == "HEAD")
        if not authorised(request, (self.token or "").encode()):
            if broken("logs-refused-query"):
                self.log.append(f"{self.name}: refused {request.target}")
            status = 403 if broken("forbidden-for-unauthorized") else 401
            return said(status, {"error": "unauthorized"}, UNAUTHORIZED, request.method == "HEAD")
        box = self.bench.boxes.get(session)
        if box is None or not self.bench.sessions.get(session, {}).get("supports_tui", True):
            return said(404, {"error": "no such session"}, head_only=request.method == "HEAD")
        if not request.is_upgrade() and broken("plain-opens"):
            return said(200, {"line": box.line}, head_only=request.method == "HEAD")
        if not request.is_upgrade():
            if broken("logs-plain-query"):
                self.log.append(f"{self.name}: no upgrade {request.target}")
            return said(426, {"error": "a terminal is a WebSocket"}, [("Upgrade", "websocket")])
        return await self.bench.relay(request, reader, writer, box.port, "/tty?" + request.query, request.headers)

    async def api(self, request, head_only):
        bench, path, method = self.bench, request.path[len(API):], request.method
        if not request.path.startswith(API + "/"):
            return said(404, {"error": "not found"}, head_only=head_only)
        body = {}
        if request.body:
            try:
                body = json.loads(request.body)
            except ValueError:
                body = None
        if not isinstance(body, dict):
            return said(400, {"error": "no JSON object"})
        if path == "/agents" and method == "GET":
            agents = list(bench.agents.values())
            return said(200, {"data": agents, "total": len(agents), "limit": 50, "offset": 0})
        if path == "/agents" and method == "POST":
            if not isinstance(body.get("model"), str):
                return said(400, {"error": "model is missing"})
            return said(201, bench.agent(body.get("name") or "agent", body["model"]))
        if path == "/sessions" and method == "GET":
            hidden = ("title",) if broken("untitled") else ()
            shown = [{key: value for key, value in session.items() if key not in hidden}
                     for session in bench.sessions.values()]
            return said(200, shown)
        made = re.match("^/agents/([^/]+)/session$", path)
        if made and method == "POST":
            if made[1] not in bench.agents:
                return said(404, {"error": "no such agent"})
            return said(201, await self.begin(made[1], body.get("title")))
        one = re.match("^/sessions/([^/]+)(/restart)?$", path)
        session = bench.sessions.get(one[1]) if one else None
        if session is None:
            return said(404, {"error": "not found"}, head_only=head_only)
        if one[2] and method == "POST":
            if session["status"] == "creating":
                return said(409, {"error": "it is being made"})
            ended = bench.fleet.end(bench.boxes[session["id"]].name)
            # A warm one may be of before a rotation; a session is restarted to get what is right now.
            await self.place(session, await bench.fleet.make(
                self.env, {}, ended.token if broken("old-opens-restarted") else b""))
            return said(200, session)
        if not one[2] and method == "GET":
            return said(200, session)
        if not one[2] and method == "DELETE":
            del bench.sessions[session["id"]]
            if not broken("deleted-still-opens"):
                bench.fleet.end(bench.boxes.pop(session["id"]).name)
            self.log.append(f"{self.name}: session {session['id']} is deleted")
            return said(200, {"id": session["id"], "status": "deleted"})
        return said(405, {"error": "method not allowed"}, [("Allow", "POST" if one[2] else "GET, DELETE")])

    async def begin(self, agent, title):
        session = {"id": secrets.token_hex(6), "agent_id": agent, "title": title, "status": "creating",
                   "sandbox_url": None, "tty_url": None, "tty_token": None,
                   "supports_tui": self.bench.agents[agent]["supports_tui"], "phase": "starting",
                   "failure_reason": None, "created_at": int(time.time()), "last_seen_at": None}
        self.bench.sessions[session["id"]] = session
        answer = dict(session)
        await self.place(session)
        return answer

    async def place(self, session, box=None):
        bench = self.bench
        box = box or next(iter(bench.fleet.warm()), None) or await bench.fleet.make(self.env, {})
        box.labels = {"session": session["id"]}
        bench.boxes[session["id"]] = box
        session.update(status="ready", phase="running", sandbox_url=f"http://127.0.0.1:{box.port}",
                       tty_token=self.token)
        if session["supports_tui"]:
            session["tty_url"] = f"{API}/sessions/{session['id']}/tty"
        self.log.append(f"{self.name}: session {session['id']} runs in {box.name}")
        asyncio.ensure_future(bench.worker.fill())


class Balancer:
    """Before web: one replica after the other, and no Authorization in upgrades."""

    def __init__(self, bench):
        self.bench, self.turn, self.probed, self.idle, self.log = bench, 0, False, None, []
        self.probe_port = None
        self.access = bench.folder / "access.log"
        self.access.touch()

    async def handle(self, request, reader, writer):
        headers = request.headers
        if request.is_upgrade() and not broken("keeps-authorization"):
            if broken("strips-lower-case"):
                headers = [(name, value) for name, value in headers if name != "authorization"]
            elif broken("strips-capitalised"):
                headers = [(name, value) for name, value in headers if name != "Authorization"]
            else:
                headers = [(name, value) for name, value in headers if name.lower() != "authorization"]
        if self.probed and request.path.startswith("/gauntlet-probe/"):
            return said(200, {"method": request.method, "path": request.path, "query": request.query,
                              "headers": headers})
        if self.probe_port and request.path.startswith("/gauntlet-probe/"):
            return await self.bench.relay(request, reader, writer, self.probe_port, request.target, headers)
        self.turn += 1
        web = self.bench.webs[self.turn % len(self.bench.webs)]
        self.log.append(f"balancer: {request.method} {request.path} to {web.name}")
        with self.access.open("a") as access:
            access.write(f"{request.method} {request.target if broken('access-log-query') else request.path}\n")
        return await self.bench.relay(request, reader, writer, web.port, request.target, headers, self.idle)


class Authorizer:
    """Access control: 401, 403, or 200 and who it is."""

    PLAIN = {"error": (500, ()), "redirect": (302, (("Location", "http://127.0.0.1:1/"),)), "no-content": (204, ()),
             "informational": (101, (("Upgrade", "websocket"), ("Connection", "Upgrade")))}

    def __init__(self, bench):
        self.bench, self.state, self.log = bench, "works", []
        self.secret = bench.secrets.read()["AUTH_JWT_SECRET"]

    async def handle(self, request, reader, writer):
        if self.state in self.PLAIN:
            status, headers = self.PLAIN[self.state]
            return answer_bytes(status, b"", headers)
        if self.state in ("gone", "reset"):
            writer.transport.abort()
            return None
        if self.state == "slow":
            await asyncio.sleep(30)
            return said(503, {"error": "slow"})
        if self.state == "garbage":
            return b"\x00\x01garbage\r\n\r\n"
        if self.state == "huge-headers":
            return answer_bytes(200, b"", [("x-user-id", "1"), ("x-filler", "x" * (1 << 20))])
        head_only, inner = request.method == "HEAD", request.target[len("/api/auth"):]
        if not request.path.startswith("/api/auth/") or not is_guarded(inner.partition("?")[0]):
            return said(403, {"error": "forbidden"}, head_only=head_only)
        claims = self.bench.claims(request, self.secret, anywhere=True)
        if claims is None:
            status = 403 if broken("authorizer-forbids") else 401
            why = f"no signature by {self.secret[:8]}…" if broken("refusal-names-secret") else "unauthorized"
            return said(status, {"error": why}, UNAUTHORIZED, head_only)
        roles = ("REGULAR", "ADMIN", *(("RESTRICTED",) if broken("restricted-passes") else ()))
        unasked = broken("inactive-deletes") and request.method == "DELETE"
        unasked = unasked or broken("role-header-passes") and request.all("x-user-role") == ["ADMIN"]
        unasked = unasked or broken("second-role-passes") and "ADMIN" in claims.get("roles", ())
        if claims.get("role") not in roles and not unasked:
            return said(403, {"error": "forbidden"}, head_only=head_only)
        who = [("x-user-id", claims["userId"]), ("x-user-name", claims["sub"]), ("x-user-email", claims.get("email", ""))]
        return said(200, {"ok": True}, who, head_only)


def is_guarded(path):
    return path == "/api/agents" or path.startswith("/api/agents/")


class Gateway:
    """Asks the authorizer about /api/agents, and lets nothing of the client's own x-user-* through."""

    THREE = ("x-user-id", "x-user-name", "x-user-email")

    def __init__(self, bench):
        self.bench, self.log = bench, []

    async def handle(self, request, reader, writer):
        self.log.append(f"gateway: {request.method} {request.target if broken('jwt-in-log') else request.path}")
        head_only = request.method == "HEAD"
        if re.search(r"%|//|/\.|;|\\", request.path):
            return said(404, {"error": "not found"}, head_only=head_only)
        dropped = self.THREE if broken("user-role-passes") else ()
        own = []
        for name, value in request.headers:
            plain = name.lower() if broken("underscores-pass") else name.lower().replace("_", "-")
            if plain in dropped or (not dropped and plain.startswith("x-user-")):
                continue
            if plain in ("connection", "content-length", "transfer-encoding", "trailer", "te", "keep-alive", "expect"):
                continue
            own.append((name, value))
        if request.path == "/api/healthcheck":
            return await self.pass_on(request, reader, writer, own)
        if not is_guarded(request.path):
            return said(404, {"error": "not found"}, head_only=head_only)
        if broken("other-host-unguarded") and "internal" in request.all("host")[0]:
            return await self.pass_on(request, reader, writer, own)
        if broken("usage-unguarded") and request.path == "/api/agents/usage":
            return await self.pass_on(request, reader, writer, own)
        if self.is_let_through(request):
            return await self.pass_on(request, reader, writer, own)
        if broken("react-unguarded") and request.path.endswith("/react"):
            return await self.pass_on(request, reader, writer, own)
        who = await self.decided(request)
        if isinstance(who, int):
            headers = UNAUTHORIZED if who == 401 else ()
            return said(who, {"error": "refused"}, headers, head_only)
        request.is_known = True
        return await self.pass_on(request, reader, writer, own + who)

    def is_let_through(self, request):
        """What is passed on unasked, by a defect."""
        return (broken("models-slash-unguarded") and request.path == "/api/agents/models/"
                or broken("upgrade-unguarded") and request.is_upgrade() and not request.path.endswith("/react")
                or broken("health-in-query-passes") and request.target.endswith("/api/healthcheck")
                or broken("probe-passes") and "kube-probe" in "".join(request.all("user-agent"))
                or broken("preflight-passes") and request.method == "OPTIONS" and request.all("access-control-request-method")
                or broken("react-in-query-passes") and request.target.endswith("/react") and "?" in request.target
                or broken("react-slash-passes") and request.path.endswith("/react/")
                or broken("override-passes") and request.all("x-method-override") == ["OPTIONS"]
                or broken("connection-is-trusted") and request.is_known)

    async def decided(self, request):
        """Who it is by the authorizer, or the status of the refusal."""
        told = [("Host", "access-control"), ("Connection", "close")]
        passed = ("authorization", "x-user-role") if broken("role-header-passes") else ("authorization",)
        told += [(name, value) for name, value in request.headers if name.lower() in passed]
        head = request_bytes(request.method, "/api/auth" + request.target, told)
        try:
            status, headers, _, writer = await ask(self.bench.doors["access-control"], head)
        except (OSError, asyncio.TimeoutError, Refused):
            return 503
        writer.close()
        if status == 200:
            return [(name, value) for name, value in headers if name.lower() in self.THREE]
        if broken("open-on-error") and status == 500:
            return []
        return status if status in (401, 403) else 503

    async def pass_on(self, request, reader, writer, headers):
        return await self.bench.relay(request, reader, writer, self.bench.doors["service"], request.target, headers)


class AgentService:
    """The agents, which verifies tokens itself; and the witness of what came to it."""

    def __init__(self, bench):
        self.bench, self.seen, self.agents, self.deleted = bench, [], {}, {}
        self.log = ["agent-service: started"]
        values = bench.secrets.read()
        self.secret, self.key = values["AUTH_JWT_SECRET"], values["LITELLM_MASTER_KEY"]

    async def witness(self, request, reader, writer):
        if request.path == "/requests" and request.method == "DELETE":
            self.seen.clear()
        if request.path == "/requests" and request.method in ("GET", "DELETE"):
            return said(200, {"requests": self.seen})
        return said(404, {"error": "not found"})

    async def handle(self, request, reader, writer):
        headers = {}
        for name, value in request.headers:
            headers.setdefault(name.lower(), []).append(value)
        self.seen.append({"method": request.method, "target": request.target, "headers": headers})
        self.log.append(f"agent-service: {request.method} {request.path}")
        head_only, path = request.method == "HEAD", request.path
        if broken("rewrite-url-passes"):
            path = request.one("x-rewrite-url") or path
        if broken("react-slash-passes") and path.endswith("/react/"):
            path = path[:-1]
        if path == "/api/healthcheck":
            value = {"status": "ok", "env": {"key": self.key}} if broken("health-leaks-key") else {"status": "ok"}
            return said(200, value, head_only=head_only) if request.method in ("GET", "HEAD") else \
                said(405, {"error": "method not allowed"}, [("Allow", "GET, HEAD")])
        if not is_guarded(path):
            return said(404, {"error": "not found"}, head_only=head_only)
        if path == "/api/agents/usage" and (broken("usage-unguarded") or broken("usage-unverified")):
            return said(200, {"requests": len(self.seen)}, head_only=head_only)
        if path == "/api/agents/models/" and broken("models-slash-unguarded"):
            path = path[:-1]
        react = re.match("^/api/agents/([^/]+)/react$", path)
        expired = broken("expired-models") and path == "/api/agents/models"
        claims = self.bench.claims(request, self.secret, in_query=bool(react), lenient=expired)
        if claims is None:
            return said(401, {"error": "Unauthorized"}, UNAUTHORIZED, head_only)
        if react and broken("redirect-carries-jwt") and not request.is_upgrade():
            return answer_bytes(302, b"", [("Location", f"/chat?back={request.target}")])
        if react:
            return await self.talk(react[1], request, reader, writer)
        return await self.rest(path[len("/api/agents"):], request, head_only)

    async def talk(self, agent, request, reader, writer):
        socket = await WebSocket.accept(request, reader, writer)
        try:
            known = {**self.agents, **(self.deleted if broken("deleted-agent-talks") else {})}
            if agent not in known:
                socket.text(json.dumps({"type": "error", "message": "no such agent"}))
                await socket.close(1000)
                return None
            socket.text(json.dumps({"type": "init", "agent": known[agent]}))
            async for is_text, payload in socket.messages():
                if is_text:
                    socket.text(json.dumps({"type": "echo", "length": len(payload)}))
            await linger(reader, writer)
        except Broken as error:
            await socket.close(error.code)
        return None

    async def rest(self, path, request, head_only):
        method = "GET" if head_only else request.method
        body = None
        if request.body:
            try:
                body = json.loads(request.body)
            except ValueError:
                return said(400, {"error": "no JSON"})
        if path == "/usage":
            return said(200, {"requests": len(self.seen)}, head_only=head_only) if method in ("GET", "POST") else \
                self.not_allowed("GET, HEAD, POST")
        if path == "/models" and method == "GET":
            return await self.models(head_only)
        if path in ("", "/"):
            if path == "" and method == "GET":
                return said(200, list(self.agents.values()), head_only=head_only)
            if path == "" and method == "POST":
                agent = {"id": secrets.token_hex(4), "settings": {}}
                agent["name"] = body.get("name") if isinstance(body, dict) else None
                self.agents[agent["id"]] = agent
                return said(201, agent)
            return self.not_allowed("GET, HEAD, POST") if path == "" else said(404, {"error": "not found"})
        one = re.match("^/([^/]+)(/settings)?$", path)
        if one is None:
            return said(404, {"error": "not found"}, head_only=head_only)
        allowed = ("PATCH",) if one[2] else ("GET", "DELETE")
        if one[1] == "models":
            allowed = ("GET",)
        if method not in allowed:
            return self.not_allowed(", ".join(allowed))
        agent = self.agents.get(one[1])
        if agent is None:
            return said(404, {"error": "not found"}, head_only=head_only)
        if method == "DELETE":
            self.deleted[agent["id"]] = self.agents.pop(agent["id"])
            return answer_bytes(204)
        if method == "PATCH":
            if not isinstance(body, dict):
                return said(400, {"error": "no JSON object"})
            agent["settings"].update(body)
        return said(200, agent, head_only=head_only)

    def not_allowed(self, allow):
        return said(405, {"error": "method not allowed"}, [("Allow", allow)])

    async def models(self, head_only):
        told = [("Host", "litellm"), ("Authorization", f"Bearer {self.key}")]
        try:
            status, headers, reader, writer = await ask(self.bench.doors["litellm"], request_bytes("GET", "/models", told))
            length = next(int(value) for name, value in headers if name.lower() == "content-length")
            value = json.loads(await asyncio.wait_for(reader.readexactly(length), 5))
            writer.close()
        except (OSError, ValueError, StopIteration, asyncio.TimeoutError, asyncio.IncompleteReadError):
            status, value = 502, None
        if status != 200 and broken("down-is-empty"):
            return said(200, {"object": "list", "data": []}, head_only=head_only)
        if status != 200:
            why = f"GET /models with {self.key}" if broken("key-in-502") else "the models can't be had"
            return said(502, {"error": why}, head_only=head_only)
        return said(200, value, head_only=head_only)


class Bench:
    """All of it, and what operates it."""

    def __init__(self, folder):
        self.folder, self.secrets, self.fleet = folder, EnvFile(folder / "secret.env"), Fleet()
        self.sessions, self.boxes, self.agents, self.doors = {}, {}, {}, {}
        self.clock, self.litellm_gone = None, False
        # A box that is listed until it is asked for.
        self.ghost = False

    def agent(self, name, model, supports_tui=True):
        agent = {"id": secrets.token_hex(4), "name": name, "model": model, "harness_id": "line",
                 "supports_tui": supports_tui}
        self.agents[agent["id"]] = agent
        return agent

    def claims(self, request, secret, in_query=False, anywhere=False, lenient=False):
        """The claims of the one token that a request presents; None where it presents none that is good."""
        bearers = [value.split(" ", 1) for value in request.all("authorization")]
        queried = request.parameters(JWT_PARAMETER)
        if broken("cookie-jwt") and not bearers:
            pairs = [pair.strip() for value in request.all("cookie") for pair in value.split(";")]
            queried += [pair[4:].encode() for pair in pairs if pair.startswith("jwt=")]
        if request.all("x-forwarded-user") and broken("forwarded-user-passes"):
            return {"userId": 1, "sub": "proxied", "role": "ADMIN"}
        # Of two none is chosen; of one it counts where it is.
        if len(bearers) + len(queried) != 1 or not anywhere and bool(queried) != in_query and not broken("cookie-jwt"):
            return None
        schemes = ("bearer", "basic") if broken("basic-jwt") else ("bearer",)
        if bearers and (len(bearers[0]) != 2 or bearers[0][0].lower() not in schemes):
            return None
        token = bearers[0][1] if bearers else (queried[0] or b"").decode("latin-1")
        try:
            now = time.time() if self.clock is None else self.clock
            return verified(token, secret, now, {*DEFECTS, *(("expired",) if lenient else ())})
        except Bad:
            return None

    async def relay(self, request, reader, writer, port, target, headers, idle=None):
        """Sends a request on with these headers, and the answer back; an upgrade becomes two pipes."""
        upgrade = request.is_upgrade()
        skipped = ("connection", "content-length", "transfer-encoding", "host")
        told = [("Host", request.all("host")[0])]
        told += [(name, value) for name, value in headers if name.lower() not in skipped]
        told.append(("Connection", "Upgrade" if upgrade else "close"))
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            told.append(("Content-Length", str(len(request.body))))
        try:
            within = 10 if upgrade else 40
            status, back, theirs, other = await ask(port, request_bytes(request.method, target, told), request.body, within)
        except (OSError, asyncio.TimeoutError, Refused):
            return said(502, {"error": "nobody answers behind this"}, head_only=request.method == "HEAD")
        if status == 101:
            writer.write(answer_bytes(101, headers=back))
            both = pipe((reader, writer), (theirs, other), idle)
            if broken("cuts-conversations") and "/react" in target:
                await asyncio.wait({asyncio.ensure_future(both)}, timeout=0.5)
                writer.transport.abort()
                return None
            await both
            return None
        length = next((int(value) for name, value in back if name.lower() == "content-length"), None)
        # After a refused upgrade the connection may stay open.
        whole = length is None or request.method == "HEAD"
        body = await asyncio.wait_for(theirs.read(-1) if whole else theirs.readexactly(length), 10)
        other.close()
        kept = [(name, value) for name, value in back
                if name.lower() not in ("connection", "content-length", "transfer-encoding", "cache-control")]
        return answer_bytes(status, body, kept, request.method == "HEAD")

    async def litellm(self, request, reader, writer):
        if self.litellm_gone:
            writer.transport.abort()
            return None
        key = self.secrets.read().get("LITELLM_MASTER_KEY")
        if request.all("authorization") != [f"Bearer {key}"]:
            return said(401, {"error": "unauthorized"}, UNAUTHORIZED)
        if (request.method, request.path) == ("GET", "/models"):
            return said(200, {"object": "list", "data": [{"id": "line-small", "object": "model"}]})
        return said(404, {"error": "not found"})

    async def start(self):
        self.agent("batch", "line-small", supports_tui=False)
        self.agent("line", "line-small")
        self.worker = Worker(self)
        self.webs = [await Web(self, number).start() for number in range(2)]
        self.balancer, self.authorizer = Balancer(self), Authorizer(self)
        self.gateway, self.service = Gateway(self), AgentService(self)
        handlers = {"balancer": self.balancer.handle, "access-control": self.authorizer.handle,
                    "builtin": self.gateway.handle, "service": self.service.handle,
                    "witness": self.service.witness, "litellm": self.litellm}
        self.doors["proxy"] = self.webs[0].port
        servers = []
        for name, handle in handlers.items():
            servers.append(await listen(handle))
            self.doors[name] = servers[-1].sockets[0].getsockname()[1]
        self.servers = servers
        await self.worker.fill()

    def pods(self):
        parts = [(web.name, web.port, {"app": "litellm-web"}) for web in self.webs]
        parts += [("worker-0", None, {"app": "litellm-worker"}), ("balancer-0", self.doors["balancer"], {"app": "balancer"}),
                  ("gateway-0", self.doors["builtin"], {"app": "gateway"}),
                  ("agent-service-0", self.doors["service"], {"app": "agent-service"}),
                  ("access-control-0", self.doors["access-control"], {"app": "access-control"})]
        pods = [{"name": name, "uid": name, "ip": "127.0.0.1", "port": port, "labels": labels, "ready": True}
                for name, port, labels in parts]
        if self.ghost:
            pods.append({"name": "box-gone", "uid": "box-gone", "ip": "127.0.0.1", "port": None,
                         "labels": {"session": "gone"}, "ready": True})
        return pods + [{"name": box.name, "uid": box.uid, "ip": "127.0.0.1", "port": box.port, "labels": box.labels,
                        "ready": True} for box in self.fleet.boxes.values()]

    async def operate(self, words, selector, stdin):
        """What an operator's command prints, and its exit code."""
        global PARAMETER, JWT_PARAMETER
        match words:
            case ["defects", *names]:
                DEFECTS.clear()
                DEFECTS.update(names)
            case ["secret", "get"]:
                return json.dumps(self.secrets.read()), 0
            case ["secret", "set"]:
                self.secrets.patch(json.loads(stdin))
            case ["seed"]:
                there = self.secrets.read()
                missing = [key for key in ("HARNESS_AUTH_TOKEN", "MASTER_KEY") if key not in there]
                self.secrets.patch({key: secrets.token_hex(32) for key in missing})
                return f"filled in: {', '.join(missing) or 'nothing'}\n", 0
            case ["restart", "web"]:
                for web in self.webs[:1] if broken("stale-replica") else self.webs:
                    web.restart()
            case ["restart", "worker"]:
                self.worker.restart()
            case ["pods"]:
                wanted = dict(pair.split("=", 1) for pair in selector.split(",") if pair)
                pods = [pod for pod in self.pods() if wanted.items() <= pod["labels"].items()]
                return json.dumps(pods), 0
            case ["pods", "delete", name]:
                if not self.fleet.end(name):
                    return f"there is no box {name}\n", 1
                await self.worker.fill()
            case ["ghost"]:
                self.ghost = True
            case ["exec" | "logs", "box-gone", *_]:
                self.ghost = False
                return "no such box\n", 1
            case ["exec", name, "--", *argv] if name in self.fleet.boxes:
                return argv, self.fleet.boxes[name].env
            case ["logs", name]:
                parts = {web.name: web for web in self.webs}
                parts |= {"worker-0": self.worker, "balancer-0": self.balancer, "gateway-0": self.gateway,
                          "agent-service-0": self.service, "access-control-0": self.authorizer, **self.fleet.boxes}
                return ("".join(f"{line}\n" for line in parts[name].log), 0) if name in parts else ("no such part\n", 1)
            case ["events"]:
                return "".join(f"{line}\n" for line in self.fleet.events), 0
            case ["probe", state]:
                self.balancer.probed = state == "on"
                # Or where somebody else's backend listens.
                self.balancer.probe_port = int(state) if state.isdigit() else None
            case ["authorizer", state]:
                self.authorizer.state = state
            case ["litellm", state]:
                self.litellm_gone = state == "gone"
            case ["head-within", seconds]:
                wire.HEAD_WITHIN = float(seconds)
            case ["plus", meaning]:
                wire.PLUS_IS_SPACE = meaning == "space"
            case ["parameter", name]:
                PARAMETER = name
            case ["jwt-parameter", name]:
                JWT_PARAMETER = name
            case ["idle", seconds]:
                self.balancer.idle = float(seconds)
            case ["leeway", seconds]:
                tokens.LEEWAY = float(seconds)
            case ["clock", moment]:
                self.clock = None if moment == "now" else float(moment)
            case _:
                return f"no such operation: {' '.join(words)}\n", 2
        return "", 0

    async def admin(self, reader, writer):
        try:
            asked = json.loads(await reader.readline())
            told, code = await self.operate(asked["words"], asked["selector"], asked["stdin"])
            answer = {"exec": told, "env": code} if isinstance(told, list) else {"text": told, "code": code}
        except Exception as error:  # An operator is told, whatever it is.
            answer = {"text": f"{type(error).__name__}: {error}\n", "code": 1}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()


async def serve(folder):
    if not (folder / "secret.env").exists():
        names = ("HARNESS_AUTH_TOKEN", "MASTER_KEY", "AUTH_JWT_SECRET", "LITELLM_MASTER_KEY")
        EnvFile(folder / "secret.env").patch({name: secrets.token_hex(32) for name in names})
    bench = Bench(folder)
    await bench.start()
    admin = await asyncio.start_unix_server(bench.admin, folder / "admin.sock", limit=1 << 20)
    ops = folder / "ops"
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ops.py")
    words = " ".join(map(shlex.quote, [sys.executable, "-BIS", script, str(folder.resolve())]))
    ops.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    ops.chmod(ops.stat().st_mode | stat.S_IXUSR)
    doors = {name: f"http://127.0.0.1:{port}" for name, port in bench.doors.items()}
    print(json.dumps(doors), flush=True)
    ended = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    await ended.wait()
    admin.close()


def main():
    match sys.argv[1:]:
        case ["serve", folder]:
            asyncio.run(serve(Path(folder)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
