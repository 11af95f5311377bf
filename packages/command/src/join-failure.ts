/** Why a process could not take part in a run, as the end of its command line. */

import { commandText } from './command-text.ts';
import { CommandFailure } from './failure.ts';

interface Failure {
  /** No coordinator was reached; turned away for good; its compute failed. */
  readonly reason: 'unreachable' | 'refused' | 'failed';
  readonly message: string;
}

/** @param place where the coordinator was looked for, without secrets */
export function joinFailure({ reason, message }: Failure, place: string): CommandFailure {
  switch (reason) {
    case 'unreachable': {
      const advice = `start one with ${commandText('coordinator')}, or wait for it with --wait`;
      return new CommandFailure(`--url ${place}: ${message}; ${advice}`, 2);
    }
    case 'refused':
      return new CommandFailure(`the coordinator at ${place} refused: ${message}`, 2);
    case 'failed':
      return new CommandFailure(message, 1);
    default:
      return reason satisfies never;
  }
}
