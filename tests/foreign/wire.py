"""HTTP/1.1 and WebSocket by hand, as far as the bench needs them. One request for each connection."""

import asyncio
import base64
import hashlib
import re
import struct

HEAD_MOST = 64 * 1024
BODY_MOST = 1024 * 1024
MESSAGE_MOST = 64 * 1024
HEAD_WITHIN = 3
PLUS_IS_SPACE = False
# What is wrong with the platform at the moment.
DEFECTS = set()
TOKEN = re.compile(rb"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
TARGET = re.compile(rb"^/[!-\"$-~]*$")
# Defects of connections that outlive a request.
KEEPS = {"connection-opens", "connection-is-trusted"}
ABSOLUTE = re.compile(rb"^http://[^/]+(/[!-\"$-~]*)$")
REASONS = {101: "Switching Protocols", 200: "OK", 201: "Created", 204: "No Content", 302: "Found",
           400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
           408: "Request Timeout", 409: "Conflict", 413: "Content Too Large", 426: "Upgrade Required",
           431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
           502: "Bad Gateway", 503: "Service Unavailable"}


class Refused(Exception):
    """A request that gets this status and nothing else."""

    def __init__(self, status, *headers):
        super().__init__(status)
        self.status, self.headers = status, headers


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        # Whether it came in HTTP/1.0, in absolute form, and behind a good one on its connection.
        self.is_old, self.is_absolute, self.is_known = False, False, False
        self.path, _, self.query = target.partition("?")

    def all(self, name):
        return [value for known, value in self.headers if known.lower() == name]

    def one(self, name):
        values = self.all(name)
        return values[0] if len(values) == 1 else None

    def parameters(self, name):
        """The values of a name in the query, decoded once; bytes."""
        found = []
        for pair in self.query.split("&"):
            key, _, value = pair.partition("=")
            if key == name:
                found.append(unquoted(value))
        return found

    def is_upgrade(self):
        words = [word.strip().lower() for value in self.all("connection") for word in value.split(",")]
        return "upgrade" in words and any(value.lower() == "websocket" for value in self.all("upgrade"))


def unquoted(text):
    """Percent-decoded, once; None where it is no percent-encoding."""
    if PLUS_IS_SPACE:
        text = text.replace("+", "%20")
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        return None
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), text.encode("latin-1"))


async def read_head(reader):
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_WITHIN)
    except asyncio.LimitOverrunError:
        raise Refused(431)
    except asyncio.TimeoutError:
        raise Refused(408)
    return head[:-4].split(b"\r\n")


def read_fields(lines):
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name) or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise Refused(400)
        headers.append((name.decode(), value.strip(b" \t").decode("latin-1")))
    return headers


async def read_request(reader):
    first, *lines = await read_head(reader)
    parts = first.split(b" ")
    is_old = "old-http-opens" in DEFECTS and parts[2:] == [b"HTTP/1.0"]
    absolute = ABSOLUTE.match(parts[1]) if "absolute-form-opens" in DEFECTS and len(parts) == 3 else None
    if absolute:
        parts[1] = absolute[1]
    if len(parts) != 3 or not TOKEN.match(parts[0]) or not TARGET.match(parts[1]):
        raise Refused(400)
    if parts[2] != b"HTTP/1.1" and not is_old:
        raise Refused(400)
    if len(lines) > 200:
        raise Refused(431)
    request = Request(parts[0].decode(), parts[1].decode(), read_fields(lines), b"")
    request.is_old, request.is_absolute = is_old, bool(absolute)
    if len(request.all("host")) != 1 or not request.all("host")[0]:
        raise Refused(400)
    request.body = await read_body(reader, request)
    return request


async def read_body(reader, request):
    lengths, coding = request.all("content-length"), request.all("transfer-encoding")
    if coding and (lengths or [value.lower() for value in coding] != ["chunked"]):
        raise Refused(400)
    if len(lengths) > 1 or any(not re.match(r"^[0-9]{1,12}$", value) for value in lengths):
        raise Refused(400)
    if not coding:
        length = int(lengths[0]) if lengths else 0
        if length > BODY_MOST:
            raise Refused(413)
        return await asyncio.wait_for(reader.readexactly(length), HEAD_WITHIN)
    body = b""
    while True:
        size = (await asyncio.wait_for(reader.readuntil(b"\r\n"), HEAD_WITHIN)).split(b";")[0].strip()
        if not re.match(rb"^[0-9A-Fa-f]{1,8}$", size):
            raise Refused(400)
        size = int(size, 16)
        if size + len(body) > BODY_MOST:
            raise Refused(413)
        if size == 0:
            while await asyncio.wait_for(reader.readuntil(b"\r\n"), HEAD_WITHIN) != b"\r\n":
                pass
            return body
        body += await asyncio.wait_for(reader.readexactly(size), HEAD_WITHIN)
        if await reader.readexactly(2) != b"\r\n":
            raise Refused(400)


def answer_bytes(status, body=b"", headers=(), head_only=False):
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if status >= 200:
        lines += ["Cache-Control: no-store", "Connection: close"]
    if status >= 200 and status != 204:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + (b"" if head_only or status == 204 else body)


async def linger(reader, writer):
    """Ends a connection without losing what was answered to somebody who still sends."""
    try:
        if writer.can_write_eof():
            writer.write_eof()
        await asyncio.wait_for(reader.read(1 << 20), 0.5)
    except (asyncio.TimeoutError, OSError):
        pass
    finally:
        writer.close()


async def listen(handle, port=0):
    """A server whose connections `handle(request, reader, writer)` answers: with bytes, or by itself (None)."""

    async def connected(reader, writer):
        try:
            is_known, goes_on = False, True
            while goes_on:
                request = None
                try:
                    request = await read_request(reader)
                    request.is_known = is_known
                    answer = await handle(request, reader, writer)
                except Refused as refused:
                    answer = answer_bytes(refused.status, b'{"error": "refused"}', refused.headers,
                                          request is not None and request.method == "HEAD")
                is_known = request is not None and request.is_known
                goes_on = is_known and answer is not None and bool(KEEPS & DEFECTS)
                if goes_on:
                    writer.write(answer.replace(b"Connection: close\r\n", b""))
            if answer is None:
                writer.close()
                return
            writer.write(answer)
            await writer.drain()
            await linger(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.TimeoutError, OSError):
            writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()

    return await asyncio.start_server(connected, "127.0.0.1", port, limit=HEAD_MOST)


async def ask(port, head, body=b"", within=5):
    """Asks another component; its status, headers and body, and the open connection."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, limit=HEAD_MOST), within)
    try:
        writer.write(head + body)
        await writer.drain()
        try:
            first, *lines = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), within))[:-4].split(b"\r\n")
        except (asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            raise OSError("no HTTP came back")
        found = re.match(rb"^HTTP/1\.1 ([0-9]{3})", first)
        if not found:
            raise OSError("no HTTP came back")
        return int(found[1]), read_fields(lines), reader, writer
    except BaseException:
        writer.close()
        raise


def request_bytes(method, target, headers):
    lines = [f"{method} {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


async def pipe(one, other, idle=None):
    """Carries bytes both ways until either side ends, or nothing has come for so many seconds."""
    loop = asyncio.get_running_loop()
    last = [loop.time()]

    async def carry(reader, writer):
        while data := await reader.read(65536):
            last[0] = loop.time()
            writer.write(data)
            await writer.drain()

    async def watch():
        while (left := last[0] + idle - loop.time()) > 0:
            await asyncio.sleep(left)

    ways = [asyncio.ensure_future(carry(one[0], other[1])), asyncio.ensure_future(carry(other[0], one[1]))]
    if idle is not None:
        ways.append(asyncio.ensure_future(watch()))
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        one[1].close()
        other[1].close()


class Broken(Exception):
    """A conversation that ends with this code."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class WebSocket:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @staticmethod
    async def accept(request, reader, writer, headers=()):
        if request.method != "GET" and "post-opens" not in DEFECTS or not request.is_upgrade():
            raise Refused(426, ("Upgrade", "websocket"))
        if request.one("sec-websocket-version") != "13" and "other-version-opens" not in DEFECTS:
            raise Refused(426, ("Sec-WebSocket-Version", "13"))
        key = request.one("sec-websocket-key") or ""
        if not re.match(r"^[A-Za-z0-9+/]{22}==$", key):
            raise Refused(400)
        proof = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        agreed = [("Upgrade", "websocket"), ("Connection", "Upgrade"),
                  ("Sec-WebSocket-Accept", base64.b64encode(proof).decode())]
        writer.write(answer_bytes(101, headers=agreed + list(headers)))
        return WebSocket(reader, writer)

    def send(self, opcode, payload):
        size = len(payload)
        head = bytes([0x80 | opcode])
        head += bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size) if size < 65536 else \
            b"\x7f" + struct.pack(">Q", size)
        if not self.writer.is_closing():
            self.writer.write(head + payload)

    def text(self, text):
        for start in range(0, len(text), 4096):
            self.send(1, text[start:start + 4096].encode())

    async def frame(self):
        first, second = await self.reader.readexactly(2)
        opcode, size = first & 0x0f, second & 0x7f
        if first & 0x70 or not second & 0x80 or opcode not in (0, 1, 2, 8, 9, 10):
            raise Broken(1002)
        if opcode >= 8 and (size > 125 or not first & 0x80):
            raise Broken(1002)
        if size == 126:
            size, = struct.unpack(">H", await self.reader.readexactly(2))
        elif size == 127:
            size, = struct.unpack(">Q", await self.reader.readexactly(8))
        if size > MESSAGE_MOST:
            raise Broken(1009)
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(size)
        return first & 0x80, opcode, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))

    async def messages(self):
        """Gives (is text, payload) until the other side closes; answers pings."""
        kind, whole = None, b""
        while True:
            last, opcode, payload = await self.frame()
            if opcode == 8:
                code = payload[:2]
                if len(payload) == 1:
                    raise Broken(1002)
                if code and not is_code(struct.unpack(">H", code)[0]):
                    raise Broken(1002)
                checked(payload[2:])
                self.send(8, code)
                return
            if opcode == 9:
                self.send(10, payload)
            if opcode >= 8:
                continue
            if (opcode == 0) == (kind is None):
                raise Broken(1002)
            kind, whole = opcode or kind, whole + payload
            if len(whole) > MESSAGE_MOST:
                raise Broken(1009)
            if last:
                if kind == 1:
                    checked(whole)
                yield kind == 1, whole
                kind, whole = None, b""

    async def close(self, code=None):
        self.send(8, struct.pack(">H", code) if code else b"")
        try:
            await self.writer.drain()
        except OSError:
            return
        await linger(self.reader, self.writer)


def is_code(code):
    return code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011) or 3000 <= code < 5000


def checked(text):
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        raise Broken(1007)
