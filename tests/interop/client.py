"""Attaches to a terminal with Python's `websockets` and prints what it saw, as JSON.

The door's address is the argument, the token is in HARNESS_AUTH_TOKEN.
"""

import asyncio
import json
import os
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

WITHIN = 30
door = sys.argv[1]
token = os.environ["HARNESS_AUTH_TOKEN"]


async def status(query):
    """The status that an attach with this query is answered with."""
    try:
        async with connect(door + query, proxy=None):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def shows(terminal, text):
    """Reads until the terminal has shown a text; every frame has to be a text."""
    shown = ""
    while text not in shown:
        frame = await asyncio.wait_for(terminal.recv(), WITHIN)
        if not isinstance(frame, str):
            return False
        shown += frame
    return True


async def close_code(terminal):
    try:
        while True:
            await asyncio.wait_for(terminal.recv(), WITHIN)
    except ConnectionClosed as closed:
        # 1005 stands for a close frame without a code (RFC 6455 §7.1.5).
        return closed.rcvd.code if closed.rcvd else None


async def main():
    saw = {"without": await status(""), "empty": await status("?token="), "wrong": await status("?token=wrong")}
    header = {"Authorization": f"Bearer {token}"}
    async with connect(door, additional_headers=header, proxy=None) as terminal:
        saw["header"] = terminal.response.status_code
    async with connect(f"{door}?token={token}", proxy=None) as terminal:
        saw["extensions"] = terminal.response.headers.get("Sec-WebSocket-Extensions")
        await terminal.send('{"type":"ping"}')
        await terminal.send(b"echo inter''op\r")
        saw["types"] = await shows(terminal, "interop")
        # In fragments, as a client may send any message (RFC 6455 §5.4).
        await terminal.send([b"echo frag", b"men''", b"ted\r"])
        saw["fragments"] = await shows(terminal, "fragmented")
        await terminal.send('{"type":"resize","cols":101,"rows":33}')
        await terminal.send(b"stty size\r")
        saw["resize"] = await shows(terminal, "33 101")
        pong = await terminal.ping(b"are you there")
        saw["pong"] = await asyncio.wait_for(pong, WITHIN) >= 0
        await terminal.send(b"exit\r")
        saw["program_ends"] = await close_code(terminal)
    async with connect(f"{door}?token={token}", proxy=None) as terminal:
        await terminal.send(b"x" * 70 * 1024)
        saw["too_long"] = await close_code(terminal)
    async with connect(f"{door}?token={token}", proxy=None) as terminal:
        await terminal.close(1000, "done")
        saw["client_closes"] = terminal.close_code
    print(json.dumps(saw))


asyncio.run(main())
