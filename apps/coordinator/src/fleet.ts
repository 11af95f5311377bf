/** Makes this coordinator one of a fleet, where the command line asks for that. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { commandText, fleetOf, requireFleet, usageFailure } from '@lockstep/command';
import { FleetError, openFleet } from '@lockstep/fleet';
import type { ListeningEvent, TrainingResult, TrainOptions } from '@lockstep/train';
import { isLoopback } from '@lockstep/train/command-line';
import { joinAddress } from '@lockstep/worker';
import type { CoordinatorOptions } from './options.ts';

const tokenBytes = 16;

export interface FleetMember {
  /** As they were asked for, with what the fleet adds. */
  readonly options: TrainOptions;
  /** Aborted with a FleetError when another coordinator leads the run. */
  readonly deposed: AbortSignal;
  announce(listening: ListeningEvent): void;
  /** Leaves the run to another coordinator. */
  end(outcome: TrainingResult['outcome'] | undefined): Promise<void>;
}

export interface Joining {
  readonly asked: TrainOptions;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/** Undefined without `--fleet`. @throws CommandFailure with exit code 2 */
export async function joinFleet(options: CoordinatorOptions, joining: Joining): Promise<FleetMember | undefined> {
  requireFleet(options, ['standby', 'announce']);
  const where = fleetOf(options);
  if (!where) return undefined;
  try {
    return await join({ ...where, role: 'coordinator' }, options, joining);
  } catch (error) {
    throw asUsageFailure(error);
  }
}

/** A sentence for the person, where it is one of a fleet. */
export function asUsageFailure(error: unknown): unknown {
  return error instanceof FleetError ? usageFailure(`--${error.option}: ${error.message}`) : error;
}

async function join(
  where: Parameters<typeof openFleet>[0],
  { standby, announce, 'checkpoint-every': every }: CoordinatorOptions,
  { asked, signal, log }: Joining,
): Promise<FleetMember> {
  const fleet = await openFleet(where);
  const coordinator = fleet.coordinator({ standby, name: hostname(), signal, log });
  const { listen } = asked;
  if (typeof listen !== 'object') throw new Error('fleet: expected a run that listens');
  const isOpen = listen.token !== undefined || isLoopback(listen.host ?? '');
  const newToken = (): string => randomBytes(tokenBytes).toString('base64url');
  const token = isOpen ? listen.token : await coordinator.token(newToken);
  return {
    options: { ...asked, listen: { ...listen, token }, checkpoint: { store: coordinator, every } },
    deposed: coordinator.deposed,
    announce({ addresses, token: joinToken }) {
      const command = commandText(
        'worker',
        `--fleet ${fleet.place}${where.run === undefined ? '' : ` --run ${where.run}`}`,
      );
      log(`Join through the fleet: ${command}`);
      void coordinator.announce(joinAddress(announce ?? addresses.worker, { token: joinToken }));
    },
    async end(outcome) {
      if (outcome === 'finished') await coordinator.finish();
      await coordinator.close();
      await fleet.close();
    },
  };
}
