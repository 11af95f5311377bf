/** What a person sees of a run: one live line where there is a terminal, plain lines where there is none. */
import type { EpochReport } from '@lockstep/train';
import type { StepResult } from '@lockstep/training';
import type { Colors } from './colors.ts';

export interface DisplayOptions {
  readonly stream: NodeJS.WriteStream;
  readonly colors: Colors;
  readonly nowMs: () => number;
  /** Steps in the run and in an epoch, and epochs. */
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
}

export interface Display {
  /** A line that stays. */
  line(text: string): void;
  started(): void;
  step(result: StepResult, workers: number): void;
  epoch(report: EpochReport): void;
  /** Takes the live line away. */
  end(): void;
}

const redrawEveryMs = 100;
/** Without a terminal, a line so often tells that the run is alive. */
const plainEveryMs = 10_000;
/** Half-life of the loss, accuracy and rate that are shown, in steps. */
const smoothing = 0.05;
const barWidth = 12;

export function createDisplay(options: DisplayOptions): Display {
  const { stream, colors, nowMs, steps, stepsPerEpoch, epochs } = options;
  const isLive = stream.isTTY === true;
  let live = '';
  let drawnAtMs = Number.NEGATIVE_INFINITY;
  let startedAtMs = nowMs();
  let firstStep: number | undefined;
  let loss: number | undefined;
  let accuracy: number | undefined;
  let imagesSinceStart = 0;

  const clear = (): void => {
    if (live !== '') stream.write('\r\x1b[2K');
    live = '';
  };
  const line = (text: string): void => {
    const before = live;
    clear();
    stream.write(`${text}\n`);
    if (before !== '') draw(before);
  };
  const draw = (text: string): void => {
    clear();
    stream.write(text);
    live = text;
  };

  return {
    line,
    started() {
      startedAtMs = nowMs();
      drawnAtMs = startedAtMs;
    },
    step(result, workers) {
      const now = nowMs();
      firstStep ??= result.step;
      imagesSinceStart += result.count;
      const batchAccuracy = result.correct / result.count;
      loss = loss === undefined ? result.loss : loss + smoothing * (result.loss - loss);
      accuracy = accuracy === undefined ? batchAccuracy : accuracy + smoothing * (batchAccuracy - accuracy);
      if (now - drawnAtMs < (isLive ? redrawEveryMs : plainEveryMs)) return;
      drawnAtMs = now;

      const seconds = (now - startedAtMs) / 1000;
      const done = result.step + 1;
      const secondsLeft = ((steps - done) * seconds) / (done - firstStep);
      const inEpoch = (result.step % stepsPerEpoch) + 1;
      const full = Math.round((barWidth * inEpoch) / stepsPerEpoch);
      // From left to right; the number says which goes first where the line is too narrow.
      const parts: readonly (readonly [text: string, microbatches: number])[] = [
        [`epoch ${result.epoch + 1}/${epochs}`, 6],
        [`step ${done}/${steps}`, 2],
        [`${thousands(imagesSinceStart / seconds)} images/s`, 5],
        [`loss ${loss.toFixed(4)}`, 4],
        [`accuracy ${percent(accuracy)}`, 3],
        [`${duration(secondsLeft)} left`, 7],
        [`${workers} ${workers === 1 ? 'worker' : 'workers'}`, 1],
      ];
      const join = (shown: typeof parts): string => shown.map(([text]) => text).join(' · ');
      if (!isLive) {
        line(`  ${join(parts)}`);
        return;
      }
      // A line that wraps could not be taken back.
      const width = Math.max(0, (stream.columns || 80) - 3);
      let shown = parts;
      while (shown.length > 1 && join(shown).length > width) {
        const first = Math.min(...shown.map(([, microbatches]) => microbatches));
        shown = shown.filter(([, microbatches]) => microbatches !== first);
      }
      const text = join(shown).slice(0, width);
      const bar = `${'█'.repeat(full)}${'░'.repeat(barWidth - full)}`;
      draw(text.length + barWidth + 1 <= width ? `  ${colors.cyan(bar)} ${text}` : `  ${text}`);
    },
    epoch(report) {
      line(
        `  epoch ${report.epoch}/${epochs}   train loss ${report.trainLoss.toFixed(4)}, ${percent(report.trainAccuracy)}` +
          `   test loss ${report.testLoss.toFixed(4)}, ${colors.bold(percent(report.testAccuracy))}` +
          `   ${report.seconds.toFixed(1)} s, ${thousands(report.imagesPerSecond)} images/s`,
      );
    },
    end: clear,
  };
}

export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(2)} %`;
}

export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** Minutes and seconds, or hours and minutes. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return `${minutes}:${String(whole % 60).padStart(2, '0')}`;
}
