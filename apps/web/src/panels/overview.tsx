/** The run at a glance: phase, progress, key figures, exactness. */

import type { ProgressMessage, RunMessage } from '@lockstep/protocol';
import { claimText } from '@lockstep/rules';
import type { ComponentChildren } from 'preact';
import { Figure } from '../look/controls.tsx';
import {
  capitalized,
  decimals,
  durationText,
  lossText,
  measured,
  percent,
  perplexityText,
  thousands,
} from '../look/format.ts';
import { RunTerm, type RunTermName } from '../look/term.tsx';
import { chartSettings } from '../look/theme.ts';
import type { RunStore } from '../watch/run-store.ts';
import { checkedText, evaluatedText, goesOnText, resumedText, sampleUnitOf, unitOf } from '../watch/run-texts.ts';
import type { StatusName } from '../watch/status.ts';

interface OverviewProps {
  readonly store: RunStore;
  /** The form for the code, if the page is not let in. */
  readonly children?: ComponentChildren;
}

export function Overview({ store, children }: OverviewProps) {
  const run = store.run.value;
  const { name, title, isCurrent } = store.status.value;
  const { reason, note } = remarksOf(store);
  const isFailed = name === 'failed';
  const isShutOut = name === 'locked' || name === 'wrong-code' || name === 'refused';
  // Until there is data, only the status of the run is known; not even whether it will have an accuracy.
  const isTitleAlone = isShutOut || store.dataSetup.value !== undefined;
  return (
    <section class={`overview ${isCurrent ? '' : 'stale'}`} aria-labelledby="overview-title">
      <h2 id="overview-title" class="sr-only">
        The run
      </h2>
      <div class={`overview-line ${isTitleAlone ? 'overview-title-alone' : ''}`}>
        <p class="phase" role="status">
          <span class={`phase-dot phase-${name}`} aria-hidden="true" />
          {title}
        </p>
        {!isTitleAlone && (
          <>
            <p class="phase-detail">{[positionText(store), note].filter(Boolean).join('. ') || '\u00a0'}</p>
            <Exactness progress={isFailed ? undefined : store.progress.value} isShown={!isFailed} />
          </>
        )}
      </div>
      {isTitleAlone ? (
        (children ?? <Reason name={name} text={reason} />)
      ) : (
        <div key={isFailed ? 'failed' : 'figures'} class={`overview-body ${isFailed ? 'overview-failed' : ''}`}>
          <ProgressBar run={run} steps={store.progress.value?.step ?? 0} />
          <div class={`overview-figures ${reason === '' || isFailed ? '' : 'with-reason'}`}>
            <Figures store={store} isUnknown={isFailed} isCutShort={reason !== '' && !isFailed} />
            {!isFailed && <Reason name={name} text={reason} />}
          </div>
          {isFailed && <Reason name={name} text={reason} />}
        </div>
      )}
    </section>
  );
}

/** The reason for a status. Screen readers do not announce it while it counts seconds. */
function Reason({ name, text }: { readonly name: StatusName; readonly text: string }) {
  if (text === '') return null;
  return (
    <p class="reason" {...(name === 'silent' ? {} : { role: 'status' })}>
      {text}
    </p>
  );
}

/** Returns the reason for the status, as a replacement for unknown figures or as a note next to the position. */
function remarksOf(store: RunStore): { readonly reason: string; readonly note: string } {
  const { name, reason = '', isCurrent } = store.status.value;
  const goesOn = goesOnText(store);
  const isNote = isCurrent && name !== 'failed' && goesOn === '';
  return isNote ? { reason: '', note: reason } : { reason: `${reason} ${goesOn}`.trim(), note: '' };
}

function positionText(store: RunStore): string {
  const { value: run } = store.run;
  const { value: progress } = store.progress;
  if (!run || !progress) return '';
  const { config, steps } = run;
  const epoch = `Epoch ${thousands(Math.min(progress.epoch, config.epochs))} of ${thousands(config.epochs)}`;
  return `${epoch}, step ${thousands(progress.step)} of ${thousands(steps)}${resumedText(store)}`;
}

function ProgressBar({ run, steps }: { readonly run: RunMessage | undefined; readonly steps: number }) {
  const done = run ? steps / run.steps : 0;
  return (
    <svg
      class="progress"
      role="progressbar"
      aria-label="Progress of the run"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(done * 100)}
    >
      <rect class="progress-all" width="100%" height="100%" />
      <rect class="progress-done" width={`${done * 100}%`} height="100%" />
      {run && epochMarks(run).map((at) => <rect key={at} class="progress-mark" x={`${at * 100}%`} height="100%" />)}
    </svg>
  );
}

/** Returns the ends of epochs as fractions of the run; empty if they would be too close to tell apart. */
function epochMarks({ steps, stepsPerEpoch }: RunMessage): number[] {
  const count = Math.ceil(steps / stepsPerEpoch) - 1;
  return count > 40 ? [] : Array.from({ length: count }, (_, index) => ((index + 1) * stepsPerEpoch) / steps);
}

interface FiguresProps {
  readonly store: RunStore;
  /** Whether the figures are empty and only reserve their place. */
  readonly isUnknown: boolean;
  /** Whether speed and time are omitted. */
  readonly isCutShort: boolean;
}

function Figures({ store, isUnknown, isCutShort }: FiguresProps) {
  const { imagesPerSecond = 0, secondsLeft } = store.progress.value ?? {};
  const isTraining = store.status.value.name === 'training';
  const run = store.run.value;
  const report = store.report.value;
  const speed = isTraining ? imagesPerSecond : report?.imagesPerSecond;
  const { name, perSample } = sampleUnitOf(run);
  const timeLeft = isTraining ? secondsLeft : undefined;
  return (
    <dl class="figures">
      {qualities(store, isUnknown).map(({ term, note, value }) => (
        <Figure key={term} label={<RunTerm term={term}>{capitalized(term)}</RunTerm>} note={note} value={value} />
      ))}
      {!isCutShort && (
        <>
          <Figure
            label={`${capitalized(name)} per second`}
            note={report && 'whole run'}
            value={isUnknown ? undefined : shown(speed, (rate) => thousands(rate * perSample))}
          />
          {report && !isUnknown ? (
            <Figure label="Time taken" value={durationText(report.wallSeconds, 1)} />
          ) : (
            <Figure label="Time left" value={shown(timeLeft, durationText)} />
          )}
        </>
      )}
    </dl>
  );
}

interface Quality {
  readonly term: RunTermName;
  readonly note: string | undefined;
  readonly value: string | undefined;
}

/** Returns the loss, and the accuracies or errors of the training and the last evaluation. */
function qualities(store: RunStore, isUnknown: boolean): readonly Quality[] {
  store.curvesVersion.value;
  const { loss, accuracy } = isUnknown ? {} : store.training(chartSettings.value.memory);
  const last = isUnknown ? undefined : store.epochs.value.at(-1);
  const evaluated = last && evaluatedText(last.epoch, store);
  const note = 'recent steps';
  const { targetField, standardization } = store.run.value ?? {};
  const training = { term: 'training loss', note, value: shown(loss, lossText) } as const;
  if (targetField?.role === 'next') {
    const bits = (loss: number): string => decimals(loss / Math.LN2);
    return [
      training,
      { term: 'validation perplexity', note: evaluated, value: shown(last?.testLoss, perplexityText) },
      { term: `bits per ${unitOf(store.run.value)}`, note: evaluated, value: shown(last?.testLoss, bits) },
    ];
  }
  if (targetField?.role !== 'value') {
    return [
      training,
      { term: 'training accuracy', note, value: shown(accuracy && accuracy / 100, percent) },
      { term: 'test accuracy', note: evaluated, value: shown(last?.testAccuracy, percent) },
    ];
  }
  // The root mean squared error has the unit of the values; the loss may be that of standardized values.
  const rmse = loss === undefined ? undefined : (standardization?.deviation ?? 1) * Math.sqrt(loss);
  const r2 = shown(last?.testR2, (value) => `, R² ${decimals(value)}`);
  return [
    training,
    { term: 'training RMSE', note, value: shown(rmse, measured) },
    { term: 'test RMSE', note: evaluated && `${evaluated}${r2 ?? ''}`, value: shown(last?.testRmse, measured) },
  ];
}

function shown(value: number | null | undefined, format: (value: number) => string): string | undefined {
  return value === undefined || value === null ? undefined : format(value);
}

interface ExactnessProps {
  readonly progress: ProgressMessage | undefined;
  /** Whether the badge is visible. Its place is reserved either way. */
  readonly isShown: boolean;
}

function Exactness({ progress, isShown }: ExactnessProps) {
  const { exactness, weightsHash: hash } = progress ?? {};
  return (
    <div class={isShown ? '' : 'hidden'}>
      <button type="button" class={`badge badge-${styleOf(progress)}`} popovertarget="exactness-text">
        <span>
          {progress && exactness !== undefined ? shortText(progress) : hash === undefined ? '–' : 'initial weights'}
        </span>
        <code>{hash === undefined ? '–––– ––––' : `${hash.slice(0, 4)} ${hash.slice(4, 8)}`}</code>
      </button>
      <div id="exactness-text" popover="auto" class="bubble">
        <p>{explanationOf(progress)}</p>
        {progress?.checked && <p>{checkedText(progress.checked)}</p>}
        <p>
          {hash === undefined
            ? 'The hash of the weights appears here with the first step.'
            : `SHA-256 of the weights after step ${thousands(progress?.weightsHashStep ?? 0)} begins with ${hash}.`}
        </p>
      </div>
    </div>
  );
}

/** Only a run whose bits any worker in the coordinator's own numeric mode reproduces is styled as good. */
function styleOf(progress: ProgressMessage | undefined): string {
  const { exactness = 'none', bitExactAmong } = progress ?? {};
  return bitExactAmong === undefined ? exactness : 'bit-exact-among';
}

function shortText({ exactness, numericMode, bitExactAmong }: ProgressMessage): string {
  return claimText({
    exactness: exactness ?? null,
    numericMode: numericMode ?? null,
    bitExactAmong: bitExactAmong ?? null,
  });
}

function explanationOf(progress: ProgressMessage | undefined): string {
  const { exactness, numericMode, bitExactAmong } = progress ?? {};
  switch (exactness) {
    case undefined:
      return 'Before its first step, a run makes no claim about its weights.';
    case 'bit-exact':
      return bitExactAmong === undefined
        ? `All contributing workers use the numeric mode ${numericMode}. Any run with this seed in this mode gives the same weights, bit for bit, on any number of workers.`
        : `All contributing workers use the numeric mode ${numericMode}. Any run with this seed in this mode gives the same weights, bit for bit. Other modes give weights that are equal up to rounding, so do not compare their hashes.`;
    case 'sample-exact':
      return 'Workers that round differently contributed, such as a GPU and a CPU. Every sample still counts exactly once. The weights agree with those of other runs up to rounding, but their hash does not match.';
    case 'unverified':
      return 'A worker was caught sending wrong results. Some of its results were added before the run was resumed from a checkpoint, so the run could not go back to before them. The log names the worker.';
    default:
      return exactness satisfies never;
  }
}
