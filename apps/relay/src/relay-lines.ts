/** The events of a relay, as lines for the person who started it. */
import { addressesToPrint, commandText, shellWord, tokenBefore } from '@lockstep/command';
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
        return isKnown ? [] : [`${event.message}; trying again; Ctrl-C ends this`];
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

function portLines({ port, wantedPort }: Listening): string[] {
  return wantedPort === 0 || port === wantedPort ? [] : [`Port ${wantedPort} is in use, listening on ${port}.`];
}

/** Secrets are printed here and nowhere else: they are for the person at this terminal. */
function joinLines({ addresses, token }: Listening): string[] {
  return [
    `Join with: ${tokenBefore(token)}${commandText('worker', `--url ${shellWord(addresses.worker)}`)}`,
    `Join in a browser: ${addresses.page}`,
  ];
}
