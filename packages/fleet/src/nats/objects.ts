/** Objects of a fleet in a NATS object store. */
import type { ObjectStore } from '@nats-io/obj';
import type { Objects } from '../store.ts';

/** Time-out of a read or write. Without it the client would wait forever for a lost server. */
const timeoutMs = 30_000;

export function natsObjects(store: ObjectStore): Objects {
  return {
    put: (name, bytes) => within(store.putBlob({ name }, bytes)).then(() => {}),
    get: async (name) => (await within(store.getBlob(name))) ?? undefined,
    remove: (name) => within(store.delete(name)).then(() => {}),
  };
}

async function within<Value>(work: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
