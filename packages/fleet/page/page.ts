/** The page: a NATS client over WebSocket that answers what it gets; driven by the test. */
import { type NatsConnection, wsconnect } from '@nats-io/nats-core';

/** Totals of the messages that the tab has received. */
export interface Received {
  readonly messages: number;
  readonly bytes: number;
  /** Messages whose bytes differ from the bytes sent. */
  readonly wrong: number;
  /** Why the client lost its connection, or was reported as slow. */
  readonly trouble: readonly string[];
}

declare const window: {
  listen?: (url: string, subject: string) => Promise<void>;
  receive?: (messages: number) => Promise<Received>;
};

let connection: NatsConnection | undefined;
let received: Promise<void> | undefined;
let [messages, bytes, wrong, expected] = [0, 0, 0, Number.POSITIVE_INFINITY];
const trouble: string[] = [];

window.listen = async (url, subject) => {
  const opened = await wsconnect({ servers: url, reconnect: false });
  connection = opened;
  void watch(opened);
  const subscription = opened.subscribe(subject);
  await opened.flush();
  received = (async () => {
    for await (const message of subscription) {
      const { data } = message;
      const number = messages;
      messages += 1;
      bytes += data.length;
      // Each message is filled with its own number.
      if (data.some((byte) => byte !== number % 251)) wrong += 1;
      message.respond();
      if (messages >= expected) return;
    }
  })();
};

window.receive = async (count) => {
  expected = count;
  if (messages < count) await Promise.race([received, connection!.closed()]);
  if (messages >= count) await connection!.flush();
  return { messages, bytes, wrong, trouble };
};

async function watch(opened: NatsConnection): Promise<void> {
  void opened.closed().then((error) => trouble.push(`closed: ${error?.message ?? 'without an error'}`));
  for await (const status of opened.status()) {
    if (status.type === 'slowConsumer' || status.type === 'disconnect' || status.type === 'error') {
      trouble.push(status.type);
    }
  }
}
