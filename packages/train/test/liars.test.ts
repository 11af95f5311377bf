/** Liars over real sockets, next to honest workers; the simulator plays every lie, rate and habit. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join as pathOf } from 'node:path';
import { createLocalCompute, type ShardGradient } from '@lockstep/compute';
import { memoryPair, subprotocol, type WorkerTransport, webSocketTransport } from '@lockstep/protocol';
import { newSha256, sha256 } from '@lockstep/record/node';
import { Relay } from '@lockstep/relay';
import { openBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/worker';
import { Membership, type MembershipEnd } from '@lockstep/worker/internal';
import { expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { readTranscript } from '../../audit/src/read-transcript.ts';
import { hostBackend } from '../../compute/test/support.ts';
import { openServer } from '../../server/test/dashboard-server.ts';
import { lies } from '../../sim/src/simulated-worker.ts';
import { audit, type Finding } from '../src/index.ts';
import { temporaryFolder } from './folder.ts';
import { hashAlone, openRun, tiny } from './open-run.ts';

/** Four microbatches per step, for three workers; those without a share have a turn in each epoch of two steps. */
const options = { ...tiny, batch: 64, microbatch: 16, epochs: 500, steps: 400 };
const honestHash = await hashAlone({ ...options, threads: 1 });
const { backend } = await openBackend('auto');
const folder = temporaryFolder();
const place = (name: string): string => pathOf(folder, name);
const shared = { clock: systemClock, random: Math.random };

type Change = (truth: ShardGradient) => ShardGradient;

async function connect(url: string): Promise<WorkerTransport> {
  const socket = new WebSocket(url, subprotocol);
  await once(socket, 'open');
  return webSocketTransport(socket, { side: 'worker', remote: url, maxFrameBytes: 2 ** 24 });
}

/** A worker in this process that answers the numerics check correctly, and every task with a changed result. */
function joinWorker(url: string, name: string, change: Change = (truth) => truth): Promise<MembershipEnd> {
  const honest = createLocalCompute(backend, systemClock);
  const gradient: typeof honest.gradient = async (samples, targets, given) => {
    const truth = await honest.gradient(samples, targets, given);
    return given?.key === undefined ? truth : change({ ...truth, gradient: truth.gradient.slice() });
  };
  const identity = { kind: 'node', name } as const;
  const compute = { ...honest, gradient };
  return new Membership({ ...shared, hash: sha256, compute, identity, connect: () => connect(url) }).ended;
}

/** A relay in this process with an honest worker behind it, which changes each sum that it sends on. */
async function joinRelay(url: string, name: string, change: Change): Promise<MembershipEnd> {
  const relay = new Relay({
    ...{ ...shared, name, backend: await hostBackend('cpu'), newHash: newSha256, verifySalt: 1 },
    newResumeKey: () => `${Math.random()}`,
    connect: () => connect(url),
    onRun(run) {
      const honest = run.gradient.bind(run);
      run.gradient = async (...shard) => change(await honest(...shard));
    },
  });
  const worker = new Membership({
    ...{ ...shared, hash: sha256, compute: createLocalCompute(backend, systemClock) },
    identity: { kind: 'node', name: 'behind' },
    connect: async () => {
      const pair = memoryPair({ encode: true, schedule: setImmediate });
      relay.accept(pair.coordinator, 'memory');
      return pair.worker;
    },
  });
  return relay.ended.finally(() => worker.leave('its relay has ended'));
}

/** Lies after ten right results, when it has been proven, and some results were not checked. */
function later(lie: Change): Change {
  let results = 0;
  return (truth) => (++results <= 10 ? truth : lie(truth));
}

const huge: Change = (truth) => {
  const gradient = new Float32Array(truth.gradient.slice().buffer).map((value) => 1e20 * value);
  return { ...truth, gradient: new Uint8Array(gradient.buffer) };
};

interface Row {
  readonly what: string;
  readonly join?: (url: string, name: string, change: Change) => Promise<MembershipEnd>;
  /** Returns the change of each liar's results. */
  readonly change: () => Change;
  readonly liars?: number;
  readonly verifyRate?: number;
  /** Whether results of the liars count before they are caught. */
  readonly goesBack?: boolean;
}

it.each<Row>([
  { what: 'a worker whose results are all wrong', change: () => lies.sign },
  { what: 'a relay whose results are all wrong', join: joinRelay, change: () => lies.sign },
  { what: 'a worker whose results become huge', change: () => later(huge), goesBack: true },
  {
    what: 'a worker that begins to change one bit',
    change: () => later(lies['one-bit']),
    goesBack: true,
    verifyRate: 0.25,
  },
  {
    what: 'a worker that begins to tell a wrong loss',
    change: () => later(lies.loss),
    goesBack: true,
    verifyRate: 0.25,
  },
  {
    what: 'a relay that begins to lie',
    join: joinRelay,
    change: () => later(lies.scaled),
    goesBack: true,
    verifyRate: 0.25,
  },
  {
    what: 'two that begin to tell the same lie',
    change: () => later(lies.sign),
    liars: 2,
    goesBack: true,
    verifyRate: 0.25,
  },
])(
  '$what: refused, and no bit changes',
  async ({ join = joinWorker, change, liars = 1, verifyRate = 0.0001, goesBack = false }) => {
    const server = await openServer({
      args: { ...options, listen: { port: 0 }, expect: 2 + liars, verifyRate },
      startWorkers: 2 + liars,
    });
    try {
      const honest = [1, 2].map((index) => joinWorker(server.ws, `honest-${index}`));
      const lying = Array.from({ length: liars }, (_, index) => join(server.ws, `liar-${index + 1}`, change()));
      expect(await server.run.outcome).toEqual({ type: 'finished' });
      for (const liar of lying) {
        expect(await liar).toMatchObject({ type: 'refused', message: expect.stringContaining('was wrong') });
      }
      await Promise.all(honest);
      const { workers, weightsSha256, rewinds, ...report } = server.report();
      expect(report).toMatchObject({ exactness: 'bit-exact', faults: { quarantined: liars } });
      expect(weightsSha256).toBe(honestHash);
      const found = workers.filter(({ quarantined }) => quarantined !== undefined);
      expect(found.map(({ name }) => name).sort()).toEqual(lying.map((_, index) => `liar-${index + 1}`));
      const wrong = /^its result for step \d+, (microbatch \d+|microbatches \d+ to \d+), was wrong$/;
      for (const { quarantined, shards } of found) {
        expect(quarantined).toMatch(wrong);
        expect(shards > 0).toBe(goesBack);
      }
      expect(rewinds.length > 0).toBe(goesBack);
      for (const { worker, fromStep, toStep } of rewinds) {
        expect(found.map(({ id }) => id)).toContain(worker);
        expect(fromStep).toBeGreaterThan(toStep);
      }
    } finally {
      await server.close();
    }
  },
);

/** Changes one bit of one value, in its eleventh result. */
function oneBitOnce(): Change {
  let results = 0;
  return (truth) => {
    if (++results !== 11) return truth;
    const gradient = Uint8Array.from(truth.gradient);
    gradient[gradient.length - 1]! ^= 4;
    return { ...truth, gradient };
  };
}

it.each([
  { what: 'a worker', join: joinWorker, name: /^w\d liar$/ },
  { what: 'a relay', join: joinRelay, name: /^w\d liar, a relay that answers for its workers$/ },
])('an audit names $what that lied once and that no check has found', async ({ join, name }) => {
  const file = place(`${join.name}.transcript`);
  const { run, url } = await openRun({
    ...{ ...options, steps: 200, expect: 3, verifyRate: 0, transcript: file },
    listen: { waitForStart: true },
  });
  const honest = [1, 2].map((index) => joinWorker(url, `honest-${index}`));
  const liar = join(url, 'liar', oneBitOnce());
  let joined = 0;
  for await (const { type } of run) {
    if (type === 'joined' && ++joined === 3) run.start();
  }
  const { report } = await run.result;
  await Promise.all([...honest, liar]);
  const hashOfSteps = await hashAlone({ ...options, steps: 200, threads: 1 });
  const { isRight, finding } = await audit(readFileSync(file), { data: tiny.data });
  // A second worker may have computed the same shard: then the lie was found, and was not added.
  expect(isRight).toBe(report.weightsSha256 === hashOfSteps);
  if (isRight) return;
  expect(finding).toMatchObject({ type: 'results', isStateRight: false });
  const { shards } = finding as Extract<Finding, { type: 'results' }>;
  expect(shards).toEqual([{ lo: expect.any(Number), n: expect.any(Number), worker: expect.stringMatching(name) }]);
});

it('an audit finds nothing wrong in a run that went back, and only the steps that stand', async () => {
  const file = place('rewound.transcript');
  const { run, url } = await openRun({
    ...{ ...options, expect: 3, verifyRate: 0.25, transcript: file },
    listen: { waitForStart: true },
  });
  const all = [joinWorker(url, 'honest-1'), joinWorker(url, 'honest-2'), joinWorker(url, 'liar', later(lies.sign))];
  let joined = 0;
  for await (const { type } of run) {
    if (type === 'joined' && ++joined === 3) run.start();
  }
  const { report } = await run.result;
  await Promise.all(all);
  expect(report).toMatchObject({ exactness: 'bit-exact', weightsSha256: honestHash });
  expect(report.rewinds).toHaveLength(1);
  const { backs, steps, end } = readTranscript(readFileSync(file));
  expect(backs).toMatchObject([{ to: report.rewinds[0]!.toStep, cause: 'rewound' }]);
  expect([steps.length, end?.weightsSha256]).toEqual([400, report.weightsSha256]);
  expect(await audit(readFileSync(file), { data: tiny.data })).toMatchObject({ isRight: true });
});
