"""How each tool is asked for the same load, and what it says of it itself."""

import json
import math
import os
import shutil
import string
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


def output(*command, env=None):
    ran = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        env=env,
    )
    return ran.stdout.strip()


class Gauntlet:
    def __init__(self, options):
        self.program = options.gauntlet

    def missing(self):
        return None if os.access(self.program, os.X_OK) else f"there is no {self.program}"

    def version(self):
        return output(self.program, "--version")

    def command(self, load, door, folder):
        flags = ["-n", load.attaches, "--ramp", f"{load.rate:g}/s", "--hold", f"{load.hold:g}s"]
        flags += ["--echo-every", "1s", "--probe-every", "never", "--out", folder / "result.json", "--quiet"]
        command = [self.program, "load", "--url", door.url, "--token-env", "DOOR_TOKEN", *flags]
        return command, {"DOOR_TOKEN": door.token}

    def says(self, folder):
        result = json.loads((folder / "result.json").read_text())
        echo = result["steady"].get("echo", {})
        return {
            "opened": result["counts"]["opened"],
            "answered": result["counts"]["echoesAnswered"],
            "echo_mean_ms": echo.get("mean"),
            "echo_p99_ms": echo.get("p99"),
            "verdict": result["verdict"],
        }


class K6:
    def __init__(self, options):
        self.program = options.tools_dir / "k6"
        if not self.program.exists():
            self.program = shutil.which("k6")

    def missing(self):
        return None if self.program else "not installed"

    def version(self):
        return output(self.program, "version")

    def command(self, load, door, folder):
        command = [self.program, "run", "--quiet", "--no-usage-report", "--address", "", HERE / "k6.js"]
        return command, {
            "URL": door.url,
            "TOKEN": door.token,
            "ATTACHES": load.attaches,
            "RATE": load.rate,
            "HOLD": load.hold,
            "RESULT": folder / "result.json",
        }

    def says(self, folder):
        metrics = json.loads((folder / "result.json").read_text())
        value = lambda metric, name: metrics.get(metric, {}).get("values", {}).get(name)
        return {
            "opened": value("opened", "count"),
            "answered": value("answered", "count"),
            "echo_mean_ms": value("echo", "avg"),
            "echo_p99_ms": value("echo", "p(99)"),
        }


class Artillery:
    def __init__(self, options):
        self.complete = options.tools_dir / "artillery" / "complete"
        modules = self.complete.with_name("node_modules")
        self.package = modules / "artillery"
        own = [path for path in modules.glob("node-linux-*/bin/node") if os.access(path, os.X_OK)]
        self.node = own[0] if own else shutil.which("node")

    def missing(self):
        return None if self.node and self.complete.exists() else "not installed"

    def version(self):
        package = json.loads((self.package / "package.json").read_text())
        return f"artillery {package['version']}, Node {output(self.node, '--version')}"

    def command(self, load, door, folder):
        flags = ["run", "--quiet", "--output", folder / "result.json", HERE / "artillery.yml"]
        return [self.node, self.package / "bin" / "run", *flags], {
            "URL": door.url,
            "TOKEN": door.token,
            "ATTACHES": load.attaches,
            # Whole seconds alone.
            "RAMP": max(1, math.ceil(load.ramp)),
            "HOLD": load.hold,
            "ARTILLERY_DISABLE_TELEMETRY": "true",
        }

    def says(self, folder):
        result = json.loads((folder / "result.json").read_text())["aggregate"]
        echo = result.get("summaries", {}).get("echo", {})
        return {
            "opened": result["counters"].get("opened"),
            "answered": result["counters"].get("answered"),
            "echo_mean_ms": echo.get("mean"),
            "echo_p99_ms": echo.get("p99"),
        }


class Tsung:
    # Erlang's names: on loopback, and not on the port where another Erlang may have them.
    NAMES = {"ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": "14369"}

    def __init__(self, _options):
        self.program = shutil.which("tsung")

    def missing(self):
        return None if self.program and shutil.which("epmd") else "not installed"

    def version(self):
        release = 'io:format("~s", [erlang:system_info(otp_release)]), halt().'
        return f"{output(self.program, '-v')}, Erlang/OTP {output('erl', '-noshell', '-eval', release)}"

    def beside(self):
        """Would be started by Erlang itself, as a daemon that stays."""
        return ["epmd"], self.NAMES

    def command(self, load, door, folder):
        template = string.Template((HERE / "tsung.xml").read_text())
        script = folder / "tsung.xml"
        script.write_text(
            template.substitute(
                PORT=door.port,
                TOKEN=door.token,
                ATTACHES=load.attaches,
                RATE=f"{load.rate:g}",
                SECONDS=math.ceil(load.ramp + load.hold),
                PHASE=math.ceil(2 * load.ramp) + 10,
                # Above it there would be a second process.
                MAXUSERS=10 * load.attaches,
            )
        )
        command = [self.program, "-f", script, "-l", folder / "log", "-I", "127.0.0.1", "-n", "start"]
        own = {"HOME": folder, "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1}"}
        return command, {**self.NAMES, **own}

    def says(self, folder):
        [log] = folder.glob("log/*/tsung.log")
        count, total, opened, answered = 0, 0.0, None, None
        for line in log.read_text().splitlines():
            words = line.split()
            # Of the last ten seconds: number, mean, and more; of counters: number, and the number so far.
            if words[:2] == ["stats:", "tr_echo"]:
                count, total = count + int(words[2]), total + int(words[2]) * float(words[3])
            elif words[:2] == ["stats:", "websocket_succ"]:
                opened = int(words[3])
            elif words[:2] == ["stats:", "match"]:
                answered = int(words[3])
        return {
            "opened": opened,
            "answered": answered,
            "echo_mean_ms": total / count if count else None,
            # It keeps no distribution.
            "echo_p99_ms": None,
        }


TOOLS = {"gauntlet": Gauntlet, "k6": K6, "artillery": Artillery, "tsung": Tsung}
