import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/temporary.ts',
    // Synthesis and the checkers of templates take seconds, on busy machines many.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // Two processors: more workers would only load the library more often.
    maxWorkers: 2,
  },
});
