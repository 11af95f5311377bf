/** Liars over real sockets: real sessions, whose compute is wrong on purpose, beside honest worker processes. */
import { once } from 'node:events';
import { subprotocol, webSocketTransport } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import {
  type Compute,
  createLocalCompute,
  Membership,
  type MembershipEnd,
  type RunOutcome,
  type ShardGradient,
} from '@lockstep/training';
import { type Lie, lies } from '@lockstep/training/simulator';
import { systemClock } from '@lockstep/worker';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { runToReport, startWorker } from '../../../apps/coordinator/test/processes.ts';
import { sha256 } from '../src/node/sha256.ts';
import type { Report } from '../src/report/report.ts';
import { temporaryFolder } from './folder.ts';
import { openTestServer } from './test-server.ts';
import { tinyArgs } from './tiny-data.ts';

const folder = temporaryFolder();
const [dataOption, data] = (await tinyArgs(folder)) as [string, string];
/** Four microbatches a step, so that each of three workers has a share. */
const args = [dataOption, data, '--batch', '64', '--epochs', '500', '--steps', '100'];
const { report: expected } = await runToReport(folder, [...args, '--single']);
const { backend } = await openBackend('auto');

type LieContext = Parameters<(typeof lies)['older-step']>[1];
type Change = (truth: ShardGradient, context: LieContext) => ShardGradient | Promise<ShardGradient>;

/** A worker in this process; it answers the numerics check rightly, and every task with a changed result. */
function joinLiar(url: string, name: string, change: Change): Promise<MembershipEnd> {
  const honest = createLocalCompute(backend, systemClock);
  let before: ShardGradient | undefined;
  let [weights, olderWeights] = [new Uint8Array(), new Uint8Array()];
  const setWeights = (bytes: Uint8Array): void => {
    [weights, olderWeights] = [bytes.slice(), weights];
    honest.setWeights(bytes);
  };
  const gradient: Compute['gradient'] = async (pixels, labels, options) => {
    const truth = await honest.gradient(pixels, labels, options);
    const key = options?.key;
    if (key === undefined) return truth;
    const withOlderWeights = async (): Promise<ShardGradient> => {
      honest.setWeights(olderWeights);
      const result = await honest.gradient(pixels, labels, { key });
      honest.setWeights(weights);
      return result;
    };
    const result = await change({ ...truth, gradient: truth.gradient.slice() }, { before, withOlderWeights });
    before = { ...truth, gradient: truth.gradient.slice() };
    return result;
  };
  const membership = new Membership({
    connect: async () => {
      const socket = new WebSocket(url, subprotocol);
      await once(socket, 'open');
      return webSocketTransport(socket, { side: 'worker', remote: url, maxFrameBytes: 2 ** 24 });
    },
    compute: { ...honest, setWeights, gradient },
    identity: { kind: 'node', name },
    clock: systemClock,
    hash: sha256,
    random: Math.random,
  });
  return membership.ended;
}

interface Ended {
  readonly outcome: RunOutcome;
  readonly report: Report;
  readonly ends: readonly MembershipEnd[];
}

/** Runs two honest worker processes beside liars. */
async function runWithLiars(options: readonly string[], changes: readonly Change[]): Promise<Ended> {
  const server = await openTestServer({ args: [...args, ...options], startWorkers: 2 + changes.length });
  const honest = [1, 2].map((index) => startWorker(['--url', server.url, '--name', `honest-${index}`]));
  try {
    const liars = changes.map((change, index) => joinLiar(server.url, `liar-${index + 1}`, change));
    const outcome = await server.outcome;
    const ends = await Promise.all(liars);
    await Promise.all(honest.map(({ ended }) => ended));
    return { outcome, report: server.report(), ends };
  } finally {
    await server.close();
  }
}

const named = ({ workers }: Report, prefix: string) => workers.filter(({ name }) => name.startsWith(prefix));

/** The weights are those of a run without liars; the run claims so where no liar's result was added. */
function expectHonestRun({ outcome, report }: Ended): void {
  expect(outcome).toEqual({ type: 'finished' });
  const hadLiar = named(report, 'liar').some(({ shards, quarantined }) => shards > 0 && quarantined !== undefined);
  const exactness = hadLiar ? 'unverified' : 'bit-exact';
  expect(report).toMatchObject({ weightsSha256: expected.weightsSha256, exactness });
  expect(named(report, 'honest').map(({ quarantined }) => quarantined)).toEqual([undefined, undefined]);
}

const wrongResults = Object.keys(lies).filter((lie) => lie !== 'no-answer' && lie !== 'non-finite') as Lie[];

describe('one liar among three workers', () => {
  it.each(wrongResults)('changes no bit where every shard is verified, and is found: %s', async (lie) => {
    const ended = await runWithLiars(['--verify-rate', '1'], [lies[lie]]);
    expectHonestRun(ended);
    expect(ended.ends).toMatchObject([{ type: 'refused', message: expect.stringContaining('was wrong') }]);
    const [liar] = named(ended.report, 'liar');
    expect(liar?.quarantined).toMatch(/^its result of step \d+, microbatches \d+ to \d+, was wrong$/);
    // Before it has computed a shard it has no other shard's result to send.
    expect(liar?.shards).toBeLessThanOrEqual(lie === 'other-shard' ? 1 : 0);
    expect(ended.report.faults.quarantined).toBe(1);
  });

  it('whose results would ruin the weights at once is found by their size, at any rate above 0', async () => {
    const huge: Change = (truth) => {
      const gradient = new Float32Array(truth.gradient.slice().buffer).map((value) => 1e20 * value);
      return { ...truth, gradient: new Uint8Array(gradient.buffer) };
    };
    const ended = await runWithLiars(['--verify-rate', '0.0001'], [huge]);
    expectHonestRun(ended);
    expect(ended.report.faults.quarantined).toBe(1);
  });
});

describe('four workers that claim non-finite results', () => {
  it('neither end the run nor change a bit', async () => {
    const ended = await runWithLiars(
      ['--verify-rate', '0'],
      Array.from({ length: 4 }, () => lies['non-finite']),
    );
    expectHonestRun(ended);
  });
});
