/** A run keeps these in the store: records with typed values, its configuration, and its checkpoints. */
import { createHash } from 'node:crypto';
import { FleetError, type FleetStore, RevisionConflict } from './store.ts';

/** A relay of the run. */
export interface RelayRecord {
  /** Address without secrets. */
  readonly url: string;
  /** SHA-256 of the only certificate to trust, in hex. */
  readonly fingerprint?: string | undefined;
  /** Number of workers that compute for the relay. */
  readonly workers: number;
}

interface CheckpointRecord {
  /** Hash that names the object with the checkpoint. */
  readonly sha256: string;
  readonly step: number;
  /** Name of the part of the run that wrote it. */
  readonly run: string;
  readonly bytes: number;
}

interface Values {
  /** Address of the leader. `incarnation`: revision at which its lease began; a later leader has a larger one. */
  readonly address: {
    readonly incarnation: number;
    readonly url: string;
    readonly fingerprint?: string | undefined;
  };
  /** Relays connected to the leader of this incarnation, which sees them disconnect. */
  readonly relays: { readonly incarnation: number; readonly relays: readonly RelayRecord[] };
  /** Has its own key: viewers may read a run's address, but only workers may read its secret. */
  readonly token: { readonly token?: string | undefined };
  /** Present once the leader of this incarnation has taken the last step. */
  readonly end: { readonly incarnation: number };
  /** Hash that names the object with the run's configuration. */
  readonly config: { readonly sha256: string };
  /** Newest first, by time of writing. */
  readonly checkpoints: readonly CheckpointRecord[];
  /** Name of the last part of the transcript, by the newest leader that has stored one. */
  readonly transcript: { readonly incarnation: number; readonly part: string };
}

export type RecordName = keyof Values;

/** The run that a coordinator wants to lead. */
export interface FleetRun {
  /** Everything that determines the bits of the run. */
  readonly config: string;
  /** Returns a phrase such as `expected seed 1, got 2` if the other configuration is of a different run. */
  readonly differenceFrom: (other: string) => string | undefined;
}

/** Records of the run's transcript that one leader has added after those of the part before. */
export interface FleetPart {
  /** 64 hexadecimal digits. */
  readonly name: string;
  /** Name of the part that it continues; undefined for the first. */
  readonly before: string | undefined;
  readonly bytes: Uint8Array;
}

/** Bytes of the name of the part before, at the beginning of an object; zeros in the first part. */
const nameBytes = 32;

/** A stored checkpoint. */
export interface FleetCheckpoint {
  readonly name: string;
  readonly run: string;
  readonly step: number;
  readonly read: () => Promise<Uint8Array>;
}

const keptCheckpoints = 3;
/** Most attempts to change a record when other coordinators keep writing first. */
const maxAttempts = 10;

export class RunRecords {
  /** The run and its store, described for people. */
  readonly place: string;
  readonly #store: FleetStore;
  readonly #run: string;
  /** The newest checkpoint, read while this process waits to lead. */
  #followed: { readonly sha256: string; readonly bytes: Uint8Array } | undefined;

  constructor(store: FleetStore, run: string) {
    this.place = `run ${run} of the fleet at ${store.place}`;
    this.#store = store;
    this.#run = run;
  }

  key(name: RecordName | 'lease'): string {
    return `${this.#run}.${name}`;
  }

  async get<Name extends RecordName>(name: Name): Promise<Values[Name] | undefined> {
    const found = await this.#store.values.get(this.key(name));
    return found && JSON.parse(found.value);
  }

  async put<Name extends RecordName>(name: Name, value: Values[Name]): Promise<void> {
    await this.#store.values.put(this.key(name), JSON.stringify(value));
  }

  /** @returns the run's shared secret. @param create makes one if the run has none */
  async token(create: () => string): Promise<string> {
    const { token } = await this.#change('token', (found) =>
      found?.token === undefined ? { token: create() } : found,
    );
    return token!;
  }

  /** Fixes the configuration of the run if it has none. @throws FleetError if it has a different one */
  async agreeOn({ config, differenceFrom }: FleetRun): Promise<void> {
    const { objects } = this.#store;
    const own = hashOf(config);
    const { sha256 } = await this.#change('config', async (found) => {
      if (!found) await objects.put(this.#objectName('config', own), new TextEncoder().encode(config));
      return found ?? { sha256: own };
    });
    if (sha256 === own) return;
    const other = await objects.get(this.#objectName('config', sha256));
    const difference = other && differenceFrom(new TextDecoder().decode(other));
    const what = difference ?? 'expected the configuration that the run began with, got another';
    throw new FleetError(
      `${this.#run} has another configuration in this fleet: ${what}; use another name for another run`,
      'run',
    );
  }

  /** Lists the checkpoints, most steps first. */
  async checkpoints(): Promise<FleetCheckpoint[]> {
    const listed = await this.#listed();
    return listed.map((record) => ({ ...record, name: nameOf(record), read: () => this.#read(record) }));
  }

  /**
   * Stores a checkpoint, then lists it; keeps the two newest earlier ones.
   * @returns its name
   * @throws Error if the store does not take it; the earlier checkpoints are then still there
   */
  async writeCheckpoint(run: string, step: number, bytes: Uint8Array): Promise<string> {
    const record = { sha256: hashOf(bytes), step, run, bytes: bytes.length };
    await this.#store.objects.put(this.#objectName('checkpoint', record.sha256), bytes);
    let dropped: readonly CheckpointRecord[] = [];
    await this.#change('checkpoints', (before = []) => {
      const list = [record, ...before.filter(({ sha256 }) => sha256 !== record.sha256)];
      dropped = list.slice(keptCheckpoints);
      return list.slice(0, keptCheckpoints);
    });
    await this.#removeObjects(dropped);
    return nameOf(record);
  }

  /** Removes the checkpoints of later steps. @throws Error if the store does not answer */
  async removeCheckpointsAfter(step: number): Promise<void> {
    let dropped: readonly CheckpointRecord[] = [];
    await this.#change('checkpoints', (before) => {
      dropped = before?.filter((record) => record.step > step) ?? [];
      return dropped.length === 0 ? before! : before!.filter((record) => record.step <= step);
    });
    await this.#removeObjects(dropped);
  }

  async #removeObjects(dropped: readonly CheckpointRecord[]): Promise<void> {
    for (const { sha256 } of dropped) {
      // A leftover object takes space but does no other harm.
      await this.#store.objects.remove(this.#objectName('checkpoint', sha256)).catch(() => {});
    }
  }

  /**
   * Stores a part of the transcript, which ends with it unless a newer leader has stored one.
   * @throws Error if the store does not take it
   */
  async writePart({ name, before = '', bytes }: FleetPart, incarnation: number): Promise<void> {
    const object = new Uint8Array(nameBytes + bytes.length);
    object.set(Buffer.from(before, 'hex'));
    object.set(bytes, nameBytes);
    await this.#store.objects.put(this.#objectName('transcript', name), object);
    await this.#change('transcript', (found) =>
      found && found.incarnation > incarnation ? found : { incarnation, part: name },
    );
  }

  /**
   * Returns the transcript up to a part, by default the last one; undefined if there is none.
   * @throws FleetError if a part is missing
   */
  async readParts(last?: string): Promise<Uint8Array | undefined> {
    const none = Buffer.alloc(nameBytes).toString('hex');
    const parts = new Map<string, Uint8Array>();
    let name = last ?? (await this.get('transcript'))?.part ?? none;
    while (name !== none) {
      const object = await this.#store.objects.get(this.#objectName('transcript', name));
      if (!object || object.length < nameBytes || parts.has(name)) {
        const what = object ? 'another one' : 'none';
        throw new FleetError(
          `${this.place}: expected part ${name.slice(0, 16)}… of its transcript, got ${what}`,
          'run',
        );
      }
      parts.set(name, object.subarray(nameBytes));
      name = Buffer.from(object.subarray(0, nameBytes)).toString('hex');
    }
    return parts.size === 0 ? undefined : Buffer.concat([...parts.values()].reverse());
  }

  /** Reads the newest checkpoint ahead of time, so that taking over need not wait for it. */
  async followCheckpoints(): Promise<void> {
    const [newest] = await this.#listed();
    if (!newest || newest.sha256 === this.#followed?.sha256) return;
    this.#followed = { sha256: newest.sha256, bytes: await this.#read(newest) };
  }

  async #listed(): Promise<CheckpointRecord[]> {
    return ((await this.get('checkpoints')) ?? []).toSorted((a, b) => b.step - a.step);
  }

  async #read({ sha256 }: CheckpointRecord): Promise<Uint8Array> {
    if (this.#followed?.sha256 === sha256) return this.#followed.bytes;
    const bytes = await this.#store.objects.get(this.#objectName('checkpoint', sha256));
    if (!bytes) throw new Error('it is listed, and not in the store');
    if (hashOf(bytes) !== sha256) throw new Error('its SHA-256 is not the one that is listed');
    return bytes;
  }

  /**
   * Replaces a record by `next` of it, again if another process writes first.
   * @param next returns its argument to leave the record as it is
   * @returns the record as it is then
   */
  async #change<Name extends RecordName>(
    name: Name,
    next: (found: Values[Name] | undefined) => Values[Name] | Promise<Values[Name]>,
  ): Promise<Values[Name]> {
    const { values } = this.#store;
    const key = this.key(name);
    for (let attempt = 1; ; attempt++) {
      const found = await values.get(key);
      const before: Values[Name] | undefined = found && JSON.parse(found.value);
      const after = await next(before);
      if (after === before) return after;
      try {
        if (found) await values.update(key, JSON.stringify(after), found.revision);
        else await values.create(key, JSON.stringify(after));
        return after;
      } catch (error) {
        if (!(error instanceof RevisionConflict) || attempt === maxAttempts) throw error;
      }
    }
  }

  #objectName(kind: 'config' | 'checkpoint' | 'transcript', name: string): string {
    return `${this.#run}.${kind}.${name}`;
  }
}

function nameOf({ step, sha256 }: CheckpointRecord): string {
  return `checkpoint-${`${step}`.padStart(9, '0')}-${sha256.slice(0, 16)}`;
}

function hashOf(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
