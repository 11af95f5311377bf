/** The figures of a run for Prometheus. */

import type { CoordinatorState, Run } from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import type { Counter, Gauge, Registry } from 'prom-client';
import type { Dashboard } from '../dashboard/dashboard.ts';
import type { RunRecord } from '../record/recorder.ts';
import type { TurnedAway } from '../report/turned-away.ts';
import type { Traffic } from '../run/worker-pool.ts';
import { pacedReading } from './paced-reading.ts';
import type { SiteOptions } from './site.ts';

export interface MetricsSources {
  readonly run: Run;
  readonly record: RunRecord;
  readonly dashboard: Dashboard;
  readonly traffic: () => Traffic;
  readonly turnedAway: () => TurnedAway;
}

/** Opens the registry at the first reading, so that a run that is not measured pays nothing. */
export function createMetrics(sources: MetricsSources): NonNullable<SiteOptions['metrics']> {
  let opened: Promise<Registry> | undefined;
  return pacedReading(async () => {
    opened ??= openRegistry(sources);
    const registry = await opened;
    return { contentType: registry.contentType, text: await registry.metrics() };
  }, systemClock);
}

type Phase = CoordinatorState['phase'];
const runPhases: readonly Phase[] = ['waiting', 'training', 'paused', 'finished', 'failed'];
const workerPhases = ['handshake', 'checking', 'ready'] as const;

async function openRegistry({ run, record, dashboard, traffic, turnedAway }: MetricsSources): Promise<Registry> {
  const { Counter, collectDefaultMetrics, Gauge, Registry } = await import('prom-client');
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  type Read = () => number | [label: string, value: number][];
  /** Both kinds are read from the run at each collection: reset to 0, then raised to the value. */
  const define = (Kind: typeof Gauge | typeof Counter, name: string, help: string, read: Read, label?: string) => {
    const collect = function (this: Gauge | Counter): void {
      this.reset();
      const values = read();
      if (typeof values === 'number') this.inc(values);
      else for (const [labelValue, value] of values) this.inc({ [label!]: labelValue }, value);
    };
    new Kind({ name, help, labelNames: label === undefined ? [] : [label], registers: [registry], collect });
  };

  const phases: Read = () => runPhases.map((phase) => [phase, run.state.phase === phase ? 1 : 0]);
  define(Gauge, 'lockstep_run_phase', '1 for the phase that the run is in', phases, 'phase');
  define(Gauge, 'lockstep_step', 'Steps taken', () => run.state.current.step);
  define(Gauge, 'lockstep_steps', 'Steps of the whole run', () => run.state.setup.plan.steps);
  define(Gauge, 'lockstep_train_loss', 'Smoothed training loss', () => record.loss ?? Number.NaN);
  const workers: Read = () => {
    const connections = [...run.state.connections.values()];
    return workerPhases.map((phase) => [phase, connections.filter((each) => each.phase === phase).length]);
  };
  define(Gauge, 'lockstep_workers', 'Connected workers', workers, 'phase');
  define(Gauge, 'lockstep_viewers', 'Connected viewers', () => dashboard.figures.viewers);
  const queued: Read = () => dashboard.figures.queuedBytes;
  define(Gauge, 'lockstep_viewers_queued_bytes', 'Bytes that wait for viewers', queued);
  define(Counter, 'lockstep_images_total', 'Images trained on', () => record.samplesSoFar);
  const faults: Read = () => Object.entries(run.state.faults);
  define(Counter, 'lockstep_faults_total', 'Faults that the run recovered from', faults, 'kind');
  const turned: Read = () => Object.entries(turnedAway());
  define(Counter, 'lockstep_turned_away_total', 'Connections and tokens that were turned away', turned, 'reason');
  const bytes: Read = () => [
    ['sent', traffic().bytesSent],
    ['received', traffic().bytesReceived],
  ];
  define(Counter, 'lockstep_wire_bytes_total', 'Bytes over the sockets of workers', bytes, 'direction');
  return registry;
}
