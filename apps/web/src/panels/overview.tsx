/** The run at a glance: phase, progress, headline numbers, exactness. */
import type { ComponentChildren } from 'preact';
import { durationText, lossText, percent, significant, whole } from '../look/format.ts';
import { chartSettings } from '../watch/chart-settings.ts';
import { resumedText } from '../watch/checkpoint-text.ts';
import type { EpochReport } from '../watch/curves.ts';
import { type Checkpoint, isPicture, type Progress, type Run, type RunStore } from '../watch/run-store.ts';
import { Exactness } from './exactness.tsx';
import { Figure } from './figure.tsx';
import { RunTerm } from './run-term.tsx';

interface OverviewProps {
  readonly store: RunStore;
  /** Over the figures, which a page that is not let in does not know. */
  readonly children?: ComponentChildren;
}

export function Overview({ store, children }: OverviewProps) {
  const run = store.run.value;
  const progress = store.progress.value;
  const checkpoint = store.checkpoint.value;
  const status = store.status.value;
  return (
    <section class={`overview ${status.name === 'lost' ? 'stale' : ''}`} aria-labelledby="overview-title">
      <h2 id="overview-title" class="sr-only">
        The run
      </h2>
      <div class="overview-line">
        <p class="phase" role="status">
          <span class={`phase-dot phase-${status.name}`} aria-hidden="true" />
          {status.title}
        </p>
        <p class="phase-detail">{run && progress ? positionText(run, progress, checkpoint) : '\u00a0'}</p>
        <Exactness progress={progress} />
      </div>
      <div class={`overview-body ${children && !run ? 'overview-closed' : ''}`}>
        <ProgressBar run={run} steps={progress?.step ?? 0} />
        <Figures store={store} />
        {children}
      </div>
    </section>
  );
}

function positionText({ config, steps }: Run, { step, epoch }: Progress, checkpoint: Checkpoint | undefined): string {
  return `Epoch ${whole(Math.min(epoch, config.epochs))} of ${whole(config.epochs)}, step ${whole(step)} of ${whole(steps)}${resumedText(checkpoint)}`;
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
  const { imagesPerSecond = 0, secondsLeft } = store.progress.value ?? {};
  const isTraining = store.status.value.name === 'training';
  store.curvesVersion.value;
  const { loss, accuracy } = store.training(chartSettings.value.memory);
  const run = store.run.value;
  const lastEpoch = store.epochs.value.at(-1);
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
        <ValueFigures loss={loss} lastEpoch={lastEpoch} deviation={run.standardization?.deviation} />
      ) : (
        <ClassFigures accuracy={accuracy} lastEpoch={lastEpoch} />
      )}
      <Figure
        label={`${isPicture(run) ? 'Images' : 'Samples'} a second`}
        note={totals && 'whole run'}
        value={speed === undefined ? undefined : whole(speed)}
      />
      {totals ? (
        <Figure label="Time taken" value={durationText(totals.wallSeconds)} />
      ) : (
        <Figure
          label="Time left"
          value={secondsLeft === undefined || !isTraining ? undefined : durationText(secondsLeft)}
        />
      )}
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
      <Figure
        label={<RunTerm term="training accuracy">Training accuracy</RunTerm>}
        note="recent steps"
        value={accuracy === undefined ? undefined : percent(accuracy / 100)}
      />
      <Figure
        label={<RunTerm term="test accuracy">Test accuracy</RunTerm>}
        note={lastEpoch && `epoch ${whole(lastEpoch.epoch)}`}
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
      <Figure
        label={<RunTerm term="training RMSE">Training RMSE</RunTerm>}
        note="recent steps"
        value={loss === undefined ? undefined : significant(deviation * Math.sqrt(loss))}
      />
      <Figure
        label={<RunTerm term="test RMSE">Test RMSE</RunTerm>}
        note={
          lastEpoch &&
          `epoch ${whole(lastEpoch.epoch)}${r2 === undefined ? '' : `, R² ${r2 < -1000 ? significant(r2) : r2.toFixed(3)}`}`
        }
        value={rmse === undefined ? undefined : significant(rmse)}
      />
    </>
  );
}
