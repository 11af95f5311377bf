/** Makes this coordinator a member of a fleet, if the command line asks for it. */
import { hostname } from 'node:os';
import { commandText, fleetOf } from '@lockstep/command';
import { type FleetCoordinator, openFleet } from '@lockstep/fleet';
import type { ListeningEvent, RelaysEvent, TrainingResult, TrainOptions } from '@lockstep/train';
import { isLoopback, newSecret, type RunValues } from '@lockstep/train/command-line';
import { joinAddress } from '@lockstep/worker';

export interface FleetMember {
  /** The requested options, plus those that the fleet adds. */
  readonly options: TrainOptions;
  /** Aborted with a FleetError when another coordinator becomes the leader of the run. */
  readonly deposed: AbortSignal;
  announce(listening: ListeningEvent): void;
  /** Announces the relays that the fleet's workers may join. */
  announceRelays({ relays }: RelaysEvent): void;
  /** Hands the run over to another coordinator. */
  end(outcome: TrainingResult['outcome'] | undefined): Promise<void>;
}

export interface Joining {
  readonly asked: TrainOptions;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/**
 * Joins the fleet; returns undefined without `--fleet`.
 * @throws FleetError, or CommandFailure with exit code 2
 */
export async function joinFleet(options: RunValues, { asked, signal, log }: Joining): Promise<FleetMember | undefined> {
  const where = fleetOf(options);
  if (!where) return undefined;
  const { standby, announce, 'checkpoint-every': every } = options;
  const fleet = await openFleet({ ...where, role: 'coordinator' });
  const coordinator = fleet.coordinator({ standby, name: hostname(), signal, log });
  const listen = await listenOf(asked, options, coordinator).catch(async (error: unknown) => {
    await fleet.close();
    throw error;
  });
  return {
    options: { ...asked, listen, checkpoint: { store: coordinator, every } },
    deposed: coordinator.deposed,
    announce({ addresses, host, token }) {
      for (const line of fleetJoinLines(fleet.place, options, { host, url: addresses.worker })) log(line);
      void coordinator.announce(joinAddress(announce ?? addresses.worker, { token }));
    },
    announceRelays({ relays }) {
      void coordinator.announceRelays(relays.map(({ address, workers }) => ({ ...joinAddress(address, {}), workers })));
    },
    async end(outcome) {
      if (outcome === 'finished') await coordinator.finish();
      await coordinator.close();
      await fleet.close();
    },
  };
}

/** If other machines can connect, the run has a token, the same on each coordinator. */
async function listenOf(
  { listen }: TrainOptions,
  { announce }: RunValues,
  coordinator: FleetCoordinator,
): Promise<TrainOptions['listen']> {
  if (typeof listen !== 'object') throw new Error('fleet: expected a run that listens');
  const isLocal = isLoopback(listen.host ?? '') && announce === undefined;
  if (isLocal || listen.token !== undefined) return listen;
  return { ...listen, token: await coordinator.token(newSecret) };
}

/** How workers join, and what may prevent it. */
export function fleetJoinLines(
  place: string,
  { run, announce }: Pick<RunValues, 'run' | 'announce'>,
  { host, url }: { readonly host: string; readonly url: string },
): string[] {
  const named = run === undefined ? '' : ` --run ${run}`;
  const join = `Join through the fleet: ${commandText('worker', `--fleet ${place}${named}`)}`;
  const isHere = place.split(',').every((server) => isLoopback(new URL(server).hostname));
  if (isHere || !isLoopback(host) || announce !== undefined) return [join];
  return [
    join,
    `Only this machine can reach ${url}: use --host, or --announce behind a proxy, to let other machines join.`,
  ];
}
