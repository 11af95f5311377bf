/** Checks on messages of the dashboard that concern several fields. */

interface Points {
  readonly steps: Uint8Array;
  readonly losses: Uint8Array;
  readonly accuracies: Uint8Array;
}

export const isPointList = ({ steps, losses, accuracies }: Points): boolean =>
  losses.byteLength === steps.byteLength && accuracies.byteLength === steps.byteLength;

export const pointListPhrase = 'as many losses and accuracies as steps';

/** Whether `counts` are `classes` x `classes` float32 values. */
export const isGrid = (counts: Uint8Array, classes: number): boolean => counts.byteLength === 4 * classes * classes;

interface TopErrors {
  readonly rows: number;
  readonly columns: number;
  readonly classes: number;
  readonly topErrors: readonly { readonly image: Uint8Array; readonly label: number; readonly predicted: number }[];
}

export const areNamed = ({ rows, columns, classes, topErrors }: TopErrors): boolean =>
  topErrors.every(
    ({ image, label, predicted }) =>
      image.byteLength === rows * columns && label < classes && predicted < classes && label !== predicted,
  );
