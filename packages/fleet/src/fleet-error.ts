/** What a fleet cannot do for the person who asked: one sentence. */
export class FleetError extends Error {
  override readonly name = 'FleetError';
  /** What it was asked by. */
  readonly option: 'fleet' | 'run' | 'fleet-credentials';

  constructor(message: string, option: FleetError['option'] = 'fleet') {
    super(message);
    this.option = option;
  }
}
