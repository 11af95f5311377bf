/** Relays and workers as processes, as a user starts them. */
import type { Report } from '@lockstep/train';
import { describe, expect, it } from 'vitest';
import { type DashboardServer, openServer } from '../../../packages/server/test/dashboard-server.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { expectRefused, type Program, runToReport, startRelay, startWorker } from '../../coordinator/test/processes.ts';

const folder = temporaryFolder();
const steps = 120;

const oracleOf = async (...args: readonly string[]): Promise<Report> =>
  (await runToReport(folder, ['--steps', `${steps}`, '--single', '--threads', '1', ...args])).report;

let single: Promise<Report> | undefined;
const oracle = (): Promise<Report> => {
  single ??= oracleOf();
  return single;
};

interface Relayed {
  readonly relay: Program;
  readonly workers: readonly Program[];
}

/** A relay with two workers. */
async function relayWithWorkers({ ws }: DashboardServer, name: string): Promise<Relayed> {
  const relay = startRelay(['--url', ws, '--name', name, '--port', '0']);
  const [, below = ''] = await relay.printed(/--url '?(ws:[^'\s]+)/);
  const workers = [1, 2].map((number) => startWorker(['--url', below, '--name', `${name}-${number}`]));
  return { relay, workers };
}

describe('kill -9', () => {
  it('of one of two relays in the middle of a step changes no bit, and its workers go on at the coordinator', async () => {
    const relayed: Relayed[] = [];
    const augmented = ['--augment', 'shift'];
    const server = await openServer({
      args: ['--steps', `${steps}`, ...augmented],
      startWorkers: 2,
      onStep({ step }) {
        if (step !== 40) return;
        relayed[0]!.relay.kill('SIGKILL');
        server.run.control('pause');
      },
    });
    for (const name of ['left', 'right']) relayed.push(await relayWithWorkers(server, name));
    await relayed[0]!.relay.ended;
    // The other relay, and both workers of the killed one.
    await server.ready(3);
    server.run.control('resume');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    const report = server.report();
    expect(report.weightsSha256).toBe((await oracleOf(...augmented)).weightsSha256);
    expect(report.exactness).toBe('bit-exact');
    expect(report.faults.disconnects).toBe(1);
    const kinds = report.workers.map(({ name, kind }) => [name, kind]);
    expect(kinds.sort()).toEqual([
      ['left', 'relay'],
      ['left-1', 'node'],
      ['left-2', 'node'],
      ['right', 'relay'],
    ]);
    await server.close();
    for (const { workers } of relayed) for (const worker of workers) expect((await worker.ended).code).toBe(0);
    expect((await relayed[1]!.relay.ended).code).toBe(0);
  });

  it('of all workers of a relay: another worker computes, and the relay leaves until it has one again', async () => {
    const server = await openServer({ args: ['--steps', `${steps}`], startWorkers: 1 });
    const { relay, workers } = await relayWithWorkers(server, 'relay');
    await server.ready(1);
    server.run.control('pause');
    for (const worker of workers) worker.kill('SIGKILL');
    await relay.printed(/waiting for workers[\s\S]*waiting for workers/);
    startWorker(['--url', server.ws, '--name', 'direct']);
    server.run.control('resume');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    expect(server.report().weightsSha256).toBe((await oracle()).weightsSha256);
    await server.close();
  });
});

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
    const server = await openServer({ args: ['--steps', `${steps}`], startWorkers: 1 });
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
    expect(server.report().weightsSha256).toBe((await oracle()).weightsSha256);
    await server.close();
  });
});
