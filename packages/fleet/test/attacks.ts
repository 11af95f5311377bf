/** Everything that a NATS client can try in order to write what its own credentials do not permit. */
import { setTimeout as delay } from 'node:timers/promises';
import { headers, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import type { RecordName } from '../src/records.ts';

/** One message of the attacker. */
interface Attack {
  readonly subject: string;
  readonly payload?: string;
  readonly reply?: string;
  readonly headers?: MsgHdrs;
}

export const recordNames: Readonly<Record<RecordName | 'lease', true>> = {
  ...{ lease: true, address: true, relays: true, token: true, config: true, checkpoints: true, transcript: true },
  end: true,
};

const keyOf = (run: string, name: string): string => `$KV.lockstep.${run}.${name}`;

/** Subjects on which a message changes the run: its records, its objects, and requests that delete either. */
export function targetsOf(run: string): string[] {
  return [
    ...Object.keys(recordNames).map((name) => keyOf(run, name)),
    '$O.lockstep.C.x',
    '$O.lockstep.M.x',
    ...['KV_lockstep', 'OBJ_lockstep'].flatMap((stream) => [
      `$JS.API.STREAM.DELETE.${stream}`,
      `$JS.API.STREAM.PURGE.${stream}`,
    ]),
  ];
}

/** Requests that JetStream answers; the documented credentials permit a few of them. */
function requestsOf(run: string): string[] {
  const keys = [run, 'other'].flatMap((name) => Object.keys(recordNames).map((record) => keyOf(name, record)));
  return ['$JS.API.INFO', ...keys.map((key) => `$JS.API.DIRECT.GET.KV_lockstep.${key}`)];
}

/** Ways to make a message arrive at a subject. */
export function attacksOn(target: string, run: string): Attack[] {
  const requests = requestsOf(run);
  const configuration = { stream_name: 'KV_lockstep', config: { deliver_subject: target, ack_policy: 'none' } };
  const copying = { name: 'COPY', subjects: ['copy'], republish: { src: '>', dest: target } };
  return [
    { subject: target, payload: '{}' },
    { subject: target },
    // JetStream answers on any subject that a request names.
    ...requests.map((subject) => ({ subject, reply: target })),
    ...requests.flatMap((subject) => [
      { subject, headers: traced(target, false) },
      { subject, headers: traced(target, true) },
    ]),
    { subject: '$JS.API.CONSUMER.CREATE.KV_lockstep', payload: JSON.stringify(configuration) },
    { subject: '$JS.API.STREAM.CREATE.COPY', payload: JSON.stringify(copying) },
  ];
}

/** Headers that make the server report a message's route on the given subject. */
function traced(target: string, isOnlyTraced: boolean): MsgHdrs {
  const named = headers();
  named.set('Nats-Trace-Dest', target);
  if (isOnlyTraced) named.set('Nats-Trace-Only', 'true');
  return named;
}

/** Publishes the attacks; resolves when the server has taken them. */
export async function attack(connection: NatsConnection, attacks: readonly Attack[]): Promise<void> {
  for (const { subject, payload = '', reply, headers: named } of attacks) {
    connection.publish(subject, payload, { ...(reply && { reply }), ...(named && { headers: named }) });
  }
  await connection.flush();
}

/** Attacks all records and other data of a run over and over. @returns stops, and returns the number of rounds */
export function attackRun(connection: NatsConnection, run: string): () => Promise<number> {
  const attacks = targetsOf(run).map((target) => attacksOn(target, run));
  let [isOver, rounds] = [false, 0];
  const attacking = (async () => {
    for (; !isOver; rounds++) {
      for (const one of attacks) await attack(connection, one);
      // Pause, because the processes of the run may share these cores.
      await delay(1_000);
    }
  })();
  // A test that fails before it asks for the rounds closes the servers under these connections.
  attacking.catch(() => {});
  return async () => {
    isOver = true;
    await attacking;
    await connection.close();
    return rounds;
  };
}
