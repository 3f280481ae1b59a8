"""How the report of a match looks: neutral greys, two colours for data, light and dark as the system has it."""

STYLE = """
:root { color-scheme: light dark; --ground: #f5f5f4; --surface: #fff; --ink: #1c1c1b; --muted: #5c5c59;
  --line: #dededb; --shade: #ecf1fa; --first: #1557c0; --second: #b3500b; }
@media (prefers-color-scheme: dark) { :root { --ground: #121212; --surface: #1c1c1c; --ink: #ececea;
  --muted: #a4a4a0; --line: #343432; --shade: #1d2838; --first: #8db8ff; --second: #f2a65e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 Inter, -apple-system, "Segoe UI", Roboto, Ubuntu, "Noto Sans", "Liberation Sans", sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: clamp(20px, 4vw, 48px) clamp(16px, 3vw, 40px); }
h1 { font-size: clamp(22px, 3vw, 30px); line-height: 1.2; margin: 0 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 0 0 12px; }
p { margin: 0 0 14px; max-width: 75ch; }
.lead, figcaption, .facts, small { color: var(--muted); }
section { margin-top: 44px; }
.table { overflow-x: auto; background: var(--surface); border: 1px solid var(--line); border-radius: 8px; }
.table:focus-visible { outline: 2px solid var(--first); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 9px 14px; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child { text-align: left; white-space: normal; min-width: 9em; }
thead th { font-size: 14px; font-weight: 500; color: var(--muted); vertical-align: bottom; white-space: normal; }
tbody tr { border-top: 1px solid var(--line); }
tbody th { font-weight: 500; }
small { display: block; font-size: 13px; font-weight: 400; }
.chosen { background: var(--shade); }
.chosen th, .chosen td { font-weight: 650; }
.figures, .examples { display: grid; gap: 16px; }
.figures { grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); }
.beside { display: grid; gap: 16px; align-items: start; grid-template-columns: minmax(0, 1fr); }
.beside th, .beside td { padding: 9px 8px; }
.beside th:first-child { min-width: 5em; }
@media (min-width: 900px) { .beside { grid-template-columns: 352px minmax(0, 1fr); } }
figure { margin: 0; padding: 14px; background: var(--surface); border: 1px solid var(--line); border-radius: 8px; }
figcaption { font-size: 14px; margin-top: 8px; }
svg { display: block; width: 100%; max-width: 420px; margin: 0 auto; }
svg text { fill: var(--muted); font-size: 12px; }
.plot { fill: none; stroke: var(--line); }
.grid { stroke: var(--line); stroke-width: 1; }
.diagonal { fill: none; stroke: var(--muted); stroke-dasharray: 4 4; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line.first { stroke: var(--first); } .line.second { stroke: var(--second); }
.dot.first { fill: var(--first); } .dot.second { fill: var(--second); }
.mark { fill: none; stroke: var(--ink); stroke-width: 2; }
.cell { fill: var(--first); }
.quartile { stroke: var(--ink); stroke-width: 2; fill: none; }
.key, .examples { list-style: none; margin: 0; padding: 0; }
.key { display: flex; flex-wrap: wrap; gap: 4px 16px; justify-content: center; font-size: 14px; }
.key li::before { content: ""; display: inline-block; width: 18px; height: 3px; margin-right: 6px;
  vertical-align: middle; }
.key .first::before { background: var(--first); } .key .second::before { background: var(--second); }
.examples { grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }
h3 { font-size: 16px; font-weight: 500; margin: 20px 0 12px; }
.examples li { background: var(--surface); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.examples img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; }
.examples p { margin: 10px 12px; font-size: 15px; line-height: 1.4; overflow-wrap: anywhere; }
.examples .facts { font-size: 13px; }
.facts b { color: var(--ink); }
.facts span { white-space: nowrap; }
"""

KINDS_STYLE = """
.bar { width: 45%; min-width: 110px; }
.bar span { display: block; height: 12px; margin-top: 6px; background: var(--first); border-radius: 2px; }
.words { text-align: left; white-space: normal; }
.matrix td { background: color-mix(in srgb, var(--first) calc(var(--share) * 45%), transparent); }
.matrix .own { box-shadow: inset 0 0 0 2px var(--ink); font-weight: 650; }
.matrix tbody th { position: sticky; left: 0; background: var(--surface); z-index: 1; }
.many th, .many td { padding: 6px 8px; }
.many thead span { writing-mode: vertical-rl; }
.search { display: grid; gap: 16px; margin-bottom: 16px; padding: 14px; background: var(--surface);
  border: 1px solid var(--line); border-radius: 8px; grid-template-columns: minmax(0, 1fr); }
.search p { margin: 0; font-size: 14px; overflow-wrap: anywhere; }
.search .facts { font-size: 13px; }
.search img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 4px; }
.query { display: grid; gap: 2px 14px; align-content: start; grid-template-columns: 96px minmax(0, 1fr); }
.query img { grid-row: 1 / span 4; }
.found { display: grid; gap: 10px; margin: 0; padding: 0; list-style: none; align-content: start;
  grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); }
.found img { border: 3px solid var(--first); margin-bottom: 4px; }
.found .wrong img { border: 3px dashed var(--second); }
.found .right p:first-of-type { color: var(--first); font-weight: 650; }
.found .wrong p:first-of-type { color: var(--second); }
@media (min-width: 760px) { .search { grid-template-columns: 170px minmax(0, 1fr); }
  .query { grid-template-columns: minmax(0, 1fr); } .query img { grid-row: auto; margin-bottom: 6px; }
  .found { grid-template-columns: repeat(5, minmax(0, 1fr)); } }
@media (max-width: 560px) { .narrow th, .narrow td { padding: 9px 7px; }
  .narrow th:first-child { min-width: 4em; } .bar { min-width: 70px; } }
"""
"""What the report of kinds adds: bars, shaded tables, and searches with what they found."""
