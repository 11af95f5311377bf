/** The run at a glance: phase, progress, headline numbers, exactness. */
import { durationText, lossText, percent, significant, whole } from '../look/format.ts';
import { goesOnText, resumedText } from '../watch/checkpoint-text.ts';
import type { EpochReport } from '../watch/curves.ts';
import { type Checkpoint, isPicture, type Progress, type Run, type RunStore } from '../watch/run-store.ts';
import { Exactness } from './exactness.tsx';
import { Figure } from './figure.tsx';

export function Overview({ store }: { readonly store: RunStore }) {
  const run = store.run.value;
  const progress = store.progress.value;
  const checkpoint = store.checkpoint.value;
  return (
    <section class="overview" aria-labelledby="overview-title">
      <h2 id="overview-title" class="sr-only">
        The run
      </h2>
      <div class="overview-line">
        <p class="phase" role="status">
          <span class={`phase-dot phase-${progress?.phase ?? 'none'}`} aria-hidden="true" />
          {progress ? phaseTitle(progress) : 'Connecting'}
        </p>
        <p class="phase-detail">{run && progress ? positionText(run, progress, checkpoint) : '\u00a0'}</p>
        <Exactness progress={progress} />
      </div>
      <ProgressBar run={run} steps={progress?.step ?? 0} />
      <Figures store={store} />
    </section>
  );
}

function phaseTitle({ phase, pauseRequested }: Progress): string {
  if (phase === 'waiting') return pauseRequested ? 'Waiting for start' : 'Waiting for workers';
  if (phase === 'paused') return pauseRequested ? 'Paused' : 'Paused: no workers';
  return { training: 'Training', finished: 'Finished', failed: 'Stopped' }[phase];
}

function positionText({ config, steps }: Run, { phase, step, epoch }: Progress, checkpoint?: Checkpoint): string {
  const position = `Epoch ${Math.min(epoch, config.epochs)} of ${config.epochs}, step ${whole(step)} of ${whole(steps)}`;
  const goesOn = phase === 'failed' ? goesOnText(checkpoint) : '';
  return `${position}${resumedText(checkpoint)}${goesOn && `. ${goesOn}`}`;
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

/** Ends of epochs as fractions of the run; none where there are too many to be told apart. */
function epochMarks({ steps, stepsPerEpoch }: Run): number[] {
  const count = Math.ceil(steps / stepsPerEpoch) - 1;
  return count > 40 ? [] : Array.from({ length: count }, (_, index) => ((index + 1) * stepsPerEpoch) / steps);
}

function Figures({ store }: { readonly store: RunStore }) {
  const { phase, loss, accuracy, imagesPerSecond = 0, secondsLeft } = store.progress.value ?? {};
  const run = store.run.value;
  const lastEpoch = store.epochs.value.at(-1);
  return (
    <dl class="figures">
      <Figure label="Training loss" value={loss === undefined ? undefined : lossText(loss)} />
      {run?.targetType === 'values' ? (
        <ValueFigures loss={loss} lastEpoch={lastEpoch} deviation={run.targetDeviation} />
      ) : (
        <ClassFigures accuracy={accuracy} lastEpoch={lastEpoch} />
      )}
      <Figure
        label={`${isPicture(run) ? 'Images' : 'Samples'} a second`}
        value={phase === 'training' ? whole(imagesPerSecond) : undefined}
      />
      <Figure
        label="Time left"
        value={secondsLeft === undefined || phase === 'finished' ? undefined : durationText(secondsLeft)}
      />
    </dl>
  );
}

interface QualityProps {
  readonly lastEpoch: EpochReport | undefined;
}

function ClassFigures({ accuracy, lastEpoch }: QualityProps & { readonly accuracy: number | undefined }) {
  const test = lastEpoch?.testAccuracy ?? undefined;
  return (
    <>
      <Figure label="Training accuracy" value={accuracy === undefined ? undefined : percent(accuracy, 1)} />
      <Figure
        label="Test accuracy"
        note={lastEpoch && `epoch ${lastEpoch.epoch}`}
        value={test === undefined ? undefined : percent(test)}
      />
    </>
  );
}

interface ValueQualityProps extends QualityProps {
  readonly loss: number | undefined;
  /** Of the values, where the loss is that of standardized ones. */
  readonly deviation: number | undefined;
}

/** The root of the mean squared error has the unit of the values. */
function ValueFigures({ loss, lastEpoch, deviation = 1 }: ValueQualityProps) {
  const r2 = lastEpoch?.testR2 ?? undefined;
  const rmse = lastEpoch?.testRmse ?? undefined;
  return (
    <>
      <Figure label="Training RMSE" value={loss === undefined ? undefined : significant(deviation * Math.sqrt(loss))} />
      <Figure
        label="Test RMSE"
        note={
          lastEpoch &&
          `epoch ${lastEpoch.epoch}${r2 === undefined ? '' : `, R² ${r2 < -1000 ? significant(r2) : r2.toFixed(3)}`}`
        }
        value={rmse === undefined ? undefined : significant(rmse)}
      />
    </>
  );
}
