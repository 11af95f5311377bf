/** Simulates runs one after another, and replays the first failing run in words. */
import {
  durationText,
  flagKind,
  generalOptions,
  type Options,
  percent,
  plural,
  readCommandLine,
  runMain,
  thousands,
  wholeKind,
  wrapText,
} from '@lockstep/command';
import { type FaultKind, faults, lineOf, type Simulation } from '@lockstep/sim';
import { openReference, runScenario, type ScenarioOptions } from './scenario.ts';

const summary =
  'Simulates runs in virtual time, with coordinators that crash, workers that fail or lie, and bad links, and compares their weights with those of a plain loop.';

const simulateOptions = {
  runs: { kind: wholeKind({ from: 1, to: 1_000_000_000 }), help: 'number of runs to simulate', default: 1_000 },
  seed: { kind: wholeKind(), help: 'seed of the first run; each further run has the next seed', default: 1 },
  honest: { kind: flagKind, help: 'without workers that lie or compute wrongly' },
  liars: { kind: flagKind, help: 'with one to three liars in each run, most of which are honest at first' },
  relays: { kind: flagKind, help: 'with relays in each run, and a thousand workers in every fortieth' },
  workers: {
    kind: wholeKind({ from: 1, to: 10_000 }),
    help: 'number of workers behind relays in each run',
    defaultText: 'drawn at random',
  },
  replay: { kind: flagKind, help: 'print the events of the first run, even if it does not fail' },
  ...generalOptions,
} as const satisfies Options;

async function main(): Promise<number> {
  const command = { name: 'simulate', args: '[options]', summary, options: simulateOptions };
  const options = readCommandLine(command, process.argv.slice(2));
  if (!options) return 0;
  const { honest, liars: lying, relays, workers } = options;
  const asked: ScenarioOptions = { honest, lying, ...(relays && { relays: 'large' }), ...(workers && { workers }) };
  const backend = await openReference();
  const totals = new Totals();
  for (let run = 0; run < options.runs; run++) {
    const seed = options.seed + run;
    const { simulation, fault, description } = await runScenario(backend, seed, asked);
    if (fault !== undefined || (options.replay && run === 0)) {
      process.stdout.write(`${description}\n${replay(simulation)}`);
    }
    if (fault !== undefined) {
      const switches = `${honest ? ' --honest' : ''}${lying ? ' --liars' : ''}${relays ? ' --relays' : ''}${workers ? ` --workers ${workers}` : ''}`;
      process.stderr.write(`simulate: ${fault}; again with --runs 1 --seed ${seed}${switches}\n`);
      return 1;
    }
    totals.add(simulation);
  }
  process.stdout.write(totals.text());
  return 0;
}

/** Formats the events of a run, one line each. */
function replay({ chronicle, virtualMs }: Simulation): string {
  const end = `${(virtualMs / 1000).toFixed(3).padStart(10)} s  the run ends`;
  return `${[...chronicle.map(lineOf), end].join('\n')}\n`;
}

/** Totals over all runs. */
class Totals {
  readonly #startedAtMs = performance.now();
  readonly #met = new Map<FaultKind, number>();
  readonly #rewinds = { times: 0, steps: 0 };
  readonly #counts = { reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0, quarantined: 0 };
  /** The share of steps taken again, for each run in which a worker was caught. */
  readonly #takenAgain: number[] = [];
  #runs = 0;
  #virtualMs = 0;

  add({ state, others, relays, met, virtualMs }: Simulation): void {
    this.#runs += 1;
    this.#virtualMs += virtualMs;
    for (const kind of Object.keys(faults) as FaultKind[]) {
      this.#met.set(kind, (this.#met.get(kind) ?? 0) + met[kind]);
    }
    const lives = [...others, state];
    const all = [...lives, ...[...relays.values()].flat()];
    if (all.some(({ faults: { quarantined } }) => quarantined > 0)) {
      const again = lives.flatMap(({ rewinds }) => rewinds).reduce((steps, { from, to }) => steps + from - to, 0);
      this.#takenAgain.push(again / state.setup.plan.steps);
    }
    for (const life of all) {
      this.#rewinds.times += life.rewinds.length;
      for (const { from, to } of life.rewinds) this.#rewinds.steps += from - to;
      for (const name of Object.keys(this.#counts) as (keyof typeof life.faults)[]) {
        this.#counts[name] += life.faults[name];
      }
    }
  }

  text(): string {
    const seconds = (performance.now() - this.#startedAtMs) / 1000;
    const { reassigned, duplicated, rejected, disconnects, quarantined } = this.#counts;
    const met = [...this.#met].filter(([, count]) => count > 0).map(([kind, count]) => `${kind} ${thousands(count)}`);
    const lines = [
      `Every invariant held in ${plural(this.#runs, 'run')}: ${durationText(this.#virtualMs / 1000)} of virtual time in ${durationText(seconds, 1)}`,
      `Faults: ${met.join(', ') || 'none'}`,
      `Effects: workers lost ${thousands(disconnects)}, shards reassigned ${thousands(reassigned)}, shards duplicated ${thousands(duplicated)}, messages rejected ${thousands(rejected)}, workers quarantined ${thousands(quarantined)}, runs went back ${thousands(this.#rewinds.times)} times, by ${thousands(this.#rewinds.steps)} steps`,
    ];
    if (this.#takenAgain.length > 0) {
      const shares = this.#takenAgain.sort((a, b) => a - b);
      const median = percent(shares[Math.floor(shares.length / 2)]!);
      lines.push(
        `Caught: workers in ${thousands(shares.length)} runs, which took again ${median} of their steps in the median, ${percent(shares.at(-1)!)} at worst`,
      );
    }
    const columns = (process.stdout.columns || 80) - 2;
    return lines.map((line) => `${wrapText(line, columns).join('\n  ')}\n`).join('');
  }
}

await runMain('simulate', main);
