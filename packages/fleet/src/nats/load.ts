/** Loads the NATS client, which only processes of a fleet need. */
import { FleetError } from '../fleet-error.ts';

export interface Nats {
  readonly transport: typeof import('@nats-io/transport-node');
  readonly jetstream: typeof import('@nats-io/jetstream');
  readonly kv: typeof import('@nats-io/kv');
  readonly obj: typeof import('@nats-io/obj');
}

/** @throws FleetError if the packages are not installed */
export async function loadNats(): Promise<Nats> {
  try {
    const [transport, jetstream, kv, obj] = await Promise.all([
      import('@nats-io/transport-node'),
      import('@nats-io/jetstream'),
      import('@nats-io/kv'),
      import('@nats-io/obj'),
    ]);
    return { transport, jetstream, kv, obj };
  } catch (error) {
    const [got] = (error as Error).message.split('\n');
    const packages = '@nats-io/transport-node, @nats-io/jetstream, @nats-io/kv and @nats-io/obj';
    throw new FleetError(`a fleet takes the packages ${packages}: install them beside Lockstep (${got})`);
  }
}
