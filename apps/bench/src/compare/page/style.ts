/** How the page of a comparison looks, in light and dark, on a phone and on a desk. */
import type { Markup } from './markup.ts';

const css = `
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1d1f23; --quiet: #62666d; --line: #e2dfd8; --faint: #efede7;
  --single: #33373d; --worker: #1769aa; --tab: #0b7f73; --peer: #a7a39a; --good: #1b7a43; --bad: #b3391f;
  --compute: #1769aa; --pack: #d98a00; --send: #57b0e3; --wait: #b9b5ab; --reduce: #0d8f68; --optimizer: #b5609a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #141619; --card: #1c1f23; --ink: #e9e7e2; --quiet: #a1a5ac; --line: #31353b; --faint: #262a2f;
    --single: #d8d5cd; --worker: #5fb0ee; --tab: #3fc2b2; --peer: #6d6f73; --good: #64cf92; --bad: #f08a6c;
    --compute: #4b9fe0; --pack: #e5a33a; --send: #8fd0f5; --wait: #62656a; --reduce: #3fbf95; --optimizer: #d58dbf;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 76rem; padding: 2.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  font-variant-numeric: tabular-nums;
}
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.015em; }
h2 { font-size: 1.25rem; margin: 3rem 0 .3rem; letter-spacing: -.01em; }
h3 { font-size: 1rem; margin: 0 0 .6rem; font-weight: 600; }
p { margin: .3rem 0; max-width: 68ch; }
.quiet { color: var(--quiet); font-size: .875rem; max-width: 86ch; }
p:has(> .key) { max-width: none; }
.verdict { margin: 1.5rem 0; padding: 1.1rem 1.3rem; background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--worker); border-radius: 8px; }
.verdict p { margin: .45rem 0; max-width: none; }
.verdict p:first-child { font-weight: 600; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); margin-top: 1rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem 1.1rem; min-width: 0; }
.bar { display: grid; grid-template-columns: 11rem 1fr 8.4rem; gap: .6rem; align-items: center; font-size: .875rem; padding: .14rem 0; }
.bar .who { overflow-wrap: anywhere; line-height: 1.25; }
.bar .value { text-align: right; white-space: nowrap; }
.bar .value small { color: var(--quiet); margin-left: .35rem; display: inline-block; min-width: 3.1rem; font-size: .8125rem; }
.track { position: relative; height: .95rem; background: var(--faint); border-radius: 3px; }
.fill { position: absolute; inset: 0 auto 0 0; border-radius: 3px; }
.spread { position: absolute; top: 50%; height: 2px; margin-top: -1px; background: var(--ink); opacity: .55; }
.single { background: var(--single); } .workers { background: var(--worker); } .tabs { background: var(--tab); } .peer { background: var(--peer); }
.scale { position: relative; height: 1.6rem; margin-left: 11.6rem; font-size: .8125rem; color: var(--quiet); }
.scale span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.scale span:first-child { transform: none; }
.scale span:last-child { transform: translateX(-100%); }
.dots { display: grid; grid-template-columns: 11rem 1fr; gap: .6rem; align-items: center; font-size: .875rem; padding: .1rem 0; }
.lane { position: relative; height: 1.75rem; border-bottom: 1px solid var(--faint); }
.grid-line { position: absolute; top: 0; bottom: 0; width: 1px; background: var(--line); }
.grid-line.one { background: var(--ink); opacity: .5; width: 2px; margin-left: -1px; }
.dot { position: absolute; top: 50%; width: 1.15rem; height: 1.15rem; margin: -.575rem 0 0 -.575rem; border-radius: 50%; color: var(--card); font-size: .75rem; font-weight: 700; line-height: 1.15rem; text-align: center; }
.dot.peer { background: none; border: 2px solid var(--quiet); }
.key { display: inline-flex; align-items: center; gap: .4rem; margin-right: 1.1rem; font-size: .875rem; }
.key i { width: .8rem; height: .8rem; border-radius: 3px; display: inline-block; }
.key i.round { border-radius: 50%; } .key i.ring { border-radius: 50%; border: 2px solid var(--quiet); background: none; }
.stack { display: flex; height: 1.2rem; border-radius: 3px; overflow: hidden; }
.stack i { display: shard; height: 100%; }
.part-compute { background: var(--compute); } .part-pack { background: var(--pack); } .part-send { background: var(--send); }
.part-wait { background: var(--wait); } .part-reduce { background: var(--reduce); } .part-optimizer { background: var(--optimizer); }
svg { display: shard; width: 100%; height: auto; overflow: visible; }
svg text { font: 12px system-ui, sans-serif; fill: var(--quiet); }
svg .axis { stroke: var(--line); stroke-width: 1; }
svg path.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg path.single-line { stroke: var(--single); } svg path.workers-line { stroke: var(--worker); } svg path.tabs-line { stroke: var(--tab); }
svg path.step-1 { stroke-dasharray: 5 3; } svg path.step-3 { stroke-dasharray: 1.5 3; } svg path.step-4 { stroke-dasharray: 8 3 2 3; }
.table { overflow-x: auto; margin-top: .8rem; }
table { border-collapse: collapse; font-size: .875rem; width: 100%; }
th, td { text-align: right; padding: .35rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--quiet); font-weight: 500; }
tr.head th { padding-top: 1.1rem; font-weight: 600; }
.gain { color: var(--good); } .loss { color: var(--bad); }
code { font: .8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
ul.plain { list-style: none; padding: 0; margin: .6rem 0; } ul.plain li { padding: .15rem 0; }
details summary { cursor: pointer; margin-top: .8rem; }
@media (max-width: 34rem) {
  body { padding-top: 1.5rem; }
  h1 { font-size: 1.5rem; }
  .bar { grid-template-columns: 1fr auto; gap: 0 .6rem; padding: .3rem 0; }
  .bar .track, .bar .stack { grid-column: 1 / -1; grid-row: 2; }
  .dots { grid-template-columns: 1fr; gap: 0; padding-top: .5rem; }
  .scale { margin-left: 0; }
}
`;

export const style: Markup = { markup: `<style>${css}</style>` };
