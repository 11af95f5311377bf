/** Throughput of a browser's NATS client over the server's WebSocket: vectors of a step, as a tab would get them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findChromium, inChromium, openBuiltPage } from '@lockstep/chromium';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Received } from '../page/page.ts';
import { hasNatsServer, type NatsServer, startNatsServer } from './nats-server.ts';

const executablePath = findChromium();
const root = fileURLToPath(new URL('../page', import.meta.url));
const [messages, bytes] = [300, 400_000];
const answerWithinMs = 120_000;
const name = hasNatsServer ? inChromium('a tab on NATS') : 'a tab on NATS (skipped: no nats-server)';

declare const window: {
  listen(url: string, subject: string): Promise<void>;
  receive(messages: number): Promise<Received>;
};

describe.skipIf(!hasNatsServer || executablePath === undefined)(name, () => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-tab-'));
  let server: NatsServer;
  let url: string;

  beforeAll(async () => {
    const config = join(folder, 'server.conf');
    writeFileSync(config, 'listen: "127.0.0.1:-1"\nwebsocket { listen: "127.0.0.1:-1", no_tls: true }\n');
    server = await startNatsServer({ args: ['--config', config] });
    [, url = ''] = await server.logged(/Listening for websocket clients on (ws:\S+)/);
  });
  afterAll(async () => {
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** @param onTheirWay most unanswered messages in flight @returns the messages that the tab got, in order */
  const send = async (onTheirWay: number): Promise<Received> => {
    const tab = await openBuiltPage({ root, executablePath: executablePath! });
    const publisher = await connect({ servers: server.url.replace('nats://', '') });
    try {
      await tab.page.evaluate(([address, subject]) => window.listen(address, subject), [url, 'weights'] as const);
      const got = tab.page.evaluate((count) => window.receive(count), messages);
      const unanswered: Promise<unknown>[] = [];
      for (let number = 0; number < messages; number++) {
        if (unanswered.length >= onTheirWay) await unanswered.shift();
        const data = new Uint8Array(bytes).fill(number % 251);
        // A tab that was cut off does not answer.
        unanswered.push(publisher.request('weights', data, { timeout: answerWithinMs }).catch(() => {}));
      }
      expect(await got).toMatchObject({ wrong: 0 });
      expect(tab.errors).toEqual([]);
      return await got;
    } finally {
      await publisher.close();
      await tab.close();
    }
  };

  it(`gets ${messages} messages of ${bytes / 1000} KB whose pace it sets by its answers`, async () => {
    expect(await send(8)).toEqual({ messages, bytes: messages * bytes, wrong: 0, trouble: [] });
  });

  it('is cut off by the server, and by nothing else, where it is sent more than it takes', async () => {
    const { messages: got, trouble } = await send(messages);
    if (got === messages) expect(trouble).toEqual([]);
    else expect(await server.logged(/Slow Consumer Detected: .*/)).toBeTruthy();
  });
});
