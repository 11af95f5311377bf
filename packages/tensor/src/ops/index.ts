/** All ops, and functions made of ops: the package exports them, and the op tests iterate over them. */
export * from './arrange.ts';
export * from './dropout.ts';
export * from './elementwise.ts';
export * from './losses.ts';
export * from './matmul.ts';
export * from './reduce.ts';
export * from './windows.ts';
