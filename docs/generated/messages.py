"""The page of messages, made of the golden files of the tests."""

import json
import re
import sys

from .rules import escaped

TITLES = {
    "command_line": "The command line",
    "scenario_errors": "Scenario files",
    "profiles": "Profiles and `--set`",
    "expected": "Expected failures and reports",
    "installation": "Reaching a platform",
    "agents": "Why scenarios are skipped",
    "gateways": "Gateways",
    "manifests": "Manifests",
    "trouble": "Files that can't be read",
}


def remedies(file):
    """What to do, by golden file."""
    found = {}
    for line in file.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, text = line.partition(": ")
            found[name] = json.loads(text)
    return found


def golden(file):
    """What made a message, if the file says it, and the message."""
    _, head, body = file.read_text("utf-8").split("---\n", 2)
    made = re.search(r"^description: (.*)$", head, re.M)
    made = made[1] if made else ""
    if made.startswith('"'):
        made = json.loads(made)
    # The same in plain lines stands behind it.
    body = re.split(r"\n\n(?=\d+ problems? in 1 file\n)", body)[0]
    return made, body.strip("\n")


def section(file, remedy):
    """A message and what to do."""
    made, message = golden(file)
    lines = [f"### {file.stem.replace('_', ' ').replace('-', ' ')}", ""]
    if made:
        command = made if made.startswith(("run", "list", "check", "explain", "prove", "platform")) else f"run {made}"
        lines += [f"`gauntlet {command}`" if " " in made else f"`gauntlet {made}`", ""]
    source = file.with_suffix(".yaml")
    if source.exists():
        lines += ["```yaml", source.read_text("utf-8").rstrip(), "```", ""]
    return [*lines, "````text", message, "````", "", f"**What to do.** {escaped(remedy)}", ""]


def page(tests, file):
    """Every message that a golden file shows, with what to do."""
    known = remedies(file)
    there = {f"{snapshot.parent.name}/{snapshot.stem}": snapshot for snapshot in tests.glob("*/*.snap")}
    missing, gone = sorted(set(there) - set(known)), sorted(set(known) - set(there))
    if missing or gone:
        said = [f"docs/remedies.yaml has no line for tests/{name}.snap" for name in missing]
        said += [f"docs/remedies.yaml: there is no tests/{name}.snap" for name in gone]
        sys.exit("\n".join(said))
    lines = ["# Messages, and what to do", ""]
    lines += ["What gauntlet says where something is wrong, as its tests have it. [Exit codes](exit-codes.md) say whose fault it is.", ""]
    folders = [folder for folder in TITLES if any(name.startswith(f"{folder}/") for name in there)]
    folders += sorted({name.split("/")[0] for name in there} - set(TITLES))
    for folder in folders:
        lines += [f"## {TITLES.get(folder, folder)}", ""]
        for name in known:
            if name.startswith(f"{folder}/") and known[name]:
                lines += section(there[name], known[name])
    return "\n".join(lines)
