"""The pages of scenarios and mutants."""

from pathlib import PurePosixPath


def escaped(text):
    """A text for a cell of a table: code stays code, and nothing else is a tag."""
    pieces = text.replace("|", "\\|").split("`")
    return "`".join(piece if n % 2 else piece.replace("<", "&lt;") for n, piece in enumerate(pieces))


def slug(identifier):
    """The name that mdBook gives to a heading that is an id."""
    return identifier.replace("/", "").lower()


def row(identifier):
    """The rule of the contract that a scenario stands for: the first three parts of its id."""
    return "/".join(identifier.split("/")[:3])


def place(identifier):
    """The page of a scenario, and its heading there."""
    return f"rules/{'/'.join(identifier.split('/')[:2])}.md", slug(identifier)


def section(scenario, mutants, folder):
    """What there is to say of a scenario."""
    identifier = scenario["id"]
    runs = scenario["runs"]
    facts = [
        f"- **Source**: {escaped(scenario['spec'])}",
        f"- **Level**: `{scenario['level']}`; **intrusion**: `{scenario['intrusion']}`; **runs**: {runs}",
    ]
    if scenario["needs"]:
        facts.append(f"- **Needs**: {', '.join(scenario['needs'])}")
    if scenario["tags"]:
        facts.append("- **Tags**: " + ", ".join(f"`{tag}`" for tag in scenario["tags"]))
    caught = [mutant for mutant in mutants if mutant["row"] == row(identifier)]
    if caught:
        facts += ["- **Mutants** of its rule:"]
        facts += [f"  - `{mutant['name']}`: {escaped(mutant['defect'])}" for mutant in caught]
    else:
        facts.append("- **Mutants**: none breaks this rule")
    story = (folder / f"{identifier}.yaml").read_text("utf-8").rstrip()
    return "\n".join(
        [f"## {identifier}", "", f"{escaped(scenario['title'])}.", "", *facts, "", "```yaml", story, "```", ""]
    )


def pages(scenarios, mutants, folder):
    """A page for each group of scenarios, and the lists of all."""
    groups = {}
    for scenario in scenarios:
        page, _ = place(scenario["id"])
        groups.setdefault(page, []).append(scenario)
    made = {}
    for page, members in groups.items():
        name = PurePosixPath(page).relative_to("rules").with_suffix("")
        made[page] = "\n".join([f"# {name}", "", *(section(scenario, mutants, folder) for scenario in members)])
    lines = ["# Every rule", "", f"{len(scenarios)} scenarios; `gauntlet list` shows them, `gauntlet explain ID` one.", ""]
    lines += ["| scenario | level | intrusion | rule |", "|---|---|---|---|"]
    for scenario in scenarios:
        page, anchor = place(scenario["id"])
        name = f"[`{scenario['id']}`]({page}#{anchor})"
        lines.append(f"| {name} | {scenario['level']} | {scenario['intrusion']} | {escaped(scenario['title'])} |")
    made["rules.md"] = "\n".join(lines) + "\n"
    lines = ["# Every mutant", "", f"{len(mutants)} defects that the reference platform can be started with.", ""]
    lines += ["| mutant | breaks | defect | gateway |", "|---|---|---|---|"]
    known = {row(scenario["id"]): place(scenario["id"]) for scenario in reversed(scenarios)}
    for mutant in mutants:
        there = known.get(mutant["row"])
        broken = f"[`{mutant['row']}`]({there[0]}#{there[1]})" if there else f"`{mutant['row']}`"
        defect, gateway = escaped(mutant["defect"]), mutant["gateway"] or ""
        lines.append(f"| `{mutant['name']}` | {broken} | {defect} | {gateway} |")
    made["mutants.md"] = "\n".join(lines) + "\n"
    return made
