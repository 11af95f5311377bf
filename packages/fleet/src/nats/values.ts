/** Values of a fleet in a key-value bucket of NATS: as a coordinator keeps them, and as a worker reads them. */
import { randomUUID } from 'node:crypto';
import type { KV } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { type KeyValues, RevisionConflict } from '../store.ts';
import type { Nats } from './load.ts';

export const requestTimeoutMs = 2_000;
/** The subjects that permissions let workers subscribe to. */
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
 * Workers share their credentials, and with them the inboxes: one could have NATS answer the request of another, if it knew
 * where the answer is awaited. The client numbers its requests, so that the next inbox follows from the last; here each
 * request has an inbox that cannot be guessed, and that nobody sees before its answer.
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
