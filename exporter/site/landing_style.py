"""The style sheet of the landing page, for light and dark, wide and narrow screens."""

#: The Content-Security-Policy has the hash of these bytes.
STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --soft: #59636e; --line: #d8dee4; --page: #fff; --band: #f6f8fa;
  --good: #1a7f37; --warn: #8a5a00; --bad: #c1121f; --link: #0550ae;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6edf3; --soft: #9198a1; --line: #30363d; --page: #0d1117; --band: #161b22;
    --good: #4ac26b; --warn: #d9a520; --bad: #ff7b72; --link: #79b8ff;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.5rem; max-width: 66rem;
  font: 1rem/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
  color: var(--ink); background: var(--page);
}
h1 { margin: 0; font-size: 1.5rem; font-weight: 600; line-height: 1.25; overflow-wrap: anywhere; }
header p, footer, caption, dt, small { color: var(--soft); font-size: .875rem; }
header p { margin: .25rem 0 0; overflow-wrap: anywhere; }
.health {
  margin: 1.75rem 0; padding: .75rem 1rem; background: var(--band);
  border-inline-start: .25rem solid var(--mood); border-radius: .25rem;
}
.health strong { color: var(--mood); margin-inline-end: .5rem; }
.good { --mood: var(--good); } .warn { --mood: var(--warn); } .bad { --mood: var(--bad); }
dl { display: flex; flex-wrap: wrap; gap: 1rem 3rem; margin: 0 0 1.75rem; }
dd { margin: 0; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
small { font-weight: 400; margin-inline-start: .25rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
caption { text-align: start; padding-bottom: .5rem; }
th, td {
  padding: .5rem 1.25rem .5rem 0; text-align: start; white-space: nowrap;
  border-bottom: 1px solid var(--line);
}
th:last-child, td:last-child { padding-inline-end: 0; }
thead th { font-weight: 600; font-size: .8125rem; color: var(--soft); }
tbody th { font-weight: 600; white-space: pre; }
.number { text-align: end; font-variant-numeric: tabular-nums; }
td.number:last-child { font-family: ui-monospace, Consolas, "DejaVu Sans Mono", monospace;
  font-size: .8125rem; color: var(--soft); }
td[class]:not(.number)::before { content: ""; display: inline-block; width: .5em; height: .5em;
  margin-inline-end: .5em; border: 1.5px solid var(--dot, var(--soft)); border-radius: 50%; }
.connected { --dot: var(--good); } .disconnected { --dot: var(--bad); }
td.connected::before { background: var(--dot); }
.gone, .several, .off { color: var(--soft); }
h2 { margin: 2rem 0 .5rem; font-size: 1.125rem; font-weight: 600; }
.bars, .legend { list-style: none; margin: 0; padding: 0; }
.bars li { display: grid; grid-template-columns: 9rem 1fr 9rem; gap: .25rem 1rem;
  align-items: center; padding: .25rem 0; }
.bars .name { font-weight: 600; overflow-wrap: anywhere; white-space: pre-wrap; }
.bars svg { width: 100%; height: 1.5rem; border-radius: .25rem; }
.bars small { text-align: end; font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin-top: .75rem;
  font-size: .875rem; color: var(--soft); }
.legend svg { width: .75em; height: .75em; }
.ends { margin: .25rem 0 0; font-size: .875rem; color: var(--soft); }
.up { fill: var(--good); } .down { fill: var(--bad); } .disabled { fill: var(--soft); }
.absent { fill: var(--line); } .many { fill: var(--warn); } .merged { fill: var(--ink); }
summary { cursor: pointer; padding: .5rem 0; color: var(--link); }
@media (max-width: 40rem) {
  body { padding: 1.5rem 1rem; }
  .bars li { grid-template-columns: 1fr auto; }
  .bars svg { grid-column: 1 / -1; grid-row: 2; }
}
footer {
  display: flex; flex-wrap: wrap; justify-content: space-between; gap: .5rem 2rem;
  margin-top: 2rem;
}
footer p { margin: 0; }
nav { display: flex; gap: 1.25rem; }
a { color: var(--link); text-underline-offset: .2em; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
@media print { .scroll { overflow: visible; } }
""".strip()
