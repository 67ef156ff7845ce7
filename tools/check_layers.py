#!/usr/bin/env python3
"""Checks every #include of src/ against the table of layers in docs/architecture.md.

Also: operating-system calls, printing, JSON, CLI11 and vector intrinsics only where they belong, no
file above 500 lines, and no name of an unnamed namespace twice in a folder, in tests/ too. Prints one
line for each fault and exits with 1 if there is any.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_LINES = 500
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)

# (what, pattern of an included header, folders that may)
HEADER_RULES = [
    ("operating-system header", re.compile(r"(unistd|fcntl|signal|sched|termios|dlfcn)\.h|(sys|linux|asm)/.*"),
     {"base", "cli"}),
    ("JSON library", re.compile(r"nlohmann/.*"), {"base", "io", "text", "hub", "model", "quantize", "eval", "bench", "report", "cli"}),
    ("network and checksum library", re.compile(r"(curl|openssl)/.*"), {"hub"}),
    ("TOML library", re.compile(r"toml\+\+/.*"), {"cli"}),
    ("YAML library", re.compile(r"yaml\.h|yaml-cpp/.*"), {"io"}),
    ("command line library", re.compile(r"CLI/.*"), {"cli/command_line", "cli/program"}),
    ("MLX", re.compile(r"mlx/.*"), {"runtime/mlx/plugin"}),
    ("x86 intrinsics", re.compile(r"\w*intrin\.h"), {"kernels/x86"}),
    ("ARM intrinsics", re.compile(r"arm_\w+\.h"), {"kernels/arm"}),
]
# (folder, but for this one in it, what it may not know although the layers would let it, why)
HIDDEN = [
    ("cli/", None, "runtime/native/", "ask the registry of runtime/backend.h"),
    ("runtime/native/", "runtime/native/cpu/", "runtime/native/cpu/", "ask the Device of runtime/native/device.h"),
    ("runtime/native/", "runtime/native/cpu/", "kernels/", "add an operation to runtime/native/device.h"),
    ("runtime/native/", None, "runtime/mlx/", "the registry opens backends"),
    ("runtime/native/", "runtime/native/cpu/", "weights/", "name tensors by key: a Device has the weights"),
]
# Printing, exiting, the environment.
OUTSIDE_CALL = re.compile(
    r"std::(cout|cerr|clog)\b|\b(fmt|std)::print\b|(?<![\w:.>])(std::)?(printf|puts|exit|_exit|quick_exit|getenv)\s*\(")
OUTSIDE_FOLDERS = {"cli"}


# Folders whose sources are each compiled by themselves (APART in src/CMakeLists.txt).
APART = {"codec", "kernels"}
# What a line at the left edge of an unnamed namespace defines; the same alias twice is none.
DEFINED = re.compile(
    r"(?:(?:template <.*> )?(?:struct|class|enum class|enum) (?:\[\[\w+\]\] )?(\w+))"
    r"|(?:\[\[\w+\]\] )?[\w:][\w:<>,*&\s]*?[\s*&](\w+)(?:\[[^\]]*\])*\s*(?:[({;]|= )")
NO_DEFINITION = ("using ", "namespace ", "static_assert", "template <", "friend ", "extern ")


def read_table():
    """{folder: set of folders that it may include} from the rows `| 1 | `tensor/` | what | base |`."""
    table = {}
    for line in (ROOT / "docs/architecture.md").read_text().splitlines():
        row = re.match(r"\|\s*\d+\s*\|\s*`(\w+)/`\s*\|.*\|([^|]*)\|\s*$", line)
        if row:
            table[row[1]] = set(re.findall(r"\w+", row[2])) | {row[1]}
    if not table:
        sys.exit("docs/architecture.md: no table of layers found")
    unknown = set().union(*table.values()) - set(table)
    if unknown:
        sys.exit(f"docs/architecture.md: no rows for {', '.join(sorted(unknown))}")
    return table


def check_file(path, table):
    place = path.relative_to(ROOT / "src")
    folder = place.parts[0]
    if folder not in table:
        yield 1, f"folder {folder}/ has no row in docs/architecture.md"
        return
    text = path.read_text()
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        yield len(lines), f"{len(lines)} lines, at most {MAX_LINES}"
    for number, line in enumerate(lines, 1):
        include = INCLUDE.match(line)
        if not include:
            continue
        header = include[2]
        target = header.split("/")[0]
        if include[1] == '"' and "/" not in header:
            yield number, f'"{header}": write the folder too'
        elif include[1] == '"' and target not in table[folder]:
            yield number, f'{folder}/ may not use {target}/ ("{header}")'
        for who, but, hidden, instead in HIDDEN:
            inside = str(place).startswith(who) and not (but and str(place).startswith(but))
            if inside and header.startswith(hidden):
                yield number, f'{who} may not use {hidden} ("{header}"): {instead}'
        for what, pattern, allowed in HEADER_RULES:
            if pattern.fullmatch(header) and not any(str(place).startswith((f + "/", f + ".")) for f in allowed):
                yield number, f"{what} <{header}> belongs in {', '.join(sorted(allowed))}"
    if folder not in OUTSIDE_FOLDERS:
        code = COMMENT_OR_TEXT.sub(lambda found: "\n" * found[0].count("\n"), text)
        for found in OUTSIDE_CALL.finditer(code):
            number = code.count("\n", 0, found.start()) + 1
            yield number, f"`{found[0].strip()}` belongs in cli/"


def defined_names(path, unnamed):
    """(line, name) of what a file defines or declares at its left edge, in unnamed namespaces or not."""
    inside = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith(("namespace {", "}  // namespace")):
            inside = line.startswith("namespace {")
        elif inside == unnamed and not line.startswith(NO_DEFINITION):
            found = DEFINED.match(line)
            if found:
                yield number, found[1] or found[2]


def check_names(table):
    """Release builds compile several sources of a folder as one (pajamas_pieces in cmake/)."""
    folders = [ROOT / "src" / folder for folder in sorted(set(table) - APART)]
    for folder in folders + sorted(path for path in (ROOT / "tests").iterdir() if path.is_dir()):
        seen = {}
        for path in sorted(folder.rglob("*.h")):
            seen.update((name, path) for _, name in defined_names(path, False))
        for path in sorted(folder.rglob("*.cpp")):
            for number, name in defined_names(path, True):
                other = seen.setdefault(name, path)
                if other != path and not name.startswith(("TEST", "INSTANTIATE_")):  # macros
                    yield path, number, f"`{name}` is in {other.name} too: rename one (pieces of release builds)"


def main():
    table = read_table()
    files = sorted(p for p in (ROOT / "src").rglob("*") if p.suffix in {".h", ".cpp", ".inl"})
    faults = [f"src/{p.relative_to(ROOT / 'src')}:{n}: {m}" for p in files for n, m in check_file(p, table)]
    faults += [f"{p.relative_to(ROOT)}:{n}: {m}" for p, n, m in check_names(table)]
    print("\n".join(faults) if faults else f"{len(files)} files keep to the layers")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
