/** A relay forwards weights in chunks while they arrive. */
import type { WeightsMessage } from '@lockstep/compute';
import type { CoordinatorTransport, Message, WorkerTransport } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { observed } from '../../coordinator/test/run-fixture.ts';
import type { SimulatedLink } from '../../sim/src/simulated-link.ts';
import { createRelayTree, type RelayTree, type TestRelay } from './relay-fixture.ts';

const isPart = (message: Message): message is WeightsMessage =>
  (message.type === 'weights' && message.values !== undefined) || message.type === 'chunk';

/** Returns a name such as `weights 3`, with the step, or `chunk 10`, with the index of the first value. */
const partName = (part: WeightsMessage): string => `${part.type} ${part.type === 'weights' ? part.step : part.at}`;

const noteParts =
  (note: (part: string) => void) =>
  (message: Message): void => {
    if (isPart(message)) note(partName(message));
  };

/** A relay whose connections to the coordinator a test may observe. */
function relayObserved(
  tree: RelayTree,
  observe: (worker: WorkerTransport, link: SimulatedLink) => WorkerTransport,
): TestRelay {
  const relay: TestRelay = tree.relay(tree.root, 'relay', {
    connect: async () => {
      // The first call happens in the relay's constructor, before `relay` is assigned.
      await undefined;
      const link = tree.link(tree.root.process!, relay.process, 'relay');
      tree.root.accept(link.coordinator, 'relay');
      return observe(link.worker, link);
    },
  });
  return relay;
}

describe('a relay', () => {
  it('sends weights on while they arrive', async () => {
    const tree = await createRelayTree({ limits: { chunkBytes: 40 } });
    const passed: string[] = [];
    const relay = relayObserved(tree, (worker) =>
      observed(worker, { received: noteParts((part) => passed.push(`in ${part}`)) }),
    );
    const accept = relay.accept.bind(relay);
    relay.accept = (transport: CoordinatorTransport, address) =>
      accept(observed(transport, { sent: noteParts((part) => passed.push(`out ${part}`)) }), address);
    tree.worker(relay);
    await tree.untilStep(2);
    passed.length = 0;
    await tree.fixture.finish();
    const parts = passed.filter((_, index) => index % 2 === 0);
    expect(parts.length).toBeGreaterThan(10);
    expect(passed).toEqual(parts.flatMap((part) => [part, part.replace('in', 'out')]));
  });

  it('has weights sent again if the connection above breaks within them', async () => {
    const tree = await createRelayTree({ limits: { chunkBytes: 40 } });
    let cuts = 0;
    const relay = relayObserved(tree, (worker, link) => {
      link.changeSpeed({ latencyMs: 1, bytesPerMs: 20 });
      const handled = noteParts((part) => {
        if (part !== 'weights 3' || cuts > 0) return;
        cuts += 1;
        link.cut('cut');
      });
      return observed(worker, { handled });
    });
    tree.workers(relay, 2);
    await tree.fixture.finish();
    expect(cuts).toBe(1);
    // A worker that was not sent the rest would be late.
    const below = relay.events.flatMap((event) => (event.type === 'below' ? [event.event.type] : []));
    expect(below).toEqual(['joined', 'started', 'joined']);
  });
});
