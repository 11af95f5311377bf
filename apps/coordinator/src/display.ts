/** Shows the events of a run in the terminal; its progress is one live line, or plain lines elsewhere. */
import { stripVTControlCharacters } from 'node:util';
import {
  addressesToPrint,
  decimals,
  durationText,
  joinLines,
  measured,
  percent,
  portLines,
  shownLine,
  wrapText,
} from '@lockstep/command';
import { rootMeanSquaredError } from '@lockstep/nn';
import type { RunPlan } from '@lockstep/rules';
import type {
  DataSummary,
  EpochReport,
  ListeningEvent,
  PreparedEvent,
  SampleEvent,
  StepEvent,
  TrainingEvent,
} from '@lockstep/train';
import { heldOutWord, isLoopback, samplesText } from '@lockstep/train/command-line';
import pc from 'picocolors';
import { renderUnicodeCompact } from 'uqr';

/** Passed as a value, so that tests can print without colors. */
export type Colors = Pick<typeof pc, 'bold' | 'cyan'>;

/**
 * Colors for a stream: only for terminals, unless NO_COLOR or FORCE_COLOR is set; picocolors also colors pipes under
 * CI.
 */
export function colorsFor(stream: { readonly isTTY?: boolean }, environment: NodeJS.ProcessEnv = process.env): Colors {
  const { NO_COLOR: noColor, FORCE_COLOR: forceColor, TERM: terminal } = environment;
  if (noColor) return pc.createColors(false);
  if (forceColor) return pc.createColors(forceColor !== '0');
  return pc.createColors(stream.isTTY === true && terminal !== 'dumb');
}

interface DisplayOptions extends Pick<RunPlan, 'steps' | 'stepsPerEpoch'> {
  readonly stream: NodeJS.WriteStream;
  readonly colors: Colors;
  readonly nowMs: () => number;
  readonly epochs: number;
  readonly data: DataSummary;
  readonly testSamples: number;
  /** Name of the samples that are evaluated after each epoch. */
  readonly heldOut?: 'test' | 'validation';
}

/** A piece of a line. If the line is too long for the terminal, the piece with the lowest priority is omitted first. */
interface Piece {
  readonly text: string;
  readonly priority: number;
}

/** Separators between the pieces of the live line, and between those of an epoch's line. */
const dot = ' · ';
const gap = '   ';

const liveEveryMs = 100;
const plainEveryMs = 10_000;
const mostEpochLines = 20;
/** An epoch that ends at least this long after the last epoch's line gets a line of its own. */
const epochLineEveryMs = 2_000;
const barWidth = 12;
/** In narrower terminals, pieces take priority over the bar. */
const narrowWidth = 36;

export class Display {
  readonly #options: DisplayOptions;
  readonly #isLive: boolean;
  #live = '';
  #drawnAtMs = Number.NEGATIVE_INFINITY;
  #startedAtMs: number;
  #epochShownAtMs = Number.NEGATIVE_INFINITY;
  #firstStep: number | undefined;

  constructor(options: DisplayOptions) {
    this.#options = options;
    this.#isLive = options.stream.isTTY === true;
    this.#startedAtMs = options.nowMs();
  }

  /** Prints a permanent line. */
  line(text: string): void {
    const live = this.#live;
    this.end();
    this.#options.stream.write(`${text}\n`);
    if (live !== '') this.#draw(live);
  }

  started(): void {
    this.#startedAtMs = this.#options.nowMs();
    this.#drawnAtMs = this.#startedAtMs;
  }

  step(event: StepEvent): void {
    const nowMs = this.#options.nowMs();
    // Earlier steps may not have been shown.
    this.#firstStep ??= event.step - Math.round(event.samplesSoFar / event.samples);
    // The live line after the last step stays until the weights are evaluated, which may take long.
    const isLast = this.#isLive && event.step === this.#options.steps;
    if (!isLast && nowMs - this.#drawnAtMs < (this.#isLive ? liveEveryMs : plainEveryMs)) return;
    this.#drawnAtMs = nowMs;
    const pieces = this.#pieces(event, (nowMs - this.#startedAtMs) / 1000);
    if (this.#isLive) this.#draw(this.#liveLine(pieces, event.step));
    else this.line(`  ${joined(pieces, dot)}`);
  }

  epoch(report: EpochReport): void {
    const { colors, epochs, data, heldOut = 'test' } = this.#options;
    if (!this.#isShown(report.epoch)) return;
    const { trainLoss, trainAccuracy, testLoss, testAccuracy, testRmse } = report;
    const trainRmse = rootMeanSquaredError(trainLoss, data.standardization);
    const train = qualityText(trainLoss, trainAccuracy, trainRmse);
    const test = qualityText(testLoss, testAccuracy, testRmse, colors);
    const pieces = [
      { text: `epoch ${report.epoch}/${epochs}`, priority: 5 },
      { text: `train ${train}`, priority: 3 },
      { text: `${heldOut} ${test}`, priority: 4 },
      { text: durationText(report.seconds, 1), priority: 2 },
      { text: `${samplesText(report.imagesPerSecond, data)}/s`, priority: 1 },
    ];
    this.line(`  ${joined(fitting(pieces, this.#isLive ? this.#width : Number.POSITIVE_INFINITY, gap), gap)}`);
  }

  sample({ step, loss, prompt, text }: SampleEvent): void {
    const { steps, colors } = this.#options;
    const measured = `validation loss about ${loss.toFixed(3)}, on a part of the text`;
    this.line(`  ${colors.bold(`step ${step}/${steps}`)}${gap}${measured}`);
    for (const line of textLines(prompt + text)) this.line(`  │ ${line}`);
  }

  /** Erases the live line. */
  end(): void {
    if (this.#live !== '') this.#options.stream.write('\r\x1b[2K');
    this.#live = '';
  }

  #draw(text: string): void {
    this.end();
    this.#options.stream.write(text);
    this.#live = text;
  }

  /** Whether to show an epoch: among many short ones only the first, the last and about every twentieth in between. */
  #isShown(epoch: number): boolean {
    const { epochs, nowMs } = this.#options;
    const isPart = epoch === 1 || epoch === epochs || epoch % Math.ceil(epochs / mostEpochLines) === 0;
    if (!isPart && nowMs() - this.#epochShownAtMs < epochLineEveryMs) return false;
    this.#epochShownAtMs = nowMs();
    return true;
  }

  #pieces(event: StepEvent, seconds: number): Piece[] {
    const { step, epoch, samplesSoFar, workers, smoothedLoss: loss, smoothedAccuracy: accuracy } = event;
    const { steps, epochs, data, testSamples } = this.#options;
    const secondsLeft = ((steps - step) * seconds) / (step - this.#firstStep!);
    const rest =
      step === steps ? `evaluating on ${samplesText(testSamples, data)}` : `${durationText(secondsLeft)} left`;
    const quality =
      accuracy === null
        ? `RMSE ${measured(rootMeanSquaredError(loss, data.standardization))}`
        : `accuracy ${percent(accuracy)}`;
    return [
      { text: `epoch ${epoch}/${epochs}`, priority: 6 },
      { text: `step ${step}/${steps}`, priority: 2 },
      { text: `${samplesText(samplesSoFar / seconds, data)}/s`, priority: 5 },
      ...(Number.isFinite(loss)
        ? [
            { text: `loss ${decimals(loss)}`, priority: 4 },
            { text: quality, priority: 3 },
          ]
        : [{ text: 'loss not finite', priority: 4 }]),
      { text: rest, priority: 7 },
      { text: `${workers} ${workers === 1 ? 'worker' : 'workers'}`, priority: 1 },
    ];
  }

  /** Usable columns, without the indent and the last column, at which some terminals wrap. */
  get #width(): number {
    return Math.max(0, (this.#options.stream.columns || 80) - 3);
  }

  /** A bar of the epoch's steps and the pieces that fit: a wrapped line could not be erased. */
  #liveLine(pieces: readonly Piece[], step: number): string {
    const { stepsPerEpoch, colors } = this.#options;
    const width = this.#width;
    const barSpace = width >= narrowWidth ? barWidth + 1 : 0;
    const text = joined(fitting(pieces, width - barSpace, dot), dot).slice(0, width);
    if (text.length + barWidth + 1 > width) return `  ${text}`;
    const full = Math.round((barWidth * (((step - 1) % stepsPerEpoch) + 1)) / stepsPerEpoch);
    return `  ${colors.cyan('█'.repeat(full) + '░'.repeat(barWidth - full))} ${text}`;
  }
}

const mostTextLines = 6;
const textWidth = 74;

/** The first lines of a text, for any terminal of 80 columns; nothing in them can steer it. */
function textLines(text: string): string[] {
  const pieces = new RegExp(`.{1,${textWidth}}`, 'gu');
  const lines = text.split('\n').flatMap((line) => {
    return wrapText(shownLine(line), textWidth).flatMap((wrapped) => wrapped.match(pieces) ?? ['']);
  });
  if (lines.length <= mostTextLines) return lines;
  return [...lines.slice(0, mostTextLines - 1), '…'];
}

/** The loss with the accuracy, or with the root mean squared error for values; neither if the model has diverged. */
function qualityText(
  loss: number,
  accuracy: number | null,
  rmse: number | null,
  { bold }: Pick<Colors, 'bold'> = pc.createColors(false),
): string {
  if (!Number.isFinite(loss)) return bold('loss not finite');
  const quality = accuracy === null ? `RMSE ${measured(rmse!)}` : percent(accuracy);
  return `loss ${decimals(loss)}, ${bold(quality)}`;
}

function joined(pieces: readonly Piece[], separator: string): string {
  return pieces.map(({ text }) => text).join(separator);
}

/** The highest-priority pieces that fit in `columns`, at least one. */
function fitting(pieces: readonly Piece[], columns: number, separator: string): readonly Piece[] {
  let shown = pieces;
  while (shown.length > 1 && stripVTControlCharacters(joined(shown, separator)).length > columns) {
    const lowest = Math.min(...shown.map(({ priority }) => priority));
    shown = shown.filter(({ priority }) => priority !== lowest);
  }
  return shown;
}

/** Shows a run from its data to its end. */
export class RunDisplay {
  #display: Display | undefined;
  #isAlone = false;
  readonly #found: string | undefined;
  readonly #addressFile: string | undefined;

  /**
   * @param found description of the data, shown first
   * @param addressFile receives the addresses, instead of the terminal
   */
  constructor(found: string | undefined, addressFile: string | undefined) {
    this.#found = found;
    this.#addressFile = addressFile;
  }

  /** Prints a permanent line. */
  line(text: string): void {
    if (this.#display) this.#display.line(text);
    else process.stdout.write(`${text}\n`);
  }

  /** Prints a sentence, in several lines if it is wider than the terminal. */
  sentence(text: string, indent = ''): void {
    this.line(indent + wrapText(text, this.width - indent.length).join(`\n${indent}  `));
  }

  /** Usable columns of the terminal; unlimited elsewhere. */
  get width(): number {
    const { isTTY, columns } = process.stdout;
    return isTTY ? (columns || 80) - 2 : Number.POSITIVE_INFINITY;
  }

  /** Erases the live line. */
  end(): void {
    this.#display?.end();
  }

  show(event: TrainingEvent): void {
    switch (event.type) {
      case 'prepared':
        if (!this.#display && this.#found !== undefined) this.sentence(this.#found);
        this.#begin(event);
        this.sentence(event.message);
        return;
      case 'listening':
        for (const line of addressesToPrint(addressLines(event), this.#addressFile)) this.line(line);
        return;
      case 'started':
        this.#display?.started();
        return;
      case 'step':
        this.#display?.step(event);
        return;
      case 'epoch':
        this.#display?.epoch(event);
        return;
      case 'sample':
        this.#display?.sample(event);
        return;
      case 'note':
        this.sentence(event.message);
        return;
      case 'checkpoint':
      case 'relays':
        return;
      case 'finished':
      case 'stopped':
        this.end();
        return;
      case 'joined':
      case 'left':
      case 'rejected':
        // In a run of one process, the only worker is the process itself.
        if (!this.#isAlone) this.sentence(event.message, '  ');
        return;
      default:
        this.sentence(event.message, '  ');
    }
  }

  #begin({ config, stepsPerEpoch }: PreparedEvent): void {
    const { steps, epochs, data, testSamples } = config;
    const heldOut = heldOutWord(config);
    const nowMs = (): number => performance.now();
    this.#isAlone = config.workers === 'single';
    const colors = colorsFor(process.stdout);
    const shown = { steps, stepsPerEpoch, epochs, data, testSamples, heldOut };
    this.#display = new Display({ stream: process.stdout, colors, nowMs, ...shown });
  }
}

/** Secrets are printed here and nowhere else: they are for the person at this terminal. */
function addressLines(event: ListeningEvent): string[] {
  const { addresses, host, fingerprint } = event;
  const lines = [...portLines(event), ...joinLines(event), `Dashboard: ${addresses.owner}`];
  if (fingerprint !== undefined) {
    const pairs = fingerprint.toUpperCase().match(/../g) ?? [];
    lines.push(`The certificate is self-signed, so browsers warn; its SHA-256 is ${pairs.join(':')}`);
  }
  if (!isLoopback(host) && process.stdout.isTTY) lines.push('', renderUnicodeCompact(addresses.page));
  return lines;
}
