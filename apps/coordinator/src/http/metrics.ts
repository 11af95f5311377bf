/** The figures of a run for Prometheus, read when somebody asks. */
import type { CoordinatorState } from '@lockstep/training';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

export interface MetricsSource {
  readonly state: () => CoordinatorState;
  readonly traffic: () => { readonly bytesSent: number; readonly bytesReceived: number };
  readonly viewers: () => number;
  readonly queuedBytes: () => number;
  readonly loss: () => number | undefined;
  readonly images: () => number;
}

export interface Metrics {
  read(): Promise<{ readonly contentType: string; readonly text: string }>;
}

const phases: readonly CoordinatorState['phase'][] = ['waiting', 'training', 'paused', 'finished', 'failed'];

/** Nothing is counted before the first reading, so a run that nobody measures pays nothing. */
export function createMetrics(source: MetricsSource): Metrics {
  let registry: Registry | undefined;
  return {
    async read() {
      registry ??= openRegistry(source);
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

function openRegistry({ state, traffic, viewers, queuedBytes, loss, images }: MetricsSource): Registry {
  const register = new Registry();
  collectDefaultMetrics({ register });
  const gauge = (name: string, help: string, labelNames: string[], collect: (gauge: Gauge) => void): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [register],
      collect() {
        this.reset();
        collect(this);
      },
    });
  };
  const counter = (name: string, help: string, labelNames: string[], collect: (counter: Counter) => void): void => {
    new Counter({
      name,
      help,
      labelNames,
      registers: [register],
      collect() {
        this.reset();
        collect(this);
      },
    });
  };

  gauge('lockstep_run_phase', '1 for the phase that the run is in', ['phase'], (own) => {
    for (const phase of phases) own.set({ phase }, state().phase === phase ? 1 : 0);
  });
  gauge('lockstep_step', 'Steps taken', [], (own) => own.set(state().current.step));
  gauge('lockstep_steps', 'Steps of the whole run', [], (own) => own.set(state().setup.plan.steps));
  gauge('lockstep_train_loss', 'Smoothed training loss', [], (own) => own.set(loss() ?? Number.NaN));
  gauge('lockstep_workers', 'Connected workers', ['phase'], (own) => {
    const connections = [...state().connections.values()];
    for (const phase of ['handshake', 'checking', 'ready'] as const) {
      own.set({ phase }, connections.filter((connection) => connection.phase === phase).length);
    }
  });
  gauge('lockstep_viewers', 'Connected viewers', [], (own) => own.set(viewers()));
  gauge('lockstep_viewers_queued_bytes', 'Bytes that wait for viewers', [], (own) => own.set(queuedBytes()));
  counter('lockstep_images_total', 'Images trained on', [], (own) => own.inc(images()));
  counter('lockstep_faults_total', 'What went wrong and was made good', ['kind'], (own) => {
    for (const [kind, count] of Object.entries(state().faults)) own.inc({ kind }, count);
  });
  counter('lockstep_wire_bytes_total', 'Bytes over the sockets of workers', ['direction'], (own) => {
    const { bytesSent, bytesReceived } = traffic();
    own.inc({ direction: 'sent' }, bytesSent);
    own.inc({ direction: 'received' }, bytesReceived);
  });
  return register;
}
