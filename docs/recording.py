"""Draws docs/assets/demo.svg, an animated terminal, from what make demo printed: make recording.

Nothing is made up. What is left out is counted, but for make's and the engine's own lines.
"""

import html
import sys

COLUMNS, ROW, LEFT, TOP = 120, 20, 18, 52


def rows(output, shown):
    """The lines of a run, of which the documents beyond the first few are counted."""
    documents = [line for line in output if line.startswith("{")]
    for line in output:
        if not line.startswith("{") and line.startswith(("Read ", "Chats API", "  ")):
            if line.startswith("Read ") and len(documents) > shown:
                for document in documents[:shown]:
                    yield "document", document
                yield "count", f"… {len(documents) - shown} more"
            yield ("end" if line.startswith("Read ") else "log"), line


def main():
    first, second = (open(path, encoding="utf-8").read().splitlines() for path in sys.argv[1:3])
    lines = [("command", "$ make demo"), *rows(first, 3), ("command", "$ make demo")]
    lines += [row for row in rows(second, 0) if row[0] == "end"]

    drawn, second_of = [], -0.9
    for kind, line in lines:
        second_of += {"command": 1.0, "log": 0.1, "document": 0.45, "count": 0.45, "end": 0.9}[kind]
        drawn += [(kind, line[i : i + COLUMNS], second_of) for i in range(0, len(line), COLUMNS)]
    whole = second_of + 5
    width, height = LEFT * 2 + COLUMNS * 8, TOP + ROW * len(drawn) + 8

    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">')
    print("<title id=\"title\">make demo, recorded</title>")
    print("<!-- Drawn by docs/recording.py: make recording. -->")
    print("<style>text { font: 13px ui-monospace, 'SF Mono', Menlo, 'DejaVu Sans Mono', monospace; white-space: pre; fill: #cbd5e1 }")
    print(".command { fill: #a5b4fc; font-weight: bold } .log, .count { fill: #94a3b8 } .end { fill: #86efac; font-weight: bold }")
    # Without motion everything is there from the beginning.
    print("@media (prefers-reduced-motion: no-preference) {")
    for i, (_, _, at) in enumerate(drawn):
        begin = 100 * at / whole
        print(f"@keyframes l{i} {{ 0%, {begin:.2f}% {{ opacity: 0 }} {begin + 0.01:.2f}%, 100% {{ opacity: 1 }} }}")
        print(f"#l{i} {{ animation: l{i} {whole:.1f}s linear infinite }}")
    print("}</style>")
    print(f'<rect width="{width}" height="{height}" rx="10" fill="#0f172a"/>')
    for x, colour in ((20, "#f87171"), (40, "#fbbf24"), (60, "#4ade80")):
        print(f'<circle cx="{x}" cy="20" r="6" fill="{colour}"/>')
    for i, (kind, part, _) in enumerate(drawn):
        print(f'<text id="l{i}" class="{kind}" x="{LEFT}" y="{TOP + ROW * i}" xml:space="preserve">{html.escape(part)}</text>')
    print("</svg>")


main()
