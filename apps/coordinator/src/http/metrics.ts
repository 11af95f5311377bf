/** The figures of a run for Prometheus. */
import type { CoordinatorState } from '@lockstep/training';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { DashboardFigures } from '../dashboard/dashboard.ts';
import type { Traffic } from '../worker-pool.ts';

export interface MetricsSource {
  readonly state: () => CoordinatorState;
  readonly traffic: () => Traffic;
  readonly dashboard: () => DashboardFigures;
}

export interface Metrics {
  read(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** Opens the registry at the first reading, so that a run that is not measured pays nothing. */
export function createMetrics(source: MetricsSource): Metrics {
  let registry: Registry | undefined;
  return {
    async read() {
      registry ??= openRegistry(source);
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

type Phase = CoordinatorState['phase'];
const runPhases: readonly Phase[] = ['waiting', 'training', 'paused', 'finished', 'failed'];
const workerPhases = ['handshake', 'checking', 'ready'] as const;

function openRegistry({ state, traffic, dashboard }: MetricsSource): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const number = (Kind: MetricKind, name: string, help: string, value: () => number): void =>
    define(registry, Kind, name, help, [], (metric) => metric.inc(value()));
  const numbers = (Kind: MetricKind, name: string, help: string, label: string, values: () => [string, number][]) =>
    define(registry, Kind, name, help, [label], (metric) => {
      for (const [labelValue, value] of values()) metric.inc({ [label]: labelValue }, value);
    });

  numbers(Gauge, 'lockstep_run_phase', '1 for the phase that the run is in', 'phase', () =>
    runPhases.map((phase) => [phase, state().phase === phase ? 1 : 0]),
  );
  number(Gauge, 'lockstep_step', 'Steps taken', () => state().current.step);
  number(Gauge, 'lockstep_steps', 'Steps of the whole run', () => state().setup.plan.steps);
  number(Gauge, 'lockstep_train_loss', 'Smoothed training loss', () => dashboard().loss ?? Number.NaN);
  numbers(Gauge, 'lockstep_workers', 'Connected workers', 'phase', () => {
    const connections = [...state().connections.values()];
    return workerPhases.map((phase) => [phase, connections.filter((each) => each.phase === phase).length]);
  });
  number(Gauge, 'lockstep_viewers', 'Connected viewers', () => dashboard().viewers);
  number(Gauge, 'lockstep_viewers_queued_bytes', 'Bytes that wait for viewers', () => dashboard().queuedBytes);
  number(Counter, 'lockstep_images_total', 'Images trained on', () => dashboard().images);
  numbers(Counter, 'lockstep_faults_total', 'Faults that the run recovered from', 'kind', () =>
    Object.entries(state().faults),
  );
  numbers(Counter, 'lockstep_wire_bytes_total', 'Bytes over the sockets of workers', 'direction', () => {
    const { bytesSent, bytesReceived } = traffic();
    return [
      ['sent', bytesSent],
      ['received', bytesReceived],
    ];
  });
  return registry;
}

type MetricKind = typeof Gauge | typeof Counter;

/** Both kinds are read from the run at each collection: reset to 0, then raised to the value. */
function define(
  registry: Registry,
  Kind: MetricKind,
  name: string,
  help: string,
  labelNames: string[],
  raise: (metric: Gauge | Counter) => void,
): void {
  new Kind({
    name,
    help,
    labelNames,
    registers: [registry],
    collect(this: Gauge | Counter) {
      this.reset();
      raise(this);
    },
  });
}
