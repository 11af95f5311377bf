import { describe, expect, it } from 'vitest';
import { createRoom, type Room } from '../../training/test/room.ts';
import { model, optimizer } from '../../training/test/support.ts';
import { createReport, type ReportOptions } from '../src/report.ts';

function optionsFor(room: Room): ReportOptions {
  return {
    version: '0.1.0',
    config: { seed: 1, samples: 16, batch: 16, microbatchSize: 2, epochs: 1, steps: 1, optimizer, workers: 2 },
    model,
    state: room.state,
    initialLoss: 1.1,
    epochs: [],
    images: 600,
    steps: 1,
    wallSeconds: 2,
    weightsSha256: 'aa',
    wire: { bytesSent: 5, bytesReceived: 6 },
  };
}

describe('the report of a run', () => {
  it('says who did what, how long each waited, and what went wrong, as JSON', () => {
    const room = createRoom({ steps: 1, startWorkers: 3 });
    const [first, second, third] = [
      room.join({ name: 'one' }),
      room.join({ name: 'two' }),
      room.join({ name: 'three' }),
    ];
    room.nowMs += 100;
    room.send({ type: 'closed', connection: third });
    room.nowMs += 100;
    room.answerAll(first, 50);
    room.answerAll(second, 60);
    expect(room.state.phase).toBe('finished');

    const report = createReport(optionsFor(room));
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(report).toMatchObject({
      lockstep: '0.1.0',
      model: { name: 'tiny', parameters: 43 },
      initialLoss: 1.1,
      imagesPerSecond: 300,
      exactness: 'bit-exact',
      faults: { disconnects: 1, duplicated: 0, rejected: 0 },
    });
    expect(report.faults.reassigned).toBeGreaterThan(0);
    expect(report.workers.map(({ id, name }) => [id, name])).toEqual([
      ['w1', 'one'],
      ['w2', 'two'],
      ['w3', 'three'],
    ]);
    expect(report.workers.reduce((sum, { samples }) => sum + samples, 0)).toBe(16);
    for (const { computeMs, waitMs, shards } of report.workers) {
      if (shards > 0) expect(computeMs + waitMs).toBe(200);
      else expect({ computeMs, waitMs }).toEqual({ computeMs: 0, waitMs: 100 });
    }
  });

  it('has null where no first loss was measured, and no rate where no time passed', () => {
    const report = createReport({ ...optionsFor(createRoom()), initialLoss: undefined, wallSeconds: 0 });
    expect(report).toMatchObject({ initialLoss: null, imagesPerSecond: 0 });
  });

  it('holds no secret', () => {
    const room = createRoom({ token: 'the token' });
    const connection = room.open();
    room.hello(connection, { token: 'the token' });
    expect(JSON.stringify(createReport(optionsFor(room)))).not.toMatch(/the token|key-1/);
  });
});
