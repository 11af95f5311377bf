import { type CoordinatorState, defaultLimits, planRun } from '@lockstep/rules';
import { describe, expect, it } from 'vitest';
import { workerTable } from '../src/dashboard/messages.ts';

const emptyState: CoordinatorState = {
  setup: {
    plan: planRun({ samples: 64, batch: 16, epochs: 1 }),
    model: {},
    format: { sampleType: 'u8', sampleShape: [1], targetType: 'classes' },
    seed: 1,
    limits: defaultLimits,
    startWorkers: 1,
    startWithinMs: 1,
  },
  handled: 0,
  phase: 'waiting',
  pauseRequested: false,
  startRequested: false,
  lookedAtMs: 0,
  patience: 1,
  addresses: new Map(),
  connections: new Map(),
  records: new Map(),
  joined: 0,
  current: { step: 0, shards: new Map() },
  faults: { reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0, quarantined: 0 },
  contributed: [],
  checked: { shards: 0, of: 0 },
};

describe('the table of workers', () => {
  it('has connected workers, then those that left, no more than a message holds', () => {
    const ids = Array.from({ length: 400 }, (_, index) => `w${index + 1}`);
    const record = (id: string, index: number) => ({
      id,
      resumeKey: `secret-${id}`,
      name: `name ${id}`,
      kind: 'node' as const,
      backend: 'cpu',
      numericMode: 'a',
      threads: 1,
      shards: 1,
      samples: 10,
      computeMs: 1,
      readyMs: 1,
      leftAtMs: index % 10 === 0 ? index : undefined,
    });
    const present = ids.filter((_, index) => index % 10 !== 0);
    const rows = workerTable(
      {
        ...emptyState,
        phase: 'training',
        connections: new Map(
          present.map((workerId, connection) => [
            connection,
            {
              connection,
              phase: 'ready',
              resumeKey: '',
              workerId,
              address: '',
              isOwn: false,
              confirmed: 1,
              isProven: true,
              isDoubted: false,
              phaseAtMs: 0,
              lastReceivedAtMs: 0,
              receivedBytes: 0,
              delivered: { bytes: 0, atMs: 0 },
              transferCreditMs: 0,
              link: { networkMs: 0, results: 0, slownessReported: false },
              pingedAtMs: 0,
              readyAtMs: 0,
              hasBeenReady: true,
              overheadMs: 0,
              nextTrialAtMs: 0,
              newestResult: -1,
              samplesPerMs: 2,
              weightsStep: 0,
              cachesSamples: false,
              answerByMs: connection === 0 ? 5 : undefined,
              hidden: connection === 1,
              taskErrors: 0,
            },
          ]),
        ),
        records: new Map(ids.map((id, index) => [id, record(id, index)])),
        joined: 400,
      },
      () => ({ computeMs: 1, sendMs: 2, waitMs: 3 }),
    );
    expect(rows).toHaveLength(256 + 20);
    expect(rows[0]).toMatchObject({ id: 'w2', health: 'late', share: 10 / 4000, samplesPerSecond: 2000, sendMs: 2 });
    expect(rows[1]).toMatchObject({ id: 'w3', health: 'idle', idle: 'outnumbered', hidden: true });
    // The worker that left last comes first.
    expect(rows[256]).toMatchObject({ id: 'w391', health: 'gone', phase: 'gone', samplesPerSecond: 0 });
    expect(JSON.stringify(rows)).not.toContain('secret');
  });

  it('tells those that stayed to the end of the run from those that left before, also where they computed nothing', () => {
    const left = (id: string, shards: number, leftAtMs: number) => ({
      ...{ id, resumeKey: '', name: id, kind: 'browser' as const, backend: 'cpu', numericMode: 'a', threads: 1 },
      ...{ shards, samples: 10 * shards, computeMs: 1, readyMs: 1, leftAtMs },
    });
    const records = [left('early', 3, 400), left('idle', 0, 500), left('busy', 2, 500), left('brief', 0, 300)];
    const rows = workerTable(
      {
        ...emptyState,
        phase: 'finished',
        endedAtMs: 500,
        records: new Map(records.map((record) => [record.id, record])),
      },
      () => ({ computeMs: 0, sendMs: 0, waitMs: 0 }),
    );
    expect(rows.map(({ id, health }) => `${id} ${health}`)).toEqual(['idle finished', 'busy finished', 'early gone']);
  });
});
