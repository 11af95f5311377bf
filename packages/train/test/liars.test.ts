/** Liars over real sockets: sessions in this process whose results are wrong on purpose, next to honest ones. */
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { type Compute, createLocalCompute, type ShardGradient } from '@lockstep/compute';
import { memoryPair, subprotocol, type WorkerTransport, webSocketTransport } from '@lockstep/protocol';
import { isHostBackend, openBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/worker';
import { Membership, type MembershipEnd } from '@lockstep/worker/internal';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Lie, lies } from '../../sim/src/simulated-worker.ts';
import type { RunOutcome } from '../src/coordinator/run-options.ts';
import { type TrainOptions, train } from '../src/index.ts';
import { newSha256, sha256 } from '../src/node/sha256.ts';
import type { Report } from '../src/record/report.ts';
import { Relay } from '../src/relay/relay-core.ts';
import { temporaryFolder } from './folder.ts';
import { openTestServer } from './test-server.ts';
import { tinyFiles, writeFolder } from './tiny-data.ts';
import { tinyData, tinyModel } from './tiny-dataset.ts';

/** Four microbatches per step, so that each of three workers has a share. */
const steps: TrainOptions = { batch: 64, microbatch: 16, epochs: 500, steps: 100, listen: {} };
const small: TrainOptions = { ...steps, data: tinyData, model: tinyModel };
/** Steps long enough for a worker to join or answer late. */
const large: TrainOptions = { ...steps, data: await writeFolder(temporaryFolder(), 'tiny', tinyFiles()) };
const weightsOf = async ({ listen: _, ...alone }: TrainOptions): Promise<string> =>
  (await train({ ...alone, threads: 1 }).result).report.weightsSha256;
const expected = { small: await weightsOf(small), large: await weightsOf(large) };
const { backend } = await openBackend('auto');

type LieContext = Parameters<(typeof lies)['older-step']>[1];
type Change = (truth: ShardGradient, context: LieContext) => ShardGradient | Promise<ShardGradient>;

interface Habit {
  /** Milliseconds by which its first results are late. */
  readonly lateMs?: () => number;
  /** Whether it claims to take no time, in the numerics check and after it. */
  readonly boasts?: boolean;
}

/** Number of late results: a worker that is always late gets no further task. */
const lateResults = 4;

/** A worker in this process that answers the numerics check correctly, and every task with a changed result. */
function joinWorker(
  url: string,
  name: string,
  change: Change = (truth) => truth,
  { lateMs, boasts = false }: Habit = {},
): Promise<MembershipEnd> {
  let results = 0;
  const honest = createLocalCompute(backend, systemClock);
  let before: ShardGradient | undefined;
  let [weights, olderWeights] = [new Uint8Array(), new Uint8Array()];
  const setWeights = (bytes: Uint8Array): void => {
    [weights, olderWeights] = [bytes.slice(), weights];
    honest.setWeights(bytes);
  };
  const gradient: Compute['gradient'] = async (pixels, labels, options) => {
    const honestly = await honest.gradient(pixels, labels, options);
    const truth = boasts ? { ...honestly, computeMs: 0.001 } : honestly;
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
    results += 1;
    if (lateMs && results <= lateResults) await setTimeout(lateMs());
    return result;
  };
  const membership = new Membership({
    connect: () => connect(url),
    compute: { ...honest, setWeights, gradient },
    identity: { kind: 'node', name },
    clock: systemClock,
    hash: sha256,
    random: Math.random,
  });
  return membership.ended;
}

async function connect(url: string): Promise<WorkerTransport> {
  const socket = new WebSocket(url, subprotocol);
  await once(socket, 'open');
  return webSocketTransport(socket, { side: 'worker', remote: url, maxFrameBytes: 2 ** 24 });
}

/** A relay in this process with an honest worker behind it, which changes each sum that it sends on. */
function joinLyingRelay(url: string, name: string, change: Change): Promise<MembershipEnd> {
  if (!isHostBackend(backend)) throw new Error('expected a backend in memory that JavaScript sees');
  const identity = { clock: systemClock, random: Math.random };
  const liar = new Relay({
    ...{ ...identity, name, backend, newHash: newSha256, verifySalt: 1, newResumeKey: () => `${Math.random()}` },
    connect: () => connect(url),
    onRun(run) {
      const honest = run.gradient.bind(run);
      const withOlderWeights = () => Promise.reject(new Error('expected another lie'));
      run.gradient = async (...shard) => change(await honest(...shard), { before: undefined, withOlderWeights });
    },
  });
  const worker = new Membership({
    ...identity,
    hash: sha256,
    compute: createLocalCompute(backend, systemClock),
    identity: { kind: 'node', name: 'behind' },
    connect: async () => {
      const pair = memoryPair({ encode: true, schedule: setImmediate });
      liar.accept(pair.coordinator, 'memory');
      return pair.worker;
    },
  });
  return liar.ended.finally(() => worker.leave('its relay has ended'));
}

interface Ended {
  readonly outcome: RunOutcome;
  readonly report: Report;
  readonly ends: readonly MembershipEnd[];
}

const joinHonest = (url: string): Promise<MembershipEnd>[] => [1, 2].map((index) => joinWorker(url, `honest-${index}`));

/** Runs two honest workers next to liars. */
async function runWithLiars(verifyRate: number, changes: readonly Change[]): Promise<Ended> {
  const server = await openTestServer({ args: { ...small, verifyRate }, startWorkers: 2 + changes.length });
  const honest = joinHonest(server.url);
  try {
    const liars = changes.map((change, index) => joinWorker(server.url, `liar-${index + 1}`, change));
    const outcome = await server.outcome;
    const ends = await Promise.all(liars);
    await Promise.all(honest);
    return { outcome, report: server.report(), ends };
  } finally {
    await server.close();
  }
}

const named = ({ workers }: Report, prefix: string) => workers.filter(({ name }) => name.startsWith(prefix));

/** Expects the weights of a run without liars; the run claims so if no liar's result was added. */
function expectHonestRun({ outcome, report }: Ended): void {
  expect(outcome).toEqual({ type: 'finished' });
  const hadLiar = named(report, 'liar').some(({ shards, quarantined }) => shards > 0 && quarantined !== undefined);
  const exactness = hadLiar ? 'unverified' : 'bit-exact';
  expect(report).toMatchObject({ weightsSha256: expected.small, exactness });
  expect(named(report, 'honest').map(({ quarantined }) => quarantined)).toEqual([undefined, undefined]);
}

const wrongResults = Object.keys(lies).filter((lie) => lie !== 'no-answer' && lie !== 'non-finite') as Lie[];

describe('one liar among three workers', () => {
  it.each(wrongResults)('changes no bit where every shard is verified, and is found: %s', async (lie) => {
    const ended = await runWithLiars(1, [lies[lie]]);
    expectHonestRun(ended);
    expect(ended.ends).toMatchObject([{ type: 'refused', message: expect.stringContaining('was wrong') }]);
    const [liar] = named(ended.report, 'liar');
    expect(liar?.quarantined).toMatch(/^its result for step \d+, microbatches \d+ to \d+, was wrong$/);
    // Before it has computed a shard, it has no other shard's result to send.
    expect(liar?.shards).toBeLessThanOrEqual(lie === 'other-shard' ? 1 : 0);
    expect(ended.report.faults.quarantined).toBe(1);
  });

  it('whose results would ruin the weights at once is found by their size, at any rate above 0', async () => {
    const huge: Change = (truth) => {
      const gradient = new Float32Array(truth.gradient.slice().buffer).map((value) => 1e20 * value);
      return { ...truth, gradient: new Uint8Array(gradient.buffer) };
    };
    const ended = await runWithLiars(0.0001, [huge]);
    expectHonestRun(ended);
    expect(ended.report.faults.quarantined).toBe(1);
  });
});

/** Rounds of each race; more rounds reveal more. */
const rounds = Number(process.env['LOCKSTEP_LIAR_ROUNDS'] ?? 1);
const flip: Change = (truth) => lies.sign(truth);
const between = (least: number, most: number) => (): number => least + (most - least) * Math.random();
/** Name, step at which it joins, and the liar. */
const alwaysLying: [string, number, (url: string) => Promise<MembershipEnd>][] = [
  ['that joins at step 60 and is late', 60, (url) => joinWorker(url, 'liar', flip, { lateMs: between(40, 200) })],
  ['that joins at step 60 and boasts', 60, (url) => joinWorker(url, 'liar', flip, { boasts: true })],
  ['that lies from the first step', 0, (url) => joinWorker(url, 'liar', flip)],
  ['that is a relay from the first step', 0, (url) => joinLyingRelay(url, 'liar', flip)],
];

describe('a worker none of whose results is right,', () => {
  it.each(alwaysLying)('%s, adds nothing to a run at the default rate of checks', async (_, atStep, joinRun) => {
    for (let round = 0; round < rounds; round++) {
      let liar: Promise<MembershipEnd> | undefined;
      const server = await openTestServer({
        args: large,
        startWorkers: atStep > 0 ? 2 : 3,
        onStep: ({ step }) => {
          if (step + 1 === atStep) liar = joinRun(server.url);
        },
      });
      if (atStep === 0) liar = joinRun(server.url);
      const honest = joinHonest(server.url);
      try {
        const outcome = await server.outcome;
        await Promise.all(honest);
        const report = server.report();
        expect(outcome).toEqual({ type: 'finished' });
        expect(named(report, 'liar').map(({ shards }) => shards)).toEqual([0]);
        expect(report).toMatchObject({ weightsSha256: expected.large, exactness: 'bit-exact' });
        expect(named(report, 'honest').map(({ quarantined }) => quarantined)).toEqual([undefined, undefined]);
      } finally {
        await server.close();
        await liar;
      }
    }
  });
});

describe('four workers that claim non-finite results', () => {
  it('neither end the run nor change a bit', async () => {
    const ended = await runWithLiars(
      0,
      Array.from({ length: 4 }, () => lies['non-finite']),
    );
    expectHonestRun(ended);
  });
});
