/** Values of a fleet in a key-value bucket of NATS. */
import type { KV } from '@nats-io/kv';
import { type KeyValues, RevisionConflict } from '../store.ts';
import type { Nats } from './load.ts';

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
        const isMissing = error instanceof transport.errors.RequestError && error.isNoResponders();
        throw isMissing ? new Error('its servers have no records, or elect a leader') : error;
      });
      return entry?.operation === 'PUT' ? { value: entry.string(), revision: entry.revision } : undefined;
    },
    put: (key, value) => bucket.put(key, value),
    create: (key, value) => guarded(key, () => bucket.create(key, value)),
    update: (key, value, revision) => guarded(key, () => bucket.update(key, value, revision)),
  };
}
