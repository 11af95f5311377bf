/** Sentences about the state of a run. */
import type { ProgressMessage } from '@lockstep/protocol';
import { batchForWorkers } from '@lockstep/rules';
import { percent, plural, thousands } from '../look/format.ts';
import { isPicture, isText, type RunStore, vocabularyOf } from './run-store.ts';

interface BatchAtStart {
  /** Undefined while no worker is ready. */
  readonly batch: number | undefined;
  readonly text: string;
}

/** Returns undefined if the batch is fixed or the run is over. */
export function batchAtStart({
  run,
  workers,
  isOver,
}: Pick<RunStore, 'run' | 'workers' | 'isOver'>): BatchAtStart | undefined {
  const { planAtStart, samples } = run.value ?? {};
  if (!planAtStart || samples === undefined || isOver.value) return undefined;
  const ready = workers.value.filter(({ phase }) => phase === 'ready').length;
  if (ready === 0)
    return { batch: undefined, text: 'The batch will be sized for the workers that are ready at the start.' };
  const { microbatchSize } = planAtStart;
  const most = Math.floor(samples / (microbatchSize ?? 1));
  const { batch } = batchForWorkers({ ...planAtStart, samples, workers: Math.min(ready, most) });
  return { batch, text: `${plural(ready, 'worker')}: batch ${thousands(batch)}` };
}

/** Says from which step a run was resumed; empty if it was not resumed. */
export function resumedText({ checkpoint }: Pick<RunStore, 'checkpoint'>): string {
  const { resumed } = checkpoint.value ?? {};
  return resumed ? `, resumed after step ${thousands(resumed.step)}` : '';
}

/** Says how many of the sums in the weights were checked, and how. */
export function checkedText({ shards, of }: NonNullable<ProgressMessage['checked']>): string {
  const share = `${thousands(shards)} of ${plural(of, 'shard')} (${percent(shards / of)})`;
  return `Checked: ${share} were computed by the coordinator, or twice and compared.`;
}

/** Says how an interrupted run can be continued; empty unless the run was interrupted and left a checkpoint. */
export function goesOnText({ checkpoint, status }: Pick<RunStore, 'checkpoint' | 'status'>): string {
  const { newest } = checkpoint.value ?? {};
  if (!newest || !cutOff.has(status.value.name)) return '';
  return `Start the coordinator again with --resume to continue after step ${thousands(newest.step)}.`;
}

const cutOff: ReadonlySet<string> = new Set(['gone', 'stopped', 'failed']);

/** Name of the samples that are evaluated after each epoch: of a text, it is the last part, kept back. */
export function heldOutWord(run: RunStore['run']['value']): 'test' | 'validation' {
  return isText(run) ? 'validation' : 'test';
}

interface SampleUnit {
  readonly name: 'images' | 'samples' | 'characters' | 'bytes' | 'tokens';
  /** How many of them a sample has. */
  readonly perSample: number;
}

/** Unit in which the samples of a run are counted, as in the terminal. */
export function sampleUnitOf(run: RunStore['run']['value']): SampleUnit {
  if (run?.targetField.role !== 'next') return { name: isPicture(run) ? 'images' : 'samples', perSample: 1 };
  const { kind } = vocabularyOf(run) ?? {};
  const name = kind === 'characters' || kind === 'bytes' ? kind : 'tokens';
  return { name, perSample: run.targetField.positions };
}

/** Unit of the loss of the run's text: a byte if every token is one. */
export function unitOf(run: RunStore['run']['value']): 'byte' | 'character' | 'token' {
  const vocabulary = vocabularyOf(run);
  if (vocabulary?.kind === 'characters') return vocabulary.tokens.every(isAscii) ? 'byte' : 'character';
  return vocabulary?.kind === 'bytes' ? 'byte' : 'token';
}

function isAscii(text: string): boolean {
  return text.charCodeAt(0) < 128;
}

/** Says when a model was evaluated: after a whole epoch, or after the step at which the run ended within an epoch. */
export function evaluatedText(
  epoch: number,
  { run, progress, isOver }: Pick<RunStore, 'run' | 'progress' | 'isOver'>,
): string {
  const { stepsPerEpoch = 1 } = run.value ?? {};
  const { step = 0 } = progress.value ?? {};
  return isOver.value && step < epoch * stepsPerEpoch ? `step ${thousands(step)}` : `epoch ${thousands(epoch)}`;
}
