import { readFileSync } from 'node:fs';
import { classField, scaledField } from '@lockstep/data';
import { describe, expect, it } from 'vitest';
import { ScriptedCoordinator } from '../../rules/test/scripted-coordinator.ts';
import { model, optimizer } from '../../sim/test/support.ts';
import { TrainingCurve } from '../src/curve.ts';
import type { RunRecord } from '../src/recorder.ts';
import { createReport, type ReportOptions } from '../src/report.ts';
import { StepTiming } from '../src/step-timing.ts';

function recordWith(figures: Partial<RunRecord>): RunRecord {
  const [curve, timing] = [new TrainingCurve(classField), new StepTiming()];
  return { epochs: [], resumedAtSteps: [], rewinds: [], curve, timing, ...figures } as RunRecord;
}

function optionsFor(coordinator: ScriptedCoordinator): ReportOptions {
  return {
    startedAt: '2026-01-02T03:04:05.678Z',
    machine: { runtime: 'Node 20.20.2', system: 'Linux 6.12.1 x64', processor: null, cores: 2 },
    data: { name: 'MNIST', sha256: 'bb' },
    config: {
      data: { sampleField: scaledField([4]), targetField: classField, outputs: 3 },
      seed: 1,
      samples: 16,
      testSamples: 10,
      batch: 16,
      microbatchSize: 2,
      epochs: 1,
      steps: 1,
      optimizer,
      workers: 2,
    },
    model,
    state: coordinator.state,
    record: recordWith({ initialLoss: 1.1, images: 600, steps: 1, seconds: 2 }),
    metrics: null,
    weightsSha256: 'aa',
    wire: { bytesSent: 5, bytesReceived: 6 },
  };
}

describe('the report of a run', () => {
  it('gives each worker’s work and waiting time, and counts faults, as JSON', () => {
    const coordinator = new ScriptedCoordinator({ steps: 1, startWorkers: 3 });
    const [first, second, third] = [
      coordinator.join({ name: 'one' }),
      coordinator.join({ name: 'two' }),
      coordinator.join({ name: 'three' }),
    ];
    coordinator.nowMs += 100;
    coordinator.close(third);
    coordinator.nowMs += 100;
    coordinator.answerAll(first, 50);
    coordinator.answerAll(second, 60);
    expect(coordinator.state.phase).toBe('finished');

    const { version } = JSON.parse(readFileSync(new URL('../../train/package.json', import.meta.url), 'utf8'));
    const report = createReport(optionsFor(coordinator));
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(new Set(Object.values(report.turnedAway))).toEqual(new Set([0]));
    expect(report).toMatchObject({
      lockstep: version,
      model: { name: 'tiny', parameters: 43 },
      initialLoss: 1.1,
      imagesPerSecond: 300,
      exactness: 'bit-exact',
      bitExactAmong: 'cpu',
      verified: null,
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

  it('has null for an initial loss that was not measured, and a rate of 0 if no time passed', () => {
    const record = recordWith({ initialLoss: null, images: 600, seconds: 0 });
    const report = createReport({ ...optionsFor(new ScriptedCoordinator()), record });
    expect(report).toMatchObject({ initialLoss: null, imagesPerSecond: 0 });
  });

  it('contains neither the token nor a resume key', () => {
    const coordinator = new ScriptedCoordinator({ token: 'the token' });
    const connection = coordinator.open();
    coordinator.hello(connection, { token: 'the token' });
    expect(JSON.stringify(createReport(optionsFor(coordinator)))).not.toMatch(/the token|key-1/);
  });
});
