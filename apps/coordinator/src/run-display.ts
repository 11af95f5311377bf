/** Shows the events of a run in the terminal. */
import { addressesToPrint } from '@lockstep/command';
import type { PreparedEvent, TrainingEvent } from '@lockstep/train';
import { addressLines } from './address-lines.ts';
import { Display } from './display.ts';
import { colorsFor } from './format.ts';

export class RunDisplay {
  #display: Display | undefined;
  #isAlone = false;
  readonly #found: string | undefined;
  readonly #addressFile: string | undefined;

  /**
   * @param found description of the data, shown first. @param addressFile receives the addresses, instead of the
   * terminal
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

  /** Erases the live line. */
  end(): void {
    this.#display?.end();
  }

  show(event: TrainingEvent): void {
    switch (event.type) {
      case 'prepared':
        if (!this.#display && this.#found !== undefined) this.line(this.#found);
        this.#begin(event);
        this.line(event.message);
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
      case 'note':
        this.line(event.message);
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
        // In a run of one process, the only worker is the process itself.
        if (!this.#isAlone) this.line(`  ${event.message}`);
        return;
      default:
        this.line(`  ${event.message}`);
    }
  }

  #begin({ config, stepsPerEpoch }: PreparedEvent): void {
    const { steps, epochs, data } = config;
    const nowMs = (): number => performance.now();
    this.#isAlone = config.workers === 'single';
    const colors = colorsFor(process.stdout);
    this.#display = new Display({ stream: process.stdout, colors, nowMs, steps, stepsPerEpoch, epochs, data });
  }
}
