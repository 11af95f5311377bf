/** What a fleet cannot do for the person who asked: one sentence. */
export class FleetError extends Error {
  override readonly name = 'FleetError';
  /** What it was asked by. */
  readonly option: 'fleet' | 'run' | 'fleet-credentials';
  /** Whether the same options may work later: the servers were not reached, or gave no answer. */
  readonly mayPass: boolean;

  constructor(message: string, option: FleetError['option'] = 'fleet', mayPass = false) {
    super(message);
    this.option = option;
    this.mayPass = mayPass;
  }
}
