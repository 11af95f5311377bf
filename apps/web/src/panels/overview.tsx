/** How far the run is, in one strip: phase, progress, the headline numbers, and whether the result is exact. */
import type { ComponentChildren } from 'preact';
import { durationText, lossText, percent, whole } from '../look/format.ts';
import type { Progress, Room, Run } from '../watch/room.ts';

export function Overview({ room }: { readonly room: Room }) {
  const run = room.run.value;
  const progress = room.progress.value;
  const newest = room.epochs.value.at(-1);
  const steps = progress?.step ?? 0;
  const done = run ? steps / run.steps : 0;
  return (
    <section class="overview" aria-labelledby="overview-title">
      <h2 id="overview-title" class="sr-only">
        The run
      </h2>
      <div class="overview-line">
        <p class="phase" role="status">
          <span class={`phase-dot phase-${progress?.phase ?? 'none'}`} aria-hidden="true" />
          {phaseTitle(progress)}
        </p>
        <p class="phase-detail">{run && progress ? detail(run, progress) : '\u00a0'}</p>
        <Exactness progress={progress} />
      </div>
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
      <dl class="numbers">
        <Figure label="Training loss">{progress?.loss === undefined ? '–' : lossText(progress.loss)}</Figure>
        <Figure label="Training accuracy">
          {progress?.accuracy === undefined ? '–' : percent(progress.accuracy, 1)}
        </Figure>
        <Figure label="Test accuracy" note={newest ? `epoch ${newest.epoch}` : undefined}>
          {newest ? percent(newest.testAccuracy) : '–'}
        </Figure>
        <Figure label="Images a second">
          {progress?.phase === 'training' ? whole(progress.imagesPerSecond) : '–'}
        </Figure>
        <Figure label="Time left">
          {progress?.secondsLeft === undefined || progress.phase === 'finished'
            ? '–'
            : durationText(progress.secondsLeft)}
        </Figure>
      </dl>
    </section>
  );
}

interface FigureProps {
  readonly label: string;
  readonly note?: string | undefined;
  readonly children: ComponentChildren;
}

function Figure({ label, note, children }: FigureProps) {
  return (
    <div class="figure">
      <dt>
        {label}
        {note && <small> {note}</small>}
      </dt>
      <dd>{children}</dd>
    </div>
  );
}

function phaseTitle(progress: Progress | undefined): string {
  if (!progress) return 'Connecting';
  switch (progress.phase) {
    case 'waiting':
      return progress.pauseRequested ? 'Waiting for start' : 'Waiting for workers';
    case 'training':
      return 'Training';
    case 'paused':
      return progress.pauseRequested ? 'Paused' : 'Paused: nobody is here';
    case 'finished':
      return 'Finished';
    case 'failed':
      return 'Stopped';
    default:
      return progress.phase satisfies never;
  }
}

function detail(run: Run, { step, epoch }: Progress): string {
  return `Epoch ${Math.min(epoch, run.config.epochs)} of ${run.config.epochs}, step ${whole(step)} of ${whole(run.steps)}`;
}

/** Where epochs end, as parts of the run; none where they would lie too close to be seen. */
function epochMarks({ steps, stepsPerEpoch }: Run): number[] {
  const count = Math.ceil(steps / stepsPerEpoch) - 1;
  return count > 40 ? [] : Array.from({ length: count }, (_, index) => ((index + 1) * stepsPerEpoch) / steps);
}

function Exactness({ progress }: { readonly progress: Progress | undefined }) {
  const isExact = progress?.exactness !== 'sample-exact';
  return (
    <div class="exactness">
      <button type="button" class={`badge ${isExact ? 'badge-exact' : 'badge-near'}`} popovertarget="exactness-text">
        <span>{progress?.exactness ?? '–'}</span>
        <code>{hashText(progress?.weightsHash)}</code>
      </button>
      <div id="exactness-text" popover="auto" class="bubble">
        {isExact ? (
          <p>
            Everybody who contributed computes the same numericMode, so the weights are the same to the bit as in any
            other run with this seed, whoever helps.
          </p>
        ) : (
          <p>
            Somebody contributed who rounds differently, like a GPU. Every sample still counts exactly once; the weights
            agree with other runs up to float rounding.
          </p>
        )}
        <p>
          {progress?.weightsHash === undefined
            ? 'The hash of the weights appears here with the first step.'
            : `SHA-256 of the weights after step ${whole(progress.weightsHashStep ?? 0)} begins with ${progress.weightsHash}.`}
        </p>
      </div>
    </div>
  );
}

/** In groups of four, to be read aloud. */
function hashText(hash: string | undefined): string {
  return hash === undefined ? '–––– ––––' : (hash.slice(0, 8).match(/.{1,4}/g) ?? []).join(' ');
}
