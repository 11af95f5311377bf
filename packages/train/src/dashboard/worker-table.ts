/** The table of workers as viewers see it. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { type Connection, type CoordinatorState, idleReasonOf, type WorkerRecord } from '@lockstep/training';
import type { MeanTimes } from '../record/step-timing.ts';

type Row = WatchMessageOf<'workers'>['workers'][number];

/** Bounds of the table, so that it fits into a message. */
const maxPresent = 256;
const maxGone = 20;

/** Workers that are connected or stayed to the end, then those that computed something and left, the last to leave first. */
export function workerTable(state: CoordinatorState, averagesOf: (workerId: string) => MeanTimes): Row[] {
  const connections = new Map<string, Connection>();
  for (const connection of state.connections.values()) {
    if (connection.workerId !== undefined) connections.set(connection.workerId, connection);
  }
  const records = [...state.records.values()];
  const total = records.reduce((sum, { samples }) => sum + samples, 0);
  const present = records.filter(({ id }) => connections.has(id)).slice(0, maxPresent);
  const left = records.filter(({ id }) => !connections.has(id));
  const finished = left.filter(({ leftAtMs }) => stayed(state, leftAtMs)).slice(0, maxPresent);
  const gone = left
    .filter(({ shards, leftAtMs }) => shards > 0 && !stayed(state, leftAtMs))
    .sort((a, b) => (b.leftAtMs ?? 0) - (a.leftAtMs ?? 0))
    .slice(0, maxGone);
  return [...present, ...finished, ...gone].map((record) => {
    const connection = connections.get(record.id);
    const times = averagesOf(record.id);
    return { ...rowOf(record, connection, total, times), ...healthOf(state, record, connection) };
  });
}

function rowOf(record: WorkerRecord, connection: Connection | undefined, total: number, times: MeanTimes) {
  const { id, name, kind, backend, threads, shards, samples, workersBehind } = record;
  return {
    id,
    name,
    kind,
    backend,
    threads,
    phase: connection?.phase ?? ('gone' as const),
    hidden: connection?.hidden ?? false,
    ...(workersBehind === undefined ? {} : { workersBehind }),
    share: total > 0 ? samples / total : 0,
    shards,
    samples,
    ...times,
    samplesPerSecond: (connection?.samplesPerMs ?? 0) * 1000,
  };
}

function healthOf(
  state: CoordinatorState,
  { leftAtMs }: WorkerRecord,
  connection: Connection | undefined,
): Pick<Row, 'health' | 'idle'> {
  if (!connection) return { health: stayed(state, leftAtMs) ? 'finished' : 'gone' };
  if (connection.answerByMs !== undefined) return { health: 'late' };
  const idle = idleReasonOf(state, connection);
  return idle === undefined ? { health: 'good' } : { health: 'idle', idle };
}

/** Whether a worker's connection was closed by the end of the run. */
function stayed({ endedAtMs }: CoordinatorState, leftAtMs: number | undefined): boolean {
  return endedAtMs !== undefined && leftAtMs === endedAtMs;
}
