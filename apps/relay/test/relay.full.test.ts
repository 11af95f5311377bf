/** `kill -9` of relays, and of workers behind them, as processes. */
import { describe, expect, it } from 'vitest';
import { openServer } from '../../../packages/server/test/dashboard-server.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { runToReport, startWorker } from '../../coordinator/test/processes.ts';
import { type Relayed, relayWithWorkers } from './relayed.ts';

const folder = temporaryFolder();
const steps = ['--steps', '120'];

const oracle = async (...args: readonly string[]): Promise<string> =>
  (await runToReport(folder, [...steps, '--single', ...args])).report.weightsSha256;

describe('kill -9', () => {
  it('of one of two relays in the middle of a step changes no bit, and its workers go on at the coordinator', async () => {
    const relayed: Relayed[] = [];
    const augmented = ['--augment', 'shift'];
    const server = await openServer({
      args: [...steps, ...augmented],
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
    expect(report.weightsSha256).toBe(await oracle(...augmented));
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
    const server = await openServer({ args: steps, startWorkers: 1 });
    const { relay, workers } = await relayWithWorkers(server, 'relay');
    await server.ready(1);
    server.run.control('pause');
    for (const worker of workers) worker.kill('SIGKILL');
    await relay.printed(/waiting for workers[\s\S]*waiting for workers/);
    startWorker(['--url', server.ws, '--name', 'direct']);
    server.run.control('resume');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    expect(server.report().weightsSha256).toBe(await oracle());
    await server.close();
  });
});
