/** A tree of a coordinator, relays and workers in virtual time, compared with the oracle. */
import { type CoordinatorTransport, encode, type Message } from '@lockstep/protocol';
import { hostBackend, newHash } from '../../compute/test/support.ts';
import { observed, RunFixture } from '../../coordinator/test/run-fixture.ts';
import { SimulatedLink } from '../../sim/src/simulated-link.ts';
import { SimulatedProcess } from '../../sim/src/simulated-process.ts';
import type { Listener, SimulatedWorker } from '../../sim/src/simulated-worker.ts';
import { createProblem, type ProblemOptions } from '../../sim/test/support.ts';
import { Relay, type RelayCoreEvent, type RelayCoreOptions } from '../src/relay-core.ts';

type WorkerOptions = ConstructorParameters<typeof SimulatedWorker>[0];

/** A relay in its own process, which a test may kill. */
export class TestRelay implements Listener {
  readonly process: SimulatedProcess;
  readonly relay: Relay;
  readonly events: RelayCoreEvent[] = [];
  readonly #links: SimulatedLink[] = [];
  #isDead = false;

  constructor(tree: RelayTree, above: Listener, name: string, options: Partial<RelayCoreOptions> = {}) {
    const { clock, problem } = tree.fixture;
    let keys = 0;
    this.process = new SimulatedProcess(clock);
    this.relay = new Relay({
      ...{ name, newHash, backend: problem.backend, clock: this.process, verifySalt: 7, random: () => 0 },
      newResumeKey: () => `${name}-key-${++keys}`,
      connect: async () => {
        if (!above.process) throw new Error('the connection was refused');
        const link = tree.link(above.process, this.process, name);
        this.#links.push(link);
        above.accept(link.coordinator, name);
        return link.worker;
      },
      onEvent: (event) => this.events.push(event),
      ...options,
    });
  }

  accept(transport: CoordinatorTransport, address: string): void {
    if (this.#isDead) transport.close(1006, 'gone');
    else this.relay.accept(transport, address);
  }

  /** Ends the relay as `kill -9` does: both ends of each connection break. */
  kill(workers: readonly SimulatedWorker[]): void {
    this.#isDead = true;
    this.process.kill();
    for (const link of this.#links) link.cut('killed');
    for (const worker of workers) worker.link?.cut('killed');
  }
}

export class RelayTree {
  readonly fixture: RunFixture;
  readonly root: Listener;
  /** Total bytes of frames to and from the coordinator. */
  bytes = 0;

  constructor(fixture: RunFixture) {
    this.fixture = fixture;
    const count = (message: Message): void => {
      this.bytes += encode(message).byteLength;
    };
    this.root = {
      process: fixture.clock,
      accept: (transport, address) =>
        fixture.run.connect(observed(transport, { received: count, sent: count }), address),
    };
  }

  relay(above: Listener = this.root, name = 'relay', options: Partial<RelayCoreOptions> = {}): TestRelay {
    return new TestRelay(this, above, name, options);
  }

  /** Joins a worker that computes a sample per millisecond. */
  worker(above: Listener, options: Partial<WorkerOptions> = {}): SimulatedWorker {
    return this.fixture.join({ coordinator: above, address: options.name ?? '', encodes: true, ...options });
  }

  workers(above: Listener, count: number, options: Partial<WorkerOptions> = {}): SimulatedWorker[] {
    return Array.from({ length: count }, (_, index) => this.worker(above, { name: `worker ${index + 1}`, ...options }));
  }

  async untilStep(step: number): Promise<void> {
    await this.fixture.until(() => this.fixture.run.state.current.step >= step);
  }

  link(coordinator: SimulatedProcess | WorkerOptions['clock'], worker: SimulatedProcess, name: string): SimulatedLink {
    const { clock } = this.fixture;
    const speed = { latencyMs: 1, bytesPerMs: 1e9 };
    return new SimulatedLink({ clock, speed, ends: { coordinator, worker }, workerName: name, encodes: true });
  }
}

export async function createRelayTree(options: ProblemOptions = {}): Promise<RelayTree> {
  return new RelayTree(new RunFixture(await createProblem(await hostBackend(), options)));
}
