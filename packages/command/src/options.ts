/** Options as data, options that several commands share, and the error of an invalid one; runs in Node and in pages. */
export * from './common-options.ts';
export * from './configuration-error.ts';
export * from './option.ts';
