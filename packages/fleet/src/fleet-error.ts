/** A fleet could not do what a person asked for; the message is one sentence. */
export class FleetError extends Error {
  override readonly name = 'FleetError';
  /** The option at fault. */
  readonly option: 'fleet' | 'run' | 'fleet-credentials';
  /** Whether the same options may work later: the servers were unreachable, or did not answer. */
  readonly mayPass: boolean;

  constructor(message: string, option: FleetError['option'] = 'fleet', mayPass = false) {
    super(message);
    this.option = option;
    this.mayPass = mayPass;
  }
}
