/** What happens to a relay, as events for the program that started it. */
import type { RelayEvent as RuleEvent } from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import { workerEvents } from '@lockstep/worker/internal';
import { EventLines } from '../record/event-lines.ts';
import type { RelayEvent } from './options.ts';

export function relayEvents(emit: (event: RelayEvent) => void): (event: RuleEvent) => void {
  const lines = new EventLines(systemClock.nowMs);
  const above = workerEvents((event) => {
    if (event.type !== 'opening' && event.type !== 'opened') emit(event);
  });
  return (event) => {
    switch (event.type) {
      case 'above':
        above(event.event);
        return;
      case 'below': {
        const message = lines.eventOf(event.event, event.state)?.message;
        if (message !== undefined) emit({ type: 'note', message });
        return;
      }
      case 'renewed':
        emit({ type: 'note', message: `${event.message}; another run begins for the workers here` });
        return;
      case 'idle':
        emit(event);
        return;
      default:
        event satisfies never;
    }
  };
}
