/** The run at a glance: phase, progress, key figures, exactness. */
import type { ComponentChildren } from 'preact';
import { durationText, lossText, percent, significant, whole } from '../look/format.ts';
import { chartSettings } from '../watch/chart-settings.ts';
import { goesOnText, resumedText } from '../watch/checkpoint-text.ts';
import type { EpochReport } from '../watch/curves.ts';
import { isPicture, type Run, type RunStore } from '../watch/run-store.ts';
import { evaluatedText } from '../watch/run-summary.ts';
import type { StatusName } from '../watch/status.ts';
import { Exactness } from './exactness.tsx';
import { Figure } from './figure.tsx';
import { RunTerm } from './run-term.tsx';

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
  const epoch = `Epoch ${whole(Math.min(progress.epoch, config.epochs))} of ${whole(config.epochs)}`;
  return `${epoch}, step ${whole(progress.step)} of ${whole(steps)}${resumedText(store)}`;
}

function ProgressBar({ run, steps }: { readonly run: Run | undefined; readonly steps: number }) {
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
function epochMarks({ steps, stepsPerEpoch }: Run): number[] {
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
  store.curvesVersion.value;
  const { loss, accuracy } = isUnknown ? {} : store.training(chartSettings.value.memory);
  const run = store.run.value;
  const lastEpoch = isUnknown ? undefined : store.epochs.value.at(-1);
  const evaluated = lastEpoch && evaluatedText(lastEpoch.epoch, store);
  const totals = store.isOver.value ? store.totals.value : undefined;
  const speed = isTraining ? imagesPerSecond : totals?.imagesPerSecond;
  return (
    <dl class="figures">
      <Figure
        label={<RunTerm term="training loss">Training loss</RunTerm>}
        note="recent steps"
        value={loss === undefined ? undefined : lossText(loss)}
      />
      {run?.targetType === 'values' ? (
        <ValueFigures
          loss={loss}
          lastEpoch={lastEpoch}
          evaluated={evaluated}
          deviation={run.standardization?.deviation}
        />
      ) : (
        <ClassFigures accuracy={accuracy} lastEpoch={lastEpoch} evaluated={evaluated} />
      )}
      {!isCutShort && (
        <>
          <Figure
            label={`${isPicture(run) ? 'Images' : 'Samples'} a second`}
            note={totals && 'whole run'}
            value={speed === undefined || isUnknown ? undefined : whole(speed)}
          />
          {totals && !isUnknown ? (
            <Figure label="Time taken" value={durationText(totals.wallSeconds)} />
          ) : (
            <Figure
              label="Time left"
              value={secondsLeft === undefined || !isTraining ? undefined : durationText(secondsLeft)}
            />
          )}
        </>
      )}
    </dl>
  );
}

interface QualityProps {
  readonly lastEpoch: EpochReport | undefined;
  /** When the last epoch was evaluated. */
  readonly evaluated: string | undefined;
}

function ClassFigures({ accuracy, lastEpoch, evaluated }: QualityProps & { readonly accuracy: number | undefined }) {
  const test = lastEpoch?.testAccuracy ?? undefined;
  return (
    <>
      <Figure
        label={<RunTerm term="training accuracy">Training accuracy</RunTerm>}
        note="recent steps"
        value={accuracy === undefined ? undefined : percent(accuracy / 100)}
      />
      <Figure
        label={<RunTerm term="test accuracy">Test accuracy</RunTerm>}
        note={evaluated}
        value={test === undefined ? undefined : percent(test)}
      />
    </>
  );
}

interface ValueQualityProps extends QualityProps {
  readonly loss: number | undefined;
  /** Standard deviation of the target values; present if the loss is that of standardized values. */
  readonly deviation: number | undefined;
}

/** The root mean squared error has the unit of the values. */
function ValueFigures({ loss, lastEpoch, evaluated, deviation = 1 }: ValueQualityProps) {
  const r2 = lastEpoch?.testR2 ?? undefined;
  const rmse = lastEpoch?.testRmse ?? undefined;
  return (
    <>
      <Figure
        label={<RunTerm term="training RMSE">Training RMSE</RunTerm>}
        note="recent steps"
        value={loss === undefined ? undefined : significant(deviation * Math.sqrt(loss))}
      />
      <Figure
        label={<RunTerm term="test RMSE">Test RMSE</RunTerm>}
        note={
          lastEpoch && `${evaluated}${r2 === undefined ? '' : `, R² ${r2 < -1000 ? significant(r2) : r2.toFixed(3)}`}`
        }
        value={rmse === undefined ? undefined : significant(rmse)}
      />
    </>
  );
}
