/** The events of a relay, as lines for the person who started it. */
import { addressesToPrint, joinLines, portLines } from '@lockstep/command';
import type { RelayEvent } from '@lockstep/train';

type Listening = Extract<RelayEvent, { type: 'listening' }>;

export class RelayLines {
  readonly #addressFile: string | undefined;
  #listening: Listening | undefined;
  #isOpen = false;
  /** Whether no worker has been ready since the last line about it. */
  #isIdle = false;
  #lostMessage: string | undefined;

  /** @param addressFile receives the addresses to join by, instead of the terminal */
  constructor(addressFile?: string) {
    this.#addressFile = addressFile;
  }

  of(event: RelayEvent): readonly string[] {
    switch (event.type) {
      case 'listening':
        this.#listening = event;
        return portLines(event);
      case 'open': {
        const lines =
          this.#isOpen || !this.#listening ? [] : addressesToPrint(joinLines(this.#listening), this.#addressFile);
        this.#isOpen = true;
        return lines;
      }
      case 'joined':
        this.#lostMessage = undefined;
        return event.returned ? [] : [`joined as ${event.id}`];
      case 'idle': {
        const isKnown = this.#isIdle;
        this.#isIdle = true;
        return isKnown ? [] : ['waiting for workers'];
      }
      case 'lost':
      case 'unreached': {
        // Printed once: later attempts may fail in the same way.
        const isKnown = this.#lostMessage === event.message;
        this.#lostMessage = event.message;
        return isKnown ? [] : [`${event.message}; trying again (Ctrl-C to stop)`];
      }
      case 'note':
        return [event.message];
      case 'ready':
        this.#isIdle = false;
        return [];
      case 'computed':
        return [];
      default:
        return event satisfies never;
    }
  }
}
