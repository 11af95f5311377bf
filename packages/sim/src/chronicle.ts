/** Events of a simulated run, in order, with their virtual times; formatted as text only when a run is replayed. */
import type { RunEvent } from '@lockstep/rules';

export type Happening =
  | RunEvent
  | { readonly type: 'step'; readonly step: number; readonly loss: number }
  /** Something that the simulation did. */
  | { readonly type: 'fault'; readonly text: string };

export interface Entry {
  readonly atMs: number;
  readonly happening: Happening;
  /** Name of the worker concerned. */
  readonly name?: string | undefined;
  /** The relay in whose run it happened; omitted for the coordinator's run. */
  readonly relay?: string | undefined;
}

/** Formats an entry as one line, without a line break. */
export function lineOf({ atMs, happening, name, relay }: Entry): string {
  const place = relay === undefined ? '' : `${relay}: `;
  return `${(atMs / 1000).toFixed(3).padStart(10)} s  ${place}${textOf(happening, name ?? 'an unknown client')}`;
}

function textOf(happening: Happening, worker: string): string {
  switch (happening.type) {
    case 'fault':
      return `* ${happening.text}`;
    case 'step':
      return `step ${happening.step + 1} is taken, loss ${happening.loss.toPrecision(5)}`;
    case 'joined':
      return `${worker} ${happening.returned ? 'is back' : 'has joined'} as ${happening.workerId}`;
    case 'left':
      return `${worker} has left: ${happening.message}`;
    case 'rejected':
      return `${worker} is rejected: ${happening.message}`;
    case 'late':
      return `${worker} is late with step ${happening.step + 1}`;
    case 'slowLink':
      return `the link of ${worker} is slow: ${Math.round(happening.networkMs)} ms a step`;
    case 'quarantined':
      return `${worker} is quarantined, after ${happening.shards} results that were added: ${happening.message}`;
    case 'wentBack':
      return `the run goes back from step ${happening.from + 1} to step ${happening.to + 1}: results of ${worker} were wrong`;
    case 'relayStatus':
      return `${worker} has told of the workers behind it`;
    case 'renamed':
      return `${worker} was ${happening.before} until now`;
    case 'started':
      return 'the run starts';
    case 'paused':
      return 'the run pauses: no worker is ready';
    case 'resumed':
      return 'the run goes on';
    case 'pauseRequested':
      return 'the run pauses, as asked';
    case 'injectFault':
      return `${worker} is to ${happening.action}`;
    default:
      return happening satisfies never;
  }
}
