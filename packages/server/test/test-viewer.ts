/** A viewer of the dashboard that behaves like a page. */
import { once } from 'node:events';
import {
  decodeWatch,
  encodeWatch,
  type WatchMessageFrom,
  type WatchMessageOf,
  watchPath,
  watchSubprotocol,
} from '@lockstep/protocol';
import { WebSocket } from 'ws';
import { type Closed, Inbox } from './inbox.ts';

type Shown = WatchMessageFrom<'coordinator'>;
type ShownOf<T extends Shown['type']> = Extract<Shown, { type: T }>;

export interface TestViewer {
  readonly socket: WebSocket;
  readonly received: readonly Shown[];
  readonly closed: Promise<Closed>;
  send(message: WatchMessageFrom<'viewer'>): void;
  /** Like `Inbox.next`; also fails if the run has ended and no such message arrives soon after. */
  next<T extends Shown['type']>(type: T, test?: (message: ShownOf<T>) => boolean): Promise<ShownOf<T>>;
}

/** Everything else about a run that has ended is shown within this number of progress reports. */
const reportsAfterEnd = 15;

/** @param tokens sent in the viewer's `hello` */
export async function openViewer(
  ws: string,
  options: ConstructorParameters<typeof WebSocket>[2] = {},
  tokens: Omit<WatchMessageOf<'hello'>, 'type'> = {},
): Promise<TestViewer> {
  const socket = new WebSocket(`${ws}${watchPath}`, watchSubprotocol, options);
  let reportsOfEnd = 0;
  const inbox = new Inbox<Shown>(socket, (frame) => {
    const message = decodeWatch(frame, 'coordinator');
    if (message.type === 'progress' && (message.phase === 'finished' || message.phase === 'failed')) reportsOfEnd++;
    return message;
  });
  await once(socket, 'open');
  // The viewer's place has been decided once it is answered.
  const answered = Promise.race([once(socket, 'message'), inbox.closed]);
  socket.send(encodeWatch({ type: 'hello', ...tokens }));
  await answered;
  return {
    socket,
    received: inbox.received,
    closed: inbox.closed,
    send: (message) => socket.send(encodeWatch(message)),
    next(type, test) {
      const lastReport = reportsOfEnd + reportsAfterEnd;
      return inbox.next(type, test, () => reportsOfEnd >= lastReport);
    },
  };
}
