"""Plays a terminal with Python's `websockets`: prints its port, then serves until it is ended.

What is typed is shown again; Ctrl-D closes with 1000. The token is in HARNESS_AUTH_TOKEN.
"""

import asyncio
import http
import os
import urllib.parse

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

token = os.environ["HARNESS_AUTH_TOKEN"]


def check(connection, request):
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
    if query.get("token") != [token]:
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, "unauthorized\n")
    return None


async def terminal(socket):
    try:
        # The client has to answer a ping, and to put a fragmented message together.
        pong = await socket.ping(b"are you there")
        await pong
        await socket.send(["answered my ", "ping\r\n"])
        async for message in socket:
            if isinstance(message, bytes):
                if message == b"\x04":
                    await socket.close(1000, "logged out")
                    return
                await socket.send(message.decode())
            else:
                await socket.send(f"control {message}\r\n")
    except ConnectionClosed:
        pass


async def main():
    async with serve(terminal, "127.0.0.1", 0, process_request=check) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
