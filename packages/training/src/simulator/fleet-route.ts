/** How a worker of a fleet finds the coordinator that leads: as `sourceConnector` of `packages/worker` does. */
import type { FleetFinder } from './simulated-fleet.ts';
import type { Listener, Route } from './simulated-worker.ts';

/** @param named the coordinator of a name */
export function fleetRoute(finder: FleetFinder, named: (name: string) => Listener | undefined): Route {
  return {
    async find() {
      for (;;) {
        const name = await finder.find();
        if (name === undefined) return undefined;
        const listener = named(name);
        if (listener?.process) return listener;
        // The next attempt may be seconds away: a coordinator that takes over is joined as soon as it is known.
        if (!(await finder.changed())) throw new Error(`${name} does not answer`);
      }
    },
    async goesOn() {
      await finder.changed();
      return finder.find().then(
        (name) => name !== undefined,
        () => true,
      );
    },
  };
}
