"""The page of the whole language, made of the JSON Schema of scenarios."""

import re

from .rules import escaped, place

# Keys that every verb has, and that are said once.
COMMON = ("as", "reason", "within", "every", "holds-for", "check", "given", "until", "needs", "fact")
# Definitions that are no type of a key.
NO_TYPES = re.compile(r"(step|steps|template|predicate|policy|name|id|duration|(step|claims?|facts|key)-.+)$")
PLAIN = {"duration": "a length of time (`30s`)", "name": "a name", "id": "an id", "predicate": "a predicate"}
JSON_TYPES = {"object": "a map", "array": "a list", "string": "a text", "integer": "a whole number", "number": "a number"}


class Types:
    """What keys may be; collects the definitions that are named on the way."""

    def __init__(self, definitions):
        self.definitions = definitions
        self.named = []

    def reference(self, name):
        """A type by its name."""
        if name in PLAIN:
            return PLAIN[name]
        if NO_TYPES.match(name):
            return ""
        if name not in self.named:
            self.named.append(name)
        return f"[{name}](#{name.lower()})"

    def said(self, schema):
        """A type in words; empty if it is said elsewhere, or may be anything."""
        if not isinstance(schema, dict):
            return ""
        if "$ref" in schema:
            return self.reference(schema["$ref"].rsplit("/", 1)[-1])
        for key in ("allOf", "anyOf", "oneOf"):
            if key in schema:
                choices = [self.said(choice) for choice in schema[key]]
                return " or ".join(dict.fromkeys(choice for choice in choices if choice))
        if "const" in schema:
            return f"`{schema['const']}`"
        if "enum" in schema:
            return ", ".join(f"`{value}`" for value in schema["enum"])
        kind = schema.get("type")
        if kind == "boolean":
            return "`true` or `false`"
        if kind == "array":
            of = self.said(schema.get("items", {}))
            return f"a list of {of}" if of else "a list"
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            of = self.said(schema["additionalProperties"])
            return f"a map of {of}" if of else "a map"
        if isinstance(kind, list):
            return " or ".join(JSON_TYPES.get(one, one) for one in kind)
        return JSON_TYPES.get(kind, "")

    def keys(self, schema, but=()):
        """A table of the keys of a map."""
        required = schema.get("required", [])
        lines = ["| key | value | meaning |", "|---|---|---|"]
        for key, value in schema.get("properties", {}).items():
            if key in but:
                continue
            need = " (required)" if key in required else ""
            meaning = value.get("description", "") if isinstance(value, dict) else ""
            default = value.get("default") if isinstance(value, dict) else None
            if default is not None and "efault" not in meaning:
                default = str(default).lower() if isinstance(default, bool) else default
                meaning = f"{meaning} Default: `{default}`.".strip()
            lines.append(f"| `{key}`{need} | {escaped(self.said(value))} | {escaped(meaning)} |")
        return lines

    def section(self, name):
        """A definition: its values, or its keys."""
        schema = self.definitions[name]
        lines = [f"### {name}", ""]
        if schema.get("description"):
            lines += [escaped(schema["description"]), ""]
        choices = schema.get("oneOf") or schema.get("anyOf")
        if choices:
            lines += ["| value | meaning |", "|---|---|"]
            for choice in choices:
                if choice.get("$ref", "").endswith("/template"):
                    continue
                said = self.said(choice)
                if choice.get("properties"):
                    keys = choice["properties"].items()
                    said = ", ".join(f"`{key}`: {self.said(value) or 'a value'}" for key, value in keys)
                lines.append(f"| {escaped(said)} | {escaped(choice.get('description', ''))} |")
        elif schema.get("properties"):
            lines += self.keys(schema)
        else:
            lines.append(f"{self.said(schema) or 'Any value'}.")
        return [*lines, ""]


def claims(definitions, verb):
    """The phrases of a verb, and the fields of its observation."""
    phrases, fields = [], []
    for choice in definitions.get(f"claim-{verb}", {}).get("anyOf", []):
        if choice.get("title") == "fields":
            fields += choice["properties"]
        for phrase in choice.get("anyOf", []):
            name = phrase.get("const") or phrase.get("title")
            if name:
                phrases.append((name, phrase.get("description", "")))
    return phrases, fields


def steps(text):
    """The steps of a scenario file, as they stand there, each with its verb."""
    found = re.finditer(r"^  - ([a-z-]+):.*\n(?:    .*\n)*", text, re.M)
    return [(step[1], step[0]) for step in found]


def examples(files, root):
    """For each verb a step of a scenario: one that says what must be true, and is neither long nor bare."""
    best = {}
    for file in files:
        identifier = file.relative_to(root / "scenarios").with_suffix("").as_posix()
        for verb, step in steps(file.read_text("utf-8")):
            lines = step.count("\n")
            rank = ("check:" not in step, abs(lines - 4), identifier)
            if verb not in best or rank < best[verb][0]:
                best[verb] = (rank, identifier, step)
    return {verb: (identifier, step) for verb, (_, identifier, step) in best.items()}


def verb_section(verb, types, shown):
    """All of a verb."""
    schema = types.definitions[f"step-{verb}"]
    lines = [f"### {verb}", "", escaped(schema.get("description", "")), "", *types.keys(schema, COMMON)]
    without = not any(key in schema["properties"] for key in ("check", "given", "until", "needs", "fact"))
    phrases, fields = claims(types.definitions, verb)
    if phrases:
        lines += ["", "| phrase | meaning |", "|---|---|"]
        lines += [f"| `{name}` | {escaped(meaning)} |" for name, meaning in phrases]
    if fields:
        lines += ["", "Fields of its observation: " + ", ".join(f"`{field}`" for field in fields) + "."]
    if without:
        lines += ["", "Nothing can be expected of it."]
    if verb in shown:
        identifier, step = shown[verb]
        page, anchor = place(identifier)
        lines += ["", f"In [`{identifier}`]({page}#{anchor}):", "", "```yaml", step.rstrip(), "```"]
    return [*lines, ""]


def page(schema, files, root):
    """Every key of a scenario, every verb with its keys, phrases and fields."""
    definitions = schema["definitions"]
    types = Types(definitions)
    verbs = [one["$ref"].rsplit("/step-", 1)[-1] for one in definitions["step"]["anyOf"]]
    shown = examples(files, root)
    lines = ["# Every verb", ""]
    lines += ["What can stand in a scenario file, as `gauntlet schema` has it. How it is used:", "[writing scenarios](scenarios.md).", ""]
    lines += ["## The head", "", *types.keys(schema), ""]
    lines += ["## Keys of every step", ""]
    first = definitions[f"step-{verbs[0]}"]
    common = {key: first["properties"][key] for key in COMMON if key in first["properties"]}
    for key, value in common.items():
        name = value.get("$ref", "").rsplit("/", 1)[-1]
        common[key] = definitions.get(name, value)
    lines += [*types.keys({"properties": common}), ""]
    lines += ["## Verbs", ""]
    for verb in verbs:
        lines += verb_section(verb, types, shown)
    lines += ["## Predicates", "", escaped(definitions["predicate"].get("description", "")), ""]
    operators = next(choice for choice in definitions["predicate"]["anyOf"] if choice.get("properties"))
    lines += [*types.keys(operators), ""]
    lines += ["## Types", ""]
    # A type may name others.
    for name in types.named:
        lines += types.section(name)
    return "\n".join(lines)
