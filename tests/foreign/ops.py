"""Operates a bench that runs: `ops.py FOLDER WORD...` tells it the words, and prints what it says.

It starts often: it imports little.
"""

import json
import os
import socket
import sys


def answer(folder, asked):
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(os.path.join(folder, "admin.sock"))
        admin.sendall(json.dumps(asked).encode() + b"\n")
        with admin.makefile("rb") as said:
            return json.loads(said.readline())


def main(folder, *words):
    stdin = sys.stdin.read() if words[:2] == ("secret", "set") else ""
    said = answer(folder, {"words": words, "selector": os.environ.get("GAUNTLET_SELECTOR", ""), "stdin": stdin})
    if "exec" in said:
        environment = {**said["env"], "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        os.execvpe(said["exec"][0], said["exec"], environment)
    (sys.stdout if said["code"] == 0 else sys.stderr).write(said["text"])
    # An exit code of `exec` is that of what it ran, but for this one.
    return 125 if words[:1] == ("exec",) else said["code"]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
