/** Relays and workers as processes, as a user starts them. */
import { describe, expect, it } from 'vitest';
import { openServer } from '../../../packages/server/test/dashboard-server.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { expectRefused, runToReport } from '../../coordinator/test/processes.ts';
import { relayWithWorkers } from './relayed.ts';

const folder = temporaryFolder();
const steps = ['--steps', '120'];

describe('npm run relay', () => {
  const url = ['--url', 'ws://127.0.0.1:1'];

  it.each<[title: string, args: readonly string[], message: RegExp]>([
    ['no address', [], /^relay: --url: expected the address that the coordinator printed/],
    ['another protocol', ['--url', 'ftp://127.0.0.1:7070'], /^relay: --url: expected .*ftp:\/\/127\.0\.0\.1:7070/],
    ['nothing at the address', url, /^relay: --url ws:\/\/127\.0\.0\.1:1\/: nothing answers there/m],
    ['a port beyond the last', [...url, '--port', '70000'], /^relay: --port: expected a whole number/],
    ['too many workers', [...url, '--workers', '1000'], /^relay: --workers: expected a whole number/],
    ['a certificate alone', [...url, '--tls-cert', 'a.pem'], /^relay: --tls-cert: requires --tls-key/],
    ['two tokens', [...url, '--token', 'a', '--token-file', 'b'], /^relay: --token-file: cannot be combined with/],
    [
      'an address as well as a fleet',
      [...url, '--fleet', 'nats://127.0.0.1:1'],
      /^relay: --url: cannot be combined with --fleet/,
    ],
    ['an address to tell without a fleet', [...url, '--announce', 'ws://a:1'], /^relay: --announce: /],
    ['an unknown option', [...url, '--steps', '5'], /^relay: /],
  ])('with %s ends with one sentence and exit code 2', async (_title, args, message) => {
    const port = args.includes('--port') ? [] : ['--port', '0'];
    await expectRefused('relay', [...args, ...port], message);
  });

  it('ends with 130 when it is interrupted, and its worker goes on at the coordinator', async () => {
    const server = await openServer({ args: steps, startWorkers: 1 });
    const { relay, workers } = await relayWithWorkers(server, 'relay');
    // A worker learns the coordinator's address when it joins.
    for (const worker of workers) await worker.printed(/joined as/);
    await server.ready(1);
    server.run.control('pause');
    relay.kill('SIGINT');
    expect((await relay.ended).code).toBe(130);
    await server.ready(2);
    server.run.control('resume');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    const { report: single } = await runToReport(folder, [...steps, '--single']);
    expect(server.report().weightsSha256).toBe(single.weightsSha256);
    await server.close();
  });
});
