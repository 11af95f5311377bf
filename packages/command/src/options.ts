/** What an option is, which options several commands share, and the error of a wrong one: runs anywhere. */
export * from './common-options.ts';
export * from './configuration-error.ts';
export * from './option.ts';
