/** Values of a fleet in a NATS key-value bucket: read and written by coordinators, only read by workers. */
import { randomUUID } from 'node:crypto';
import type { KV } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { type KeyValues, RevisionConflict } from '../store.ts';
import type { Nats } from './load.ts';

export const requestTimeoutMs = 2_000;
/** Subjects that permissions let workers subscribe to. */
const workerInboxes = '_INBOX.worker';
const noRecords = 'its servers have no records, or elect a leader';
const notFound = 404;

export function natsValues({ jetstream, transport }: Nats, bucket: KV): KeyValues {
  const { StreamWrongLastSequence, StreamWrongLastSequenceUnknown } = jetstream.JetStreamApiCodes;
  const conflicts: readonly number[] = [StreamWrongLastSequence, StreamWrongLastSequenceUnknown];
  const guarded = async (key: string, write: () => Promise<number>): Promise<number> => {
    try {
      return await write();
    } catch (error) {
      const isConflict = error instanceof jetstream.JetStreamApiError && conflicts.includes(error.code);
      throw isConflict ? new RevisionConflict(`${key} has another revision`) : error;
    }
  };
  return {
    async get(key) {
      const entry = await bucket.get(key).catch((error: unknown) => {
        throw isWithoutAnswer({ transport }, error) ? new Error(noRecords) : error;
      });
      return entry?.operation === 'PUT' ? { value: entry.string(), revision: entry.revision } : undefined;
    },
    put: (key, value) => bucket.put(key, value),
    create: (key, value) => guarded(key, () => bucket.create(key, value)),
    update: (key, value, revision) => guarded(key, () => bucket.update(key, value, revision)),
  };
}

/**
 * Read-only values for workers. Workers share their credentials and so their inboxes: one could make NATS answer
 * another's request, if it knew the inbox. The client numbers its requests, so each inbox can be guessed from the last.
 * Here each request has a random inbox that nobody sees before its answer.
 */
export function natsReadings(nats: Pick<Nats, 'transport'>, connection: NatsConnection, bucket: string): KeyValues {
  const refuse = (key: string): Promise<never> => Promise.reject(new Error(`${key}: a worker writes nothing`));
  return {
    async get(key) {
      const subject = `$KV.${bucket}.${key}`;
      const options = { timeout: requestTimeoutMs, noMux: true, reply: `${workerInboxes}.${randomUUID()}` };
      const answer = await connection
        .request(`$JS.API.DIRECT.GET.KV_${bucket}.${subject}`, undefined, options)
        .catch((error: unknown) => {
          throw isWithoutAnswer(nats, error) ? new Error(noRecords) : error;
        });
      const { headers } = answer;
      if (headers?.code === notFound) return undefined;
      if (headers?.get('Nats-Subject') !== subject)
        throw new Error(headers?.description || 'its answer is of another key');
      if (headers.has('KV-Operation')) return undefined;
      return { value: answer.string(), revision: Number(headers.get('Nats-Sequence')) };
    },
    put: refuse,
    create: refuse,
    update: refuse,
  };
}

function isWithoutAnswer({ transport }: Pick<Nats, 'transport'>, error: unknown): boolean {
  return error instanceof transport.errors.RequestError && error.isNoResponders();
}
