/** Terminal colors as a value, so that tests and pipes can go without. */
import pc from 'picocolors';

export type Colors = ReturnType<typeof pc.createColors>;

/** Colors where standard output is a terminal that shows them. */
export const colors: Colors = pc;
