"""The pages of profiles: what can be set, and those that are ready."""

from .rules import escaped


def values(schema):
    """What a policy may be."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(values(choice) for choice in schema["anyOf"])
    return {"array": "a list", "string": "a text or a length of time"}.get(schema.get("type"), "a value")


def page(schema):
    """Every key of a profile."""
    parts = schema["properties"]
    lines = ["# All names, roads and policies", ""]
    lines += ["What a [profile](profiles.md) may say. `--set NAME=VALUE` sets a name, a road or a policy on top of it.", ""]
    lines += ["## Names", "", parts["names"]["description"], "", "| name | the contract's |", "|---|---|"]
    for name, key in parts["names"]["properties"].items():
        lines.append(f"| `{name}` | `{escaped(str(key.get('default', '')))}` |")
    lines += ["", "## Roads", "", parts["roads"]["description"], ""]
    lines += [", ".join(f"`{road}`" for road in parts["roads"]["properties"]) + ".", ""]
    lines += ["## Secrets", "", parts["secrets"]["description"] + " Each is `{ env: NAME }` or `{ file: PATH }`:", ""]
    lines += [", ".join(f"`{secret}`" for secret in parts["secrets"]["properties"]) + ".", ""]
    lines += ["## Policies", "", parts["policies"]["description"], "", "| policy | meaning | choices |", "|---|---|---|"]
    for name, key in parts["policies"]["properties"].items():
        lines.append(f"| `{name}` | {escaped(key.get('description', ''))} | {values(key)} |")
    lines += ["", "## Operations", "", parts["operations"]["description"], "", "| operation | its command |", "|---|---|"]
    for name, key in parts["operations"]["properties"].items():
        lines.append(f"| `{name}` | {escaped(key.get('description', ''))} |")
    return "\n".join(lines) + "\n"


def ready(files):
    """The profiles that gauntlet brings along."""
    lines = ["# Ready profiles", "", "Of installations that exist: copy the nearest one, and change what differs.", ""]
    for file in files:
        lines += [f"## {file.stem}", "", "```yaml", file.read_text("utf-8").rstrip(), "```", ""]
    return "\n".join(lines)
