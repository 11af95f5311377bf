/** An estimate of scaling as plain text. */
import { figuresTable, milliseconds, thousands, times } from '../../figure-text.ts';
import { breakEvenBandwidth, type Costs, type Prediction, type ScalingEstimate, type Scenario } from './model.ts';

const shownWorkers = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];

/** The measured costs, and the estimate for some numbers of workers. */
export function estimateLines(name: string, costs: Costs, { predictions }: ScalingEstimate): string[] {
  const { computeFixedMs, computeMsPerSample, firstWorkerMs, nextWorkerMs, singleStepMs } = costs;
  const headers = ['workers', 'images/s', 'against one process', 'compute ms', 'link ms', 'other ms'];
  const shown = predictions.filter(({ workers }) => shownWorkers.includes(workers));
  return [
    `${name}: one process needs ${milliseconds(singleStepMs)} ms a step; a worker computes ${milliseconds(computeFixedMs)} ms and ${(computeMsPerSample * 1000).toFixed(2)} us a sample;`,
    `  everything else is ${milliseconds(firstWorkerMs)} ms with one worker and ${milliseconds(nextWorkerMs)} ms for each further one`,
    figuresTable(
      headers,
      shown.map(({ workers, imagesPerSecond, speedUp, computeMs, linkMs, otherMs }) => {
        const parts = [computeMs, linkMs, otherMs].map(milliseconds);
        return [`${workers}`, thousands(imagesPerSecond), times(speedUp), ...parts];
      }),
    ),
  ];
}

interface PredictionError {
  readonly workers: number;
  readonly predictedImagesPerSecond: number;
  readonly measuredImagesPerSecond: number;
  /** Predicted over measured, minus 1. */
  readonly error: number;
}

export function errorLines(errors: readonly PredictionError[]): string[] {
  const rows = errors.map(({ workers, predictedImagesPerSecond, measuredImagesPerSecond, error }) => {
    const figures = [predictedImagesPerSecond, measuredImagesPerSecond].map(thousands);
    return [`${workers}`, ...figures, `${error >= 0 ? '+' : ''}${(error * 100).toFixed(0)} %`];
  });
  return [
    '  checked on this machine against other runs, in the same rounds:',
    figuresTable(['workers', 'predicted', 'measured', 'error'], rows),
  ];
}

/** The answer for the requested workers, and how many workers pay off. */
export function answerFor(costs: Costs, asked: Prediction, estimate: ScalingEstimate, { speeds, link }: Scenario) {
  const { best, pays } = estimate;
  const count = (workers: number): string => `${workers} worker${workers === 1 ? '' : 's'}`;
  const where = link === undefined ? 'on this machine' : 'behind that link';
  const answer = `${count(asked.workers)} ${where}: ${thousands(asked.imagesPerSecond)} images/s, ${times(asked.speedUp)} one process.`;
  if (pays)
    return `${answer} It stops paying at ${count(best.workers)} (${times(best.speedUp)}): more add next to nothing.`;
  if (link === undefined) return `${answer} No number of workers is faster than one process: take a larger batch.`;
  const bandwidth = breakEvenBandwidth(costs, speeds, link.latencyMs);
  const need =
    bandwidth === undefined
      ? 'no bandwidth would make up for it'
      : `these would be even with it from ${thousands(Math.ceil(bandwidth / 125e3))} Mbit/s on`;
  return `${answer} No number of workers is faster than one process here; ${need}.`;
}
